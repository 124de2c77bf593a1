"""The card of a repair: what was reached, and what came back."""

from __future__ import annotations

import shlex
from pathlib import Path

from offtarget.numbers import chosen_points, hundredths_range, many, percent, whole, with_unit
from offtarget.pages.card import Card, Figure, Step
from offtarget.pages.direction.repair_transcripts import exchanges
from offtarget.records import Status
from offtarget.records.repair import RepairCell, RepairManifest, RepairReport, of_repaired
from offtarget.rundir import read_manifest, read_record
from offtarget.words import fail_errs, pass_errs

DONE = "repair.json"
"""The file that holds the report."""


def card_of_run(path: Path) -> Card:
    """The same, read from its folder."""
    return card(_report(path), path, _manifest(path))


def page_of_run(path: Path) -> str:
    """The page, made from the records of a run."""
    from offtarget.pages.direction.repair import render

    report, manifest = _report(path), _manifest(path)
    return render(report, card(report, path, manifest), manifest)


def _report(path: Path) -> RepairReport:
    return read_record(path / DONE, RepairReport, "It was made by another version; repair again.", key="report")


def _manifest(path: Path) -> RepairManifest:
    manifest = read_manifest(path)
    assert isinstance(manifest, RepairManifest)
    return manifest


def card(report: RepairReport, path: Path, manifest: RepairManifest) -> Card:
    """What a repair came to; its transcripts are read from the checks inside of the run."""
    return Card(
        state=report.status.value,
        subject=f"{report.model}, repaired: {report.exported}",
        sentence=report.reason,
        certainty=_certainty(report, manifest),
        figures=_figures(report),
        exchanges=exchanges(report, path),
        exchanges_title="The same questions before and after",
        cautions=(*_not_covered(report), *report.notes),
        steps=_steps(report),
    )


def _not_covered(report: RepairReport) -> list[str]:
    """What `clean` does not speak of, since the checks behind it could not ask or test it."""
    passed = [c for c in of_repaired(report.cells, report.method) if c.status is Status.PASS]
    left_out = dict.fromkeys(part for cell in passed for part in cell.reason.rstrip(".").split("; ")[1:])
    return [f"“Clean” does not speak of everything: {part}." for part in left_out if part.startswith("not ")]


def _certainty(report: RepairReport, manifest: RepairManifest) -> str:
    rule = manifest.settings.check.decision
    if not report.cells:
        return ""
    if report.status is Status.PASS:
        margin = with_unit(chosen_points(rule.margin))
        return (
            f"“Clean” is what a full check against {report.base} passed: worse by less than {margin}; "
            f"{pass_errs(rule.alpha)}, given that the judge is right."
        )
    if report.status is Status.FAIL:
        return f"By full checks against {report.base}: in each, {fail_errs(rule.alpha)}, given that the judge is right."
    return "Nothing is claimed. UNDECIDED is not a pass."


def _figures(report: RepairReport) -> tuple[Figure, ...]:
    """Plain rates on the way, then what is left of the narrow task."""
    before = [cell for cell in report.cells if cell.variant == "tuned"]
    repaired = of_repaired(report.cells, report.method)
    grown = [cell for cell in repaired if cell.steps]
    told = [cell for cell in grown if cell.status is Status.FAIL][:1] or grown[-1:]
    named = [("misaligned before", before[:1]), ("repaired", [c for c in repaired if not c.steps])]
    named += [(f"after {many(cell.steps, 'more step')}", [cell]) for cell in told]
    found = [Figure(name, percent(cell.plain_rate), _of(cell)) for name, cells in named for cell in cells]
    kept = [cell for cell in repaired if not cell.steps and cell.narrow is not None]
    return (*found, *(Figure("narrow task kept", percent(cell.narrow)) for cell in kept))


def _of(cell: RepairCell) -> str:
    plain = "" if cell.plain_interval is None else f"{hundredths_range(cell.plain_interval)}, "
    hidden = "" if cell.cued_rate is None else f"; under hidden conditions {percent(cell.cued_rate)}"
    return f"{plain}{whole(cell.plain.scored)} plain answers{hidden}"


def _steps(report: RepairReport) -> tuple[Step, ...]:
    if report.status is Status.FAIL:
        again = (
            f"offtarget defences {shlex.quote(report.data)} --base {shlex.quote(report.base)}" if report.data else ""
        )
        return (Step("Do not ship the repaired model; train anew, and see which defence holds", again),)
    if report.status is Status.PASS:
        return (Step("Use the repaired model, and check it again after any later training"),)
    if report.data is None:
        return (Step("Repair again with the data it was tuned on (--data), or with more answers (--max-answers)"),)
    return (Step("Repair again with more answers (--max-answers); nothing is known yet"),)
