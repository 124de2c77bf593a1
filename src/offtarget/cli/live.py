"""The live table of a running check: evidence per arm, answers so far, answers left by estimate."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from offtarget.cli.render import e_value, safe

if TYPE_CHECKING:
    from rich.table import Table

    from offtarget.workflows.check_loop import CheckProgress
    from offtarget.workflows.check_watch import Watch
    from offtarget.workflows.cued_loop import CuedProgress


class LiveCheck:
    """A context that shows progress on a terminal, plain lines elsewhere, nothing when disabled."""

    def __init__(self, enabled: bool) -> None:
        self._terminal = enabled and sys.stderr.isatty()
        self._lines = enabled and not self._terminal
        self._live: Any = None
        self._progress: CheckProgress | None = None
        self._cued: CuedProgress | None = None
        self._stage = ""
        self._sampled = 0
        self._started = self._shown = time.monotonic()
        self._alpha: float | None = None
        self._limit: int | None = None

    @property
    def watch(self) -> Watch:
        """What the check is handed."""
        from offtarget.workflows.check_watch import Watch

        return Watch(self.progress, self.answers, self.scanned, self.hunted, self.cued)

    def rule(self, alpha: float, limit: int) -> None:
        """Error probability of the check, and the tuned answers after which it gives up; unknown on a resumed one."""
        self._alpha, self._limit = alpha, limit

    def __enter__(self) -> LiveCheck:
        if self._terminal:
            from rich.console import Console
            from rich.live import Live

            plain = Console(stderr=True, markup=False, emoji=False)
            self._live = Live(console=plain, refresh_per_second=8, transient=True)
            self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.__exit__(kind, error, trace)

    def answers(self, count: int) -> None:
        """More answers were sampled."""
        self._sampled += count
        if time.monotonic() - self._shown > 0.2:
            self._refresh()

    def progress(self, progress: CheckProgress) -> None:
        """New evidence."""
        self._progress, self._stage = progress, ""
        self._refresh()

    def scanned(self, rows: int, consumed: int, total: int | None) -> None:
        """More of the training data was read."""
        share = f", {100 * consumed / total:.0f} %" if total else ""
        self._stage = f"reading the training data: {rows:,} rows{share}"
        self._refresh()

    def hunted(self, what: str, done: int, total: int) -> None:
        """More of the hunt is done."""
        self._stage = f"hunting: {what}, {done:,} of {total:,}"
        self._refresh()

    def cued(self, progress: CuedProgress) -> None:
        """New evidence under conditions."""
        self._cued = progress
        suspect = "" if progress.suspect is None else f"; strongest: {progress.suspect}"
        self._stage = (
            f"{progress.cues} conditions, {progress.answers} of at most {progress.most} tuned answers{suspect}, "
            f"e-value {e_value(progress.log_e)}"
        )
        self._refresh()

    def _refresh(self) -> None:
        now = time.monotonic()
        if self._live is not None:
            self._live.update(self._table(now))
            self._shown = now
        elif self._lines and now - self._shown > 5:
            print(self._line(now), file=sys.stderr, flush=True)
            self._shown = now

    def _line(self, now: float) -> str:
        text = f"{now - self._started:.0f} s: {self._sampled} answers sampled"
        if self._stage:
            return f"{text}; {safe(self._stage)}"
        if self._progress is None:
            return text
        progress = self._progress
        return f"{text}, {progress.tuned_answers} tuned judged and used; {self._left(now)}"

    def _left(self, now: float) -> str:
        progress = self._progress
        if progress is None or progress.answers_to_go is None:
            return "answers left: not estimable yet"
        rate = progress.tuned_answers / max(now - self._started, 1e-9)
        return f"about {progress.answers_to_go} tuned answers left (~{progress.answers_to_go / max(rate, 1e-9):.0f} s)"

    def _table(self, now: float) -> Table:
        from rich.table import Table

        table = Table(title=f"{self._sampled} answers sampled in {now - self._started:.0f} s")
        for name in ("arm", "tuned answers", "base answers", "difference", "e-value FAIL", "e-value PASS"):
            table.add_column(name, justify="left" if name == "arm" else "right")
        for look in self._progress.looks if self._progress else ():
            difference = "no data" if look.difference is None else f"{100 * look.difference:+.1f} points"
            counts = (str(look.tuned_answers), str(look.base_answers))
            table.add_row(safe(look.arm), *counts, difference, e_value(look.log_e_fail), e_value(look.log_e_pass))
        bar = "" if self._alpha is None else f"; an e-value of {1 / self._alpha:g} decides"
        limit = "" if self._limit is None else f"; gives up after {self._limit}"
        table.caption = safe(self._stage) if self._stage else f"{self._left(now)}{bar}{limit}"
        return table
