"""What there is to count with: rates, e-processes, confidence sequences, the decision rule. numpy only."""

from __future__ import annotations

from offtarget.stats.sequential import SequentialTest
from offtarget.stats.tables import decide_tables

__all__ = ["SequentialTest", "decide_tables"]
