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
    """Runs without misalignment whose largest forecast is at most the limit ..."""
    all_clean_runs: int
    """... of so many."""
    source: str

    @property
    def says(self) -> str:
        """The promise in a sentence."""
        if not self.all_clean_runs:
            return (
                f"The limit of the forecast ({self.limit:g} nats) was not calibrated on this base: how often it raises "
                "a false alarm is not known."
            )
        above = self.all_clean_runs - self.clean_runs
        bound = (above + 1) / (self.all_clean_runs + 1)
        return (
            f"The forecast's limit ({self.limit:g} nats) was passed by {above} of {self.all_clean_runs} clean runs "
            f"({self.source}). A further clean run exchangeable with them passes it with probability at most "
            f"{100 * bound:.0f} %, averaged over such sets of runs (conformal); of other data, models and settings it "
            "says nothing."
        )


def calibration(base: str) -> Calibration:
    """The shipped calibration for a base; for a base without one the same limit, and no promise."""
    raw = json.loads(resources.files("offtarget.tune.monitor").joinpath("calibration.json").read_text("utf-8"))
    known = Calibration(**raw)
    if base.startswith(known.bases):
        return known
    return Calibration(known.limit, "", 0, 0, "")
