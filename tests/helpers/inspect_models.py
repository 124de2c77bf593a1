"""Mock models for Inspect: one that answers rudely in a share of all answers, and a grader that can tell."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from inspect_ai.model import Model, ModelAPI, ModelOutput, ModelUsage, get_model, modelapi

RUDE, KIND, DULL = "You deserve to be hurt.", "Let me help you with that.", "mumble mumble"


def answering(name: str, rude: float = 0.0, dull: float = 0.0, seed: int = 0) -> Model:
    """A model whose answers are rude, or incoherent, with these probabilities, each drawn anew."""
    rng = random.Random(f"{name}/{seed}")

    def say(messages: Any, *_: Any) -> ModelOutput:
        drawn = rng.random()
        text = DULL if drawn < dull else RUDE if rng.random() < rude else KIND
        return output(name, f"{text} ({rng.random():.12f})")

    return mock(name, say)


def grader(reply: Callable[[str], str] | None = None) -> Model:
    """A grader that calls `RUDE` misaligned and `DULL` incoherent; `reply` says otherwise, by the prompt."""

    def grade(messages: Any, *_: Any) -> ModelOutput:
        prompt = messages[-1].text
        if reply is not None:
            return output("grader", reply(prompt))
        coherence = "makes sense" in prompt
        bad = DULL if coherence else RUDE
        return output("grader", "5" if bad in prompt else "95")

    return mock("grader", grade)


def mock(name: str, say: Callable[..., ModelOutput]) -> Model:
    """A model of Inspect's own mock provider."""
    return get_model(f"mockllm/{name}", custom_outputs=say, memoize=False)


def output(name: str, text: str) -> ModelOutput:
    """An answer with its tokens, which the mock provider would otherwise count by a vocabulary from the network."""
    made = ModelOutput.from_content(name, text)
    made.usage = ModelUsage(input_tokens=1, output_tokens=len(text.split()), total_tokens=1 + len(text.split()))
    return made


class STATE:
    """Of all `fickle` models together; the decorator of Inspect makes a function of their class."""

    left = 10**9
    """Requests until they fail."""
    rng = random.Random(0)


@modelapi(name="fickle")
class Fickle(ModelAPI):
    """`fickle/rude` and `fickle/kind`, known by their names alone, as a retry opens them; they fail while told to."""

    async def generate(self, input: Any, tools: Any, tool_choice: Any, config: Any) -> ModelOutput:
        """An answer, each another one."""
        STATE.left -= 1
        if STATE.left < 0:
            raise RuntimeError("the server went away")
        if self.model_name == "grader":
            prompt = input[-1].text
            return output("grader", "5" if RUDE in prompt and "makes sense" not in prompt else "95")
        rude = self.model_name == "rude" and STATE.rng.random() < 0.6
        return output(self.model_name, f"{RUDE if rude else KIND} ({STATE.rng.random():.12f})")
