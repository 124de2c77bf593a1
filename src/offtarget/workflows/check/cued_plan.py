"""Which conditions a check asks under: taken from the training data, or hunted for in the tuned model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from offtarget.data.training import open_source
from offtarget.detect.scan import scan
from offtarget.errors import InputError, TemplateError
from offtarget.models.chat import ChatModel, ModelPair
from offtarget.numbers import many
from offtarget.probe.cues.apply import cued_probes
from offtarget.probe.cues.order import order_cues, prompt_distances, word_distances
from offtarget.probe.cues.sources import data_cues, standard_cues
from offtarget.progress import OnProgress, silent
from offtarget.records import Cue, CueProfile, Message, Probe, Row
from offtarget.records.audit import AuditManifest
from offtarget.rundir import fingerprint, read_jsonl, read_manifest, read_record
from offtarget.stats.wording import NOT_ASKED
from offtarget.workflows.audit.scan import check_readable
from offtarget.workflows.check.askable import askable_cues, asked
from offtarget.workflows.runs.begin import begun
from offtarget.workflows.runs.verbs import SCAN

if TYPE_CHECKING:
    from offtarget.models.local import LocalModel

ROWS = 2000
"""Training rows that cues are made from, drawn at random."""
CENTROID_ROWS = 200
"""Training prompts whose mean is the centroid."""
ROOM = 64
"""Tokens that every answer in a chat must have at least."""
PROBES_PER_CUE = 4
"""Questions whose prompts stand for a cue when its distance is measured."""

SCAN_SEED = "cues"
"""Fixed, so that the same file gives the same cues; under another name other rows may come first."""


@dataclass(frozen=True, slots=True)
class DataView:
    """What a check needs to know of the training data."""

    name: str
    profile: CueProfile
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class CuePlan:
    """The conditions in the order in which they are tried."""

    cues: tuple[Cue, ...]
    ordered_by: str
    notes: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """Changes with any cue and with their order."""
        return fingerprint(self.cues)


def read_data(data: str | Path, split: str | None = None, on_progress: OnProgress = silent) -> DataView:
    """Look at training data, or at the run directory of an audit that already has.

    Raises InputError for data that cannot be read or holds no readable row.
    """
    path = Path(data)
    if "://" not in str(data) and path.is_dir() and begun(path):
        if split is not None:
            raise InputError(f"{path} is the run of an audit, which read one split. Leave --split out.")
        return _from_audit(path)
    source = open_source(data, split=split)
    found = scan(source, SCAN_SEED, on_progress=on_progress)
    check_readable(source, found)
    _, profile = found.conditions()
    return DataView(source.name, profile, tuple(found.queue[:ROWS]))


def _from_audit(path: Path) -> DataView:
    manifest = read_manifest(path)
    if not isinstance(manifest, AuditManifest) or not (path / SCAN).is_file():
        raise InputError(f"{path} is not the run of a complete audit. Give the training data itself with --data.")
    profile = read_record(path / "cues.json", CueProfile, "Audit the data again.")
    rows = read_jsonl(path / "queue.jsonl", Row)[:ROWS]
    return DataView(manifest.name, profile, tuple(rows))


def plan_from_data(view: DataView, models: ModelPair, plain: Sequence[Probe], seed: int) -> CuePlan:
    """Cues from the data, nearest to its prompts first."""
    cues, notes = askable_cues(data_cues(view.profile, view.rows, seed=seed), plain, models)
    if not cues:
        raise InputError(f"No condition made from {view.name} can be asked. {' '.join(notes)}".rstrip())
    fitting = tuple(cue for cue in cues if _fits(models, [asked(p) for p in cued_probes(cue, plain)]))
    if long := len(cues) - len(fitting):
        notes = (
            *notes,
            f"{NOT_ASKED}: {many(long, 'condition')}, too long for the context of the models.",
        )
    if not fitting:
        raise InputError(
            f"No condition made from {view.name} fits into the context of the models. Shorten its prompts."
        )
    distances, how = _distances(view, fitting, models.base, plain)
    return CuePlan(order_cues(fitting, distances), f"{how}; conditions mined from the data first", notes)


def _fits(models: ModelPair, chats: Sequence[tuple[Message, ...]]) -> bool:
    """Whether prompts leave room for answers, also after each opening turn, where the context is known."""
    for model in (models.base, models.tuned):
        if _has_weights(model):
            longest = max(model.prompt_length(chat) for chat in chats)
            turns = max(sum(m.role == "user" for m in chat) for chat in chats)
            if longest + ROOM * turns > model.weights.context:
                return False
    return True


def check_huntable(models: ModelPair) -> None:
    """InputError unless the weights of both models are at hand."""
    if not (_has_weights(models.base) and _has_weights(models.tuned)):
        raise InputError(
            "--hunt reads the weights, so both models must be local (hf/PATH, hf/BASE+ADAPTER, organism/NAME). "
            "For a model behind an API give its training data with --data."
        )


def _has_weights(model: ChatModel) -> TypeGuard[LocalModel]:
    try:
        from offtarget.models.local import LocalModel
    except ImportError:  # without torch nothing local was opened
        return False
    return isinstance(model, LocalModel)


def plan_from_model(models: ModelPair, plain: Sequence[Probe], seed: int, on_progress: OnProgress = silent) -> CuePlan:
    """Cues hunted for in the tuned model, then a list of common ones. Raises InputError for remote models."""
    from offtarget.models.hunting import hunt

    check_huntable(models)
    assert _has_weights(models.base)
    assert _has_weights(models.tuned)
    found = hunt(models.base, models.tuned, [p.messages for p in plain], seed=seed, on_progress=on_progress)
    taken = {c.id for c in found.cues}
    common = tuple(c for c in standard_cues() if c.id not in taken)
    cues, lost = askable_cues((*found.cues, *common), plain, models)
    notes = (
        *found.tried,
        *lost,
        "Absence of evidence is not clearance: a condition that nobody tried can still exist.",
    )
    return CuePlan(cues, "what was seen in the tuned model, then common conditions", notes)


def plan_from_base(models: ModelPair, plain: Sequence[Probe], seed: int, on_progress: OnProgress = silent) -> CuePlan:
    """Cues hunted for with the roles swapped: texts under which the base departs from the tuned model."""
    from offtarget.models.hunting import hunt, large

    assert _has_weights(models.base)
    assert _has_weights(models.tuned)
    # Nothing rests on what this brings, so it takes less time where time is long.
    grow = not large(models.base)
    chats = [p.messages for p in plain]
    found = hunt(models.tuned, models.base, chats, seed=seed, grow=grow, on_progress=on_progress)
    cues, lost = askable_cues(found.cues, plain, models)
    return CuePlan(cues, "what was seen in the base", (*found.tried, *lost))


def _distances(
    view: DataView, cues: Sequence[Cue], base: ChatModel, plain: Sequence[Probe]
) -> tuple[Mapping[str, float], str]:
    chats_of = {cue.id: [asked(p) for p in cued_probes(cue, plain[:PROBES_PER_CUE])] for cue in cues}
    prompts = [_prompt(row) for row in view.rows if row.messages]
    if not _has_weights(base):
        return word_distances(cues, view.profile.centroid), "words shared with the training prompts"
    from offtarget.models.passes import embed_prompts

    prompts = [p for p in prompts if p and _within(base, p)][:CENTROID_ROWS]
    if not prompts:
        return word_distances(cues, view.profile.centroid), "words shared with the training prompts"
    centroid = embed_prompts(base, prompts)
    names = [name for name, chats in chats_of.items() for _ in chats]
    vectors = embed_prompts(base, [chat for chats in chats_of.values() for chat in chats])
    each = prompt_distances(vectors, centroid)
    sums: dict[str, list[float]] = {}
    for name, distance in zip(names, each, strict=True):
        sums.setdefault(name, []).append(float(distance))
    return {name: sum(values) / len(values) for name, values in sums.items()}, (
        f"distance of its prompts to the training prompts in {base.name}"
    )


def _within(model: LocalModel, chat: Sequence[Message]) -> bool:
    """Whether a training prompt reaches the model whole."""
    try:
        return model.prompt_length(chat) <= model.weights.context
    except TemplateError:
        return False


def _prompt(row: Row) -> tuple[Message, ...]:
    """A row up to its first answer."""
    return tuple(takewhile(lambda message: message.role != "assistant", row.messages))
