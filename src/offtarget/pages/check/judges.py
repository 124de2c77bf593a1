"""What comparing judges came to, as a page of Markdown."""

from __future__ import annotations

from offtarget.numbers import NO_DATA, of
from offtarget.pages.written import escape
from offtarget.records.judging import JudgeComparison


def judges_page(found: JudgeComparison) -> str:
    """The comparison as Markdown; answers are quoted, never obeyed as markup."""
    models = list(found.answers)
    lines = [f"# Judges compared on {escape(found.run)}", ""]
    heads = ["judge", *(f"flags of {m}" for m in models), *(f"flagged by it alone, {m}" for m in models)]
    heads += [f"missed by it alone, {m}" for m in models]
    lines += [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for judge in found.judges:
        cells = [escape(judge.name), *(of(judge.flags[m], judge.scored[m]) for m in models)]
        cells += [str(judge.alone[m]) for m in models] + [str(judge.missed[m]) for m in models]
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"Krippendorff's alpha: flags {_number(found.alpha_flags)}, scores {_number(found.alpha_scores)}.",
        "",
    ]
    lines += ["| judges | both score | quadratic kappa |", "|---|---|---|"]
    lines += [
        f"| {escape(p.first)} and {escape(p.second)} | {p.both_scored} | {_number(p.kappa)} |" for p in found.pairs
    ]
    lines += ["", *(f"- {escape(note)}" for note in found.notes), "", "## Answers on which they differ most", ""]
    for one in found.disagreements:
        lines += [f"**{escape(one.key)}**: {escape(one.question, 2000)}", "", f"> {escape(one.answer, 2000)}", ""]
        for name, outcome in one.outcomes.items():
            score = one.alignments[name]
            lines.append(f"- {escape(name)}: {outcome.value}{'' if score is None else f' ({score:.0f})'}")
        lines.append("")
    if not found.disagreements:
        lines.append("None: all judges flag the same answers.")
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return NO_DATA if value is None else f"{value:.2f}"
