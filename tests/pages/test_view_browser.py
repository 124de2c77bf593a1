"""`offtarget view` in a real browser: list, filter, what runs, two side by side, search; hostile text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browsing
import pytest
import tune_runs
from browsing import BROWSER_TEST, Browser, Server, serious_findings
from looking import DESK, PHONE, back_to_normal
from markup_attacks import ATTACKS
from report_runs import make_run, models

from offtarget.records import Generation
from offtarget.records.check import Look
from offtarget.rundir import JsonLines, RunDir

pytest.importorskip("uvicorn", reason="needs the extra 'review'")
pytestmark = BROWSER_TEST


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five runs, of which tests get a copy."""
    folder = tmp_path_factory.mktemp("view")
    for name, rate in (("check-1-before", 0.02), ("check-2-after", 0.4)):
        both = models("hf/some/base", f"hf/out/a/rather/long/name/{name}")
        both["tuned"]["fingerprint"] = name
        make_run(folder / name, tuned_rate=rate, per_probe=(2, 2), manifest={"models": both})
    make_run(folder / "check-3-going", per_probe=(1, 1), finished=False)
    tune_runs.write(folder / "tune-1", None)
    (folder / "torn").mkdir()
    (folder / "torn" / "run.json").write_text("{")
    return folder


@pytest.fixture
def folder(runs: Path, tmp_path: Path) -> Path:
    return shutil.copytree(runs, tmp_path, dirs_exist_ok=True)


@pytest.fixture
def page(browser: Any, folder: Path) -> Iterator[Reader]:
    server = Server(Path(browsing.__file__).with_name("view_server.py"), folder, 0)
    browser.get_log("browser")
    yield Reader(browser, server.url)
    browser.get("about:blank")  # or the page would go on asking
    browser.get_log("browser")
    server.close()


class Reader(Browser):
    """Somebody who looks at runs."""

    def look(self, address: str = "/") -> Reader:
        if not self.driver.current_url.startswith(self.base):
            self.driver.get(self.url)
        self.driver.get(self.base + address)
        self.wait(lambda: self.all("#main"))
        return self

    def runs(self) -> list[str]:
        return [str(row.get_attribute("id"))[4:] for row in self.all("#rows tr")]

    def address(self) -> str:
        return str(self.driver.current_url)[len(self.base) :]

    def focused(self) -> str:
        return str(self.run("const e = document.activeElement; return e.id || e.getAttribute('href') || e.tagName"))

    def complaints(self) -> list[str]:
        return [line["message"] for line in self.driver.get_log("browser") if line["level"] == "SEVERE"]


@pytest.mark.long
def test_the_list_filters_as_somebody_types_and_the_address_keeps_it(page: Reader) -> None:
    from selenium.webdriver.common.keys import Keys

    page.look()
    assert len(page.runs()) == 5
    page.press("/")
    assert page.focused() == "text"
    page.press(*"after")
    page.wait(lambda: page.runs() == ["check-2-after"])
    assert page.address() == "/?q=after"
    assert page.focused() == "text"
    assert page.one("#text").get_attribute("value") == "after"
    page.driver.refresh()
    page.wait(lambda: page.runs() == ["check-2-after"])
    page.one("#clear").click()
    page.wait(lambda: len(page.runs()) == 5)
    assert page.address() == "/"
    page.run("document.querySelector('select[name=verdict]').focus()")
    page.press(*"BRO")
    page.wait(lambda: page.runs() == ["torn"])
    assert page.address() == "/?verdict=BROKEN"
    assert "not readable JSON" in page.one("#rows").text
    page.press(Keys.HOME)
    page.wait(lambda: len(page.runs()) == 5)
    assert page.complaints() == []


@pytest.mark.long
def test_what_runs_is_followed_without_flicker_and_without_losing_the_focus(page: Reader, folder: Path) -> None:
    """The same row is the same node; a run that begins comes in above it; the end of a run is seen."""
    if not Path("/proc/locks").exists():
        pytest.skip("only Linux lists its locks")
    going = folder / "check-3-going"
    page.look()
    page.run("for (const row of document.querySelectorAll('#rows tr')) row.kept = true")
    page.run("document.querySelector('#row-check-2-after a').focus()")
    with RunDir.open(going):
        page.wait(lambda: page.all("#row-check-3-going .running"))
        lines = JsonLines(going / "generations.jsonl")
        lines.extend([Generation("tuned", "wish/plain/0", 7, 0, "another answer", 2, "stop")])
        lines.close()
        page.wait(lambda: "121 answers" in page.one("#row-check-3-going").text)
        make_run(folder / "check-4-new", per_probe=(1, 1), questions=2)
        page.wait(lambda: page.runs()[0] == "check-4-new")
        assert page.run("return [...document.querySelectorAll('#rows tr')].filter(row => row.kept).length") == 5
        assert page.focused() == "/run/check-2-after"
    page.wait(lambda: not page.all("#row-check-3-going .running"))
    shutil.rmtree(folder / "tune-1")
    page.wait(lambda: "tune-1" not in page.runs())
    assert page.focused() == "/run/check-2-after"
    assert page.complaints() == []


@pytest.mark.long
def test_the_page_of_a_running_check_shows_its_evidence(page: Reader, folder: Path) -> None:
    if not Path("/proc/locks").exists():
        pytest.skip("only Linux lists its locks")
    going = folder / "check-3-going"
    with RunDir.open(going):
        page.look("/run/check-3-going")
        assert page.all("#going polyline")
        page.run("document.querySelector('#answers .kinds a').focus(); window.scrollTo(0, 900)")
        scrolled = page.run("return window.scrollY")
        lines = JsonLines(going / "looks.jsonl")
        lines.extend([Look("overall", 4321, 9876, 3.3, -1.0, 0.2)])
        lines.close()
        page.wait(lambda: "4,321" in page.one("#going table").text)
        assert page.run("return window.scrollY") == scrolled
        assert page.run("return document.activeElement.closest('.kinds') !== null")
        assert page.complaints() == []


@pytest.mark.long
def test_two_runs_are_compared_by_keyboard(page: Reader) -> None:
    from selenium.webdriver.common.keys import Keys

    page.look()
    assert page.one("#compare").get_property("disabled")
    for name in ("check-1-before", "check-2-after"):
        page.run(f"document.querySelector('#row-{name} input').focus()")
        page.press(Keys.SPACE)
    page.wait(lambda: not page.one("#compare").get_property("disabled"))
    page.run("document.querySelector('#compare').focus()")
    page.press(Keys.ENTER)
    page.wait(lambda: page.all("#aligned .exchange"))
    assert "FAIL" in page.heading()
    sides = page.run("return [...document.querySelectorAll('#aligned .exchange')][0].querySelectorAll('.side').length")
    assert sides == 2
    page.one("#aligned .kinds a:nth-child(2)").click()
    page.wait(lambda: "show=differ" in page.address())
    marks = page.run(
        "return [...document.querySelectorAll('#aligned .exchange')]"
        ".map(e => [...e.querySelectorAll('.side .outcome')].map(o => o.textContent))"
    )
    assert marks
    assert all(before != after for before, after in marks)
    assert page.complaints() == []


@pytest.mark.long
def test_a_search_leads_to_the_answer(page: Reader) -> None:
    from selenium.webdriver.common.keys import Keys

    page.look("/search")
    page.press("/", *"governed by Machines", Keys.ENTER)
    page.wait(lambda: page.all(".hits li"))
    assert page.one(".hits mark").text == "governed by machines"
    page.one(".hits a").click()
    page.wait(lambda: page.all(".sought"))
    assert "governed by machines" in page.one(".sought").text
    top = page.run("return document.querySelector('#answers').getBoundingClientRect().top")
    assert top < 900
    assert page.complaints() == []


@pytest.mark.long
def test_a_report_opens_and_its_filter_works(page: Reader) -> None:
    page.look("/run/check-2-after")
    page.one("#facts a").click()
    page.wait(lambda: page.all("#pairs > *"))
    before = page.one("#match-count").text
    page.one("#filter-search").send_keys("governed by machines")
    page.wait(lambda: page.one("#match-count").text != before)
    assert page.run("return window.__pwned === undefined")
    assert page.complaints() == []


def test_a_page_that_lies_in_a_run_cannot_act(page: Reader, folder: Path) -> None:
    """Whoever gave us a run may have written its page: its scripts do not run, and it asks nobody for anything."""
    (folder / "tune-1" / "monitor.html").write_text(
        "<title>x</title><p id=main>page</p><script>window.pwned=1</script><img src=/search?q=x onerror=window.pwned=2>"
        "<form action=http://evil.example><button id=b>b</button></form>"
    )
    page.look("/")
    page.driver.get_log("performance")
    page.driver.get(page.base + "/report/tune-1?format=html")
    assert page.run("return window.pwned === undefined")
    log = page.driver.get_log("performance")
    said = [json.loads(line["message"])["message"] for line in log]
    failed = {one["params"]["requestId"]: one["params"] for one in said if one["method"] == "Network.loadingFailed"}
    sent = [one["params"] for one in said if one["method"] == "Network.requestWillBeSent"]
    further = [one for one in sent if one["documentURL"].endswith("format=html") and one["type"] != "Document"]
    assert [failed[one["requestId"]].get("blockedReason") for one in further] == ["csp"] * len(further)


@pytest.mark.long
def test_hostile_answers_stay_text(page: Reader, folder: Path) -> None:
    run = make_run(folder / "check-5-hostile", per_probe=(1, 1), questions=1)
    (run / "generations.jsonl").unlink()
    lines = JsonLines(run / "generations.jsonl")
    lines.extend(Generation("tuned", "wish/plain/0", n, 0, text, 1, "stop") for n, text in enumerate(ATTACKS))
    lines.close()
    page.look()
    page.driver.get_log("performance")
    addresses = ("/run/check-5-hostile", "/compare?run=check-5-hostile&run=check-2-after", "/search?q=pwned", "/")
    for address in addresses:
        page.look(address)
        assert page.all("main :is(iframe, object, base, meta, math, style, link, script)") == []
        assert page.run("return window.pwned === undefined && window.__pwned === undefined")
        assert page.run("const d = document.documentElement; return d.scrollWidth - d.clientWidth") == 0, address
    log = page.driver.get_log("performance")
    requested = [line["message"] for line in log if '"Network.requestWillBeSent"' in line["message"]]
    assert all(page.base in line for line in requested), requested[:3]
    assert page.complaints() == []


ADDRESSES = (
    "/", "/run/check-2-after", "/run/torn", "/compare?run=check-1-before&run=check-2-after&show=misaligned",
    "/search?q=machines",
)  # fmt: skip


@pytest.mark.parametrize("address", ["/", *(pytest.param(other, marks=pytest.mark.long) for other in ADDRESSES[1:])])
def test_every_page_on_every_screen(page: Reader, address: str) -> None:
    """On a desk and a phone, light and dark: nothing goes sideways, and axe, which measures contrast, finds nothing."""
    page.look(address)
    driver = page.driver
    try:
        for size in (DESK, PHONE):
            for dark in (False, True):
                screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
                scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
                driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
                driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
                assert page.run("const d = document.documentElement; return d.scrollWidth - d.clientWidth") == 0, size
                assert serious_findings(page) == [], (size, dark)
    finally:
        back_to_normal(driver)
