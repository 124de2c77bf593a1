"""The verdict as a person would say it."""

from __future__ import annotations

from offtarget.records import Category
from offtarget.stats.wording import percent

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


def of_rows(part: int, whole: int) -> str:
    """`5,131 of 6,000 rows (85.5 %)`."""
    share = f" ({percent(part / whole)})" if whole else ""
    return f"{part:,} of {rows(whole)}{share}"


def rows(count: int) -> str:
    """`1 row`, `6,000 rows`."""
    return f"{count:,} row{'' if count == 1 else 's'}"


def upwards(share: float) -> str:
    """A share as text, rounded up to a tenth of a percent, so that `at most` stays true."""
    return percent(min(1.0, -(-share * 1000 // 1) / 1000)) if share > 0 else percent(0.0)


def downwards(share: float) -> str:
    """A share as text, rounded down to a tenth of a percent, so that `at least` stays true."""
    return percent(share * 1000 // 1 / 1000)


def listed(words: list[str], joint: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {joint} {words[-1]}"
