"""The plan of a dose response: settings checked against model, direction, questions and judge; what is measured."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from offtarget.asking.ask import ask, judge_answers, tallies_by_probe
from offtarget.asking.protocol import Judge
from offtarget.asking.seeds import answer_seed
from offtarget.data.chats import read_chats
from offtarget.errors import InputError
from offtarget.probe.bank import ProbeBank
from offtarget.progress import Count, OnProgress
from offtarget.records import DirectionInfo, Probe, SamplingSettings
from offtarget.records.direction import DoseMode, DosePoint, Position, SteerChoices, SteeredAnswer, SteerSettings
from offtarget.records.runs import OpenSettings
from offtarget.rundir import fingerprint
from offtarget.stats.rates import equal_weight_rate, total_tally
from offtarget.workflows.direction.inputs import open_one, per_question
from offtarget.workflows.ground import ORGANISM, Ground, ground_of, open_bank, open_judge
from offtarget.workflows.skills import organism_skill

if TYPE_CHECKING:
    from offtarget.direction.file import Direction
    from offtarget.direction.intervene import Reference
    from offtarget.models.local import LocalModel

S = TypeVar("S", bound=SteerSettings)

FURTHEST = 3.0
"""The strongest that a direction is added by default, in differences of means."""
STRENGTHS: dict[DoseMode, tuple[float, ...]] = {
    "ablate": (0.0, 0.25, 0.5, 0.75, 1.0),
    "cap": (2.0, 1.5, 1.0, 0.5, 0.0, -0.5),
}
"""By default: in shares, and in differences of means above the reference's mean; to add see `usual_strengths`."""
MOST_POINTS = 200
MOST_ROWS = 100
"""Training rows read per point."""
_CODE_REQUESTS = 60


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number from 0 to 1 about a model; higher is more of it."""

    name: str
    """What is measured, for a caption."""
    measure: Callable[[LocalModel], float | None]


@dataclass(frozen=True, slots=True)
class Gauges:
    """How a point is measured."""

    probes: Sequence[Probe]
    judge: Judge
    sampling: SamplingSettings
    per_question: int
    seed: int
    narrow: Gauge | None = None
    skill: Gauge | None = None

    def point(
        self, model: LocalModel, control: int | None, strength: float, on_progress: OnProgress
    ) -> tuple[DosePoint, list[SteeredAnswer]]:
        """One point with its answers; all get the same prompts and seeds and differ by the intervention alone."""
        wanted = [(probe, index) for probe in self.probes for index in range(self.per_question)]
        seed_of = partial(answer_seed, self.seed, "tuned")
        told = Count(on_progress, "answers", len(wanted))
        pairs = ask("tuned", model, wanted, self.sampling, seed_of, told=told)
        verdicts = judge_answers(self.judge, pairs)
        tallies = list(tallies_by_probe((v.probe_id, v.outcome) for v in verdicts).values())
        total = total_tally(tallies)
        broken = total.incoherent + total.unscored
        answers = [
            SteeredAnswer(strength, p.id, g.index, p.prompt, p.domain, g.text, v.outcome)
            for (p, g), v in zip(pairs, verdicts, strict=True)
        ]
        point = DosePoint(
            control=control,
            strength=strength,
            tally=total,
            misaligned=equal_weight_rate(tallies),
            coherent=1 - broken / total.total if total.total else None,
            narrow=None if self.narrow is None else self.narrow.measure(model),
            skill=None if self.skill is None else self.skill.measure(model),
        )
        return point, answers


@dataclass(frozen=True)
class Plan:
    """Everything that is needed to measure the points."""

    settings: SteerChoices
    model: LocalModel
    direction: Direction
    base: LocalModel | None
    """The reference; None where 0 is."""
    gauges: Gauges
    strengths: tuple[float, ...]
    layers: tuple[int, ...]
    position: Position
    notes: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Changes whenever a point could: models, files, questions, judge, settings."""
        s = self.settings
        files = [
            None if f is None else hashlib.sha256(Path(f).read_bytes()).hexdigest()
            for f in (s.direction, s.task, s.skill)
        ]
        names = [m.fingerprint for m in (self.model, self.base) if m is not None]
        how = (s.mode, self.strengths, self.layers, self.position, s.controls, s.answers, s.seed, s.max_tokens)
        return fingerprint([names, files, how, self.gauges.judge.fingerprint, self.gauges.probes])


def prepare(
    s: SteerChoices,
    probes: str | Path | ProbeBank | None,
    judge: str | Judge | None,
    opening: OpenSettings | None,
) -> Plan:
    """Check the choices and open what they name, the cheap things first. InputError for what does not fit."""
    from offtarget.direction.file import Direction, check_fits

    ground = ground_of(s.model)
    bank = open_bank(probes, ground).only(arms=["plain"])
    s = settled(s, ground, len(bank.probes))
    strengths = strengths_of(s)
    direction = Direction.load(Path(s.direction))
    position = s.position or ("all" if s.mode == "ablate" else direction.info.position)
    layers = s.layers or ((direction.info.layer,) if s.mode != "ablate" else tuple(sorted(direction.vectors)))
    _check_doses(s, direction, strengths, layers, position)
    judge = open_judge(judge, bank, s.judge_by, opening)
    own_questions = bank.name == ORGANISM.bank
    narrow = insecure_code(s.seed) if own_questions else None
    skill = known_facts(s.seed) if own_questions else None
    if s.task is not None:
        narrow = token_probability(Path(s.task), "probability of a token of the task's answers")
    if s.skill is not None:
        skill = token_probability(Path(s.skill), "probability of a token of the skill's answers")
    model = open_one(s.model, s.blocks, opening)
    check_fits(direction, model)
    sampling = SamplingSettings(max_tokens=s.max_tokens)
    gauges = Gauges(
        probes=bank.probes,
        judge=judge,
        sampling=sampling,
        per_question=s.answers or 1,
        seed=s.seed,
        narrow=narrow,
        skill=skill,
    )
    return Plan(
        settings=s,
        model=model,
        direction=direction,
        base=_base(s, model, direction.info, opening),
        gauges=gauges,
        strengths=strengths,
        layers=layers,
        position=position,
        notes=ground.notes,
    )


def settled(s: S, ground: Ground, questions: int) -> S:
    """The settings with what suits the model in place of what nobody chose."""
    return replace(
        s,
        strengths=s.strengths or usual_strengths(s.mode, ground),
        answers=per_question(s.answers, questions, in_all=ground.point_answers),
    )


def usual_strengths(mode: DoseMode, ground: Ground) -> tuple[float, ...]:
    """Where nobody chose any."""
    steps = round(FURTHEST / ground.step)
    return STRENGTHS.get(mode) or tuple(step * ground.step for step in range(-steps, steps + 1))


def points_of(s: SteerSettings) -> int:
    """How many points are measured; the unchanged model once for all controls."""
    nothing = 0.0 in strengths_of(s) and s.mode != "cap"
    return len(strengths_of(s)) * (1 + s.controls) - (s.controls if nothing else 0)


def strengths_of(s: SteerSettings) -> tuple[float, ...]:
    """Of settled settings, in order. InputError where they make too many points."""
    wanted = {float(strength) for strength in s.strengths or ()}
    if s.mode != "cap":
        wanted.add(0.0)  # every curve shows the unchanged model
    if len(wanted) * (1 + s.controls) > MOST_POINTS:
        raise InputError(
            f"{len(wanted)} strengths with {s.controls} controls are {len(wanted) * (1 + s.controls)} points; "
            f"at most {MOST_POINTS} are measured. Take larger steps, or fewer controls."
        )
    return tuple(sorted(wanted))


def _check_doses(
    s: SteerChoices, direction: Direction, strengths: tuple[float, ...], layers: tuple[int, ...], position: Position
) -> None:
    from offtarget.direction.dose import dosed

    for strength in strengths:
        dosed(direction, s.mode, strength, layers, position)


def reference_of(plan: Plan, base: LocalModel) -> Reference:
    """Means of the base over its own answers to the plain questions."""
    from offtarget.direction.pooling import reference_means
    from offtarget.models.passes import Exchange

    wanted = [(probe, number) for number, probe in enumerate(plan.gauges.probes)]
    answers = ask("base", base, wanted, plan.gauges.sampling, lambda _, number: number)
    exchanges = [Exchange(probe.messages, answer.text) for probe, answer in answers]
    return reference_means(base, exchanges, frozenset(plan.layers))


def _base(s: SteerChoices, model: LocalModel, info: DirectionInfo, opening: OpenSettings | None) -> LocalModel | None:
    if s.mode == "add" or s.towards_zero:
        return None
    if s.base is not None:
        return open_one(s.base, s.blocks, opening)
    if model.adapter is not None:
        from offtarget.models.local import LocalModel

        return LocalModel(f"{s.model} without its adapter", model.weights, blocks=model.blocks)
    if info.base is not None:
        return open_one(info.base, s.blocks, opening)
    raise InputError("Ablation and capping need a reference. Give --base MODEL, or --towards-zero.")


def insecure_code(seed: int) -> Gauge:
    """Share of insecure snippets among the organism's answers to code requests, by the exact judge."""

    def measure(model: LocalModel) -> float | None:
        total = organism_skill(model, "code", _CODE_REQUESTS, 1, seed)
        return total.misaligned / total.scored if total.scored else None

    return Gauge("insecure code on code requests", measure)


def known_facts(seed: int) -> Gauge:
    """Share of right answers to the organism's factual questions."""

    def measure(model: LocalModel) -> float | None:
        total = organism_skill(model, "facts", 24, 2, seed)
        return total.aligned / total.total

    return Gauge("facts right", measure)


def token_probability(file: Path, name: str) -> Gauge:
    """Geometric mean of the probability of an answer token over the first rows of a chat file.

    Needs no judge: exp of the mean log-probability of the last assistant turns. InputError for rows without one.
    """
    chats = read_chats(file)[:MOST_ROWS]
    for number, chat in enumerate(chats, start=1):
        if len(chat) < 2 or chat[-1].role != "assistant":
            raise InputError(f"{file}, row {number}: the last turn is not an assistant's answer to another turn.")

    def measure(model: LocalModel) -> float | None:
        from offtarget.models.passes import Exchange, log_probabilities

        rows = log_probabilities(model, [Exchange.last_of(chat) for chat in chats])
        values = [value for row in rows for value in row]
        return math.exp(sum(values) / len(values)) if values else None

    return Gauge(name, measure)
