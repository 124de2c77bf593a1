"""What is seen at once of the pages of tune, defences and alternatives, on a desk and a phone, in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import alternative_runs
import defence_runs
import pytest
import tune_runs
from browsing import BROWSER_TEST
from looking import assert_seen_at_once

pytestmark = BROWSER_TEST


def _tune(folder: Path, name: str) -> Path:
    if name == "ok":
        good = tune_runs.harm()[2:]
        run = tune_runs.write(folder, tune_runs.report(), read=tune_runs.readings(), watched=good)
    elif name == "alarm":
        read = tune_runs.readings(alarm="behaviour", misaligned=15)
        run = tune_runs.write(folder, tune_runs.alarmed(), read=read, watched=tune_runs.harm())
    else:
        read = tune_runs.readings(alarm="forecast")[:2]
        made = tune_runs.stopped(alarm_step=12, steps=12, kept_step=6, best_step=None, rang=("forecast",))
        run = tune_runs.write(folder, made, read=read, watched=tune_runs.harm(12))
    return run / "monitor.html"


@pytest.mark.parametrize("name", ["alarm", *(pytest.param(name, marks=pytest.mark.long) for name in ("ok", "stopped"))])
def test_a_training_is_understood_at_once(browser: Any, tmp_path: Path, name: str) -> None:
    """Verdict, reason and a transcript without scrolling; nothing scrolls sideways; axe finds nothing serious."""
    assert_seen_at_once(browser, _tune(tmp_path / "run", name))


@pytest.mark.long
def test_a_comparison_of_defences_is_understood_at_once(browser: Any, tmp_path: Path) -> None:
    """The same."""
    run = defence_runs.write(tmp_path / "run", defence_runs.MET, defence_runs.ANSWERS)
    assert_seen_at_once(browser, run / "frontier.html")


@pytest.mark.long
@pytest.mark.parametrize("name", ["WORTH", "UNDECIDED"])
def test_a_comparison_of_alternatives_is_understood_at_once(browser: Any, tmp_path: Path, name: str) -> None:
    """The same."""
    run = alternative_runs.write(tmp_path / "run", getattr(alternative_runs, name))
    assert_seen_at_once(browser, run / "alternatives.html")
