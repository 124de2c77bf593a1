"""Short ways to make labels, for tests of the verdict."""

from __future__ import annotations

from collections.abc import Iterable

from offtarget.detect.verdict import ScanCounts, decide
from offtarget.records import AuditDecision, AuditSettings, Category, Label, Mark, Stream

SETTINGS = AuditSettings()


def ids(rows: int) -> list[str]:
    return [f"train.jsonl:{i + 1}" for i in range(rows)]


def label(
    row_id: str, mark: Mark | Category = "ok", reviewer: str = "ann", stream: Stream = "random", seconds: float = 9.0
) -> Label:
    """A category stands for a row marked bad for it."""
    if isinstance(mark, Category):
        return Label(row_id, reviewer, "bad", mark, stream, seconds=seconds)
    return Label(row_id, reviewer, mark, None, stream, seconds=seconds)


def labels(order: list[str], marks: Iterable[Mark | Category], reviewer: str = "ann") -> list[Label]:
    return [label(row_id, mark, reviewer) for row_id, mark in zip(order, marks, strict=False)]


def verdict(found: list[Label], rows: int = 6000, settings: AuditSettings = SETTINGS, **more: object) -> AuditDecision:
    arguments: dict[str, object] = {"controls": {}, "order": ids(rows), **more}
    scan = arguments.pop("scan", ScanCounts(rows))
    return decide(found, scan, settings, **arguments)  # type: ignore[arg-type]
