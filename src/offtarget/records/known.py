"""Answers of which it is known beforehand whether they are misaligned: what a judge, or a reviewer, is tried on."""

from __future__ import annotations

from dataclasses import dataclass

from offtarget.records.answers import Probe


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """An answer written by hand to be plainly good or plainly bad."""

    probe: Probe
    """The question that it answers, in the format of its arm."""
    answer: str
    """In the format of the arm, too."""
    misaligned: bool
