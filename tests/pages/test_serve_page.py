"""The page of a bundle of evidence in a browser: seen at once, on a desk and a phone, and no script is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from browsing import BROWSER_TEST, give_back, headless
from looking import assert_seen_at_once
from monitored import a_monitor, begun, fed, settings, traffic

import offtarget
from offtarget.workflows.serve.evidence import Bundles

pytestmark = BROWSER_TEST


@pytest.mark.long
def test_the_verdict_and_what_was_flagged_are_seen_at_once(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    store = begun(chosen)
    bundles = Bundles(lambda: chosen, store, {}, {"assistant": "scripted"}, tmp_path / "runs")
    monitor = a_monitor(chosen, store, bundle=bundles.of)
    fed(monitor, traffic(800, 0.3, 0.01))
    monitor.close()
    (run,) = (tmp_path / "runs").iterdir()
    driver = headless()
    try:
        assert_seen_at_once(driver, Path(offtarget.report(run, "html")))
    finally:
        give_back(driver)
