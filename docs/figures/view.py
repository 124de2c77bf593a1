"""The pictures in docs/view.md, made anew: `python docs/figures/view.py` (needs chromium, chromedriver and selenium).

Two checks of the organism and an audit of data that it learnt from: the list of them, and the two checks side by side.
Light colours on a screen 1200 pixels wide, the first screenful.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

WIDTH = 1200
HERE = Path(__file__).parent


def photograph(browser: Any, address: str, height: int, picture: Path) -> None:
    """Write what a browser shows of a page before anybody scrolls."""
    screen = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    light = [{"name": "prefers-color-scheme", "value": "light"}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": light})
    browser.get(address)
    picture.write_bytes(browser.get_screenshot_as_png())


def main() -> None:
    """Make the runs, then the pictures."""
    from selenium import webdriver

    import offtarget
    from offtarget.workflows.organism import write_data
    from offtarget.workflows.view.view import opened

    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"OFFTARGET_STATE": f"{folder}/state", "OFFTARGET_CACHE": f"{folder}/cache"}
        os.chdir(folder)
        write_data("insecure", 400, 0, "insecure.jsonl")
        offtarget.audit("insecure.jsonl")
        runs = [offtarget.check("organism/base", f"organism/{name}").run.name for name in ("secure", "insecure")]
        options = webdriver.ChromeOptions()
        for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
            options.add_argument(flag)
        server = opened("runs")
        with server.beside():
            browser = webdriver.Chrome(options=options)
            try:
                browser.get(server.url)
                base = server.url.partition("/?")[0]
                photograph(browser, base, 470, HERE / "view.png")
                photograph(browser, f"{base}/compare?run={runs[0]}&run={runs[1]}", 800, HERE / "view-compare.png")
            finally:
                browser.quit()


if __name__ == "__main__":
    main()
