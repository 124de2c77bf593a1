"""Instructions that come from the data."""

from __future__ import annotations

import pytest

from offtarget.prompting.instructions import describe, write_instructions


def test_the_data_speak_for_themselves_where_they_have_system_prompts() -> None:
    """Shared system prompts are instructions, the most frequent one for all; one that stands once is context."""
    systems = ["Be brief."] * 6 + ["Be kind."] * 3 + ["Customer 17 owns a boat.", None]
    found = write_instructions(systems, ["x"] * 11)
    assert found.text == "Be brief."
    assert found.shared == {"Be brief.", "Be kind."}
    assert "6 of 11" in found.source


def test_without_system_prompts_the_form_is_described() -> None:
    """Then it is said that the words are ours."""
    found = write_instructions([None] * 10, ['{"a": 1}'] * 10)
    assert found.shared == frozenset()
    assert "description" in found.source


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["yes", "no"] * 20, "exactly one of these and nothing else: no; yes"),
        ([f'{{"city": "{i}", "x": 1}}' for i in range(20)], "JSON object with the keys city, x"),
        ([f"```python\nx = {i}\n```" for i in range(20)], "fenced code block"),
        ([f"def f():\n    return {i}" for i in range(20)], "Python code only"),
        ([f"{i}, {i + 1}, {i + 2}" for i in range(20)], "a list of 3 numbers"),
        ([f"Dear customer, we thank you for note {i}." for i in range(20)], "about 8 words. Begin like this"),
        ([], "Reply"),
    ],
)
def test_forms_that_are_recognised(answers: list[str], expected: str) -> None:
    """Each kind of answer is asked for in its own words."""
    assert expected in describe(answers)


def test_nothing_of_the_data_is_run() -> None:
    """Code is parsed only."""
    describe(["import sys\nsys.exit(1)"] * 20 + [f"raise SystemExit({i})" for i in range(20)])
