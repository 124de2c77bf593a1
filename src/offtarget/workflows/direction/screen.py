"""`direction measure --data`: every training row along a direction, beside the base's own answer."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.data.drawing import drawn_at_random
from offtarget.data.training import open_source
from offtarget.detect.projection import ProjectionDetector
from offtarget.errors import InputError
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import DirectionInfo, Row, SamplingSettings
from offtarget.records.direction import Histogram, RowProjection, RowsMeasured, Threshold
from offtarget.records.runs import OpenSettings
from offtarget.rundir import JsonLines, write_json
from offtarget.workflows.direction.inputs import ModelLike, open_one

if TYPE_CHECKING:
    from offtarget.direction.file import Direction
    from offtarget.direction.screening import Screen

NULL_PROMPTS = 300
"""Prompts of the data that the base answers twice, to know how far its own answers differ."""
BINS = 40


def measure_rows(
    direction: str | Path | Direction,
    data: str | Path,
    *,
    base: ModelLike | None = None,
    layer: int | None = None,
    top: int = 20,
    out: str | Path | None = None,
    form: str | None = None,
    split: str | None = None,
    max_tokens: int = 300,
    seed: int = 0,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> RowsMeasured:
    """Projection difference of every row of a data set; with `out`, a folder with rows.jsonl and measured.json.

    `base` reads and answers; by default the base the direction was found with (its model, where it has no base).
    Rows come in order and are never all in memory. Raises InputError for a direction that does not fit, a base that
    is not local, and data without a row that can be measured.
    """
    on_progress(Progress("reading the direction, the model and the data"))
    from offtarget.direction.screening import screen_rows

    screen, threshold, total = prepare_screen(
        direction,
        data,
        base=base,
        layer=layer,
        form=form,
        split=split,
        max_tokens=max_tokens,
        seed=seed,
        opening=opening,
    )
    folder = None if out is None else Path(out)
    skipped: Counter[str] = Counter()
    differences: list[float] = []
    flagged = 0
    best: list[tuple[float, int, RowProjection]] = []
    with nullcontext() if folder is None else closing(_new_folder(folder)) as writer:
        for row in screen_rows(screen, _rows(data, form, split, skipped), threshold.value, skipped):
            differences.append(row.difference)
            flagged += row.flagged
            heapq.heappush(best, (row.difference, -len(differences), row))
            if len(best) > top:
                heapq.heappop(best)
            if writer is not None:
                writer.extend([row])
            on_progress(Progress("reading rows", len(differences) + sum(skipped.values()), total))
    measured = RowsMeasured(
        direction=in_words(screen.direction.info),
        base=screen.base.name,
        layer=screen.layer,
        position="answer",
        rows=len(differences),
        skipped=dict(skipped),
        threshold=threshold,
        flagged=flagged,
        mean=sum(differences) / len(differences),
        histogram=histogram(differences),
        top=tuple(row for _, _, row in sorted(best, reverse=True)),
    )
    if folder is not None:
        write_json(folder / "measured.json", measured)
    return measured


def audit_detector(
    direction: str | Path | Direction,
    data: str | Path,
    *,
    base: ModelLike | None = None,
    form: str | None = None,
    split: str | None = None,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> ProjectionDetector:
    """The projection difference as a detector of the audit (`audit(..., extra=[detector])`).

    All rows are measured here, before the scan; only those above the threshold are kept. Raises InputError as
    `measure_rows`.
    """
    from offtarget.direction.screening import screen_rows

    screen, threshold, total = prepare_screen(direction, data, base=base, form=form, split=split, opening=opening)
    flagged = {}
    for done, row in enumerate(screen_rows(screen, _rows(data, form, split), threshold.value, Counter()), start=1):
        if row.flagged:
            flagged[row.row_id] = row
        on_progress(Progress("reading rows", done, total))
    return ProjectionDetector(flagged, threshold, in_words(screen.direction.info), screen.base.name)


def prepare_screen(
    direction: str | Path | Direction,
    data: str | Path,
    *,
    base: ModelLike | None = None,
    layer: int | None = None,
    form: str | None = None,
    split: str | None = None,
    max_tokens: int = 300,
    seed: int = 0,
    opening: OpenSettings | None = None,
) -> tuple[Screen, Threshold, int]:
    """What rows are measured with, the threshold from the base's own answers, and how many rows there are in all.

    The prompts behind the threshold are drawn at random from the whole data. Raises InputError as `measure_rows`.
    """
    from offtarget.direction.file import check_fits
    from offtarget.direction.screening import Screen, null_threshold

    loaded = opened_direction(direction)
    model = open_one(base or loaded.info.base or loaded.info.model, opening=opening)
    check_fits(loaded, model)
    chosen = loaded.info.layer if layer is None else layer
    loaded.vector(chosen)
    screen = Screen(
        base=model, direction=loaded, layer=chosen, sampling=SamplingSettings(max_tokens=max_tokens), seed=seed
    )
    malformed: Counter[str] = Counter()
    drawn, total = drawn_at_random(_rows(data, form, split, malformed), 2 * NULL_PROMPTS, seed)
    exchanges = [(row, screen.exchange(row)) for row in drawn]
    usable = [(row, e) for row, e in exchanges if not isinstance(e, str)]
    if not usable:
        reasons = malformed + Counter(e for _, e in exchanges if isinstance(e, str))
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()) or "it holds no rows"
        raise InputError(f"No row of {data} can be measured with {model.name}: {why}. Choose data made for this model.")
    return screen, null_threshold(screen, usable[:NULL_PROMPTS]), total + malformed.total()


def opened_direction(direction: str | Path | Direction) -> Direction:
    """A direction, or the one in a file. InputError when the file holds none."""
    from offtarget.direction.file import Direction

    return direction if isinstance(direction, Direction) else Direction.load(Path(direction))


def in_words(info: DirectionInfo) -> str:
    """A direction in a few words, for reports."""
    what = {
        "answers": f"misaligned against aligned answers of {info.model}",
        "models": f"{info.model} against {info.base}",
        "texts": f"answers of {info.model} against those of {info.base}, as the latter reads them",
        "trait": f"the trait '{info.trait}' in {info.model}",
        "random": "a random control",
    }[info.method]
    return f"{what}, position {info.position}"


def histogram(values: Sequence[float]) -> Histogram:
    """Counts in equally wide bins over the range of the values."""
    low, high = min(values), max(values)
    width = (high - low) / BINS or 1.0
    counts = Counter(min(BINS - 1, int((v - low) / width)) for v in values)
    return Histogram(low, high, tuple(counts[i] for i in range(BINS)))


def draw_rows(data: str | Path, form: str | None, split: str | None, count: int, seed: int) -> list[Row]:
    """Up to `count` rows of a data set, drawn at random; the same for the same seed."""
    return drawn_at_random(_rows(data, form, split), count, seed)[0]


def _rows(data: str | Path, form: str | None, split: str | None, skipped: Counter[str] | None = None) -> Iterator[Row]:
    """The readable rows; the others are counted in `skipped` by what is wrong with them."""
    for chunk in open_source(data, form=form, split=split).chunks():
        for row in chunk.rows():
            if isinstance(row, Row):
                yield row
            elif skipped is not None:
                skipped[f"malformed: {row.error}"] += 1


def _new_folder(out: Path) -> JsonLines:
    if (out / "rows.jsonl").exists():
        raise InputError(f"{out} already holds rows.jsonl. Choose another folder, or remove it first.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"Cannot make the folder {out}: {error.strerror}. Choose another one.") from None
    return JsonLines(out / "rows.jsonl")
