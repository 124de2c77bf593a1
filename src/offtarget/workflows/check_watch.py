"""Who is told while a check runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from offtarget.audit.scan import OnProgress as OnScan
    from offtarget.workflows.answers import OnAnswers
    from offtarget.workflows.check_loop import OnProgress
    from offtarget.workflows.cued_loop import OnCued
    from offtarget.workflows.cued_plan import OnHunt


@dataclass(frozen=True, slots=True)
class Watch:
    """Callbacks; each may be left out."""

    on_progress: OnProgress | None = None
    on_answers: OnAnswers | None = None
    on_scan: OnScan | None = None
    """While the training data is read."""
    on_hunt: OnHunt | None = None
    on_cued: OnCued | None = None
