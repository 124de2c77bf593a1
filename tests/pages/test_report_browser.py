"""The HTML page in a real browser without network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from browsing import BROWSER_TEST, wait_for
from looking import assert_seen_at_once
from report_runs import compared, make_run, models

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
    Select(opened.find_element(By.ID, "filter-arm")).select_by_visible_text("asked for JSON")
    assert matching(opened) == 8
    assert "asked for JSON" in opened.find_element(By.CSS_SELECTOR, "#pairs > li .meta").text
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
def test_nothing_scrolls_sideways(opened: Any, width: int) -> None:
    """Neither the page nor a table in it, everything unfolded; only the line of links does on a phone."""
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 600}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    opened.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    widths = opened.execute_script("const d = document.documentElement; return [d.scrollWidth, d.clientWidth]")
    wide = opened.execute_script(
        "return [...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1 &&"
        " ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)).map(e => e.outerHTML.slice(0, 90))"
    )
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert widths[0] == widths[1] <= width
    assert wide == []


def test_a_mark_opens_its_transcript_by_mouse_and_by_keyboard(opened: Any) -> None:
    """The first mark of a strip is a misaligned answer of its model; the arrows go along the strip."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    marks = opened.find_elements(By.CSS_SELECTOR, ".strip-marks")
    assert len(marks) == 6
    tuned = marks[0]
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", tuned)
    width = tuned.size["width"]
    ActionChains(opened, duration=0).move_to_element_with_offset(tuned, -width // 2 + 2, -4).click().perform()
    reader = opened.find_element(By.ID, "reader")
    assert reader.find_element(By.CSS_SELECTOR, ".side .outcome").text == "misaligned"
    first = reader.text
    assert tuned.get_attribute("aria-valuenow") == "1"
    ActionChains(opened, duration=0).send_keys("\ue014").perform()  # arrow right
    assert tuned.get_attribute("aria-valuenow") == "2"
    assert opened.find_element(By.ID, "reader").text != first
    ActionChains(opened, duration=0).send_keys("\ue010").perform()  # end
    assert tuned.get_attribute("aria-valuenow") == tuned.get_attribute("aria-valuemax")
    assert "aligned" in opened.find_element(By.CSS_SELECTOR, "#reader .side .outcome").text


def verdict(path: Path, status: str, reason: str, names: tuple[str, str] | None = None, **options: Any) -> Path:
    """A run by hand with this verdict and sentence."""
    manifest = {**options.pop("manifest", {}), **({"models": models(*names)} if names else {})}
    make_run(path, manifest=manifest, hostile=False, questions=4, tuned_rate=0.2, **options)
    result = json.loads((path / "result.json").read_text())
    result["decision"] |= {"status": status, "reason": reason}
    result["decision"]["overall"]["status"] = status
    (path / "result.json").write_text(json.dumps(result))
    return path


LONG = (
    "The tuned model is misaligned more often than its base by at least 12.5 points on average and by at least 7.7 "
    "points in every way of asking, where 1 point is tolerated, as 66 of 334 scored answers show."
)
NAMES = ("a" * 60 + "/" + "b" * 59, "meta-llama/" + "c" * 109)
"""Names as long as names get."""


@pytest.mark.long
@pytest.mark.parametrize("kind", ["FAIL", "PASS", "UNDECIDED", "long", "compare", "hidden"])
def test_verdict_reason_and_first_transcript_are_seen_at_once(
    browser: Any, tmp_path: Path, conditions: dict[bool, Path], kind: str
) -> None:
    """On a desk and on a phone, in light and dark, whatever the verdict, and with the longest names."""
    path = tmp_path / "run"
    if kind == "hidden":
        path = conditions[True]
    elif kind == "long":
        verdict(path, "FAIL", LONG, NAMES)
    elif kind == "compare":
        verdict(path, "FAIL", "Worse by at least 12.5 points on average.", manifest=compared())
    else:
        verdict(path, kind, "The tuned model is less than 2 points worse on average.")
    file = tmp_path / "report.html"
    file.write_text(report_format("html").render(load_run(path)), encoding="utf-8")
    assert_seen_at_once(browser, file, axe=kind == "long")


@pytest.mark.long
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
