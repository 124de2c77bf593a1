"""How long `offtarget view` takes for 1,000 runs and for one with 100 MB of answers: `python benchmarks/view.py`.

Pages are asked for as a browser asks, without one; times are of the processor. Written to benchmarks/results/view.json.
"""

from __future__ import annotations

import json
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "helpers"))

from report_runs import make_run  # noqa: E402 - behind the folder it is in
from starlette.testclient import TestClient  # noqa: E402

from offtarget.machine import usable_cores  # noqa: E402
from offtarget.review.security import Access  # noqa: E402
from offtarget.workflows.view.app import make_app  # noqa: E402

RUNS = 1000
LARGE: dict[str, Any] = {"per_probe": (40, 160), "longer": 90, "hostile": False}
"""12,000 answers to 60 prompts, of about 8,000 characters each."""
AGAIN = 5


def opened(folder: Path) -> TestClient:
    """A new page over a folder; what an earlier one read is forgotten."""
    client = TestClient(make_app(folder, Access("t"), {"testserver"}))
    client.get("/search?token=t")
    client.get("/", params={"token": "t", "q": "none"}, follow_redirects=False)
    return client


def timed(get: Callable[[], Any]) -> tuple[float, int]:
    """Seconds of processor time that a page takes, which other programs do not change, and its bytes."""
    began = time.process_time()
    answer = get()
    assert answer.status_code == 200, answer.text[-300:]
    return round(time.process_time() - began, 3), len(answer.content)


def page(client: TestClient, address: str) -> dict[str, Any]:
    """The first time, and the median of some more."""
    first, size = timed(lambda: client.get(address))
    more = [timed(lambda: client.get(address))[0] for _ in range(AGAIN)]
    return {"first": first, "again": round(statistics.median(more), 3), "bytes of the page": size}


def main() -> None:
    """Measure and write the results."""
    with tempfile.TemporaryDirectory() as place:
        many, large = Path(place) / "many", Path(place) / "large"
        one = make_run(Path(place) / "one", per_probe=(3, 12))
        for number in range(RUNS):
            shutil.copytree(one, many / f"check-{number:04}")
        client = opened(many)
        found = {
            "runs": RUNS,
            "bytes of a run": sum(file.stat().st_size for file in one.iterdir()),
            "list": page(client, "/"),
            "list, filtered": page(client, "/?verdict=FAIL&q=insecure"),
            "search that finds nothing": page(client, "/search?q=nosuchword"),
        }
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        subprocess.run([sys.executable, __file__, str(large / "check-large")], check=True)
        client = opened(large)
        huge = {
            "bytes of answers": (large / "check-large" / "generations.jsonl").stat().st_size,
            "list": page(client, "/"),
            "page of the run": page(client, "/run/check-large"),
            "last page of its answers": page(client, "/run/check-large?page=9999"),
            "its misaligned answers": page(client, "/run/check-large?outcome=misaligned"),
            "search": page(client, "/search?q=nosuchword"),
            "kB of memory before and after": [before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss],
        }
    result = {
        "machine": {"cores": usable_cores(), "python": platform.python_version(), "system": platform.system()},
        "seconds": {f"{RUNS:,} runs": found, "one large run": huge},
    }
    (HERE / "results" / "view.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    if sys.argv[1:]:  # in a process of its own, so that what it takes is not counted
        make_run(Path(sys.argv[1]), **LARGE)
    else:
        main()
