"""What `offtarget tune` shows at the end."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offtarget.workflows.tune import TuneResult


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
