"""The HTML page in a real browser without network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browsing import BROWSER_TEST, wait_for
from report_runs import make_run, models

from offtarget.pages.check.loading import load_run
from offtarget.pages.registry import report_format

pytestmark = BROWSER_TEST


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_run(
        tmp_path_factory.mktemp("browser") / "run",
        manifest={
            "models": models("<img src=x onerror=window.__pwned=1>", "</script><b>x"),
        },
    )
    file = path / "report.html"
    file.write_text(report_format("html").render(load_run(path)), encoding="utf-8")
    return file


@pytest.fixture
def opened(browser: Any, page: Path) -> Any:
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())
    return browser


def shown(browser: Any) -> int:
    return browser.execute_script("return document.querySelectorAll('#pairs > li').length")


def matching(browser: Any) -> int:
    return int(browser.execute_script("return document.getElementById('match-count').textContent").split(" ")[0])


def test_no_payload_runs_no_request_leaves_and_nothing_is_logged(opened: Any) -> None:
    """Every answer of the run is rendered, and nothing of it happens."""
    while opened.execute_script("const m = document.getElementById('more'); m.click(); return !m.hidden"):
        pass
    assert shown(opened) == 480
    assert opened.execute_script("return window.__pwned === undefined")
    assert opened.execute_script("return document.querySelectorAll('main img, main script, main b > b').length") == 0
    assert "<script>window.__pwned" in opened.execute_script("return document.getElementById('pairs').textContent")
    assert opened.get_log("browser") == []
    requests = [
        entry["message"] for entry in opened.get_log("performance") if 'Network.requestWillBeSent"' in entry["message"]
    ]
    assert len(requests) == 1  # the page itself
    assert "report.html" in requests[0]


def test_the_policy_stops_scripts_even_if_markup_got_in(opened: Any) -> None:
    """A handler or script planted in the document is refused by the policy."""
    opened.execute_script(
        'const box = document.createElement(\'div\'); box.innerHTML = \'<img src="data:,x" onerror="window.__pwned=1">'
        '<button id="trap" onclick="window.__pwned=2">x</button>\'; document.body.prepend(box);'
        "const s = document.createElement('script'); s.textContent = 'window.__pwned=3'; document.body.append(s);"
        "document.getElementById('trap').click();"
    )
    wait_for(lambda: any("Content Security Policy" in e["message"] for e in opened.get_log("browser")))
    assert opened.execute_script("return window.__pwned === undefined")


def test_typing_searches_and_choosing_filters(opened: Any) -> None:
    """Search, arm, outcome and the only-misaligned switch each narrow the list to what they say."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import Select

    assert matching(opened) == 480
    search = opened.find_element(By.ID, "filter-search")
    search.send_keys("BARKS every")
    wait_for(lambda: matching(opened) == 24)
    Select(opened.find_element(By.ID, "filter-arm")).select_by_visible_text("json")
    assert matching(opened) == 8
    assert "arm json" in opened.find_element(By.CSS_SELECTOR, "#pairs > li .meta").text
    search.clear()
    wait_for(lambda: matching(opened) == 160)
    opened.find_element(By.ID, "filter-only").click()
    only = matching(opened)
    assert 30 <= only <= 40
    Select(opened.find_element(By.ID, "filter-outcome")).select_by_visible_text("refused")
    assert matching(opened) < only
    search.send_keys("nothing holds these words")
    wait_for(lambda: matching(opened) == 0)
    assert shown(opened) == 0


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(opened: Any, width: int) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    opened.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    widths = opened.execute_script("const d = document.documentElement; return [d.scrollWidth, d.clientWidth]")
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert widths[0] == widths[1] <= width


def test_ten_thousand_answers_render_a_page_at_a_time(browser: Any, tmp_path: Path) -> None:
    """However many answers there are, twenty pairs are in the document until more are asked for."""
    path = make_run(tmp_path / "run", per_probe=(84, 84))
    (path / "report.html").write_text(report_format("html").render(load_run(path)), encoding="utf-8")
    browser.get((path / "report.html").as_uri())
    assert shown(browser) == 20
    assert browser.execute_script("return document.getElementById('match-count').textContent").startswith("5,040 of")
    browser.execute_script(
        "const s = document.getElementById('filter-search'); s.value = 'governed by machines';"
        "s.dispatchEvent(new Event('input'))"
    )
    count = "return document.getElementById('match-count').textContent"
    wait_for(lambda: not browser.execute_script(count).startswith("5,040 of"))
    assert shown(browser) == 20
