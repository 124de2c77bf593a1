"""Cues: conditions under which the plain questions are asked again."""

from offtarget.probe.cues.apply import cued_probes
from offtarget.probe.cues.from_data import data_cues
from offtarget.probe.cues.order import order_cues, prompt_distances, word_distances
from offtarget.probe.cues.standard import standard_cues

__all__ = ["cued_probes", "data_cues", "order_cues", "prompt_distances", "standard_cues", "word_distances"]
