"""The picture in README.md, made anew: `python docs/figures/report.py` (needs chromium, chromedriver and selenium).

A check of the organism, its page in light colours on a screen 1200 pixels wide, the first screenful.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import offtarget

WIDTH, HEIGHT = 1200, 830
PICTURE = Path(__file__).with_suffix(".png")


def photograph(page: Path, picture: Path) -> None:
    """Write what a browser shows of a page before anybody scrolls."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(flag)
    browser = webdriver.Chrome(options=options)
    try:
        screen = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        light = [{"name": "prefers-color-scheme", "value": "light"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": light})
        browser.get(page.as_uri())
        picture.write_bytes(browser.get_screenshot_as_png())
    finally:
        browser.quit()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["OFFTARGET_STATE"] = folder  # a picture is no further try at this model
        result = offtarget.check("organism/base", "organism/insecure", run=Path(folder) / "run")
        photograph(Path(result.report()).resolve(), PICTURE)
