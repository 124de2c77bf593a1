"""Size of a check's page and how long a browser takes to open it: `python benchmarks/page.py`, needs Chromium.

Answers are of about 600 characters, as usual models write them. Written to benchmarks/results/page.json.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))

from browsing import headless  # noqa: E402 - behind the folder it is in
from report_runs import make_run  # noqa: E402

from offtarget.machine import usable_cores  # noqa: E402
from offtarget.pages.check.loading import load_run  # noqa: E402
from offtarget.pages.registry import report_format  # noqa: E402

LONGER = 4
"""Times an answer of a run made by hand is repeated."""
RUNS = {"2,000 answers": (7, 27), "10,000 answers, the most of a usual check": (34, 134)}
"""Name -> tuned and base answers to each of 60 prompts."""
OPENED = 7
_LOADED = "return performance.getEntriesByType('navigation')[0].loadEventEnd"


def measured(driver: Any, folder: Path, per_probe: tuple[int, int]) -> dict[str, Any]:
    """One page."""
    run = load_run(make_run(folder / "run", per_probe=per_probe, longer=LONGER))
    started = time.perf_counter()
    page = report_format("html").render(run)
    seconds = time.perf_counter() - started
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    opened = []
    for _ in range(OPENED):
        driver.get(file.as_uri())
        opened.append(float(driver.execute_script(_LOADED)))
    return {
        "answers": len(run.generations),
        "characters": sum(len(g.text) for g in run.generations.values()),
        "bytes": file.stat().st_size,
        "seconds to write": round(seconds, 2),
        "milliseconds to open, median": round(statistics.median(opened)),
        "milliseconds to open, most": round(max(opened)),
    }


def main() -> None:
    """Measure and write the results."""
    driver = headless()
    try:
        found = {}
        for name, per_probe in RUNS.items():
            with tempfile.TemporaryDirectory() as folder:
                found[name] = measured(driver, Path(folder), per_probe)
        browser = f"{driver.capabilities['browserName']} {driver.capabilities['browserVersion']}"
    finally:
        driver.quit()
    machine = {
        "processor": _processor(),
        "cores": usable_cores(),
        "system": platform.system(),
        "python": platform.python_version(),
        "browser": f"{browser}, headless",
    }
    result = {"machine": machine, "pages": found}
    (HERE / "results" / "page.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
