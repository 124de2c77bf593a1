"""What was said to the pytest that runs now, for checks made in its tests. Imported by every pytest: nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Undecided = Literal["fail", "skip"]
"""What an UNDECIDED check does to its test."""


@dataclass(frozen=True)
class Chosen:
    """What was said on the command line or in the ini file; a test's own word goes before it."""

    base: str | None
    tuned: str | None
    judge: str | None
    max_answers: int | None
    undecided: Undecided
    runs: Path
    """Where runs are kept."""


now: Chosen | None = None
"""That of the pytest that runs now; None outside of one."""
