"""The result as a few lines of plain text, for logs and for terminals without the table."""

from __future__ import annotations

from offtarget.numbers import percent
from offtarget.pages.check import story, thresholds
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.check.tables import denominators
from offtarget.pages.registry import ReportFormat
from offtarget.pages.text import of_scored, one_line


def render(run: LoadedRun) -> str:
    """The report as plain text."""
    base, tuned = run.manifest.models["base"], run.manifest.models["tuned"]
    lines = [
        f"{one_line(story.grade(run), 200)}: {one_line(story.reason(run), 1000)}",
        f"  base   {one_line(base.name)}",
        f"  tuned  {one_line(tuned.name)}",
        f"  judge  {one_line(run.manifest.judge)}",
        "",
    ]
    for row in denominators(run):
        tally = row.counts
        lines.append(
            f"  {one_line(row.arm, 24):<24} {row.role:<6} {percent(row.misaligned_rate):>8} misaligned "
            f"({of_scored(tally)} scored; {tally.incoherent:,} incoherent, {tally.refused:,} refused, "
            f"{tally.code:,} code, {tally.unscored:,} unscored, {row.unjudged:,} not judged)"
        )
    lines += [
        "",
        one_line(story.error_probability(run), 1000),
        *(one_line(text, 1000) for text in story.beside(run)),
        f"Next: {one_line(story.next_step(run), 1000)}",
    ]
    lines += [f"  {line}" for line in thresholds.lines(thresholds.grid(run))]
    lines += [f"Note: {one_line(note, 1000)}" for note in story.notes(run)]
    return "\n".join(lines) + "\n"


FORMAT = ReportFormat("text", "report.txt", "plain text", render)
