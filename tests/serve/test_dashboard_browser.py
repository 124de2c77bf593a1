"""The dashboard in a real browser: it follows a rollback, its kill switch works, hostile answers stay text."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import BROWSER_TEST, Browser, give_back, headless, serious_findings, with_helpers
from looking import DESK, PHONE, back_to_normal
from markup_attacks import ATTACKS

pytest.importorskip("uvicorn", reason="needs the extra 'review'")
pytestmark = BROWSER_TEST


@pytest.fixture(scope="module")
def driver() -> Iterator[Any]:
    made = headless()
    yield made
    give_back(made)


class Gateway:
    """A dashboard in a process of its own."""

    def __init__(self, folder: Path) -> None:
        script = Path(__file__).with_name("dashboard_server.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(folder), "0"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=with_helpers(),
        )  # fmt: skip
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()

    def say(self, *lines: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.process.stdout.close()


@pytest.fixture
def gateway(driver: Any, tmp_path: Path) -> Iterator[Gateway]:
    made = Gateway(tmp_path)
    yield made
    driver.get("about:blank")  # or the page would go on asking
    driver.get_log("browser")
    made.close()


class Operator(Browser):
    """Somebody who looks at the dashboard."""

    def look(self) -> Operator:
        self.driver.get(self.url)
        self.wait(lambda: self.all("#standing-1"))
        return self

    def status(self) -> str:
        return str(self.run("return document.querySelector('.standing .status').textContent"))

    def reason(self) -> str:
        return str(self.run("return document.querySelector('.reason').textContent"))


def loud(driver: Any) -> list[str]:
    """What the browser complains of, but for the page that asks for the key."""
    return [
        line["message"]
        for line in driver.get_log("browser")
        if line["level"] == "SEVERE" and "401" not in line["message"]
    ]


@pytest.mark.long
def test_it_follows_a_rollback_without_being_touched(driver: Any, gateway: Gateway) -> None:
    page = Operator(driver, gateway.url).look()
    assert page.status() == "NOT TESTED"
    gateway.say("flag", "evidence 1.2")
    page.wait(lambda: page.status() == "UNDECIDED")
    assert "5 % of conversations go to the tuned model" in page.reason().replace("\u00a0", " ")
    assert page.all("#evidence-1 polyline")
    assert "packet of pills" in page.one("#flagged-1").text
    gateway.say("alarm")
    page.wait(lambda: page.status() == "FAIL, rolled back")
    assert page.reason().startswith("All traffic goes to the base")
    assert "12.5" in page.run("return document.querySelector('#announce').textContent")  # a screen reader hears it
    assert page.one("#events-1").text.count("rolled back") >= 1
    assert not page.all("#rollback-1")
    assert loud(driver) == []


def test_the_kill_switch_by_keyboard(driver: Any, gateway: Gateway, tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    gateway.say("evidence 0.5")
    page = Operator(driver, gateway.url).look()
    page.run("document.querySelector('#rollback-1 summary').focus()")
    page.press(Keys.ENTER)
    page.wait(lambda: page.one("#rollback-who-1").is_displayed())
    page.press(Keys.TAB, *"Ada", Keys.TAB, *"rude answers in the logs")
    gateway.say("evidence 0.9")  # the page is loaded again while somebody writes
    polls = page.run("return performance.getEntriesByType('resource').length")
    page.wait(lambda: page.run("return performance.getEntriesByType('resource').length") >= polls + 2)
    assert page.one("#rollback-why-1").get_attribute("value") == "rude answers in the logs"
    page.press(Keys.ENTER)
    page.wait(lambda: page.all("#said"))
    assert "rolled back" in page.one("#said").text
    assert page.status() == "ROLLED BACK"
    assert "rude answers in the logs" in page.one("#events-1").text
    assert "Ada" in page.one("#events-1").text

    page.one("#resume-1 summary").click()
    assert page.one("#resume-who-1").get_attribute("value") == "Ada"
    page.one("#resume-why-1").send_keys("mended")
    page.one("#resume-1 button").click()
    page.wait(lambda: page.all("#said") and "trial 2" in page.one("#said").text)
    assert loud(driver) == []


@pytest.mark.long
def test_refused_orders_say_why(driver: Any, gateway: Gateway) -> None:
    page = Operator(driver, gateway.url).look()
    page.one("#promote-1 summary").click()
    page.run("document.querySelector('#promote-percent-1').value = '1'")
    page.one("#promote-who-1").send_keys("Ada")
    page.one("#promote-why-1").send_keys("less")
    page.one("#promote-1 button").click()
    page.wait(lambda: page.all("#said.trouble"))
    assert page.one("#said").text.startswith("Nothing was changed")


@pytest.mark.long
def test_who_has_no_key_sees_nothing(driver: Any, gateway: Gateway) -> None:
    from at_admin import KEY

    page = Operator(driver, gateway.url)
    driver.get(page.base + "/healthz")  # cookies are those of the page that is open
    driver.delete_all_cookies()
    driver.get(page.base + "/")
    assert "helper" not in driver.page_source
    page.one("#key").send_keys("wrong")
    page.one("button").click()
    page.wait(lambda: page.all(".trouble"))
    page.one("#key").send_keys(KEY)
    page.one("button").click()
    page.wait(lambda: page.all("#standing-1"))


@pytest.mark.long
def test_hostile_answers_stay_text(driver: Any, gateway: Gateway) -> None:
    page = Operator(driver, gateway.url).look()
    driver.get_log("performance")
    gateway.say("evidence 1.0", "hostile", "long")
    page.wait(lambda: len(page.all("#flagged-1 article")) == 8)
    markup = "#flagged-1 article :is(script, img, iframe, style, link, form, a, object, video, base, meta, math)"
    assert page.all(markup) == []
    assert page.run("return window.hacked") is None
    assert page.run("const d = document.documentElement; return d.scrollWidth - d.clientWidth") == 0
    requested = [
        line["message"] for line in driver.get_log("performance") if '"Network.requestWillBeSent"' in line["message"]
    ]
    assert all(page.base in line for line in requested), requested[:3]
    assert loud(driver) == []
    assert len(ATTACKS) > 8


@pytest.mark.long
@pytest.mark.parametrize("state", ["quiet", "alarm"])
def test_all_four_screens(driver: Any, gateway: Gateway, state: str) -> None:
    """State and reason above the fold, nothing sideways, and axe, which measures contrast, finds nothing serious."""
    gateway.say("flag", "evidence 1.2", *([] if state == "quiet" else ["alarm"]))
    page = Operator(driver, gateway.url).look()
    page.wait(lambda: page.status() == ("UNDECIDED" if state == "quiet" else "FAIL, rolled back"))
    bottom: Callable[[str], Any] = lambda selector: page.run(  # noqa: E731
        "return document.querySelector(arguments[0]).getBoundingClientRect().bottom + scrollY", selector
    )
    try:
        for size in (DESK, PHONE):
            for dark in (False, True):
                screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
                scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
                driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
                driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
                for selector in (".standing .status", ".reason", ".orders summary"):
                    assert bottom(selector) <= size[1], (selector, size)
                page.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
                assert page.run("const d = document.documentElement; return d.scrollWidth - d.clientWidth") == 0, size
                assert serious_findings(page) == [], (size, dark)
                page.run("document.querySelectorAll('details').forEach(d => { d.open = false; })")
    finally:
        back_to_normal(driver)
