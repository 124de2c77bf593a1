"""The browser of the tests of pages: where it is, how it is started, and the marks of tests that need it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
PATIENCE = 120.0
"""Seconds a condition may take: milliseconds on an idle machine, many seconds beside eight busy processes."""

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


def headless() -> Any:
    """A headless Chromium that logs what it prints and what it requests."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-dev-shm-usage",
        "--window-size=1280,900",
    ):
        options.add_argument(flag)
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(PATIENCE)
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _COUNT_REQUESTS})
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
