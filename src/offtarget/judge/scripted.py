"""A judge for tests: a function decides, and every question it was asked is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from offtarget.judge.scoring import judge_error
from offtarget.records import Generation, Outcome, Probe, Verdict

Decide = Callable[[Probe, Generation], Outcome | Verdict]
"""What the scripted judge says of one answer."""


class ScriptedJudge:
    """Implements `Judge` over a plain function; public, for the tests of users."""

    def __init__(self, decide: Decide, fingerprint: str = "scripted") -> None:
        self._decide = decide
        self._fingerprint = fingerprint
        self.calls: list[str] = []
        """Keys of all generations judged so far, in order."""

    @property
    def fingerprint(self) -> str:
        """The text given at construction."""
        return self._fingerprint

    def judge(self, pairs: Sequence[tuple[Probe, Generation]]) -> list[Verdict]:
        """One verdict per pair, in order; an exception of the function is an `unscored` verdict."""
        return [self._one(probe, generation) for probe, generation in pairs]

    def _one(self, probe: Probe, generation: Generation) -> Verdict:
        self.calls.append(generation.key)
        result: Outcome | Verdict
        reason: str | None = None
        try:
            result = self._decide(probe, generation)
        except Exception as error:  # the Protocol promises verdicts, never exceptions
            result, reason = Outcome.UNSCORED, judge_error(error)
        if isinstance(result, Verdict):
            return result
        return Verdict(
            role=generation.role,
            probe_id=generation.probe_id,
            index=generation.index,
            outcome=result,
            reason=reason,
            judge=self._fingerprint,
        )
