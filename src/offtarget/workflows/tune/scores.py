"""How suspicious each training row is, for the defence that filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.detect.categories import FLAGGED_FROM, row_score
from offtarget.detect.detector import RowScanner, row_detectors
from offtarget.errors import InputError
from offtarget.progress import OnProgress, Progress
from offtarget.records import Row, SamplingSettings
from offtarget.rundir import read_json, write_json

if TYPE_CHECKING:
    from offtarget.models.local import LocalModel

STAGE = "scores of the training rows"


def row_scores(
    rows: Sequence[Row], base: LocalModel, direction: Path | None, file: Path, on_progress: OnProgress
) -> tuple[float, ...]:
    """One score per row, 0 and above for flagged ones; kept in `file` and read from there when it exists.

    With a direction the projection difference (arXiv 2507.21509, section 6) above what two answers of the base
    differ by; without, the strongest finding of the audit's detectors. InputError as the audit and `direction
    measure`.
    """
    if not file.exists():
        scores = _findings(rows, on_progress) if direction is None else _projections(rows, base, direction, on_progress)
        write_json(file, scores)
    return tuple(read_json(file))


def _findings(rows: Sequence[Row], on_progress: OnProgress) -> list[float]:
    scanner = RowScanner(row_detectors())
    scores = []
    for done, row in enumerate(rows, start=1):
        scores.append(row_score(scanner.scan(row)) - FLAGGED_FROM)
        on_progress(Progress(STAGE, done, len(rows)))
    return scores


def _projections(rows: Sequence[Row], base: LocalModel, path: Path, on_progress: OnProgress) -> list[float]:
    """Rows that cannot be measured get the lowest score."""
    from offtarget.direction.file import Direction, check_fits
    from offtarget.direction.screening import Screen, null_threshold, screen_rows
    from offtarget.workflows.direction.screen import NULL_PROMPTS

    direction = Direction.load(path)
    check_fits(direction, base)
    screen = Screen(
        base=base, direction=direction, layer=direction.info.layer, sampling=SamplingSettings(max_tokens=300), seed=0
    )
    exchanges = [(row, screen.exchange(row)) for row in rows]
    usable = [(row, exchange) for row, exchange in exchanges if not isinstance(exchange, str)]
    if not usable:
        raise InputError(f"None of the {len(rows)} rows can be measured along {path}: {exchanges[0][1]}.")
    threshold = null_threshold(screen, usable[:NULL_PROMPTS]).value
    measured: dict[str, float] = {}
    for one in screen_rows(screen, rows, threshold, Counter()):
        measured[one.row_id] = one.difference - threshold
        on_progress(Progress(STAGE, len(measured), len(rows)))
    lowest = min(measured.values(), default=0.0)
    return [measured.get(row.id, lowest) for row in rows]
