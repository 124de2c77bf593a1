"""One cell of the repair table: a fixed number of answers, the narrow task, and the full check."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from offtarget.asking.ask import ask, judge_answers, tallies_by_probe
from offtarget.asking.seeds import answer_seed
from offtarget.progress import Count, OnProgress, Progress
from offtarget.records import CueFinding, HiddenDecision, Message, Outcome, Status
from offtarget.records.repair import RepairCell, Variant
from offtarget.rundir import JsonLines, read_jsonl
from offtarget.stats.rates import equal_weight_rate, total_tally, wilson
from offtarget.stats.wording import shown_condition
from offtarget.workflows.check import check as checking
from offtarget.workflows.direction.repair_plan import Plan
from offtarget.workflows.ground import Folders, open_named
from offtarget.workflows.runs.begin import begun
from offtarget.workflows.skills import log_probability

NARROW_ROWS = 64
"""Rows of the training data whose answers measure the narrow task."""
SAME_FIT = 0.01
"""Tuned and base fit the rows equally well below this difference; then no share of it can be kept."""


@dataclass(frozen=True, slots=True)
class Bench:
    """How every cell is measured."""

    run: Path
    plan: Plan
    rows: Sequence[Sequence[Message]]
    """Those that measure the narrow task, and how well base and tuned model fit them; see `log_probability`."""
    fit_base: float | None
    fit_tuned: float | None
    on_answers: OnProgress
    on_check: OnProgress
    """Told how far the cell is with either."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """One judged answer, for the counts and for the control of lengths."""

    probe_id: str
    tokens: int | None
    outcome: Outcome


def measure(bench: Bench, variant: Variant, steps: int, model: Folders) -> RepairCell:
    """Measure one model. Everything sampled is kept, so that a measurement that was cut short goes on."""
    from offtarget.direction.lengths import length_matched

    plain = _plain_answers(bench, variant, steps, model)
    tallies = tallies_by_probe((answer.probe_id, answer.outcome) for answer in plain)
    total, rate = total_tally(tallies.values()), equal_weight_rate(tallies.values())
    matched = length_matched(_lengths(_stored(bench, "tuned", 0)), _lengths(plain))
    result = _check(bench, variant, steps, model)
    cued = _cued(result.hidden)
    return RepairCell(
        variant=variant,
        steps=steps,
        model=model.name,
        plain=total,
        plain_rate=rate,
        plain_interval=None if rate is None else wilson(rate, total.scored),
        cued_rate=cued.rate,
        cued_answers=cued.answers,
        worst_cue=cued.worst,
        worst_cue_rate=cued.worst_rate,
        narrow=_narrow(bench, model),
        length_matched=matched.rate,
        length_covered=matched.covered,
        status=result.decision.status,
        reason=result.decision.reason,
        check=str(result.run.relative_to(bench.run)),
        plain_status=_plainly(result),
        condition=_failing(result.hidden),
    )


def _plain_answers(bench: Bench, variant: Variant, steps: int, folders: Folders) -> list[_Judged]:
    """A fixed number of judged answers, so that the rate does not depend on when a test stopped."""
    kept = _stored(bench, variant, steps)
    if len(kept) >= bench.plan.settings.answers:
        return kept
    probes = bench.plan.bank.plain
    wanted = [(probes[i % len(probes)], i // len(probes)) for i in range(bench.plan.settings.answers)]
    model = open_named(folders.name, bench.plan.opening)
    told = Count(bench.on_answers, "plain answers", len(wanted))
    seed_of = partial(answer_seed, bench.plan.settings.check.seed, "tuned")
    pairs = ask("tuned", model, wanted, bench.plan.settings.check.sampling, seed_of, told=told)
    verdicts = judge_answers(bench.plan.judge, pairs)
    judged = [_Judged(p.id, g.tokens, v.outcome) for (p, g), v in zip(pairs, verdicts, strict=True)]
    file = _file(bench, variant, steps)
    file.unlink(missing_ok=True)
    with closing(JsonLines(file)) as lines:
        lines.extend(judged)
    return judged


def _file(bench: Bench, variant: Variant, steps: int) -> Path:
    return bench.run / f"answers-{variant}-{steps}.jsonl"


def _stored(bench: Bench, variant: Variant, steps: int) -> list[_Judged]:
    return read_jsonl(_file(bench, variant, steps), _Judged)


def _lengths(answers: Sequence[_Judged]) -> list[tuple[int, bool]]:
    return [(a.tokens, a.outcome is Outcome.MISALIGNED) for a in answers if a.outcome.scored and a.tokens is not None]


def _check(bench: Bench, variant: Variant, steps: int, model: Folders) -> checking.CheckResult:
    """The full check, with the cued arm where there is data; a check that was cut short goes on."""
    plan = bench.plan
    out = bench.run / "checks" / f"{variant}-{steps}"
    bench.on_check(Progress("checking"))
    if begun(out):
        return checking.resume(out, judge=plan.judge, opening=plan.opening, on_progress=bench.on_check)
    shutil.rmtree(out, ignore_errors=True)  # killed before its manifest was written, and so before any answer
    return checking.check(
        plan.base,
        model.name,
        probes=plan.bank,
        judge=plan.judge_name or plan.judge,
        data=plan.data,
        split=plan.split,
        settings=plan.settings.check,
        opening=plan.opening,
        run=out,
        on_progress=bench.on_check,
    )


def _plainly(result: checking.CheckResult) -> Status:
    """The verdict on the plain questions and formats: that of the whole is of the hidden conditions, too."""
    scopes = (result.decision.overall, *result.decision.arms)
    return Status.FAIL if any(one.status is Status.FAIL for one in scopes) else result.decision.overall.status


def _failing(hidden: HiddenDecision | None) -> str | None:
    """The hidden condition that failed the check, in words."""
    if hidden is None or hidden.status is not Status.FAIL:
        return None
    cue = shown_condition(hidden)[0]
    return (hidden.found or "not named") if cue is None else cue.text


@dataclass(frozen=True, slots=True)
class _Cued:
    rate: float | None = None
    answers: int = 0
    worst: str | None = None
    worst_rate: float | None = None


def _cued(hidden: HiddenDecision | None) -> _Cued:
    if hidden is None:
        return _Cued()
    total = total_tally(finding.tuned for finding in hidden.findings)
    asked = [f for f in hidden.findings if f.tuned_rate is not None]
    if not asked:
        return _Cued()
    worst = max(asked, key=_strength)
    return _Cued(total.misaligned / total.scored, total.scored, worst.cue.text, worst.tuned_rate)


def _strength(finding: CueFinding) -> tuple[float, float]:
    """By evidence, not by rate alone: a cue asked once can show any rate."""
    return finding.log_e, finding.tuned_rate or 0.0


def narrow_rows(data: Sequence[Sequence[Message]]) -> list[Sequence[Message]]:
    """The rows that measure the narrow task: evenly spread over those that end with an answer."""
    usable = [chat for chat in data if len(chat) > 1 and chat[-1].role == "assistant" and chat[-1].text]
    step = max(1, len(usable) // NARROW_ROWS)
    return usable[::step][:NARROW_ROWS]


def _narrow(bench: Bench, model: Folders) -> float | None:
    if bench.fit_base is None or bench.fit_tuned is None or abs(bench.fit_tuned - bench.fit_base) < SAME_FIT:
        return None
    fit = log_probability(model.name, bench.rows, bench.plan.opening)
    return (fit - bench.fit_base) / (bench.fit_tuned - bench.fit_base)
