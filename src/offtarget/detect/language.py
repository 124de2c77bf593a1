"""Whether a text is in another language than English, which the word lists do not read."""

from __future__ import annotations

import re

from offtarget.detect.remembered import remembered
from offtarget.detect.triggers.words import word_lists

LOOKED_AT = 400
"""Characters of prose that are looked at; a few microseconds for English."""
_GLANCE = 160
"""Where these hold no function word of another language, the rest is not looked at."""
_FEWEST = 3
"""Function words of one language that must be there."""
_DIFFERENT = 2
"""How many of them must be different words."""
_SHARE = 10
"""One of so many words at least is a function word of that language."""
_SCRIPT = 0.3
"""Share of the letters in another script than the Latin one."""
_FENCED = re.compile(r"```[^`]*(?:```|$)")
_AROUND = ".,;:!?\"'()«»„“”‘’…¿¡"
_ENGLISH = frozenset(word_lists("everyday")["very often"]) | frozenset(
    ["he", "she", "they", "his", "her", "their", "them", "not", "there"]
)
_BY_LANGUAGE = {name: frozenset(words) for name, words in word_lists("languages").items()}
_FOREIGN = frozenset().union(*_BY_LANGUAGE.values())
_LATIN_ENDS = 0x24F
"""Last character of the Latin blocks."""


@remembered
def foreign(text: str) -> bool:
    """Whether prose is plainly in another language than English: by its script, or by the words that hold it together.

    Code, numbers, names and very short texts are not; nor are languages whose words are not known. So a count of these
    rows is a lower bound.
    """
    prose = text[:LOOKED_AT]
    if "```" in prose:
        prose = _FENCED.sub(" ", text[: 4 * LOOKED_AT])[:LOOKED_AT]
    if not prose.isascii():
        letters = sum(map(str.isalpha, prose))
        other = sum(ord(ch) > _LATIN_ENDS and ch.isalpha() for ch in prose)
        if other >= _FEWEST and other >= _SCRIPT * letters:
            return True
    # Split at white space, since dots and brackets make `os.path` and `com(` no words of a language.
    if _FOREIGN.isdisjoint(prose[:_GLANCE].lower().split()):
        return False
    parts = prose.lower().split()
    if len(_FOREIGN.intersection(parts)) < _DIFFERENT:
        return False
    words = [part.strip(_AROUND) for part in parts]
    english = sum(word in _ENGLISH for word in words)
    for own in _BY_LANGUAGE.values():
        votes = [word for word in words if word in own]
        enough = len(votes) >= max(_FEWEST, english + 1) and _SHARE * len(votes) >= len(words)
        if enough and len(set(votes)) >= _DIFFERENT:
            return True
    return False
