"""What a monitor writes down while a model is trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from offtarget.records.answers import Tally

AlarmKind = Literal["behaviour", "look-ahead", "forecast"]
"""`behaviour`: misaligned answers now. `look-ahead`: misaligned answers of the model as it is heading to be.
`forecast`: the shift of fixed answers' probabilities that the run is heading for."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a model in training. Shares are 0 to 1; None where a signal is off or was not due."""

    step: int
    """Optimiser steps done."""
    task: float | None = None
    """The task metric; by default mean log probability (nats) per answer token of fixed training rows."""
    shift: float | None = None
    """How far the log odds of fixed misaligned against fixed aligned answers have moved from the base, in nats."""
    forecast: float | None = None
    """The shift the run is heading for at its end."""
    factor: float = 1.0
    """How many times its own change the look-ahead model has; 1 where none was asked."""
    answers: Tally | None = None
    """Verdicts on answers of the model as it is."""
    ahead: Tally | None = None
    """Verdicts on answers of the look-ahead model."""
    projection: dict[str, float] = field(default_factory=dict)
    """Layer (as text) to the mean movement along the persona direction, in differences of means."""
    log_e: float | None = None
    """Natural log of the e-value against 'the rate is not above the base's by more than the tolerance'."""
    log_e_ahead: float | None = None
    """The same for the look-ahead model."""
    alarm: AlarmKind | None = None
    """The alarm that stands, if one does; it never goes away."""
    seconds: float = 0.0
    """Time the reading took."""
