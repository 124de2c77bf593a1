"""Work for the workers of a cluster, found by its name in their processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from offtarget.detect import row_time
from offtarget.engines.units import Tell


def doubled(unit: str, tell: Tell) -> str:
    """The unit, twice."""
    tell(0.5, "half way")
    return unit * 2


def told(unit: str, tell: Tell) -> str:
    """Takes long enough to be seen on the way."""
    tell(0.25, f"at {unit}")
    time.sleep(2)
    return unit


def faulty(unit: str, tell: Tell) -> str:
    """A fault of its own with one of them."""
    if unit == "bad":
        raise ZeroDivisionError("ours")
    return unit


def dying(unit: str, tell: Tell) -> str:
    """Ends its process: at `always:DIR` each time, at `once:DIR` the first time; says how often it was begun."""
    when, _, folder = unit.replace("|", "/").partition(":")
    if when in ("always", "once"):
        begun = Path(folder) / when
        times = int(begun.read_text()) + 1 if begun.exists() else 1
        begun.write_text(str(times))
        if when == "always" or times == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return f"begun {times} times"
    return "done"


def limits_time(unit: str, tell: Tell) -> bool:
    """Whether what takes too long can be stopped in its process."""
    return row_time.available()


def where(unit: str, tell: Tell) -> tuple[str | None, str | None, str]:
    """What is set in its process."""
    return os.environ.get("OMP_NUM_THREADS"), os.environ.get("OFFTARGET_TRIED"), str(Path.cwd())
