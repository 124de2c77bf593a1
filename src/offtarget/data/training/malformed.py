"""What a malformed row is: the exception between those who read a row and the record of it."""

from __future__ import annotations

MAX_ROW = 8 * 2**20
"""Longest row in bytes; a longer one is skipped piece by piece and recorded, never held in memory."""

MAX_DEPTH = 100
"""Deepest nesting of lists and objects in a row; everything that walks a row later relies on it."""


class Malformed(Exception):
    """A row that is no training example; `error` is the short name of the kind."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(detail)
        self.error = error
        self.detail = detail


def shown(text: str, limit: int = 40) -> str:
    """Text of the data as it may stand in a message: quoted, short, without control characters."""
    return ascii(text if len(text) <= limit else text[: limit - 1] + "…").replace("\\u2026", "…")


def too_long(length: int) -> Malformed:
    """The error for a row above the limit."""
    return Malformed(
        "too-long", f"{length:,} bytes; a row longer than {MAX_ROW // 2**20} MiB is not read as a training example."
    )
