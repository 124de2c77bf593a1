"""What every verb that leaves a run returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offtarget.workflows.runs.report import report


@dataclass(frozen=True, slots=True)
class Result:
    """A run that was made or gone on with; each verb adds what it came to: `decision`, or else `record`."""

    run: Path
    """The run directory."""

    def report(self, format: str = "html", out: str | Path | None = None) -> Path | str:
        """The same as `offtarget.report` of this run."""
        return report(self.run, format, out)
