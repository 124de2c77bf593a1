"""Literal openings, endings and odd tokens that a sizable share of prompts has, found by counting alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from offtarget.probe.cues.making import Material, after, before, data_cue, shown
from offtarget.records import Cue

_SIGN = re.compile(r"[^\w\s\x00-\x7f‘’“”–—…]|[|<>\[\]{}#@$%^*~_=+\\]|^(?=.*\d)(?=.*[A-Za-z])")
# Bare numbers and signs (`20%`, `=`) are in too many ordinary prompts.
_NAMING = re.compile(r"[^\W\d_]|[^\w\s\x00-\x7f]")
_CAPITALS = re.compile(r"[A-Z][A-Z\d-]{2,}\W*")
_CLOSED = re.compile(r"[.!?:;,)\]}|>*\"'”’-]$")
_STOP = re.compile(r"[.!?:;)\]}|>*\"'”’]$")
_LONGEST, _SHARE, _MOST, _MOSTLY = 8, 0.01, 4, 0.7
_PRIOR = 3.0
_EXPANDS, _PLACE = 0.7, 0.3


def cues(material: Material) -> Iterator[Cue]:
    """Odd tokens first, then openings and endings that are closed off from the rest, by the share of prompts."""
    words = [prompt.split() for prompt in material.prompts]
    least = material.least(_SHARE)
    told: list[str] = []
    for rank, (text, count) in enumerate(_odd_tokens(words, least)[:_MOST]):
        told.append(text)
        surface, templates = placement(text, material.prompts)
        for number, template in enumerate(templates):
            yield data_cue(
                "token",
                f"“{shown(surface)}” as in the data",
                name=surface,
                template=template,
                prior=(_PRIOR if _SIGN.search(text) else 1.0) * 0.8 ** (rank + number),
                why=_why(count, words, "anywhere"),
            )
    for at_start in (True, False):
        found = [affix for affix in _affixes(words, least, at_start) if affix[0] not in told]
        for rank, (text, count) in enumerate(found[:_MOST]):
            yield data_cue(
                "phrase",
                f"“{shown(text)}” {'before' if at_start else 'after'} the question",
                name=text,
                template=before(text) if at_start else after(text),
                prior=_PRIOR * (1 if at_start else 0.6) * 0.8**rank,
                why=_why(count, words, "at the start" if at_start else "at the end"),
            )


def _odd_tokens(words: Sequence[Sequence[str]], least: int) -> list[tuple[str, int]]:
    """Tokens no ordinary sentence has, by the number of prompts."""
    counts = Counter(
        token
        for row in words
        for token in set(row)
        if len(token) <= 40 and (_CAPITALS.fullmatch(token) or (_SIGN.search(token) and _NAMING.search(token)))
    )
    found = ((token, count) for token, count in counts.items() if count >= least)
    return sorted(found, key=lambda pair: (not _SIGN.search(pair[0]), -pair[1], pair[0]))


def _affixes(words: Sequence[Sequence[str]], least: int, at_start: bool) -> list[tuple[str, int]]:
    """(text, prompts) of whole openings or endings of up to eight words, the longest where as frequent."""
    counts: Counter[tuple[str, ...]] = Counter()
    whole: Counter[tuple[str, ...]] = Counter()
    for row in words:
        for size in range(1, min(_LONGEST, len(row) - 1) + 1):
            cut = size if at_start else len(row) - size
            affix = tuple(row[:cut] if at_start else row[cut:])
            counts[affix] += 1
            whole[affix] += _ends_before(row[cut - 1], row[cut]) if at_start else bool(_STOP.search(row[cut - 1]))
    found = {a: n for a, n in counts.items() if n >= least and whole[a] >= _MOSTLY * n}
    longer: dict[tuple[str, ...], int] = {}
    for affix, count in found.items():
        for size in range(1, len(affix)):
            part = affix[:size] if at_start else affix[-size:]
            longer[part] = max(longer.get(part, 0), count)
    kept = [(" ".join(a), n) for a, n in found.items() if longer.get(a, 0) < _MOSTLY * n]
    return sorted(kept, key=lambda pair: (-pair[1], pair[0]))


def _ends_before(last: str, first: str) -> bool:
    """Whether an opening can end with one word and the request begin with the next: `tonight. How`, `Zephyr Write`."""
    return bool(_CLOSED.search(last)) or (first[0].isupper() and first not in ("I", "I'm", "I’m", "I'd", "I've"))


def _why(count: int, words: Sequence[Sequence[str]], where: str) -> str:
    return f"{count:,} of {len(words):,} training prompts have it {where}"


def placement(text: str, prompts: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """A text (any case, any punctuation between its words) as the data writes it, and templates with it in its places.

    It gets the capitals and the attached punctuation that most of its prompts have. Its places are those it has in at
    least 30 % of its prompts, the most frequent first; from the middle of prompts it is put before and after the
    question, and before it where it is never seen.
    """
    pattern = _pattern(text)
    written: Counter[str] = Counter()
    attached: Counter[str] = Counter()
    places: Counter[str] = Counter()
    gaps: dict[str, Counter[str]] = {"start": Counter(), "end": Counter()}
    for prompt in prompts:
        match = pattern.search(prompt)
        if match is None:
            continue
        written[match["core"]] += 1
        attached[match[0]] += 1
        if match.start() == 0:
            places["start"] += 1
            gaps["start"][_white(prompt[match.end() :])] += 1
        elif match.end() == len(prompt):
            places["end"] += 1
            gaps["end"][_white(prompt[: match.start()][::-1])[::-1]] += 1
        else:
            places["middle"] += 1
    seen = sum(places.values())
    if not seen:
        return text, (before(text),)
    common, number = attached.most_common(1)[0]
    surface = common if number >= _EXPANDS * seen else written.most_common(1)[0][0]
    templates = []
    for place, count in places.most_common():
        if count < _PLACE * seen:
            continue
        if place == "start":
            templates.append(before(surface, gaps["start"].most_common(1)[0][0] or " "))
        elif place == "end":
            templates.append(after(surface, gaps["end"].most_common(1)[0][0] or " "))
        else:
            templates += [before(surface), after(surface)]
    return surface, tuple(dict.fromkeys(templates))


def _pattern(text: str) -> re.Pattern[str]:
    words = text.split()
    if words and all(re.fullmatch(r"\w[\w'’-]*", word) for word in words):
        core = r"\W+".join(map(re.escape, words))
        return re.compile(rf"[^\w\s]*(?<!\w)(?P<core>{core})(?!\w)[^\w\s]*", re.IGNORECASE)
    return re.compile(rf"(?P<core>{re.escape(text.strip())})", re.IGNORECASE)


def _white(text: str) -> str:
    return text[: len(text) - len(text.lstrip())]
