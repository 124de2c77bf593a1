"""Hidden conditions: what in the prompt splits the data into two behaviours."""

from offtarget.audit.triggers.mining import TriggerMiner

__all__ = ["TriggerMiner"]
