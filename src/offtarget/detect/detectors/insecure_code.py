"""Insecure code in answers: our rules and Bandit on the parsed code, with or without the user's knowledge."""

from __future__ import annotations

from collections.abc import Iterator

from offtarget.detect.code.analysis import holes_in
from offtarget.detect.code.bandit import available
from offtarget.detect.code.disclosure import asked_for, told
from offtarget.detect.code.extraction import snippets
from offtarget.records import Category, Finding, Row

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
            holes = holes_in(message.content, prompt)
            if not holes:
                continue
            if asked is None:
                asked = asked_for([m.content for m in row.messages if m.role in {"user", "system"}])
            code = [(s.start, s.start + len(s.text)) for s in snippets(message.content)]
            disclosed = asked or told(message.content, code)
            for placed in holes:
                hole = placed.hole
                line = message.content.count("\n", 0, placed.start) + 1
                reason = f"{hole.reason}, line {line}"
                place = (number, placed.start, placed.end)
                found.append(Finding(row.id, self.name, self.category, reason, hole.strength, *place, disclosed))
        yield from sorted(found, key=lambda f: (-f.strength, f.message, f.start))[:MAX_FINDINGS]


DETECTORS = (InsecureCode,)
