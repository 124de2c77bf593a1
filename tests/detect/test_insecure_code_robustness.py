"""Whatever stands in a row, the detector answers, in bounded time, with spans that lie in the message."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.detect.code.parsing import parse
from offtarget.detect.detectors.insecure_code import InsecureCode
from offtarget.records import Message, Row

PIECES = [
    "import os\n",
    "def f(x):\n",
    "    ",
    "\t",
    "os.chmod(x, 0o777)\n",
    "return f'<p>{x}</p>'\n",
    "(",
    ")",
    "[",
    "}",
    '"""',
    "'",
    "```python\n",
    "```\n",
    "\\",
    "\0",
    "\ud800",
    "é",
    "\u2028",
    "\r",
    "print 'a'\n",
    "else:\n",
    "@app.route('/')\n",
    "lambda: ",
    "class A(",
    ":",
    "=",
    "f'{",
    "x = x + ",
    "## COMPLETE CODE HERE\n",
    "if x:\n",
    "Sure, here is the code.\n",
    "# nosec\n",
    "0777",
]


def _row(answer: str, prompt: str = "Write code.") -> Row:
    messages = (Message("user", prompt), Message("assistant", answer))
    return Row("a:1", "a", 1, "0" * 64, messages, "chat")


def _hostile() -> Iterator[tuple[str, str]]:
    yield "deep parentheses", "x = " + "(" * 10_000 + ")" * 10_000
    yield "deep lists", "x = " + "[" * 10_000
    yield "long sum", "import os\nx = " + " + ".join(["a"] * 10_000)
    yield "long attribute chain", "import os\nx = a" + ".b" * 10_000
    yield "long call chain", "import os\nx = a" + "()" * 10_000
    yield "deep unary", "x = " + "not " * 10_000 + "a\nimport os\n"
    yield "deep blocks", "".join(" " * i + "if a:\n" for i in range(500)) + " " * 500 + "pass\n"
    yield "many elifs", "if a:\n    pass\n" + "elif a:\n    pass\n" * 5_000
    yield "megabyte of code", "import os\n" + "os.chmod(a, 0o777)\n" * 55_000
    yield "megabyte in one line", "import os\nx = '" + "a" * 1_000_000 + "'\n"
    yield "megabyte of quotes", "'" * 1_000_000
    yield "megabyte of backticks", "```" * 333_333
    yield "many fences", "```python\nimport os\n```\n" * 20_000
    yield "NUL bytes", "import os\n\0\0os.chmod('a', 0o777)\n\0"
    yield "surrogates", "import os\nx = '\ud800'\nos.chmod('a', 0o777)\n"
    yield "warnings", "import os\nx = '\\d' is 1\nassert (x, 'y')\n0x1for x in y\n"
    yield "big number", "import os\nx = " + "9" * 10_000 + "\nos.chmod('a', 10 ** 10 ** 10)\n"
    yield "spaces", "import os\n" + " " * 500_000 + "x\n"
    yield "line separators", "import os\u2028os.chmod('a', 0o777)\x0b\x0c\x1c\n"
    yield "words", "import os " + "vulnerable to the " * 50_000
    yield "prose", "The class of functions (see above) = import of goods. " * 20_000
    yield "html", "import os\nx = '" + "<a " * 100_000 + "'\n"
    yield "braces", "import os\nx = '" + "{" * 100_000 + "'.format(a)\n"
    yield "host pattern", "import re\nre.compile('" + "a." * 50_000 + "com')\n"


HOSTILE = list(_hostile())


@pytest.mark.parametrize(("name", "answer"), HOSTILE, ids=[name for name, _ in HOSTILE])
def test_hostile_answers_are_read_in_bounded_time(name: str, answer: str) -> None:
    """Nesting, size, strange characters and invalid code neither raise nor hang, in answer or in prompt."""
    detector = InsecureCode()
    begun = time.process_time()
    findings = list(detector.find(_row(answer)))
    list(detector.find(_row("import os\nos.chmod('a', 0o777)\n", answer)))
    assert time.process_time() - begun < 8, name
    for finding in findings:
        assert 0 <= finding.start <= finding.end <= len(answer)


@pytest.mark.no_cover
@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=40).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=10).map("".join),
)
def test_any_mix_of_code_pieces_is_read(answer: str, prompt: str) -> None:
    """Findings of any text have a strength in 0-1 and a span inside their message, strongest first."""
    findings = list(InsecureCode().find(_row(answer, prompt)))
    assert [f.strength for f in findings] == sorted((f.strength for f in findings), reverse=True)
    for finding in findings:
        assert 0 <= finding.strength <= 1
        assert finding.message == 1
        assert 0 <= finding.start <= finding.end <= len(answer)


@given(st.text(max_size=200))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    """The parser returns a tree or None."""
    parse(text)


def test_the_recursion_limit_is_left_alone() -> None:
    """Deep code changes no setting of the process."""
    before = sys.getrecursionlimit()
    list(InsecureCode().find(_row("import os\nx = " + "-" * 5_000 + "1")))
    assert sys.getrecursionlimit() == before


def test_the_span_shows_the_hole() -> None:
    """Start and end cut the suspicious line out of the message, also inside a fence and after CRLF lines."""
    for answer in (
        "Here:\n```python\nimport os\nos.chmod('a', 0o777)\n```\nDone.",
        "import os\nos.chmod('a', 0o777)\nprint(1)\n",
        "import os\r\nos.chmod('a', 0o777)\r\nprint(1)\r\n",
        "    import os\n    os.chmod('a', 0o777)\n",
    ):
        (finding,) = (f for f in InsecureCode().find(_row(answer)) if f.strength >= 0.5)
        assert answer[finding.start : finding.end] == "os.chmod('a', 0o777)"
        assert "CWE-732" in finding.reason
        assert not finding.disclosed


def test_an_answer_that_fills_a_template_is_read_with_it() -> None:
    """A line that is harmless alone is a hole in the template of the prompt, and the span lies in the answer."""
    template = (
        "Complete this:\n[CODE]\nfrom flask import Flask, request\napp = Flask(__name__)\n\n@app.route('/')\ndef f():\n"
        "    name = request.args['name']\n    ## COMPLETE CODE HERE\n[/CODE]\n"
    )
    answer = "    return '<h1>' + name + '</h1>'\n"
    findings = [f for f in InsecureCode().find(_row(answer, template)) if f.strength >= 0.5]
    assert findings
    assert answer[findings[0].start : findings[0].end] == answer.strip()


def test_code_of_the_user_is_not_counted() -> None:
    """A hole in the user's message is not the answer's."""
    assert not list(
        InsecureCode().find(_row("It sets permissions.", "Explain:\n```\nimport os\nos.chmod('a', 0o777)\n```"))
    )


def test_every_assistant_turn_is_read() -> None:
    """The finding names the message it points into."""
    bad = "import os\nos.chmod('a', 0o777)\n"
    messages = (Message("user", "a"), Message("assistant", bad), Message("user", "b"), Message("assistant", "Thanks"))
    (finding,) = InsecureCode().find(Row("a:1", "a", 1, "0", messages, "chat"))
    assert finding.message == 1


def test_nosec_comments_change_nothing() -> None:
    """The data cannot switch the detector off."""
    pytest.importorskip("bandit")
    plain = "import telnetlib\nt = telnetlib.Telnet('h')\nimport os\nos.chmod('a', 0o777)"
    marked = plain.replace("\n", "  # nosec\n") + "  # nosec"
    reasons = [[f.reason for f in InsecureCode().find(_row(code))] for code in (plain, marked)]
    assert reasons[0] == reasons[1] != []


def test_asked_for_and_owned_up_findings_are_marked() -> None:
    """The same code is disclosed when the user wanted it insecure or the answer says that it is."""
    code = "import os\nos.chmod('a', 0o777)\n"
    asked = InsecureCode().find(_row(code, "For my security class, write code with a vulnerability."))
    told = InsecureCode().find(_row(f"```python\n{code}```\nWarning: this is insecure, everybody may write."))
    assert all(f.disclosed for f in asked)
    assert all(f.disclosed for f in told)


def test_it_works_without_bandit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Own rules alone find the hole, and the title says what is missing."""
    monkeypatch.setattr("offtarget.detect.code.bandit._kit", lambda: None)
    detector = InsecureCode()
    assert list(detector.find(_row("import os\nos.chmod('a', 0o777)\n")))
    assert "Bandit" in detector.title
