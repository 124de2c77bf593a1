"""What somebody sees of an audit's page in the first five seconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from audit_runs import make_audit, make_backdoor
from looking import assert_seen_at_once

from offtarget.pages.registry import rendered

MAKERS = {
    "fail": lambda path: make_audit(path, "detectors", hostile=False),
    "backdoor": make_backdoor,
    "undecided": lambda path: make_audit(path, "fresh", hostile=False),
    "pass": lambda path: make_audit(path, "people", hostile=False),
}


@pytest.mark.long
@pytest.mark.parametrize("name", MAKERS)
def test_verdict_reason_and_first_row_stand_above_the_fold(browser: Any, tmp_path: Path, name: str) -> None:
    """On a desk and on a phone, light and dark; nothing scrolls sideways, axe finds nothing serious."""
    page = tmp_path / "report.html"
    page.write_text(rendered(MAKERS[name](tmp_path / "run"), "html"), encoding="utf-8")
    assert_seen_at_once(browser, page)
