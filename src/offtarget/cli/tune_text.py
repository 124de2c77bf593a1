"""What `offtarget tune` shows while it trains and at the end."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offtarget.workflows.tune import TuneResult

OnStage = Callable[[str, int, int], None]
OnStep = Callable[[int, int, float], None]
LINE_EVERY = 5.0
"""Seconds between lines where there is no terminal."""


@contextmanager
def live(*, enabled: bool) -> Iterator[tuple[OnStage, OnStep]]:
    """Bars with the time left on a terminal, a line every few seconds elsewhere, nothing when disabled."""
    if not enabled:
        yield lambda name, done, total: None, lambda done, total, loss: None
        return
    if not sys.stderr.isatty():
        lines = _Lines()
        yield lines.stage, lambda done, total, loss: lines.stage(f"training (loss {loss:.3f})", done, total)
        return
    from offtarget.cli.progress import counts_bar

    with counts_bar(enabled=True) as on_stage:
        yield on_stage, lambda done, total, loss: on_stage("training", done, total)


class _Lines:
    """Progress as lines on standard error, for logs."""

    def __init__(self) -> None:
        self._started = self._shown = time.monotonic()
        self._stage, self._stage_began, self._first = "", 0.0, 0

    def stage(self, name: str, done: int, total: int) -> None:
        """One line now and then, with the time left of the stage."""
        now, kind = time.monotonic(), name.partition(" (")[0]
        if not total:
            print(f"{now - self._started:.0f} s: {name}", file=sys.stderr, flush=True)
            return
        new = kind != self._stage
        if new:
            self._stage, self._stage_began, self._first = kind, now, done
        if not new and now - self._shown < LINE_EVERY and done != total:
            return
        self._shown = now
        since = done - self._first
        left = (now - self._stage_began) / since * (total - done) if since > 0 else None
        rest = "" if left is None or done == total else f", about {left:.0f} s left"
        print(f"{now - self._started:.0f} s: {name} {done} of {total}{rest}", file=sys.stderr, flush=True)


def show(result: TuneResult, *, as_json: bool) -> None:
    """The report of a training run."""
    import json

    from offtarget.cli.render import safe
    from offtarget.rundir import to_jsonable

    report = result.report
    if as_json:
        print(json.dumps({"run": str(result.run), **to_jsonable(report)}, indent=2))
        return
    for line in _story(result):
        print(safe(line))


def _story(result: TuneResult) -> list[str]:
    report = result.report
    under = f" under {' + '.join(report.defences)}" if report.defences else ""
    loss = "" if report.loss is None else f", last loss {report.loss:.3f}"
    lines = [f"Trained {report.rows} rows{under}: {report.steps} of {report.planned} steps{loss}."]
    if report.kept_step != report.steps:
        lines.append(f"Kept: the checkpoint of step {report.kept_step}.")
    lines.append(_alarm(report))
    lines += [f"Checked: {check}" for check in report.checks]
    lines += [f"Note: {note}" for note in report.notes]
    lines.append(f"Saved: {report.out}   Run: {result.run}")
    if (page := result.run / "monitor.html").is_file():
        lines.append(f"Page: {page}")
    base, name, data = (shlex.quote(text) for text in (report.base, report.name, report.data))
    lines.append(f"Next: offtarget check --base {base} --tuned {name} --data {data}")
    return lines


def _alarm(report: Any) -> str:
    if not report.monitored:
        return "Not monitored."
    if report.alarm_step is None:
        return "The monitor raised no alarm. That is no clearance: run the check below."
    if not report.alarm_stands:
        learnt = "" if report.best_step is not None else ", when the task was not learnt yet"
        return (
            f"ALARM at step {report.alarm_step}; the weights kept (step {report.kept_step}) are from before it{learnt}."
        )
    best = (
        "no checkpoint had learnt the task before it"
        if report.best_step is None
        else (f"the best checkpoint before it is step {report.best_step} (keep it with --defend early-stop)")
    )
    return f"ALARM at step {report.alarm_step}: the model is becoming misaligned; {best}."
