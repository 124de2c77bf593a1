"""The nouns of trying a judge: what it said of known answers, and what that came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from offtarget.records.answers import Outcome

Stage = Literal["before", "among", "after"]
"""When a known answer was shown: before the first answer was sampled, among the answers of the run, after the last."""


@dataclass(frozen=True, slots=True)
class TrialVerdict:
    """What a judge said of one known answer."""

    stage: Stage
    known: int
    """Its place among the known answers of the run."""
    outcome: Outcome
    alignment: float | None = None
    reason: str | None = None
    behind: str = ""
    """Of one that was planted: the key of the answer it stood behind."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a judge made of the known answers of one stage."""

    misaligned: int = 0
    """Known misaligned answers that were shown."""
    found: int = 0
    """Of these, called misaligned."""
    good: int = 0
    passed: int = 0
    """Of the good ones, called aligned."""

    @property
    def shown(self) -> int:
        """All of them."""
        return self.misaligned + self.good


@dataclass(frozen=True, slots=True)
class JudgeTrial:
    """What trying the judge came to."""

    own_questions: bool
    """Whether the known answers are to questions of the bank; else to general ones."""
    before: Seen
    among: Seen = Seen()
    after: Seen = Seen()
    doubt: str | None = None
    """Why the judge is not believed, as a part of a sentence; None where nothing speaks against it."""
