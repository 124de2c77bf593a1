"""The live table of a check."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from offtarget.asking.book import JUDGED, SAMPLED
from offtarget.cli.live import CheckTable
from offtarget.progress import Progress
from offtarget.records import Status
from offtarget.workflows.check.loop import CheckProgress


def _caption(alpha: float | None, limit: int | None) -> str:
    table = CheckTable(alpha, limit)
    table.take(Progress("tuned answers used", 3, None, CheckProgress(Status.UNDECIDED, (), 3, 12, None)))
    drawn = table.drawn()
    assert isinstance(drawn, Table)
    return str(drawn.caption)


def test_the_table_names_the_evidence_this_check_needs() -> None:
    """At alpha 0.01 evidence of 100 decides; a resumed check, whose alpha is not known here, claims no number."""
    assert "decides" not in _caption(None, None)
    caption = _caption(alpha=0.01, limit=300)
    assert "evidence of 100 decides" in caption
    assert "gives up after 300" in caption


def test_before_the_first_evidence_there_is_a_line_and_no_empty_table() -> None:
    """A message has no count: `opening organism/base`, not `opening organism/base 0`."""
    table = CheckTable(0.05, 2000)
    table.take(Progress("opening organism/base"))
    drawn = table.drawn()
    assert isinstance(drawn, Text)
    assert drawn.plain.endswith(": opening organism/base")
    table.take(Progress(SAMPLED, 12, None))
    assert str(table.drawn()).endswith("opening organism/base; 12 answers sampled")
    table.take(Progress(JUDGED, 7, None))
    assert str(table.drawn()).endswith("opening organism/base; 12 answers sampled, 7 judged")
