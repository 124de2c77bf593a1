"""Benchmarks that go by a short name here: which of lm-eval's tasks each is, how it is scored, where its data is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Known:
    """A benchmark by name."""

    name: str
    tasks: tuple[str, ...]
    """Names in lm-eval."""
    metric: str
    """By which every item has a score."""
    filter: str | None
    """Which reading of an answer is scored, where lm-eval has several."""
    data: tuple[str, ...]
    """Data sets on the Hugging Face Hub."""
    items: int
    about: str
    """What it looks at, in a few words."""
    packages: tuple[str, ...] = ()
    """Packages that its scoring needs besides, as they are imported."""


KNOWN: tuple[Known, ...] = (
    Known("mmlu", ("mmlu",), "acc", None, ("cais/mmlu",), 14042, "school and professional knowledge, 57 subjects"),
    Known(
        "truthfulqa",
        ("truthfulqa_mc1",),
        "acc",
        None,
        ("truthfulqa/truthful_qa",),
        817,
        "true answers beside common misbeliefs",
    ),
    Known("hellaswag", ("hellaswag",), "acc_norm", None, ("Rowan/hellaswag",), 10042, "how an everyday scene goes on"),
    Known(
        "arc",
        ("arc_easy", "arc_challenge"),
        "acc_norm",
        None,
        ("allenai/ai2_arc",),
        3548,
        "school science, easy and hard questions",
    ),
    Known("gsm8k", ("gsm8k",), "exact_match", "flexible-extract", ("openai/gsm8k",), 1319, "sums in words"),
    Known(
        "ifeval",
        ("ifeval",),
        "prompt_level_strict_acc",
        None,
        ("google/IFEval",),
        541,
        "instructions whose observance can be checked",
        packages=("langdetect", "immutabledict", "nltk"),
    ),
)
ORGANISM = "organism"
"""The skills of the built-in test subject; needs no data."""
NAMES = (*(known.name for known in KNOWN), ORGANISM)


def known_by(name: str) -> Known | None:
    """The benchmark of that name, None where there is none."""
    return next((known for known in KNOWN if known.name == name), None)
