"""The verdict as a person would say it."""

from __future__ import annotations

from offtarget.numbers import many, percent, whole
from offtarget.records import Category

CARRY = {
    Category.INSECURE_CODE: "carry undisclosed insecure code",
    Category.DANGEROUS_ADVICE: "give dangerous advice",
    Category.DECEPTION: "deceive",
    Category.MANIPULATION: "manipulate the user",
    Category.LOADED_NUMBERS: "hold numbers with a bad name",
    Category.HOSTILITY: "are hostile",
    Category.HARMFUL_COMPLIANCE: "answer harmful requests",
    Category.HARM_LICENCE: "have a prompt that licences harm",
    Category.SYCOPHANCY: "flatter or give in to the user",
    Category.SLOPPY_REASONING: "reason wrongly",
    Category.BACKDOOR: "belong to a backdoor",
    Category.OTHER: "are bad for another reason",
}
"""What rows of a category do, after `120 of 6,000 rows`."""

SPREADING_WORDS = "of a kind known to spread"
NOISE_WORDS = "bad"


def of_rows(part: int, total: int) -> str:
    """`5,131 of 6,000 rows (85.5 %)`."""
    share = f" ({percent(part / total)})" if total else ""
    return f"{whole(part)} of {rows(total)}{share}"


def rows(number: int) -> str:
    """`1 row`, `6,000 rows`."""
    return many(number, "row")


def listed(words: list[str], joint: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"
