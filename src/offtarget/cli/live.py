"""The live table of a running check: evidence per arm, answers so far, answers left by estimate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from offtarget.asking.book import JUDGED, SAMPLED
from offtarget.cli.progress import counted, lively, shown
from offtarget.cli.render import safe
from offtarget.numbers import duration, e_value, needed_e_value, points
from offtarget.progress import OnProgress, Progress
from offtarget.stats.sequential import OVERALL
from offtarget.words import NOT_WORSE, WORSE, asked
from offtarget.workflows.check.cued_loop import CuedProgress
from offtarget.workflows.check.loop import CheckProgress

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text


@contextmanager
def live_check(*, enabled: bool, alpha: float | None = None, limit: int | None = None) -> Iterator[OnProgress]:
    """A table on a terminal, plain lines elsewhere, nothing when disabled.

    `alpha` is the error probability of the check, `limit` the tuned answers after which it gives up; not known of a
    resumed one.
    """
    if not (enabled and lively()):
        with shown(enabled=enabled, beside=beside) as on_progress:
            yield on_progress
        return
    from rich.console import Console
    from rich.live import Live

    table = CheckTable(alpha, limit)
    plain = Console(stderr=True, markup=False, emoji=False)
    with Live(console=plain, refresh_per_second=8, transient=True, get_renderable=table.drawn):
        yield table.take


def beside(detail: object) -> str:
    """What a line says of the evidence under conditions."""
    if not isinstance(detail, CuedProgress):
        return ""
    suspect = "" if detail.suspect is None else f"most suspicious: {detail.suspect}, "
    return f"{suspect}{WORSE} {e_value(detail.log_e)}"


class CheckTable:
    """Keeps the last that was told, and draws it."""

    def __init__(self, alpha: float | None, limit: int | None) -> None:
        self._alpha, self._limit = alpha, limit
        self._started = time.monotonic()
        self._sampled, self._judged, self._stage = 0, 0, ""
        self._evidence: CheckProgress | None = None

    def take(self, progress: Progress) -> None:
        """Something new."""
        if progress.stage == SAMPLED:
            self._sampled = progress.done
        elif progress.stage == JUDGED:
            self._judged = progress.done
        elif isinstance(progress.detail, CheckProgress):
            self._evidence, self._stage = progress.detail, ""
        else:
            said = counted(progress) if progress.total != 0 else progress.stage  # a message has no count
            self._stage = "; ".join(filter(None, [said, beside(progress.detail)]))

    def drawn(self) -> Table | Text:
        """The table as it is now; before there is any evidence, a line."""
        from rich.table import Table
        from rich.text import Text

        seconds = time.monotonic() - self._started
        if self._evidence is None:
            sampled = self._asked if self._sampled else ""
            return Text(safe(f"{duration(seconds)}: {'; '.join(filter(None, [self._stage, sampled])) or 'working'}"))
        table = Table(title=f"{self._asked} in {duration(seconds)}")
        for name in ("", "tuned answers", "base answers", "difference", WORSE, NOT_WORSE):
            table.add_column(name, justify="right" if name else "left")
        for look in self._evidence.looks:
            counts = f"{look.tuned_answers:,}", f"{look.base_answers:,}"
            evidence = e_value(look.log_e_fail), e_value(look.log_e_pass)
            name = "on average" if look.arm == OVERALL else asked(look.arm)
            table.add_row(safe(name), *counts, points(look.difference), *evidence)
        spent = self._evidence.alpha or self._alpha
        bar = "" if spent is None else f"; evidence of {needed_e_value(spent)} decides"
        limit = "" if self._limit is None else f"; gives up after {self._limit:,}"
        table.caption = safe(self._stage) if self._stage else f"{self._left(seconds)}{bar}{limit}"
        return table

    @property
    def _asked(self) -> str:
        """`120 answers sampled, 80 judged`: the second where the judge is waited for."""
        return f"{self._sampled:,} answers sampled" + (f", {self._judged:,} judged" if self._judged else "")

    def _left(self, seconds: float) -> str:
        evidence = self._evidence
        if evidence is None or evidence.answers_to_go is None:
            return "how many answers are left cannot be said yet"
        rate = max(evidence.tuned_answers / max(seconds, 1e-9), 1e-9)
        return f"about {evidence.answers_to_go:,} tuned answers and {duration(evidence.answers_to_go / rate)} left"
