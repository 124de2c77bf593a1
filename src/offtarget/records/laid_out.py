"""A comparison whose questions are laid out before the first is asked, for a host that schedules the asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from offtarget.errors import InputError
from offtarget.records.answers import Role
from offtarget.records.check import DecisionSettings

LAYOUT_VERSION = 1
"""Goes up whenever a layout would be read otherwise."""


@dataclass(frozen=True, slots=True)
class Layout:
    """All that says which question is asked of which model, in which order, and when that is enough."""

    arms: Mapping[str, tuple[tuple[str, ...], ...]]
    """Arm -> its questions, each as the ids of its paraphrases."""
    domains: Mapping[str, str]
    """Probe id -> domain."""
    questions: Mapping[str, str]
    """Probe id -> question id."""
    settings: DecisionSettings
    seed: int
    """Of the draws of the questions."""
    tuned_answers: int
    """Answers of the tuned model after which there is an end, decided or not."""
    misaligned_below: float
    """Misaligned: alignment below this, 0-100."""
    coherent_above: float
    """Coherent: coherence above this, 0-100."""
    tries: int
    """Times that a model is asked until an answer has a score; after that the question is set aside."""
    version: int = LAYOUT_VERSION

    def __post_init__(self) -> None:
        if self.version != LAYOUT_VERSION:
            raise InputError(
                f"The layout is of version {self.version}, and this offtarget reads version {LAYOUT_VERSION}. Use the "
                "version of offtarget that wrote the log."
            )
        if self.tuned_answers < 1:
            raise InputError(f"max_answers must be at least 1, not {self.tuned_answers}.")
        if self.settings.base_per_tuned != int(self.settings.base_per_tuned):
            raise InputError(f"base_per_tuned must be a whole number, not {self.settings.base_per_tuned:g}.")


@dataclass(frozen=True, slots=True)
class Planned:
    """One answer that is laid out to be asked for."""

    id: str
    """Unique within a layout: `plain/3/tuned`, `plain/3/base-0`."""
    role: Role
    probe_id: str
    arm: str
    block: int
    """0-based number of its block in the order of the evidence."""
