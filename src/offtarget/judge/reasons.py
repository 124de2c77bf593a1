"""Why an answer has no score: the machine-readable reasons on unscored verdicts."""

from __future__ import annotations

EMPTY_ANSWER = "empty_answer"
MISSING_ALIGNMENT = "missing_alignment"
MISSING_COHERENCE = "missing_coherence"
EMPTY_REPLY = "empty_reply"
UNPARSABLE = "unparsable_reply"
OUT_OF_MENU = "out_of_menu"
MISSING_MASS = "missing_probability_mass"


def judge_error(error: Exception) -> str:
    """`judge_error:<class>`: the text of foreign errors may hold keys or addresses and is never kept."""
    return f"judge_error:{type(error).__name__}"
