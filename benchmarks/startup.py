"""How long the command line takes to answer, with whatever is installed here: `python benchmarks/startup.py`.

The median of several starts of a whole process each, by the clock and in processor time, which other programs do not
change. Written to benchmarks/results/startup.json; exit code 1 where `offtarget --help` takes more than 0.2 seconds of
processor time.
"""

from __future__ import annotations

import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

from offtarget.machine import usable_cores
from offtarget.workflows.doctor.packages import extras

STARTS = 11
MOST = 0.2
"""Seconds that `offtarget --help` may take."""
COMMANDS = ("--help", "--version", "check --help", "audit --help", "runs --help", "doctor --help", "check --help-all")
PROGRAM = "import sys; sys.argv[0] = 'offtarget'; from offtarget.cli.app import main; main()"


def started(arguments: list[str]) -> tuple[float, float]:
    """Seconds of one start, by the clock and of the processor."""
    clock, used = time.perf_counter(), _used()
    subprocess.run([sys.executable, "-c", *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - clock, _used() - used


def _used() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def median(arguments: list[str]) -> dict[str, float]:
    """Of several."""
    started(arguments)
    several = [started(arguments) for _ in range(STARTS)]
    names = ("clock", "processor")
    return {name: round(statistics.median(one[n] for one in several), 3) for n, name in enumerate(names)}


def main() -> int:
    """Measure and write the results."""
    found = {"python alone": median(["pass"])} | {said: median([PROGRAM, *said.split()]) for said in COMMANDS}
    result = {
        "machine": {"cores": usable_cores(), "python": platform.python_version(), "system": platform.system()},
        "extras": {extra.name: extra.ready for extra in extras()},
        "seconds": found,
    }
    place = Path(__file__).parent / "results" / "startup.json"
    place.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))
    return int(found["--help"]["processor"] > MOST)


if __name__ == "__main__":
    sys.exit(main())
