"""Pages about runs as they are seen in the first five seconds: what changed, candidates together, an unfinished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tune_runs
from browsing import BROWSER_TEST
from looking import assert_seen_at_once
from report_runs import make_run, models

from offtarget.pages.runs.diff import card, render
from offtarget.pages.runs.together import render as together_page
from offtarget.workflows.check.candidates import together
from offtarget.workflows.runs.diff import diff_runs
from offtarget.workflows.runs.report import report
from offtarget.workflows.runs.verbs import TUNE

pytestmark = BROWSER_TEST


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OFFTARGET_RUNS", str(tmp_path))
    for name, rate in (("before", 0.02), ("after", 0.4)):
        both = models("hf/<img src=x onerror=window.__pwned=1>", f"hf/a/rather/long/name/of/a/candidate/{name}")
        both["tuned"]["fingerprint"] = name
        make_run(tmp_path / name, tuned_rate=rate, per_probe=(2, 2), manifest={"models": both})
    return tmp_path


@pytest.mark.long
def test_what_changed_is_seen_at_once(two: Path, browser: Any) -> None:
    found = diff_runs("before", "after")
    assert card(found).telling
    page = two / "diff.html"
    page.write_text(render(found), encoding="utf-8")
    assert_seen_at_once(browser, page)
    assert browser.execute_script("return window.__pwned === undefined")


@pytest.mark.long
def test_candidates_are_seen_at_once(two: Path, browser: Any) -> None:
    page = two / "together.html"
    page.write_text(together_page(together("after")), encoding="utf-8")
    assert_seen_at_once(browser, page, transcript=False)
    assert browser.execute_script("return window.__pwned === undefined")


@pytest.mark.long
def test_an_unfinished_run_is_seen_at_once(two: Path, browser: Any) -> None:
    tune_runs.write(two / "tuning", None)
    (two / "tuning" / str(TUNE.page)).unlink()
    page = report("tuning", "html")
    assert_seen_at_once(browser, Path(page), transcript=False)
