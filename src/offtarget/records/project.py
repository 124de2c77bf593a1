"""The nouns of a project: which step was begun with what, and what a walk through the steps came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

StepName = Literal["audit", "tune", "check", "redteam", "report"]
Did = Literal["up to date", "ran", "went on", "would run", "would go on", "not run", "failed"]
"""What was done about a step. `failed`: it could not be brought to its end. `would ...`: in a dry run."""


@dataclass(frozen=True, slots=True)
class StepEntry:
    """One line of `steps.jsonl` in the folder of runs: a step that was begun, or one that came to its end."""

    step: StepName
    run: str
    """Name of its folder under the folder of runs; empty for reports, which have none."""
    inputs: Mapping[str, str]
    """Everything that its result depends on, each as a short text: contents as their SHA-256."""
    at: str
    """When, UTC, ISO 8601."""
    ended: bool = False
    made: Mapping[str, str] = field(default_factory=dict)
    """Files and folders that it made outside its run, each with its SHA-256."""


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """What became of one step."""

    step: StepName
    did: Did
    why: str
    """Why it ran, or did not: the end of a sentence."""
    state: str | None = None
    """PASS, FAIL or UNDECIDED; OK or ALARM of a training; DONE where no verdict is due; None: it came to no result."""
    sentence: str = ""
    """The verdict in one sentence, or what went wrong."""
    run: str | None = None
    """The run directory."""
    exit_code: int = 0
    """What it adds to the exit code of the whole."""
    files: tuple[str, ...] = ()
    """Reports that were written, or are there already."""
    accepted: bool = False
    """It is UNDECIDED, and the project file says that this counts as fine."""
    model: str | None = None
    """The tuned model that a training made, as `check` takes it."""


WORST_FIRST = (1, 2, 3, 0)
"""Exit codes: a FAIL is worse than a step that could not be done, which is worse than an UNDECIDED."""


def worst(*codes: int) -> int:
    """The worst of some exit codes, one that is no verdict before all others; 0 for none."""
    strange = [code for code in codes if code not in WORST_FIRST]
    return max(strange) if strange else next((code for code in WORST_FIRST if code in codes), 0)


@dataclass(frozen=True, slots=True)
class ProjectOutcome:
    """What a walk through the steps of a project came to."""

    project: str
    """The project file."""
    steps: tuple[StepOutcome, ...]
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """The worst of the steps; 0 for a dry run, which has no verdict."""
        return 0 if self.dry_run else worst(*(step.exit_code for step in self.steps))
