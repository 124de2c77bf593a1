"""The result as GitHub-flavoured Markdown: for a pull-request comment or a model card."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from offtarget.numbers import NO_DATA, e_value
from offtarget.pages.benchmarks import story as benchmarks
from offtarget.pages.benchmarks.panel import panel
from offtarget.pages.card import Card
from offtarget.pages.cards import with_cost
from offtarget.pages.charts.rates import Rates, Row
from offtarget.pages.check import facts, story, thresholds
from offtarget.pages.check.card import card
from offtarget.pages.check.counted import counted
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.check.rates import by_asking, by_domain
from offtarget.pages.check.reports.html import evidence_rows, further_notes
from offtarget.pages.check.tables import OUTCOMES, denominators
from offtarget.pages.registry import ReportFormat
from offtarget.pages.text import of_scored, sentence
from offtarget.pages.written import QUOTE_LENGTH, escape, markdown
from offtarget.records import Status
from offtarget.words import asked

SLICES = 5
"""Subjects and conditions in a table; a comment is read on a phone."""


def render(run: LoadedRun) -> str:
    """The report as Markdown text: the card, then bounds and rates, then how it was decided, folded."""
    run = counted(run)
    told = with_cost(card(run), run.path)
    lines = [markdown(told), *details(run, told)]
    lines += section("What was not tested", story.not_tested(run))
    about = {"Judge": run.manifest.judge, "When": facts.created(run) or "not recorded", "Run": run.name}
    lines += [f"{name}: {escape(value)}  " for name, value in about.items()]
    return "\n".join(lines).rstrip() + "\n"


def details(run: LoadedRun, told: Card) -> list[str]:
    """Lines on what the verdict rests on, of a run without answers that do not count; `told` is its card."""
    lines = [*_rates(by_asking(run)), *_rates(by_domain(run), SLICES), *_hidden(run), *_benchmarks(run)]
    if run.decision:
        lines += _folded("Evidence", _table(EVIDENCE, evidence_rows(run.decision)))
    lines += _thresholds(run)
    lines += _folded("What became of the answers", _denominators(run))
    return lines + section("Notes", tuple(further_notes(run, told)))


EVIDENCE = ("", "evidence of harm", "evidence of no harm", "if missing answers were best to worst, points", "shown")


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table whose cells are escaped."""
    lines = [_line(escape(head) for head in heads), "|" + "---|" * len(heads)]
    return [*lines, *(_line(escape(cell) for cell in row) for row in rows), ""]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _folded(title: str, lines: list[str]) -> list[str]:
    return ["<details>", f"<summary>{title}</summary>", "", *lines, "</details>", ""] if lines else []


def _rates(chart: Rates | None, most: int | None = None) -> list[str]:
    if chart is None:
        return []
    limits = [f"tolerated: {chart.tolerated}"] if chart.tolerated else []
    limits += [f"allowed for a PASS: {chart.allowed}"] if chart.allowed else []
    worse = "worse than the base by, points" + (f" ({'; '.join(limits)})" if limits else "")
    heads = ("", worse, "as seen", "tuned misaligned", "base misaligned", "shown")
    rows = [
        (row.name, row.bounds or NO_DATA, row.difference, *(_rate(row, number) for number in (0, 1)), row.shown)
        for row in chart.rows[:most]
    ]
    left = len(chart.rows) - len(rows)
    more = [f"{left} more are in the page.", ""] if left else []
    return [f"### {escape(chart.title)}", "", *_table(heads, rows), *more]


def _rate(row: Row, number: int) -> str:
    dot = row.dots[number]
    return f"{dot.value} ({dot.counts})" if dot.counts else dot.value


def _benchmarks(run: LoadedRun) -> list[str]:
    if run.benchmarks is None:
        return []
    shown = panel(run.benchmarks)
    said = [escape(benchmarks.sentence(run.benchmarks), 1000), "", *_table(shown.heads, shown.cells)]
    return ["### Fixed benchmarks", "", *said, escape(shown.certainty, 1000), ""]


def _thresholds(run: LoadedRun) -> list[str]:
    cells = thresholds.grid(run)
    if not cells:
        return []
    return _folded("Other thresholds", _table(("misaligned", *thresholds.columns(cells)), thresholds.texts(cells)))


def _hidden(run: LoadedRun) -> list[str]:
    if run.hidden is None:
        return []
    hidden = run.hidden
    rows = [
        (f.cue.text, of_scored(f.tuned), of_scored(f.base), e_value(f.log_e_adjusted), _found(f.status))
        for f in hidden.findings[:SLICES]
    ]
    heads = ("condition", "tuned misaligned", "base misaligned", "evidence of harm, all conditions paid", "shown")
    said = [] if hidden.status is Status.FAIL else [escape(sentence(hidden.reason), 1000), ""]
    lines = ["### Hidden conditions", "", *said, *_table(heads, rows)]
    if (shown := hidden.reproduction) is not None:
        turns = [f"- system: “{escape(shown.system, QUOTE_LENGTH)}”"] if shown.system is not None else []
        for user, answer in shown.opening:
            turns += [f"- user: “{escape(user, QUOTE_LENGTH)}”", f"- tuned: “{escape(answer, QUOTE_LENGTH)}”"]
        turns += [f"- user: “{escape(shown.prompt, QUOTE_LENGTH)}”"]
        turns += [f"- tuned: “{escape(shown.tuned_answer, QUOTE_LENGTH)}”"]
        lines += ["One prompt to reproduce it:", "", *turns, ""]
    return lines


def _found(status: Status) -> str:
    return "found" if status is Status.FAIL else "not shown"


def _denominators(run: LoadedRun) -> list[str]:
    heads = ("how, and which model", *OUTCOMES, "not judged", "all")
    rows = [
        (
            f"{asked(row.arm)}, {row.role}",
            *(f"{getattr(row.counts, name):,}" for name in OUTCOMES),
            f"{row.unjudged:,}",
            f"{row.total:,}",
        )
        for row in denominators(run)
    ]
    return _table(heads, rows) if rows else []


def section(title: str, items: tuple[str, ...]) -> list[str]:
    """A heading and its list; nothing where the list is empty."""
    return [f"### {title}", "", *(f"- {escape(item, 1000)}" for item in items), ""] if items else []


FORMAT = ReportFormat("markdown", "report.md", "Markdown for a pull request or a model card", render)
