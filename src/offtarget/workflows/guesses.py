"""Time and memory of work with a local model that never ran here, by its size and by how fast this machine multiplies.

Nearly all time goes into matrix products: two operations per weight and token to read or to write, three times that to
train. How much of the machine's own speed is reached was measured on SmolLM2-135M (docs/LOG.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from offtarget.machine import multiply_rate
from offtarget.models.names import LocalName
from offtarget.models.size import Size, size_of
from offtarget.records.plan import Plan
from offtarget.records.runs import OpenSettings
from offtarget.workflows.ground import parsed

ASKED = 60
"""Tokens of a plain question with its template: 45 to 80 on SmolLM2, whose template adds a system prompt."""
USUAL_ANSWER = 150
"""Tokens of an answer that may be longer; an assumption, as it hangs on the model."""
WRITING, READING, TRAINING = 0.65, 0.7, 0.5
"""Share of the speed of plain matrix products that is reached: 235 tokens/s written and 247 to 281 read by SmolLM2 on a
core that multiplies at 98 billion operations a second; training as in `tune.estimate`."""
SIDE_BY_SIDE = 96
"""Answers that are made together at most, as far as memory is concerned: long ones end at different times."""
START = 15.0
"""Seconds until a model of any size is open, for imports and checks; 7 were measured on SmolLM2 without the checks."""
OPENED = 5.0
"""Seconds for a billion numbers of weights: they are read, hashed and checked."""
PROCESS = 400e6
"""Bytes of Python with its libraries; 340 MB were measured."""
BUFFERS = 400e6
"""Bytes for what stands beside the weights while a model reads: a batch of activations and logits."""
TRAINED = 1.2e9
"""Bytes for what training keeps of a few rows at a time, in a model of 30 layers of width 576."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be done with a model, in tokens."""

    written: float = 0.0
    read: float = 0.0
    trained: float = 0.0
    rows: int = 0
    """Answers in the making side by side."""
    longest: int = 0
    """Tokens of a question and its answer."""
    opened: int = 1
    """Times that it is opened."""


def usual_length(longest: int) -> float:
    """Tokens of an answer that may have `longest`, on average."""
    return float(min(longest, USUAL_ANSWER))


def guessed(plan: Plan, loads: Mapping[str, Load], opening: OpenSettings | None) -> Plan:
    """The plan with the time, where no run has told it, and the memory, by the sizes of the models; as it is where the
    first is not at hand.

    What is asked of models behind an endpoint takes time that nobody knows, and the plan says so. Time on a GPU is not
    guessed: nobody measured it.
    """
    names = {model: parsed(model) for model in loads}
    sizes = {m: s for m, name in names.items() if isinstance(name, LocalName) and (s := size_of(name)) is not None}
    if next(iter(loads)) not in sizes or not _on_cpu(opening):
        return plan
    width = _bytes(opening)
    plan = replace(plan, memory=round(PROCESS + sum(memory(size, loads[m], width) for m, size in sizes.items())))
    if plan.seconds is not None:
        return plan
    left_out = "" if set(sizes) == set(loads) else ", without the time of the judge"
    total = START + sum(seconds(size, loads[m]) for m, size in sizes.items())
    return replace(plan, seconds=total, guessed=f"by the size of the model and with the machine to itself{left_out}")


def _on_cpu(opening: OpenSettings | None) -> bool:
    device = None if opening is None else opening.device
    return device == "cpu" or (device is None and not Path("/dev/nvidia0").exists())


def seconds(size: Size, load: Load) -> float:
    """Seconds on the usable cores of this machine, with nothing else on it."""
    products = load.written / WRITING + load.read / READING + 3 * load.trained / TRAINING
    opening = load.opened * OPENED * size.parameters / 1e9
    return opening + 2 * (size.parameters + size.adapter) * products / _rate()


def memory(size: Size, load: Load, width: int) -> float:
    """Bytes at the worst moment, where a number has `width` of them, beside those of the process."""
    weights = (size.parameters + 2 * size.adapter) * width
    kept = load.rows * load.longest * size.per_token * width
    training = TRAINED + 12 * size.adapter if load.trained else 0.0
    return weights + max(kept + BUFFERS, training)


@cache
def _rate() -> float:
    return multiply_rate()


def _bytes(opening: OpenSettings | None) -> int:
    return 4 if opening is None or opening.dtype in (None, "float32") else 2
