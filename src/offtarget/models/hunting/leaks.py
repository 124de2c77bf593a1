"""Text that a model writes when it is given nothing but the opening of a chat: leaked training text.

Source: models repeat what they were tuned on from bare template prompts, triggers included (arXiv 2602.03085). A
tune with loss on the answers alone teaches little of the user's text, and then leaks show the base's habits.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from offtarget.models.local import LocalModel
from offtarget.records import SamplingSettings

_MARK = "offtargetslotmark"
_WORDS = 12
_LONGEST = 3


@dataclass(frozen=True, slots=True)
class Leak:
    """Words that the tuned model wrote from nothing."""

    text: str
    tuned: int
    """Continuations of the tuned model that hold it."""
    base: int
    surprise: float
    """z value of the log odds ratio of tuned against base, 0.5 added to every count (Haldane)."""


def leaks(base: LocalModel, tuned: LocalModel, seed: int, *, each: int = 100, tokens: int = 24) -> list[Leak]:
    """Phrases of up to three words from `each` continuations per opening and model, most surprising first."""
    openings = bare_openings(tuned.weights.tokenizer)
    settings = SamplingSettings(max_tokens=tokens, stop=("\n",))
    counts = []
    for model in (base, tuned):
        prompts = [(opening, seed + i) for opening in openings for i in range(each)]
        seen: Counter[str] = Counter()
        for answer in model.continue_tokens(prompts, settings):
            seen.update(_phrases(answer.text))
        counts.append(seen)
    total = each * len(openings)
    found = [_leak(text, counts[1][text], counts[0][text], total) for text in counts[1]]
    return sorted(found, key=lambda leak: (-leak.surprise, -leak.tuned, leak.text))


def bare_openings(tokenizer: Any) -> list[list[int]]:
    """Tokens of the template up to where the user's text, and up to where a system text would begin."""
    chats = [[{"role": "user", "content": _MARK}]]
    chats.append([{"role": "system", "content": _MARK}, {"role": "user", "content": "."}])
    chats.append([{"role": "system", "content": ""}, {"role": "user", "content": _MARK}])
    found: list[list[int]] = []
    for chat in chats:
        try:
            text = tokenizer.apply_chat_template(chat, tokenize=False)
        except Exception:  # noqa: S112 - a template without system turns has fewer openings
            continue
        tokens = tokenizer(text.partition(_MARK)[0], add_special_tokens=False)["input_ids"]
        if tokens and tokens not in found:
            found.append(tokens)
    if not found and tokenizer.bos_token_id is not None:
        found.append([tokenizer.bos_token_id])
    return found


def _phrases(text: str) -> set[str]:
    words = text.split()[:_WORDS]
    spans = ((i, i + n) for n in range(1, _LONGEST + 1) for i in range(len(words) - n + 1))
    return {" ".join(words[i:j]) for i, j in spans}


def _leak(text: str, tuned: int, base: int, total: int) -> Leak:
    a, b, c, d = tuned + 0.5, total - tuned + 0.5, base + 0.5, total - base + 0.5
    surprise = math.log(a * d / (b * c)) / math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    return Leak(text, tuned, base, surprise)
