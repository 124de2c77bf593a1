"""The page of a red-team run in a real browser: seen at once, readable in print, and deaf to what the models said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import redteam_runs as runs
from browsing import BROWSER_TEST
from looking import assert_seen_at_once
from markup_attacks import ATTACKS

from offtarget.redteam.goals import load_goals

pytestmark = BROWSER_TEST
_CONTRAST = """
const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number);
  return c.startsWith('color') ? m.map(v => v * 255) : m; };
const light = (rgb) => { const [r, g, b] = rgb.slice(0, 3).map(v => { v /= 255; return v <= .03928 ? v / 12.92 :
  Math.pow((v + .055) / 1.055, 2.4); }); return .2126 * r + .7152 * g + .0722 * b; };
return [...document.querySelectorAll('.heat .half')].map(half => {
  const s = getComputedStyle(half), a = light(parse(s.color)), b = light(parse(s.backgroundColor));
  return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); });
"""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.long) if name in ("fail", "pass") else name for name in runs.OUTCOMES],
)
def test_an_outcome_is_understood_at_once(browser: Any, tmp_path: Path, name: str) -> None:
    """Verdict, reason and a transcript without scrolling; nothing scrolls sideways; axe finds nothing serious."""
    made = runs.OUTCOMES[name](tmp_path / "run")
    assert_seen_at_once(browser, Path(made.report()), axe=name in ("fail", "pass"))


def test_a_map_of_all_moves_and_goals_fits_and_can_be_read(browser: Any, tmp_path: Path) -> None:
    """All moves at the eight goals stand side by side on a desk; numbers stand out from every shade."""
    made = runs.make(tmp_path / "run", goals=load_goals("general"), moves=(), budget=300)
    browser.get(Path(made.report()).as_uri())
    assert (
        browser.execute_script("const m = document.querySelector('.heat'); return m.scrollWidth - m.clientWidth") == 0
    )
    contrasts = browser.execute_script(_CONTRAST)
    assert len(contrasts) > 100
    assert min(contrasts) >= 4.5


@pytest.mark.long
def test_what_models_said_is_text_and_nothing_else(browser: Any, tmp_path: Path) -> None:
    """No script of theirs runs, no address is asked, nothing is logged: answers, questions, names of models."""
    for number, evil in enumerate(text for text in ATTACKS if len(text) < 1000 and "\ud800" not in text):
        asked: dict[runs.Category, tuple[str, ...]] = {"harm": (f"{evil} 1", f"{evil} 2")}
        folder = tmp_path / str(number)
        made = runs.make(folder, (runs.always(0.9),), bad=f"{evil} bad", good=f"{evil} good", asked=asked, name=evil)
        file = Path(made.report())
        browser.get_log("browser")
        browser.get_log("performance")
        browser.get(file.as_uri())
        browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        assert browser.execute_script("return window.pwned === undefined")
        assert (
            browser.execute_script("return document.querySelectorAll('main img, main script, main iframe').length") == 0
        )
        assert browser.get_log("browser") == []
        sent = [e["message"] for e in browser.get_log("performance") if 'Network.requestWillBeSent"' in e["message"]]
        assert len(sent) == 1  # the page itself
        assert browser.execute_script("return getComputedStyle(document.body).display") != "none"
