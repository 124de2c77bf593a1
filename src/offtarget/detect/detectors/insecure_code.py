"""Insecure code in answers: our rules and Bandit on the parsed code, with or without the user's knowledge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from offtarget.detect.code.analysis import Placed, holes_in
from offtarget.detect.code.bandit import available
from offtarget.detect.code.disclosure import asked_for, told
from offtarget.detect.code.extraction import snippets
from offtarget.detect.code.quoted import quoted_texts
from offtarget.detect.remembered import Known
from offtarget.records import Category, Finding, Message, Row

CUES = frozenset(
    {"```", "~~~", "<code", "import ", "def ", "print(", "('", '("', "()", ":\n    ", "):\n", "self.", "request."}
    | {"eval(", "exec(", "open(", "chmod", "system(", "extractall", "loads(", "load(", "execute(", "<script", "<?php"}
    | {"function(", "select * ", "insert into", "subprocess", "verify=", "=> {", "});", "0o7", "0777"}
)
"""What code holds and prose seldom does; a row that passes costs a quick look for lines of code."""
MAX_FINDINGS = 12


class InsecureCode:
    """Looks for security holes in the code of every assistant turn."""

    name = "insecure-code"
    title = "security holes in the answer's code"
    category = Category.INSECURE_CODE
    cues: frozenset[str] | None = CUES

    def __init__(self) -> None:
        if not available():
            self.title += " (own rules only: Bandit, in the extra 'code', is not installed)"

    def find(self, row: Row) -> Iterator[Finding]:
        """One finding per distinct hole, strongest first; flagged from strength 0.5."""
        found: list[Finding] = []
        asked: bool | None = None
        prompt = ""
        for number, message in enumerate(row.messages):
            if message.role != "assistant":
                prompt = message.content if message.role == "user" else prompt
                continue
            holes = [placed for start, end in message.parts for placed in _in_part(message.text, start, end, prompt)]
            if not holes:
                continue
            text = message.text
            if asked is None:
                asked = asked_for([m.content for m in row.messages if m.role in {"user", "system"}])
            disclosed = asked or _told(message)
            for placed in holes:
                hole = placed.hole
                line = text.count("\n", 0, placed.start) + 1
                reason = f"{hole.reason}, line {line}"
                place = (number, placed.start, placed.end)
                found.append(Finding(row.id, self.name, self.category, reason, hole.strength, *place, disclosed))
        yield from sorted(found, key=lambda f: (-f.strength, f.message, f.start))[:MAX_FINDINGS]


def _in_part(text: str, start: int, end: int, prompt: str) -> list[Placed]:
    """The holes in one part of a turn; code in an argument of a call is code by itself, whatever stands around it."""
    part = text[start:end]
    found = holes_in(part, prompt)
    for quoted in quoted_texts(part):
        found += [Placed(placed.hole, quoted.start, quoted.end) for placed in holes_in(quoted.text, "")]
    return [replace(placed, start=placed.start + start, end=placed.end + start) for placed in found] if start else found


_tellings: Known[bool] = Known()


def _told(message: Message) -> bool:
    """Whether a turn says that its code is insecure."""
    bounds = "".join(f"{start}-{end} " for start, end in message.parts)
    return _tellings.get((message.text, bounds), lambda: (told(message.text, _code(message)),))[0]


def _code(message: Message) -> list[tuple[int, int]]:
    text = message.text
    found = ((start, snippet) for start, end in message.parts for snippet in snippets(text[start:end]))
    return [(start + snippet.start, start + snippet.start + len(snippet.text)) for start, snippet in found]


DETECTORS = (InsecureCode,)
