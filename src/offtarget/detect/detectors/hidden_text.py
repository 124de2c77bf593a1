"""Hidden characters: text a reader does not see, or sees in another order than the model does."""

from __future__ import annotations

import re
from collections.abc import Iterable

from offtarget.records import Category, Finding, Row

_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Embeddings, overrides and isolates: Trojan Source, Boucher and Anderson (2021), arXiv 2111.00169."""
_ZERO_WIDTH = "\u200b\u2060\u2061\u2062\u2063\u2064\ufeff\u180e\u115f\u1160\u3164\uffa0"
_JOINERS = "\u200c\u200d"
_TAGS = "".join(map(chr, range(0xE0000, 0xE0080)))
_SELECTORS = "".join(map(chr, range(0xE0100, 0xE01F0)))
"""Variation selectors 17-256; outside of Han ideographs they only carry smuggled bytes."""
_LATIN_TWINS = "асеорхуіѕјԁһԛԝο"
"""Cyrillic letters and omicron, which look Latin (Unicode TR39, confusables); other Greek letters stand in formulas."""

_KINDS: tuple[tuple[str, re.Pattern[str], float, str], ...] = (
    (
        "tags",
        re.compile(f"[{_TAGS}]+"),
        0.9,
        "{count} invisible tag characters (U+E0000 block) that can spell a message",
    ),
    ("bidi", re.compile(f"[{_BIDI}]"), 0.7, "a direction control ({code}): what is shown may differ from what is read"),
    ("selectors", re.compile(f"[{_SELECTORS}]+"), 0.8, "{count} invisible variation selectors that can carry data"),
    ("zero-width", re.compile(f"[{_ZERO_WIDTH}]+"), 0.5, "{count} invisible characters ({code})"),
    ("joiner", re.compile(f"(?<=[ -~])[{_JOINERS}]+(?=[ -~])"), 0.5, "{count} invisible joiners between Latin letters"),
    (
        "mixed-script",
        re.compile(f"(?:[A-Za-z][{_LATIN_TWINS}]|[{_LATIN_TWINS}][A-Za-z])[A-Za-z{_LATIN_TWINS}]*"),
        0.4,
        "a word that mixes Latin letters with look-alikes of another script",
    ),
)
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f")
"""Flags of England, Scotland and Wales are spelled with tag characters."""
_HAN_BEFORE = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_PER_MESSAGE = 5


class HiddenText:
    """Zero-width, direction-changing and tag characters, and words of mixed scripts."""

    name = "hidden-text"
    title = "Invisible or direction-changing characters"
    category = Category.HIDDEN_TEXT
    cues: frozenset[str] | None = frozenset(_BIDI + _ZERO_WIDTH + _JOINERS + _TAGS + _SELECTORS + _LATIN_TWINS)

    def find(self, row: Row) -> Iterable[Finding]:
        """One finding per place, at most five of a kind in a message."""
        for number, message in enumerate(row.messages):
            text = message.text
            if not text.isascii():
                yield from self._in_message(row.id, number, text)
        if row.tools and not row.offered.isascii():
            yield from self._in_message(row.id, -1, row.offered)

    def _in_message(self, row_id: str, number: int, text: str) -> Iterable[Finding]:
        flags = [match.span() for match in _FLAG.finditer(text)]
        for kind, pattern, strength, reason in _KINDS:
            shown = 0
            for match in pattern.finditer(text):
                if _is_ordinary(kind, text, match.start(), flags):
                    continue
                words = reason.format(count=match.end() - match.start(), code=f"U+{ord(match[0][0]):04X}")
                where, place = "Here stands", (number, match.start(), match.end())
                if number < 0:
                    where, place = "In the description of a tool stands", (-1, 0, 0)
                yield Finding(row_id, self.name, self.category, f"{where} {words}.", strength, *place)
                shown += 1
                if shown == _PER_MESSAGE:
                    break


def _is_ordinary(kind: str, text: str, start: int, flags: list[tuple[int, int]]) -> bool:
    if kind == "tags":
        return any(low <= start < high for low, high in flags)
    if kind == "selectors":
        return start > 0 and _HAN_BEFORE.match(text[start - 1]) is not None
    return kind == "zero-width" and text[start] == "\ufeff" and start == 0


DETECTORS = (HiddenText,)
