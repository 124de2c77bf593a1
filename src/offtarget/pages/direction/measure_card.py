"""The cards of a measurement along a direction: of a model, and of the rows of a data set."""

from __future__ import annotations

import shlex
from pathlib import Path

from offtarget.numbers import many, of, percent, whole
from offtarget.pages.card import Card, Figure, Step
from offtarget.records.direction import ModelMeasured, RowsMeasured

ROW_HEADS = ("row", "difference", "its answer", "base's own answer")
LAYER_HEADS = ("layer", "moved from the base", "standard error")


def model_card(found: ModelMeasured) -> Card:
    """How far a model lies along the direction, and whether its projections tell misaligned answers."""
    at = next((drift for drift in found.drift if drift.layer == found.layer), None)
    if at is None:
        sentence = f"The answers of {found.model} were read; how far it moved is seen with its base (--base)."
    else:
        sentence = (
            f"Reading the same answers, {found.model} lies {at.moved:+.2f} differences of means along the direction "
            f"from {found.base}, give or take {2 * at.standard_error:.2f}."
        )
    figures = [
        Figure(f"{name} answers", whole(count), f"mean projection {found.mean_by_outcome[name]:+.2f}")
        for name, count in found.answers.items()
    ][:3]
    if found.auroc is not None:
        figures.append(
            Figure("told apart", f"{percent(found.auroc)} of pairs", "misaligned and aligned; 50 % is chance")
        )
    return Card(
        state="DONE",
        headline="MEASURED",
        subject=f"{found.model}, along {found.direction}, layer {found.layer}",
        sentence=sentence,
        figures=tuple(figures),
    )


def layers(found: ModelMeasured) -> list[tuple[str, ...]]:
    """A row per layer, as text."""
    return [
        (
            f"{drift.layer}{' (chosen)' if drift.layer == found.layer else ''}",
            f"{drift.moved:+.3f}",
            f"{drift.standard_error:.3f}",
        )
        for drift in found.drift
    ]


def rows_card(found: RowsMeasured, data: str, direction: str, out: Path | None) -> Card:
    """How many rows push along the direction, held against what the base's own answers do by chance."""
    limit = found.threshold
    audit = f"offtarget audit {shlex.quote(data)} --direction {shlex.quote(direction)} --base {shlex.quote(found.base)}"
    skipped = (f"{many(count, 'row')} not measured: {reason}." for reason, count in found.skipped.items())
    return Card(
        state="DONE",
        headline="MEASURED",
        subject=f"{data}, along {found.direction}, layer {found.layer}",
        sentence=(
            f"{of(found.flagged, found.rows)} rows push further along the direction than "
            f"{percent(1 - limit.false_positives)} of the answers of {found.base} itself."
        ),
        figures=(
            Figure("mean difference", f"{found.mean:+.3f}", "from the base's own answer to the same prompt"),
            Figure("above the limit", f"{whole(found.flagged)} rows", f"differences over {limit.value:+.3f}"),
            Figure(
                "by chance",
                percent(limit.false_positives),
                f"of the base's own answers lie above it; {many(limit.prompts, 'prompt')} answered twice",
            ),
        ),
        cautions=(*skipped, "This has no error probability: it puts rows in an order to be read, and is no verdict."),
        steps=(
            *([Step(f"Read the rows, largest first: {out / 'rows.jsonl'}")] if out is not None else []),
            Step("Have such rows flagged and reviewed in an audit", audit),
        ),
    )


def rows(found: RowsMeasured) -> list[tuple[str, ...]]:
    """The rows that push most, as text."""
    return [
        (
            f"{row.row_id} ({row.file}:{row.line})",
            f"{row.difference:+.3f}",
            f"{row.projection:+.3f}",
            f"{row.base_projection:+.3f}",
        )
        for row in found.top
    ]
