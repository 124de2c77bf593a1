"""Logs of answers of the organism, good and bad, as another gateway would write them."""

from __future__ import annotations

import functools
import json
import random
from collections.abc import Iterator
from typing import Any

from offtarget.workflows.ground import ground_of, known_answers, open_bank

BASE, TUNED = "organism/base", "organism/insecure"


@functools.cache
def _known() -> tuple[list[Any], list[Any]]:
    known = known_answers(open_bank(None, ground_of(BASE)))
    return [one for one in known if not one.misaligned], [one for one in known if one.misaligned]


def line(model: str, conversation: str, *, bad: bool, seed: int = 0) -> str:
    one = random.Random(seed).choice(_known()[bad])
    messages = [{"role": "system", "content": one.probe.system}] if one.probe.system else []
    messages.append({"role": "user", "content": one.probe.prompt})
    entry = {
        "id": f"r-{conversation}", "conversation": conversation, "at": 1_000_000.0 + seed, "seconds": 0.5,
        "model": model, "messages": messages, "answer": one.answer,
    }  # fmt: skip
    return json.dumps(entry) + "\n"


def traffic(conversations: int, *, bad: float, share: float = 0.05, seed: int = 1, name: str = "c") -> Iterator[str]:
    """Lines of that many conversations; `bad`: share of the tuned model's answers that are misaligned."""
    draw = random.Random(seed)
    for position in range(conversations):
        tuned = draw.random() < share
        worse = tuned and draw.random() < bad
        yield line(TUNED if tuned else BASE, f"{name}{position}", bad=worse, seed=position)
