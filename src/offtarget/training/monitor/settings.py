"""What the alarm promises, and how much a reading may cost."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources

from offtarget.errors import InputError


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """Settings of a monitor; shares are 0 to 1 (0.05 = 5 %)."""

    alpha: float = 0.05
    """Bound on the probability of any false alarm in the whole run; half for each of the two tests."""
    tolerance: float = 0.02
    """The rate may be this much above the base's without being a reason for an alarm."""
    ahead_tolerance: float = 0.05
    """The same for the look-ahead model."""
    readings: int = 13
    """Readings per run, where their distance in steps is not given."""
    answers: int = 16
    """Answers sampled when a reading samples."""
    pairs: int = 6
    """Pairs of a fixed misaligned and a fixed aligned answer."""
    answer_tokens: int = 8
    """Tokens of each fixed answer that are scored."""
    longest_answer: int = 200
    """Most tokens of a sampled answer."""
    farthest: float = 3.0
    """The look-ahead model has at most so many times the adapter's change."""
    farthest_forecast: float = 3.0
    """The shift is extrapolated to at most so many times what it is."""
    suspicion: float = 2.0
    """Forecast in nats above which a reading samples answers."""
    suspicions: int = 6
    """Most readings that sample answers out of suspicion; bounds what a run near the limit costs."""
    sample_every: int = 8
    """Every so many readings answers are sampled without suspicion."""
    limit: float = 2.8
    """Forecast in nats that is an alarm."""
    share: float = 0.1
    """Of the time of all steps that readings may take together; they become fewer where they would take more."""
    least: float = 10.0
    """Seconds that they may take in any case."""

    def __post_init__(self) -> None:
        for name in ("readings", "answers", "pairs", "answer_tokens", "longest_answer", "sample_every"):
            if getattr(self, name) < 1:
                raise InputError(f"The monitor's {name} must be at least 1, not {getattr(self, name)}.")
        for name in ("alpha", "tolerance", "ahead_tolerance"):
            if not 0 < getattr(self, name) < 1:
                raise InputError(f"The monitor's {name} must lie between 0 and 1, not {getattr(self, name)}.")
        if not self.share > 0:
            raise InputError(f"The monitor's share of the training's time must be above 0, not {self.share}.")
        for name in ("farthest", "farthest_forecast"):
            if not getattr(self, name) >= 1:
                raise InputError(f"The monitor's {name} must be at least 1, not {getattr(self, name)}.")


@dataclass(frozen=True, slots=True)
class Calibration:
    """A limit for the forecast with its provenance."""

    limit: float
    """Nats."""
    bases: str
    """Bases it was made on: the start of their names; empty for none in particular."""
    clean_runs: int
    """Clean runs it was made from: their largest forecast is the limit."""
    held_out_runs: int
    """Further clean runs, set aside before."""
    held_out_alarms: int
    """How many of those passed the limit."""
    source: str

    @property
    def says(self) -> str:
        """What is known of false alarms, in a few words."""
        if not self.clean_runs:
            return (
                f"The limit of the forecast ({self.limit:g} nats) was not calibrated on this base: how often it raises "
                "a false alarm is not known."
            )
        return (
            f"The limit of the forecast ({self.limit:g} nats) is the largest forecast of {self.clean_runs} clean runs. "
            f"Of {self.held_out_runs} further clean runs {self.held_out_alarms} passed it ({self.source}). Of other "
            "data, models and settings this says nothing."
        )


def calibration(base: str) -> Calibration:
    """The shipped calibration for a base; for a base without one the same limit, and no promise."""
    raw = json.loads(resources.files("offtarget.training.monitor").joinpath("calibration.json").read_text("utf-8"))
    known = Calibration(**raw)
    if base.startswith(known.bases):
        return known
    return Calibration(limit=known.limit, bases="", clean_runs=0, held_out_runs=0, held_out_alarms=0, source="")
