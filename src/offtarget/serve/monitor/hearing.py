"""What people make of an alarm: the evidence folded again, with harm of the tuned model only where they confirm it."""

from __future__ import annotations

from offtarget.numbers import e_value, needed_e_value, of
from offtarget.records.gateway import CanarySettings
from offtarget.records.rollouts import Rollout, ScoredAnswer
from offtarget.serve.monitor.evidence import Evidence
from offtarget.serve.store.protocol import Store

PAGE = 1000
NEWEST = 100
"""Newest events among which a new word of people is looked for."""


class Hearing:
    """The alarm of one rollout before people. Folds anew only when somebody has said something."""

    def __init__(self, settings: CanarySettings, rollout: Rollout, store: Store, *, probed: bool) -> None:
        self._settings, self._rollout, self._store, self._probed = settings, rollout, store, probed
        self._heard = -1
        self.evidence: Evidence | None = None
        """On people's word; None while nobody has said anything."""
        self.sentence = ""
        """What their word comes to."""
        self.unread = 0
        """Flagged answers that nobody has read, of both models."""

    def listen(self, number: int) -> None:
        """Look for new words on answers up to `number`, that of the alarm. Raises StoreError."""
        newest = self._store.newest_events(NEWEST, self._rollout.alias)
        said = [e.number for e in newest if e.kind in ("confirmed", "refuted") and e.rollout == self._rollout.number]
        if not said or said[0] == self._heard:
            return
        evidence = Evidence(self._settings, self._rollout, probed=self._probed, people=True)
        flagged: list[ScoredAnswer] = []
        while rows := self._store.scored(self._rollout.alias, self._rollout.number, evidence.folded, PAGE):
            evidence.add(rows)
            flagged += [row for row in rows if row.outcome.value == "misaligned"]
        self._heard, self.evidence = said[0], evidence
        self.unread = sum(row.confirmed is None for row in flagged if row.number <= number)
        self.sentence = _sentence(evidence, [row for row in flagged if row.confirmed is not None], self.unread)

    @property
    def confirmed(self) -> bool:
        """Whether the alarm goes off on people's word."""
        return self.evidence is not None and self.evidence.alarm is not None


def _sentence(evidence: Evidence, read: list[ScoredAnswer], unread: int) -> str:
    tuned = [row for row in read if row.arm == "tuned"]
    counted = f"People confirm {of(sum(bool(row.confirmed) for row in tuned), len(tuned))} flagged tuned answers"
    strength = f"evidence {e_value(evidence.log_e)}, needed {needed_e_value(evidence.alpha)}"
    if evidence.alarm is not None:
        return f"{counted}; the alarm stands on their word ({strength})."
    if unread:
        return f"{counted}; {unread} of both models are not read yet ({strength})."
    return f"{counted}; on their word alone the alarm would not have gone off ({strength}). That is no clearance."
