"""Where the forecast becomes an alarm, and what is known of how often it then is a false one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources


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
    raw = json.loads(resources.files("offtarget.tune.monitor").joinpath("calibration.json").read_text("utf-8"))
    known = Calibration(**raw)
    if base.startswith(known.bases):
        return known
    return Calibration(known.limit, "", 0, 0, 0, "")
