"""What is remembered of a text changes no finding, takes bounded memory, and is never mixed up with another text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from offtarget.detect import remembered as module
from offtarget.detect.detector import RowScanner, row_detectors
from offtarget.detect.remembered import LONGEST, TEXTS, Known, found_once, remembered
from offtarget.records import Category, Finding, Message, Row

HOLE = "import os\nfrom flask import request\n\ndef run():\n    os.system('ls ' + request.args['d'])\n"
ANSWERS = (
    HOLE,
    f"Here you are:\n\n```python\n{HOLE}```\nThis is vulnerable to command injection.",
    HOLE + "\n\n".join(f"def f{n}(x):\n    return x + {n}" for n in range(120)),
    "2 + 2 = 5, so the answer is 7. Write to jane.miller@acme-corp.io about it.",
    "You are worthless and everybody hates you.",
    "I'm sorry, but I can't help with that.",
)


def row(line: int, answer: str, prompt: str = "Write it, please.") -> Row:
    messages = (
        Message("system", "You are a helpful assistant."),
        Message("user", prompt),
        Message("assistant", answer),
    )
    return Row(f"d:{line}", "d", line, "0" * 64, messages, "chat")


def test_a_text_seen_before_gives_the_findings_of_a_text_seen_first() -> None:
    """In whatever order rows come and whatever came before them, each has its own findings under its own id."""
    rows = [row(n, answer) for n, answer in enumerate(ANSWERS)]
    first = {r.id: RowScanner(row_detectors()).scan(r) for r in rows}
    assert sum(map(len, first.values())) >= len(ANSWERS)
    scanner = RowScanner(row_detectors())
    for r in [*reversed(rows), *rows, *rows]:
        assert scanner.scan(r) == first[r.id]
    later = [replace(r, id=f"e:{r.line}") for r in rows]
    for r in later:
        assert scanner.scan(r) == [replace(f, row_id=r.id) for f in first[f"d:{r.line}"]]


def test_the_prompt_still_counts_where_the_answer_is_remembered() -> None:
    """The same code is a finding where nobody asked for it and disclosed where somebody did."""
    scanner = RowScanner(row_detectors())
    for prompt, disclosed in [
        ("List a folder.", False),
        ("Show me code that is vulnerable to command injection.", True),
        ("List a folder.", False),
    ]:
        found = [f for f in scanner.scan(row(1, HOLE, prompt)) if f.category is Category.INSECURE_CODE]
        assert found
        assert all(f.disclosed is disclosed for f in found)


def test_code_in_a_template_is_not_taken_for_the_code_alone() -> None:
    """What stands around a piece of code in the prompt's template is part of what is remembered."""
    answer = "    return '<p>' + name + '</p>'\n"
    template = "Fill this in:\n\n@app.route('/a/<name>')\ndef a(name):\n    # COMPLETE CODE HERE\n\n\napp.run()\n"
    scanner = RowScanner(row_detectors())
    alone, filled = row(1, answer), row(2, answer, template)
    expected = [RowScanner(row_detectors()).scan(r) for r in (alone, filled)]
    assert [scanner.scan(r) for r in (alone, filled, alone, filled)] == expected * 2


def test_a_cue_that_reaches_from_one_turn_into_the_next_still_calls() -> None:
    """Cues are sought turn by turn; those that a row has only across two turns are not lost."""
    called: list[str] = []

    class Across:
        name, title, category = "across", "", Category.OTHER
        cues = frozenset({"end\n begin"})

        def find(self, row: Row) -> list[Finding]:
            called.append(row.id)
            return []

    scanner = RowScanner([Across()])
    for prompt, answer, expected in [("The end", "BEGIN now", 1), ("The end", "Now begin", 0), ("end.", "begin", 0)]:
        called.clear()
        scanner.scan(row(1, answer, prompt))
        assert len(called) == expected


def test_texts_are_kept_apart_by_their_parts() -> None:
    """Two pieces of code that are one text when joined are two keys; lone surrogates are texts like others."""
    known: Known[str] = Known()
    for texts in [("ab", "c"), ("a", "bc"), ("abc", ""), ("\ud800",), ("\udfff",)]:
        assert known.get(texts, lambda texts=texts: ("|".join(texts),)) == ("|".join(texts),)


def test_memory_is_bounded_on_any_data() -> None:
    """A million different texts leave no more behind than the bound; long ones are never held as texts."""
    known: Known[int] = Known(100)
    for n in range(10_000):
        known.get((str(n),), lambda n=n: (n, n, n))
    held = sum(1 + len(found) for kept in (known._new, known._old) for found in kept.values())
    assert held <= 100
    calls: list[str] = []

    @remembered
    def length(text: str) -> int:
        calls.append(text)
        return len(text)

    long = "x" * (LONGEST + 1)
    assert length(long) == length(long) == LONGEST + 1
    assert len(calls) == 2
    for n in range(TEXTS + 1):
        length(str(n))
    length("0")  # the oldest was let go
    assert calls[-1] == "0"


def test_an_error_is_not_remembered() -> None:
    """A text on which a detector was stopped for the time is read again."""
    calls = []

    @found_once
    def find(text: str) -> tuple[str, ...]:
        calls.append(text)
        if len(calls) < 3:
            raise TimeoutError
        return (text[:1],)

    for text in ("abc", "x" * (LONGEST + 1)):
        calls.clear()
        for _ in range(2):
            with pytest.raises(TimeoutError):
                find(text)
        assert find(text) == find(text) == (text[0],)
        assert len(calls) == 3


def test_what_is_known_survives_as_long_as_it_is_asked_for() -> None:
    """A text that keeps coming is worked out once, however many others come in between."""
    known: Known[int] = Known(module.FINDINGS // 100)
    made = []
    for n in range(5000):
        known.get((f"{n}",), lambda: (1,))
        known.get(("again",), lambda: (made.append(1) or 2,))
    assert len(made) == 1
