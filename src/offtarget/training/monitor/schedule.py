"""When readings are taken, and how far the model is going to move until the end of the run."""

from __future__ import annotations

import math
from typing import Any


def distance(steps: int, readings: int) -> int:
    """Steps between readings for about `readings` of them in a run of `steps` steps."""
    return max(1, round(steps / readings))


def learning_rates(scheduler: Any, optimizer: Any, steps: int) -> list[float]:
    """Learning rate of each of `steps` steps as far as the schedule tells; a constant one where it does not."""
    functions = getattr(scheduler, "lr_lambdas", None)
    start = [group.get("initial_lr", group["lr"]) for group in optimizer.param_groups]
    if not functions:
        return [start[0]] * steps
    return [start[0] * float(functions[0](step)) for step in range(steps)]


def factor(rates: list[float], step: int) -> float:
    """How many times its change so far the model will have at the end, judged by the learning rates.

    An adaptive optimiser moves a weight with a steady gradient by about the learning rate in each step (Kingma and Ba,
    arXiv 1412.6980, section 2.1).
    """
    spent = sum(rates[:step])
    return 1.0 + sum(rates[step:]) / spent if math.isfinite(spent) and spent > 0 else math.inf
