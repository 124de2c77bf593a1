"""Work for the workers of a cluster, found by its name in their processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

from offtarget.detect import row_time
from offtarget.engines.units import Tell
from offtarget.records.runs import OpenSettings
from offtarget.workflows.check import sampled_there


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


def opened() -> list[str]:
    """What a worker holds: what it did so far."""
    return []


def held(done: list[str], part: str) -> tuple[str, int, int]:
    """The part, which process did it, and how many it did before; `once:FILE` ends its process the first time."""
    when, _, file = part.partition(":")
    if when == "once" and not Path(file).exists():
        Path(file).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if when == "slow":
        time.sleep(0.3)
    done.append(part)
    return part, os.getpid(), len(done) - 1


def opens_nothing(base: str, tuned: str, opening: OpenSettings, same_weights: bool) -> Any:
    """As where the base lies in no folder of the worker's machine."""
    return sampled_there.open_there("hf//nowhere/at/all", tuned, opening, same_weights)


def opens_another(base: str, tuned: str, opening: OpenSettings, same_weights: bool) -> Any:
    """As where another adapter lies there under the same name."""
    return sampled_there.open_there(base, "organism/secure", opening, same_weights)
