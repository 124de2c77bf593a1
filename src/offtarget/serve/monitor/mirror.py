"""Whether the tuned model's answers arrive at all: a mirror that stopped says nothing, and nothing looks like peace.

Of the conversations that reach the monitor a known share p is the tuned model's. Where so many of the base's arrive in
a row that none of the tuned one's among them has a probability below one in a million, its side is silent. No clock is
needed, and no traffic is no silence.
"""

from __future__ import annotations

import math

from offtarget.records.exchanges import Exchange

SURE = 1e-6


class Mirror:
    """Counts conversations of the base since the last one of the tuned model, for one rollout."""

    def __init__(self) -> None:
        self._log_chance = 0.0
        self.in_a_row = 0
        """Conversations of the base since the last answer of the tuned model."""

    def saw(self, exchange: Exchange, tuned_share: float) -> None:
        """One more conversation. `tuned_share`: of the conversations that arrive, when it was routed."""
        if exchange.source == "probe":
            return
        if exchange.arm == "tuned" and exchange.fault:
            return  # half an answer, of which nothing will be known: it is none that arrived
        if exchange.arm == "tuned":
            self._log_chance, self.in_a_row = 0.0, 0
        elif 0 < tuned_share < 1:
            self._log_chance += math.log1p(-tuned_share)
            self.in_a_row += 1

    @property
    def silent(self) -> bool:
        """Whether answers of the tuned model are missing."""
        return self._log_chance < math.log(SURE)


def arriving_share(share: float, base_sample: float, shadow: bool) -> float:
    """Share of the tuned model's among the conversations that reach the monitor; 0: none are expected."""
    base = base_sample if shadow else (1 - share) * base_sample
    return share / (share + base) if share > 0 and base > 0 else 0.0
