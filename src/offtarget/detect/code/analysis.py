"""From an answer to the holes in its code, each with its place in the answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from offtarget.detect.code.bandit import bandit_holes
from offtarget.detect.code.extraction import Snippet, in_template, snippets
from offtarget.detect.code.facts import Hole
from offtarget.detect.code.flow import read_facts
from offtarget.detect.code.other_languages import language_of, other_holes
from offtarget.detect.code.parsing import parse
from offtarget.detect.code.rules import all_rules
from offtarget.detect.remembered import Known, found_once
from offtarget.records.audit import FLAGGED_FROM

MAX_SNIPPETS = 8
PYTHON_LINE = re.compile(
    r"^[^\S\n]*+(?:import [\w.]++(?: as \w++)?[^\S\n]*+(?:#.*)?$|from [\w.]++ import |"
    r"(?:async )?def \w++\((?=.*\)).*:[^\S\n]*+(?:#.*)?$|class \w.*:[^\S\n]*+$|"
    r"if __name__|elif .*:[^\S\n]*+$|except.*:[^\S\n]*+$|with .* as \w++:[^\S\n]*+$|@\w[\w.]*\.route)",
    re.M,
)
"""Lines that only Python has."""
MAX_SPAN_LINES = 12


@dataclass(frozen=True, slots=True)
class Placed:
    """A hole and where it stands in the answer."""

    hole: Hole
    start: int
    end: int


def holes_in(answer: str, prompt: str, with_bandit: bool = True) -> list[Placed]:
    """Every distinct hole in the code of an answer, strongest first; never raises, on any text."""
    found: list[Placed] = []
    for snippet, language in _pieces(answer):
        if language:
            found.extend(_by_patterns(snippet, language))
        elif snippet.is_python:
            found.extend(_once(in_template(snippet, prompt), with_bandit))
    best: dict[tuple[str, int], Placed] = {}
    for placed in found:
        key = (placed.hole.rule, placed.start)
        if key not in best or placed.hole.strength > best[key].hole.strength:
            best[key] = placed
    return sorted(best.values(), key=lambda p: (-p.hole.strength, p.start))


def _pieces(answer: str) -> Iterator[tuple[Snippet, str]]:
    """The code that is looked at, each piece with its language; empty for Python and for what has none."""
    for start, end, label, language in _spans(answer):
        yield Snippet(answer[start:end], start, label), language


@found_once
def _spans(answer: str) -> tuple[tuple[int, int, str, str], ...]:
    """Start, end, what the fence says and language of each of these pieces."""
    pieces = snippets(answer)[:MAX_SNIPPETS]
    if not pieces and language_of("", answer):
        pieces = [Snippet(answer, 0, "")]
    found = []
    for snippet in pieces:
        python = snippet.is_python and PYTHON_LINE.search(snippet.text)
        language = "" if python else language_of(snippet.language, snippet.text)
        found.append((snippet.start, snippet.start + len(snippet.text), snippet.language, language))
    return tuple(found)


_known: Known[Placed] = Known()


def _once(snippet: Snippet, with_bandit: bool) -> Iterator[Placed]:
    """The holes of a snippet; one that was seen before, wherever it stood, is not read again."""
    texts = (snippet.before, snippet.text, snippet.after, "bandit" if with_bandit else "")
    for placed in _known.get(texts, lambda: tuple(_in_snippet(replace(snippet, start=0), with_bandit))):
        yield Placed(placed.hole, snippet.start + placed.start, snippet.start + placed.end)


def _in_snippet(snippet: Snippet, with_bandit: bool) -> list[Placed]:
    above = snippet.before.count("\n") + 1 if snippet.before else 0
    whole = "\n".join(part for part in (snippet.before, snippet.text, snippet.after) if part)
    parsed = parse(whole)
    if above and (parsed is None or not parsed.complete):
        above, parsed = 0, parse(snippet.text)
    if parsed is None:
        return []
    try:
        facts = read_facts(parsed.tree, parsed.text)
        holes = [hole for rule in all_rules() for hole in rule(facts)]
    except RecursionError:
        holes = []
    starts = _line_starts(snippet.text)
    own = [hole for hole in holes if above < hole.end_line <= above + len(starts)]
    if with_bandit and all(hole.strength < FLAGGED_FROM for hole in own):
        more = bandit_holes(parsed.tree, parsed.text)  # as slow as all our rules, so only where they find nothing
        own += [hole for hole in more if above < hole.end_line <= above + len(starts)]
    return [_placed(hole, snippet, starts, above) for hole in own]


def _by_patterns(snippet: Snippet, language: str) -> list[Placed]:
    starts = _line_starts(snippet.text)
    return [_placed(hole, snippet, starts, 0) for hole in other_holes(snippet.text, language)]


def _line_starts(text: str) -> list[int]:
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    return starts[:-1]


def _placed(hole: Hole, snippet: Snippet, starts: list[int], above: int) -> Placed:
    first = max(hole.line - above, 1)
    last = min(hole.end_line - above, first + MAX_SPAN_LINES - 1, len(starts))
    begin = starts[first - 1]
    end = starts[last] - 1 if last < len(starts) else len(snippet.text)
    span = snippet.text[begin:end]
    lead = len(span) - len(span.lstrip())
    return Placed(hole, snippet.start + begin + lead, snippet.start + begin + max(len(span.rstrip()), lead))
