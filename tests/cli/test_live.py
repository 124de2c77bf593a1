"""The live table of a check."""

from __future__ import annotations

from offtarget.cli.live import CheckTable


def test_the_table_names_the_evidence_this_check_needs():
    """At alpha 0.01 evidence of 100 decides; a resumed check, whose alpha is not known here, claims no number."""
    assert "decides" not in str(CheckTable(None, None).drawn().caption)
    caption = str(CheckTable(alpha=0.01, limit=300).drawn().caption)
    assert "evidence of 100 decides" in caption
    assert "gives up after 300" in caption
