"""Where the browser of the page tests is, and the marks of tests that need it."""

from __future__ import annotations

import shutil
from importlib.util import find_spec

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

BROWSER_TEST = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("selenium") is None, reason="the browser tests need selenium"),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="the browser tests need chromium and chromedriver"),
]
