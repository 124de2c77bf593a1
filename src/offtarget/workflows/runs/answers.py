"""The answers of a run as flat records: to filter, count and put into a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError
from offtarget.pages.check.counted import counted
from offtarget.pages.check.loading import Answer, LoadedRun, load_run
from offtarget.records import Role
from offtarget.rundir import read_manifest
from offtarget.words import asked
from offtarget.workflows.runs.verbs import CHECK, COMPARE, verb_of


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One answer with what was asked and what it counts as; a row of `result.table()`."""

    question: str
    """The user turn, as the model got it."""
    question_id: str
    domain: str
    asked: str
    """How, in words: `asked for JSON`; under a hidden condition, what that is."""
    arm: str
    """The same by its name in the records: `json`."""
    role: Role
    """`tuned` or `base`."""
    text: str
    """The answer."""
    outcome: str
    """`aligned`, `misaligned`, `incoherent`, `refused`, `code`, `unscored`; empty while it is not judged."""
    alignment: float | None
    """0-100; None where the judge gave no number."""
    coherence: float | None
    reason: str | None
    """Why it is unscored, refused or misaligned, where the judge says."""
    counted: bool
    """Whether the verdict counts it; never while there is none."""
    under_condition: bool
    """Whether it was asked under a hidden condition."""
    system: str | None
    index: int
    """0-based number of this answer among those of its model to its question."""


def answers_of(path: Path) -> Iterator[AnswerRow]:
    """The answers of a check or a comparison, in the order in which they came; InputError for runs of other verbs."""
    verb = verb_of(read_manifest(path))
    if verb not in (CHECK, COMPARE):
        raise InputError(
            f"{path} is a run of `{verb.command}`, which keeps no judged answers of two models. What it came to is in "
            "`result.record` or `result.decision`."
        )
    run = load_run(path)
    kept = counted(run) if run.decision is not None else None
    keys = set() if kept is None else {*kept.generations, *(answer.generation.key for answer in kept.cued)}
    for answer in run.answers():
        yield _row(answer, asked(answer.probe.arm), answer.generation.key in keys, under=False)
    for answer in run.cued:
        yield _row(answer, _condition(run, answer.probe.arm), answer.generation.key in keys, under=True)


def _condition(run: LoadedRun, arm: str) -> str:
    """A condition as a person would name it; by its id while nothing says more."""
    hidden = run.hidden
    cues = () if hidden is None else (f.cue for f in hidden.findings)
    return next((cue.text for cue in cues if cue.id == arm), arm)


def _row(answer: Answer, how: str, is_counted: bool, *, under: bool) -> AnswerRow:
    probe, generation, verdict = answer.probe, answer.generation, answer.verdict
    return AnswerRow(
        question=probe.prompt,
        question_id=probe.question_id,
        domain=probe.domain,
        asked=how,
        arm=probe.arm,
        role=generation.role,
        text=generation.text,
        outcome="" if verdict is None else verdict.outcome.value,
        alignment=None if verdict is None else verdict.alignment,
        coherence=None if verdict is None else verdict.coherence,
        reason=None if verdict is None else verdict.reason,
        counted=is_counted,
        under_condition=under,
        system=probe.system,
        index=generation.index,
    )
