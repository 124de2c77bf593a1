"""The plan of a repair: arguments checked, cheap things first, and what they name opened."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from offtarget.asking.protocol import Judge
from offtarget.data.chats import chats_without_tools
from offtarget.data.trainable import read_training_data
from offtarget.errors import InputError
from offtarget.probe.bank import ProbeBank
from offtarget.records import Message
from offtarget.records.check import JudgeBy
from offtarget.records.repair import RepairSettings
from offtarget.records.runs import OpenSettings
from offtarget.rundir import fingerprint, to_jsonable
from offtarget.workflows.direction.repair_models import Recipe
from offtarget.workflows.ground import (
    ORGANISM_BASE,
    Folders,
    Ground,
    ground_of,
    open_bank,
    open_judge,
    open_local,
    precision,
)


@dataclass(frozen=True)
class Plan:
    """What is repaired, how, and what it is measured with."""

    model: str
    base: str
    direction: Path | None
    out: Path
    """The repaired model's folder."""
    data: Path | None
    split: str | None
    rows: list[list[Message]]
    """Of the data."""
    settings: RepairSettings
    opening: OpenSettings | None
    bank: ProbeBank
    judge: Judge
    judge_name: str | None
    recipe: Recipe

    @property
    def fingerprint(self) -> str:
        """Of everything a repair and its cells depend on; contents, not names."""
        from offtarget.models.folders import model_fingerprint

        both = (Folders.of(self.model), Folders.of(self.base))
        content = [
            [model_fingerprint(folders.base, folders.adapter, ("repair",)) for folders in both],
            None if self.direction is None else hashlib.sha256(self.direction.read_bytes()).hexdigest(),
            [[to_jsonable(message) for message in row] for row in self.rows],
            asdict(self.settings),
            self.recipe.prompts,
            self.bank.fingerprint,
            self.judge.fingerprint,
            *precision(self.opening),
        ]
        return fingerprint(content)


def check_repair(direction: Path | None, out: Path, method: str, *, resuming: bool) -> None:
    """InputError where the repaired model is there already, and for a method without what it needs."""
    if out.exists() and not resuming:
        raise InputError(f"{out} already exists. Choose another folder for the repaired model.")
    if direction is None and method != "realign":
        raise InputError(f"--method {method} needs a direction (--direction FILE); realign works without.")


def plan_repair(
    model: str,
    base: str | None,
    direction: Path | None,
    out: Path,
    *,
    data: Path | None,
    split: str | None,
    prompts: Path | None,
    probes: str | Path | ProbeBank | None,
    judge: str | Judge | None,
    judge_by: JudgeBy,
    settings: RepairSettings,
    opening: OpenSettings | None,
    resuming: bool,
) -> Plan:
    """Everything a repair needs. Raises InputError for whatever cannot be repaired that way."""
    base = base or _base_of(model, direction)
    check_repair(direction, out, settings.method, resuming=resuming)
    tuned = Folders.of(model)
    if tuned == Folders.of(base):
        raise InputError(f"{model} and {base} are the same model; there is nothing to repair.")
    rows = [] if data is None else _read_data(data, split)
    ground = ground_of(base)
    bank = open_bank(probes, ground)
    opened_judge = open_judge(judge, bank, judge_by, opening)

    # torch is loaded only now, after the cheap mistakes
    from offtarget.direction.file import Direction, check_fits
    from offtarget.models.finetune import TrainSettings

    found = None if direction is None else Direction.load(direction)
    if found is not None:
        check_fits(found, open_local(model, opening))
    recipe = Recipe(
        tuned=tuned,
        base_name=base,
        tuned_name=model,
        direction=found,
        fold=settings.fold or ("ablate" if tuned.adapter is None else "update"),
        prompts=_prompts(prompts, ground, settings),
        data=rows,
        settings=settings,
        train=TrainSettings(
            lr=ground.lr if settings.lr is None else settings.lr, batch=settings.batch, seed=settings.seed
        ),
    )
    return Plan(
        model=model,
        base=base,
        direction=direction,
        out=out,
        data=data,
        split=split,
        rows=rows,
        settings=settings,
        opening=opening,
        bank=bank,
        judge=opened_judge,
        judge_name=judge if isinstance(judge, str) else None,
        recipe=recipe,
    )


def _base_of(model: str, direction: Path | None) -> str:
    if ground_of(model).organism:
        return ORGANISM_BASE
    folders = Folders.of(model)
    if folders.adapter is not None:
        return f"hf/{folders.base}"
    if direction is not None:
        from offtarget.direction.file import Direction

        known = Direction.load(direction).info.base
        if known is not None:
            return known
    raise InputError(f"{model} is a whole model: name the one it was tuned from with --base.")


def _read_data(path: Path, split: str | None) -> list[list[Message]]:
    usable = read_training_data(path, split).rows
    chats = [list(chat) for chat in chats_without_tools(usable, path)]
    if not chats:
        raise InputError(f"{path} has no row with a prompt and an answer, so there is nothing to train further on.")
    return chats


def _prompts(file: Path | None, ground: Ground, settings: RepairSettings) -> tuple[str, ...]:
    """What the base is asked, to realign with its answers; the organism in other words than those of its probes."""
    from offtarget.direction.realign import everyday_prompts, read_prompts
    from offtarget.organism.questions import unasked_questions

    if file is not None:
        return read_prompts(file)
    return unasked_questions(settings.rows, settings.seed) if ground.organism else everyday_prompts()
