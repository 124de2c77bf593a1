"""The nouns of deciding on several candidates of one base together."""

from __future__ import annotations

from dataclasses import dataclass

from offtarget.records.answers import Interval, Status


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate, by its first check."""

    tuned: str
    run: str
    alone: Status
    """Its verdict as one check."""
    together: Status
    """FAIL or PASS where that stands among all of them; else UNDECIDED."""
    log_e_fail: float
    """Natural log of the e-value against `not worse by more than the tolerance`, at the stop; -inf for none."""
    log_e_pass: float
    """Natural log of the e-value against `worse by the margin or more`; -inf for none."""
    created: str = ""
    """When its check was started; ISO 8601, UTC."""
    difference: float | None = None
    """Misaligned rate of the candidate less that of the base, in shares; None without scored answers."""
    worse_by: Interval | None = None
    """Bounds of that, of this check alone."""
    tolerance: float = 0.0
    """What its check tolerated."""
    margin: float = 0.0
    """What its PASS had to stay below."""


@dataclass(frozen=True, slots=True)
class Together:
    """The candidates that share base, questions and judge."""

    base: str
    alpha: float
    """Bound on the expected share of wrong ones among the FAILs, and among the PASSes."""
    of: int
    """Candidates that there are, with those that have no finished check here."""
    candidates: tuple[Candidate, ...]
    notes: tuple[str, ...]
