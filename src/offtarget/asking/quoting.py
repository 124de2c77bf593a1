"""Text of others inside a prompt: it is quoted so that it cannot pass for the prompt's own words."""

from __future__ import annotations

import hashlib
import re

_INVISIBLE = "[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]*"


def _spaced(word: str) -> str:
    """The word, also when invisible characters are hidden between its letters."""
    return _INVISIBLE.join(word)


_WORDS = "|".join(_spaced(w) for w in ("question", "answer"))
_ENDS = "|".join(_spaced(w) for w in ("start", "begin", "end"))
_GAP = rf"(?:[\s_:/-]|{_INVISIBLE[:-1]})*+"
_BRACKETS = r"\[\](){}<>=#*|~\uff3b\uff3d\u3010\u3011\uff08\uff09\uff1c\uff1e"
_BLANKS = rf"[\s_:{_INVISIBLE[1:-2]}]"
_RUN = rf"(?:[{_BRACKETS}/-]|{_BLANKS})"
# Begins at the last bracket of a run of signs, or at its first dash. Every run is entered at its start only: entered at
# each of its signs, a run of n signs would cost n * n steps.
_DELIMITER = re.compile(
    rf"(?<!{_RUN})(?:({_RUN}*)[{_BRACKETS}]|({_BLANKS}*+)[/-]){_GAP}"
    rf"(?:(?:{_WORDS}){_GAP}(?:{_ENDS})|(?:{_ENDS}){_GAP}(?:of{_GAP})?(?:{_WORDS}))",
    re.IGNORECASE,
)
# Control tokens of common chat templates: a local judge's tokenizer turns them into real turn boundaries.
_CONTROL = re.compile(
    r"<[|\uff5c]|[|\uff5c]>|</?s>|\[/?(?:INST|SYS|AVAILABLE_TOOLS|TOOL_CALLS|SYSTEM_PROMPT)\]|<</?SYS>>"
    r"|</?(?:bos|eos|pad|unk|start_of_turn|end_of_turn|think|system|user|assistant)>",
    re.IGNORECASE,
)
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def quotable(text: str) -> str:
    """The text with everything defused that could end the quotation; words stay readable.

    Delimiters of rubrics become `(quoted delimiter)`; the rest is as in `within_a_turn`.
    """
    return _DELIMITER.sub(r"\1\2(quoted delimiter) ", within_a_turn(text))


def within_a_turn(text: str) -> str:
    """The text with everything defused that could end the turn of a chat that it stands in.

    A space breaks chat control tokens, and control characters and lone surrogates become U+FFFD, so that the result
    always encodes to UTF-8.
    """
    text = _UNPRINTABLE.sub("\ufffd", text)
    return _CONTROL.sub(lambda match: match[0][0] + " " + match[0][1:], text)


def mark_of(*quoted: str) -> str:
    """A word for the lines around quoted text: no text can contain the mark of itself, and so close its quotation."""
    return hashlib.sha256("\0".join(quoted).encode()).hexdigest()[:12]
