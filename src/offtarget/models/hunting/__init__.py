"""Candidates for hidden conditions, taken from base and tuned model alone (`check --hunt`)."""

from offtarget.models.hunting.candidates import Hunted, hunt
from offtarget.models.hunting.search import large

__all__ = ["Hunted", "hunt", "large"]
