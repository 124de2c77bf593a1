"""Which answers of a run its verdict counts: all that a report shows; the others are on disk besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from offtarget.errors import InputError
from offtarget.pages.check.loading import Answer, LoadedRun
from offtarget.records import Role
from offtarget.records.check import CountedAnswers
from offtarget.records.from_json import from_json

AHEAD = "sampled ahead of the stop"
INSIDE = "asked inside its domain, counts for that alone"
LEFT_OUT = "left out, since a model has no scored answer to this question"


@dataclass(frozen=True, slots=True)
class Uncounted:
    """An answer on disk that the verdict on everything and on each arm does not count."""

    answer: Answer
    why: str


def counted(run: LoadedRun) -> LoadedRun:
    """The run with no other answers than those that its verdict counts; all of them while there is no verdict."""
    if run.decision is None:
        return run
    record = _record(run)
    kept = {answer.generation.key for answer in run.answers() if _why_not(run, record, answer) is None}
    conditions = None if record is None else record.conditions
    return replace(
        run,
        generations={key: g for key, g in run.generations.items() if key in kept},
        verdicts={key: v for key, v in run.verdicts.items() if key in kept},
        cued=tuple(a for a in run.cued if conditions is None or _among_first(a, conditions)),
    )


def uncounted(run: LoadedRun) -> list[Uncounted]:
    """The other answers to the questions of the run, in the order of sampling."""
    record = _record(run)
    reasons = ((answer, _why_not(run, record, answer)) for answer in run.answers())
    return [Uncounted(answer, why) for answer, why in reasons if why is not None]


def _why_not(run: LoadedRun, record: CountedAnswers | None, answer: Answer) -> str | None:
    """Why the verdict does not count an answer; None for one that it counts."""
    if run.decision is None:
        return None
    if run.manifest.verb == "compare":
        return LEFT_OUT if answer.probe.id in run.decision.set_aside else None
    if record is None or _among_first(answer, record.arms):
        return None
    return INSIDE if _among_first(answer, record.slices) else AHEAD


def _among_first(answer: Answer, counts: Mapping[Role, Mapping[str, int]]) -> bool:
    return answer.generation.index < counts.get(answer.generation.role, {}).get(answer.probe.id, 0)


def _record(run: LoadedRun) -> CountedAnswers | None:
    """What the run says of it; None where it says nothing."""
    value = run.result.get("counted")
    if value is None:
        return None
    try:
        return from_json(CountedAnswers, value)
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{run.path / 'result.json'}: 'counted' is not a record of this version ({error}). Restore it or check "
            "again."
        ) from None
