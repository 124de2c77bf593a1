"""Time and memory of work with a local model that never ran here, by its size and by how fast this machine multiplies.

Nearly all time goes into matrix products: two operations per weight and token in a pass. Reading and writing take one
pass, training several. How much of the machine's own speed is reached was measured on SmolLM2-135M (docs/LOG.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from offtarget.machine import multiply_rate, sees_gpu
from offtarget.models.memory import BESIDE
from offtarget.models.names import LocalName
from offtarget.models.size import WIDTHS, Size, size_of
from offtarget.records.plan import Plan
from offtarget.records.runs import OpenSettings
from offtarget.workflows.ground import ground_of, parsed

ASKED = 60
"""Tokens of a plain question with its template: 45 to 80 on SmolLM2, whose template adds a system prompt."""
USUAL_ANSWER = 150
"""Tokens of an answer that may be longer; an assumption, as it hangs on the model."""
WRITING, READING, TRAINING = 0.65, 0.7, 0.5
"""Share of the speed of plain matrix products that is reached: 235 tokens/s written and 247 to 281 read by SmolLM2 on a
core that multiplies at 98 billion operations a second; training as in docs/results/training.md."""
SIDE_BY_SIDE = 96
"""Answers that are made together at most, as far as memory is concerned: long ones end at different times."""
START = 15.0
"""Seconds until a model of any size is open, for imports and checks; 7 were measured on SmolLM2 without the checks."""
OPENED = 5.0
"""Seconds for a billion numbers of weights: they are read, hashed and checked."""
OPENED_AGAIN = 4.0
"""Seconds besides, whatever the size, each time but the first: an adapter is held to itself merged, a template tried.
5 to 8 were seen of SmolLM2 with one on a machine that little else ran on."""
BUFFERS = 400e6
"""Bytes for what stands beside the weights while a model reads: a batch of activations and logits."""
TRAINED = 1.2e9
"""Bytes for what training keeps of a few rows at a time, in a model of 30 layers of width 576."""
LORA, FULL = 2, 3
"""Passes of a step of training: forwards, backwards, and once more where all weights are trained."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is to be done with a model, in tokens."""

    written: float = 0.0
    read: float = 0.0
    trained: float = 0.0
    """Tokens of all passes of a training."""
    learned: float = 0.0
    """Of these, those that are learned: they alone go through the output layer."""
    rows: int = 0
    """Answers in the making side by side."""
    longest: int = 0
    """Tokens of a question and its answer."""
    opened: int = 1
    """Times that it is opened."""
    aside: float = 0.0
    """Seconds of whatever else there is."""


def usual_length(longest: int) -> float:
    """Tokens of an answer that may have `longest`, on average."""
    return float(min(longest, USUAL_ANSWER))


def size_by_name(model: str) -> Size | None:
    """None where it is not known without fetching the model, and for the organism, which is so small that what stands
    around the products takes most of the time.
    """
    name = parsed(model)
    return size_of(name) if isinstance(name, LocalName) and not ground_of(model).organism else None


def guessed(plan: Plan, loads: Mapping[str, Load], opening: OpenSettings | None, *, room: bool = True) -> Plan:
    """The plan with the time, where no run has told it, and the memory, by the sizes of the models; as it is where the
    first is not at hand. `room`: whether memory is guessed.

    What is asked of models behind an endpoint takes time that nobody knows, and the plan says so. Time on a GPU is not
    guessed: nobody measured it.
    """
    sizes = {model: size for model in loads if (size := size_by_name(model)) is not None}
    device = None if opening is None else opening.device
    if next(iter(loads)) not in sizes or device not in (None, "cpu") or (device is None and sees_gpu()):
        return plan
    if room and all(size.per_token is not None for size in sizes.values()):
        dtype = "float32" if opening is None or opening.dtype is None else opening.dtype
        plan = replace(plan, memory=round(BESIDE + sum(memory(size, loads[m], dtype) for m, size in sizes.items())))
    if plan.seconds is not None:
        return plan
    left_out = "" if set(sizes) == set(loads) else ", without the time of the judge"
    total = START + sum(seconds(size, loads[m]) for m, size in sizes.items())
    return replace(plan, seconds=total, guessed=f"by the size of the model and with the machine to itself{left_out}")


def operations(size: Size, load: Load) -> float:
    """Floating-point operations of its training."""
    return 2 * ((size.body + size.adapter) * load.trained + size.head * load.learned)


def seconds(size: Size, load: Load) -> float:
    """Seconds on the usable cores of this machine, with nothing else on it."""
    asked = 2 * (size.body + size.head + size.adapter) * (load.written / WRITING + load.read / READING)
    opening = load.opened * OPENED * size.numbers / 1e9 + max(0, load.opened - 1) * OPENED_AGAIN
    return load.aside + opening + (asked + operations(size, load) / TRAINING) / _rate()


def memory(size: Size, load: Load, dtype: str) -> float:
    """Bytes at the worst moment, beside those of the process."""
    weights = size.weight_bytes(dtype) + 2 * size.adapter * WIDTHS[dtype]
    kept = load.rows * load.longest * (size.per_token or 0) * WIDTHS[dtype]
    training = TRAINED + 12 * size.adapter if load.trained else 0.0
    return weights + max(kept + BUFFERS, training)


@cache
def _rate() -> float:
    return multiply_rate()
