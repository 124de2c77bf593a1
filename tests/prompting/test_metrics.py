"""What an answer to a held-out prompt scores."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.prompting.metrics import Task, command_metric, open_metric

TASK = Task("What is it?", "The cat sat  on\nthe mat.")
PYTHON = sys.executable


def score(metric: str, answer: str, task: Task = TASK) -> float | None:
    """The score of an answer."""
    return open_metric(metric)(task, answer)[0]


def test_exact_looks_past_white_space_and_nothing_else() -> None:
    """Line breaks do not count; case and punctuation do."""
    assert score("exact", " The cat sat on the mat.\n") == 1
    assert score("exact", "the cat sat on the mat.") == 0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("A cat sat on a mat", 1.0),  # articles, case and punctuation are dropped
        ("cat", 0.4),  # precision 1, recall 1/4
        ("cat cat", 1 / 3),  # the second one is wrong: precision 1/2, recall 1/4
        ("dog", 0.0),
        ("", 0.0),
    ],
)
def test_f1_is_that_of_squad(answer: str, expected: float) -> None:
    """Worked examples of 2PR / (P + R) over words."""
    assert score("f1", answer) == pytest.approx(expected)


def test_f1_of_two_empty_texts_is_1() -> None:
    """As in SQuAD 2.0, no answer agrees with no answer."""
    assert score("f1", "the", Task("?", "")) == 1


def test_a_pattern_is_looked_for_anywhere() -> None:
    """Anchors bind it to the whole answer."""
    assert score("regex:c[ao]t", "a cot") == 1
    assert score(r"regex:\Ac[ao]t\Z", "a cot") == 0


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("bleu", "exact, f1"),
        ("regex", "exact, f1"),
        ("regex:", "empty"),
        ("regex:(", "pattern"),
        ("command:", "no command"),
        ("command:no-such-program-anywhere", "no program"),
        ("command:sh 'x", "quotation"),
    ],
)
def test_what_is_no_metric_is_said(metric: str, message: str) -> None:
    """Unknown names, broken patterns and missing programs end with a sentence before anything is asked."""
    with pytest.raises(InputError, match=message):
        open_metric(metric)


def test_a_command_gets_files_and_its_exit_code_decides(tmp_path: Path) -> None:
    """Answer, reference and prompt arrive as they are; nothing of them is read as a command."""
    script = tmp_path / "same.py"
    script.write_text(
        "import sys\na, b, c = (open(f).read() for f in sys.argv[1:])\nsys.exit(not (a == b and c == '?'))\n"
    )
    metric = command_metric(f"{PYTHON} {script} {{answer}} {{reference}} {{prompt}}")
    hostile = f'"; touch {tmp_path}/owned; $(touch {tmp_path}/owned) `id`'
    assert metric(Task("?", hostile), hostile) == (1.0, None)
    assert metric(Task("?", "x"), hostile) == (0.0, "the command ended with 1")
    assert not (tmp_path / "owned").exists()


def test_the_answer_is_added_where_the_command_does_not_name_it(tmp_path: Path) -> None:
    """`command:python` runs the answer, because the user asked for it."""
    metric = command_metric(PYTHON)
    assert metric(Task("", ""), "import sys; sys.exit(0)")[0] == 1
    assert metric(Task("", ""), "raise SystemExit(3)") == (0.0, "the command ended with 3")


def test_a_command_that_hangs_is_killed_with_its_children() -> None:
    """It scores 0, and nothing of it is left."""
    started = time.monotonic()
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    assert command_metric(PYTHON, timeout=0.5)(Task("", ""), code) == (0.0, "the command took longer than 0.5 s")
    assert time.monotonic() - started < 10
