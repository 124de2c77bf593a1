"""The audit's page in a real browser without network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from audit_runs import PAYLOAD, STATES, make_audit
from browsing import BROWSER_TEST, wait_for

from offtarget.pages.registry import rendered

pytestmark = BROWSER_TEST


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page per state, with hostile rows and a hostile name."""
    folder = tmp_path_factory.mktemp("browser")
    found = {}
    for state in STATES:
        path = make_audit(folder / state, state, manifest={"name": PAYLOAD})
        found[state] = path / "report.html"
        found[state].write_text(rendered(path, "html"), encoding="utf-8")
    return found


def open_details(browser: Any) -> None:
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")


@pytest.mark.parametrize("state", STATES)
def test_no_payload_runs_no_request_leaves_and_nothing_is_logged(
    browser: Any, pages: dict[str, Path], state: str
) -> None:
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(pages[state].as_uri())
    open_details(browser)
    assert browser.execute_script("return window.__pwned === undefined")
    foreign = "return document.querySelectorAll('img, script, main [onload], main a:not([href=\"#words\"])').length"
    assert browser.execute_script(foreign) == 0
    assert browser.get_log("browser") == []
    requests = [
        entry["message"] for entry in browser.get_log("performance") if 'Network.requestWillBeSent"' in entry["message"]
    ]
    assert len(requests) == 1  # the page itself


def test_the_policy_stops_scripts_even_if_markup_got_in(browser: Any, pages: dict[str, Path]) -> None:
    browser.get_log("browser")
    browser.get(pages["fresh"].as_uri())
    browser.execute_script(
        'const box = document.createElement(\'div\'); box.innerHTML = \'<img src="data:,x" onerror="window.__pwned=1">'
        '<button id="trap" onclick="window.__pwned=2">x</button>\'; document.body.prepend(box);'
        "const s = document.createElement('script'); s.textContent = 'window.__pwned=3'; document.body.append(s);"
        "document.getElementById('trap').click();"
    )
    wait_for(lambda: any("Content Security Policy" in e["message"] for e in browser.get_log("browser")))
    assert browser.execute_script("return window.__pwned === undefined")


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
@pytest.mark.parametrize("state", STATES)
def test_the_page_never_scrolls_sideways(browser: Any, pages: dict[str, Path], state: str, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(pages[state].as_uri())
    open_details(browser)
    widths = browser.execute_script("const d = document.documentElement; return [d.scrollWidth, d.clientWidth]")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert widths[0] == widths[1] <= width


@pytest.mark.long
def test_text_stands_out_from_its_background_in_both_schemes(browser: Any, pages: dict[str, Path]) -> None:
    """Every text has the contrast of WCAG 2.2 AA (4.5 to 1), light and dark."""
    script = """
    function rgb(c) { return (c.match(/[\\d.]+/g) || []).map(Number); }
    function light(c) { const [r, g, b] = c.map(v => { v /= 255;
      return v <= 0.03928 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4); }); return .2126*r + .7152*g + .0722*b; }
    function ground(e) { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c.slice(0, 3); } return [255, 255, 255]; }
    const found = [];
    for (const e of document.querySelectorAll('main *')) {
      if (e.closest('svg') || ![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
      const a = light(rgb(getComputedStyle(e).color).slice(0, 3)), b = light(ground(e));
      const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
      if (ratio < 4.5) found.push([e.className, e.textContent.slice(0, 30), ratio]);
    }
    return found;"""
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        for state in STATES:
            browser.get(pages[state].as_uri())
            open_details(browser)
            assert browser.execute_script(script) == []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
