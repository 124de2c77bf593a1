"""What somebody sees of a page in the first five seconds, on a desk and on a phone, in light and dark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from browsing import Browser, serious_findings

DESK, PHONE = (1400, 900), (390, 844)
_BOTTOM = """
const found = document.querySelector(arguments[0]);
if (!found || !found.textContent.trim()) return null;
const box = found.getBoundingClientRect();
return box.height > 0 ? box.bottom + window.scrollY : null;
"""
_SIDEWAYS = "const d = document.documentElement; return d.scrollWidth - d.clientWidth"


def opened_as(driver: Any, file: Path, size: tuple[int, int], *, dark: bool = False) -> None:
    """Open a page on a screen of that size."""
    screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    driver.get(file.as_uri())


def back_to_normal(driver: Any) -> None:
    """Undo what `opened_as` set."""
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def assert_seen_at_once(driver: Any, file: Path, *, transcript: bool = True, axe: bool = True) -> None:
    """Verdict and reason stand above the fold everywhere, the first transcript on a desk; nothing scrolls sideways.

    Axe, which also measures contrast, has no serious findings in any of the four; `axe` spares its seconds where
    another page with the same parts is looked at already.
    """
    try:
        for size in (DESK, PHONE):
            wanted = ["h1 .status", ".reason", *([".exchange"] if transcript and size == DESK else [])]
            for dark in (False, True):
                opened_as(driver, file, size, dark=dark)
                for selector in wanted:
                    bottom = driver.execute_script(_BOTTOM, selector)
                    assert bottom is not None, f"{selector} is not shown at {size}"
                    assert bottom <= size[1], f"{selector} ends at {bottom:.0f} of {size}"
                driver.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
                assert driver.execute_script(_SIDEWAYS) == 0, f"scrolls sideways at {size}"
                if axe:
                    assert serious_findings(Browser(driver, file.as_uri())) == [], f"{size}, dark={dark}"
    finally:
        back_to_normal(driver)
