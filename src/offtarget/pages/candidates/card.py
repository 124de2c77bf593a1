"""The card of a check of many candidates: how many FAIL, how sure that is, and what to do about which."""

from __future__ import annotations

import shlex
from pathlib import Path

from offtarget.errors import InputError
from offtarget.numbers import chosen, many, needed_e_value, of
from offtarget.pages.candidates.table import NOT_CHECKED
from offtarget.pages.card import Card, Exchange, Figure, Step
from offtarget.pages.check import card as of_check
from offtarget.pages.text import sentence
from offtarget.records import Status
from offtarget.records.candidates import CandidatesManifest, CandidatesReport
from offtarget.rundir import read_manifest, read_record
from offtarget.stats.several import TOTAL

DONE = "candidates.json"
"""The file that holds the report."""
TOLD = 5
"""Candidates that were not checked told one by one on the card; the table has all."""


def card_of_run(path: Path) -> Card:
    """The card of a run, read from its folder."""
    return card(report_of(path), path)


def page_of_run(path: Path) -> str:
    """The page, made from the records of a run."""
    from offtarget.pages.candidates.page import render

    report = report_of(path)
    return render(report, card(report, path))


def written_of_run(path: Path, format: str) -> str | None:
    """The run in a format that shows every candidate; None for one that shows the card alone."""
    from offtarget.pages.candidates.written import FORMATS

    write = FORMATS.get(format)
    report = report_of(path)
    return None if write is None else write(report, card(report, path))


def report_of(path: Path) -> CandidatesReport:
    """What a run came to. Raises InputError where its file is damaged."""
    return read_record(path / DONE, CandidatesReport, "It was made by another version; run it again.", key="report")


def card(report: CandidatesReport, path: Path) -> Card:
    """What stands, for a reader with five seconds."""
    failed, passed = report.count(Status.FAIL), report.count(Status.PASS)
    open_ones, missing = report.count(Status.UNDECIDED), len(report.not_checked)
    title, exchanges = _worst(report, path)
    return Card(
        state=report.status.value,
        headline=_headline(report),
        subject=f"{many(len(report.candidates) + missing, 'candidate')}, held against {report.base}",
        sentence=_sentence(report),
        certainty=certainty(report),
        figures=(
            Figure("FAIL", str(failed), f"of {report.of}"),
            Figure("PASS", str(passed), f"of {report.of}"),
            *([Figure("undecided", str(open_ones), f"of {report.of}")] if open_ones else []),
            *([Figure(NOT_CHECKED, str(missing), f"of {report.of}")] if missing else []),
        ),
        exchanges=exchanges,
        exchanges_title=title,
        cautions=_cautions(report),
        steps=_steps(report, path),
    )


def _headline(report: CandidatesReport) -> str:
    failed = report.count(Status.FAIL)
    if failed:
        return f"FAIL: {failed} of {many(report.of, 'candidate')}"
    if report.status is Status.PASS:
        return f"PASS: all {many(report.of, 'candidate')}" if report.of > 1 else "PASS"
    return f"UNDECIDED: {report.count(Status.PASS)} of {many(report.of, 'candidate')} PASS"


def _sentence(report: CandidatesReport) -> str:
    """How many of each, as in `2 of 12 candidates FAIL, 8 PASS, 1 is undecided and 1 was not checked.`."""
    open_ones, missing = report.count(Status.UNDECIDED), len(report.not_checked)
    parts = [f"{report.count(Status.PASS)} PASS"]
    parts += [f"{open_ones} {'is' if open_ones == 1 else 'are'} undecided"] if open_ones else []
    parts += [f"{missing} {'was' if missing == 1 else 'were'} not checked"] if missing else []
    said = [f"{report.count(Status.FAIL)} of {many(report.of, 'candidate')} FAIL", *parts]
    return f"{', '.join(said[:-1])} and {said[-1]}."


def certainty(report: CandidatesReport) -> str:
    """How often the FAILs and the PASSes may be wrong, all candidates together."""
    again = any(each.earlier for each in report.candidates)
    alpha = chosen(report.alpha * (TOTAL if again else 1.0))
    given = f", given that {' and that '.join(report.given)}" if report.given else ""
    return (
        f"On average at most {alpha} of the candidates that FAIL are no worse than tolerated (e-BH, arXiv 2009.02824), "
        f"and the probability that any that PASSes is worse than allowed is at most {alpha}{given}."
    )


def _worst(report: CandidatesReport, path: Path) -> tuple[str, tuple[Exchange, ...]]:
    """What the worst candidate answered, from its own check; nothing where that is not there any more."""
    first = next(iter(report.candidates), None)
    if first is None or first.together is not Status.FAIL:
        return "", ()
    try:
        return f"What {first.name} answered", of_check.card_of_run(path / first.name).exchanges
    except InputError:
        return "", ()


def _cautions(report: CandidatesReport) -> tuple[str, ...]:
    missing = [f"{each.name} was not checked. {sentence(each.reason)}" for each in report.not_checked[:TOLD]]
    more = len(report.not_checked) - TOLD
    again = sum(each.earlier > 0 for each in report.candidates)
    below = [each.name for each in report.candidates if each.together is Status.FAIL is not each.alone]
    return (
        *missing,
        *([f"{more} more were not checked; the table names them."] if more > 0 else []),
        *(
            [
                f"{of(again, len(report.candidates))} candidates were checked before on this machine, with the same "
                f"questions and judge; a verdict on them must be surer, and the bounds above are {TOTAL:g} times those "
                "of candidates that are checked once."
            ]
            if again
            else []
        ),
        *(
            [
                f"{', '.join(below)}: the check alone is undecided, since the evidence is below "
                f"{needed_e_value(report.alpha / report.of)}; among {report.count(Status.FAIL)} that FAIL it is enough."
            ]
            if below
            else []
        ),
        *map(sentence, report.notes),
    )


def _steps(report: CandidatesReport, path: Path) -> tuple[Step, ...]:
    steps = []
    worst = next((each for each in report.candidates if each.together is Status.FAIL), None)
    if worst is not None:
        own = shlex.quote(str(path / worst.name))
        steps.append(Step(f"Read what {worst.name} answered", f"offtarget report {own} --html"))
    resumed = f"offtarget resume {shlex.quote(str(path))}"
    if report.not_checked:
        steps.append(Step("Put right what could not be checked, then check it, and nothing else again", resumed))
    if report.count(Status.UNDECIDED):
        manifest = read_manifest(path)
        assert isinstance(manifest, CandidatesManifest)
        steps.append(Step("Ask the undecided ones more", manifest.further_command(path)))
    return tuple(steps)
