"""The questions asked of both models, and in which order."""

from offtarget.probe.bank import ProbeBank
from offtarget.probe.reading import bank_names, load_bank, read_probes
from offtarget.probe.schedule import Block, Schedule, answer_seed

__all__ = [
    "Block",
    "ProbeBank",
    "Schedule",
    "answer_seed",
    "bank_names",
    "load_bank",
    "read_probes",
]
