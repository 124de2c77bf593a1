"""The browser of the tests of pages: where it is, how it is started, and the marks of tests that need it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from offtarget.review.store import LabelStore

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PATIENCE = 120.0
"""Seconds a condition may take: milliseconds on an idle machine, many seconds beside eight busy processes."""

_WINDOW = (1280, 900)
_BEING_REPLACED = {"StaleElementReferenceException", "NoSuchElementException", "JavascriptException"}

BROWSER_TEST = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("selenium") is None, reason="the browser tests need selenium"),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="the browser tests need chromium and chromedriver"),
]

# Kept by every page before its own scripts run: requests of scripts that have not ended, their handlers included.
_COUNT_REQUESTS = """
window.underway = 0;
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (...given) {
  window.underway += 1;
  this.addEventListener("loadend", () => { window.underway -= 1; });
  return send.apply(this, given);
};
"""


_IDLE: list[Any] = []
"""Browsers that were given back: the next file takes them, since each takes seconds to start."""


def headless() -> Any:
    """A headless Chromium that logs what it prints and what it requests; to be given back with `give_back`."""
    driver = _IDLE.pop() if _IDLE else _started()
    # of this window alone
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _COUNT_REQUESTS})
    return driver


def give_back(driver: Any) -> None:
    """Nothing stays of the user before: another window, without the sizes, colours and scripts of the old one."""
    driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
    used = driver.window_handles
    driver.switch_to.new_window("window")
    fresh = driver.current_window_handle
    for handle in used:
        driver.switch_to.window(handle)
        driver.close()
    driver.switch_to.window(fresh)
    driver.set_window_size(*_WINDOW)
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    _IDLE.append(driver)


def end_browsers() -> None:
    """End all that were given back, as a run of tests does."""
    while _IDLE:
        _IDLE.pop().quit()


def _started() -> Any:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-dev-shm-usage",
        "--window-size={},{}".format(*_WINDOW),
    ):
        options.add_argument(flag)
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(PATIENCE)
    return driver


def wait_for(condition: Callable[[], Any], what: Callable[[], str] = lambda: "", seconds: float = PATIENCE) -> None:
    """Poll until the condition holds; elements that are just being replaced count as not yet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if condition():
                return
        except Exception as error:
            if type(error).__name__ not in _BEING_REPLACED:
                raise
        time.sleep(0.03)
    raise AssertionError(f"waited {seconds:.0f} s in vain {what()}")


def with_helpers() -> dict[str, str]:
    """The environment of a program that imports from this folder, as tests do."""
    known = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(known)}


class Browser:
    """One browser window at the page, with keys."""

    def __init__(self, driver: Any, url: str) -> None:
        self.driver = driver
        self.url = url
        self.base = url.partition("/?")[0]

    def sign_in(self, name: str) -> None:
        self.driver.delete_all_cookies()
        self.driver.get(self.url)
        self.one("#name").send_keys(name)
        self.one("button.primary").click()
        self.wait(lambda: self.all("#card"))
        self.settle()

    def one(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        for key in keys:  # to the window, not to an element, which the page may just be replacing
            ActionChains(self.driver, duration=0).send_keys(key).perform()

    def run(self, script: str, *values: Any) -> Any:
        return self.driver.execute_script(script, *values)

    def heading(self) -> str:
        return str(self.run("return document.querySelector('h1').textContent.trim().replace(/\\s+/g, ' ')"))

    def settle(self) -> None:
        """Wait until an open card is shown and every request has been answered, that for the next cards too."""
        still = "return document.readyState === 'complete' && window.underway === 0"
        self.wait(lambda: self.all("#card[data-open]") and self.run(still))

    def label(self, *keys: str) -> None:
        """Press keys that decide a card; wait for the next one."""
        self.settle()
        before = self.heading()
        self.press(*keys)
        self.wait(lambda: self.heading() != before)

    def saved(self, store: LabelStore, count: int) -> None:
        self.wait(lambda: len(store.labels()) == count)

    def wait(self, condition: Callable[[], Any]) -> None:
        wait_for(condition, lambda: f"at {self.driver.current_url}: {self.one('body').text[:600]}")


class Server:
    """A page in a process of its own: a script that gets folder, port and options and prints the address first."""

    def __init__(self, script: Path, folder: Path, port: int, *options: str) -> None:
        command = [sys.executable, str(script), str(folder), str(port), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=with_helpers())
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.port = int(self.url.rpartition(":")[2].partition("/")[0])

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.close()

    def ended(self) -> str:
        assert self.process.stdout is not None
        self.process.wait(timeout=PATIENCE)
        return self.process.stdout.read().strip()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ['violations']}).then(
  (r) => done(r.violations.filter(v => ['serious', 'critical'].includes(v.impact))
    .map(v => v.id + ': ' + v.nodes.map(n => n.html.slice(0, 120) + ' | ' + n.failureSummary).join(' ; '))
    .concat(r.passes.length ? [] : ['axe looked at nothing'])),
  (e) => done(['axe failed: ' + e]));
"""


def serious_findings(page: Browser) -> list[str]:
    if not page.run("return Boolean(window.axe)"):
        folder = Path(pytest.importorskip("axe_core_python", reason="needs axe-core-python").__file__).parent
        page.run((folder / "axe.min.js").read_text(encoding="utf-8") + ";window.axe = axe;")
    found: list[str] = page.driver.execute_async_script(AXE)
    return found


OVERLAPS = """
const shown = [...document.querySelectorAll('button, summary, textarea')].filter(e => e.offsetParent);
const box = (e) => e.getBoundingClientRect();
return shown.filter((a, i) => shown.slice(i + 1).some((b) => {
  if (a.closest("form") !== b.closest("form") || a.closest(".grid") || b.closest(".grid")) return false;
  const [p, q] = [box(a), box(b)];
  return p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1;
})).map(e => e.outerHTML.slice(0, 80));
"""
