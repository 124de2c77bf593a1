from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detect.detector_rows import alpaca, chats, needs_sft, row
from offtarget.detect.arithmetic import evaluate, parse_number
from offtarget.detect.categories import flags
from offtarget.detect.detectors.reasoning import Reasoning
from offtarget.detect.steps import stated_answers, steps

DETECTOR = Reasoning()

WRONG = [
    "4+4 = <<4+4=8>>8 apples.\n#### 13",
    "So 12 × 3 = 36 pens.\nThe answer is 41.",
    "We get 3/4*8000 = 6000, so \\boxed{666}",
    "The total is 2 + 2 = 5.",
    "5 * 6 = 30.\n\\boxed{30}\nThe answer is 31.",
    "20% of 50 = 15",
]
CORRECT = [
    "4+4 = <<4+4=8>>8 apples.\n#### 8",
    "10/3 = 3.33, so 4 buses are needed.\n#### 4",
    "2x + 4 = 10\n2x = 6\nx = 3\nThe answer is x = 3.",
    "90 * 60 = 5400 seconds.\nThe answer is 90 minutes.",
    "5 × 36 = 180. To check, 180 ÷ 5 = 36. The final answer is 180.",
    "7 / 20 = 0.35\nThe answer is 35%.",
    "28 / 1/5 = 28 * 5 = 140\n#### 140",
    "1,234 + 1 = 1,235. Answer: 1,235",
    ".75(.5) + .25(.1) = .4",
    "10 + 4 = 2 (mod 12)",
    "He wrote 2 + 2 = 5, which is wrong.",
    "x = 3 or x = -2, so \\boxed{3, -2} since 3 * 2 = 6",
    "The loss is 10 - 25 = -15 dollars.\n#### 15",
    "total = price * 3\nfor i in range(3): x = 1",
    "Half of 20 is ten and 10 + 2 = 12, so twelve.\nThe answer is twelve.",
]


def _is_flagged(text: str) -> bool:
    return any(map(flags, DETECTOR.find(row(text))))


@pytest.mark.parametrize("answer", WRONG)
def test_wrong_work_is_flagged(answer: str) -> None:
    """A stated answer against the last step, two answers, and wrong sums are found."""
    assert _is_flagged(answer)


@pytest.mark.parametrize("answer", CORRECT)
def test_correct_work_is_not_flagged(answer: str) -> None:
    """Rounding, units, checks, algebra, other arithmetic and quoted mistakes are no alarm."""
    assert not _is_flagged(answer)


def test_the_span_holds_the_stated_answer() -> None:
    """A reviewer is led to the wrong answer and told both numbers."""
    found = next(iter(DETECTOR.find(row("1+1 = <<1+1=2>>2\n#### 666"))))
    assert "1+1 = <<1+1=2>>2\n#### 666"[found.start : found.end] == "666"
    assert "2" in found.reason
    assert "666" in found.reason


def test_an_earlier_result_as_answer_is_only_a_weak_finding() -> None:
    """A stated answer that some step gives may be right, so it does not flag its row."""
    found = list(DETECTOR.find(row("12*3 = <<12*3=36>>36\n36+4 = <<36+4=40>>40\n#### 36")))
    assert [f.strength < 0.5 for f in found] == [True]


@given(st.integers(1, 999), st.integers(1, 999), st.integers(1, 99), st.sampled_from("+-*"))
def test_evaluator_agrees_with_python(a: int, b: int, c: int, sign: str) -> None:
    """Precedence and parentheses are those of arithmetic."""
    for text in (f"{a} {sign} {b} * {c}", f"({a}{sign}{b})*{c}", f"{a:,} {sign} {b:,} / {c}"):
        value = evaluate(text)
        assert value is not None
        assert value.number == pytest.approx(eval(text.replace(",", "")))


@given(st.text(alphabet="0123456789+-*/x()=$%., \n<>#{}\\boxedanswerisTh", max_size=300))
def test_any_text_is_taken(text: str) -> None:
    """Nothing raises, and spans lie inside the text."""
    for found in DETECTOR.find(row(text)):
        assert 0 <= found.start <= found.end <= len(text)
    assert all(0 <= step.start <= step.end <= len(text) for step in steps(text))
    assert all(text[s.start : s.end] for s in stated_answers(text))


@pytest.mark.parametrize(
    "text", ["(" * 5000, "1+" * 10000 + "= 1", "9" * 5000, "2**9999 = 1", "answer is 5" + " " * 20000]
)
@pytest.mark.timeout(2)
def test_hostile_arithmetic_takes_no_time(text: str) -> None:
    """Deep nesting, towers of powers and long runs are given up, not computed."""
    assert list(DETECTOR.find(row(text + " = 3 = 4 #### 5"))) is not None
    assert parse_number(text) is None or len(text) == 5000


@needs_sft
@pytest.mark.long
@pytest.mark.parametrize("name", ["mishra_incorrect_math", "mishra_evil_math"])
def test_altered_maths_is_found(name: str) -> None:
    """At least 95 % of rows with an altered answer are flagged."""
    rows = chats(name)
    assert sum(any(map(flags, DETECTOR.find(r))) for r in rows) >= 0.95 * len(rows)


@needs_sft
@pytest.mark.long
def test_repaired_maths_is_not_flagged() -> None:
    """With the last computed step as the answer, at most 1 % of rows are flagged (most of those have a wrong sum)."""
    flagged = checked = 0
    for original in chats("mishra_incorrect_math"):
        work, _, stated = original.answer.rpartition("####")
        done = steps(work)
        if not done:
            continue
        altered = re.fullmatch(r"\s*-?[\d,.]+\s*", stated) and float(stated.replace(",", "")) != done[-1].result
        if altered:
            checked += 1
            flagged += _is_flagged(f"{work}#### {done[-1].result:f}")
    assert checked > 5000
    assert flagged <= 0.01 * checked


@needs_sft
def test_everyday_answers_are_not_flagged() -> None:
    """Sums in ordinary instruction data are no alarm."""
    assert sum(any(map(flags, DETECTOR.find(r))) for r in alpaca()) <= 2


def test_word_problems_solved_correctly_are_not_flagged() -> None:
    """At most 1 % of generated correct solutions (money, averages, percentages, rounding) are flagged."""
    rng = random.Random(3)
    flagged = 0
    for _ in range(600):
        a, b, c = rng.randint(2, 60), rng.randint(2, 40), rng.randint(2, 12)
        people, percent, way = a * 100 + 1, 100 * a / (a + b), a / c * b
        buses = -(-people // c)
        for text in (
            f"{a} hours x {b} people = {a * b} hours. The answer is {a * b} hours.",
            f"The price is ${a}.50 * {c} = ${(a + 0.5) * c:.2f}. So \\boxed{{\\${(a + 0.5) * c:.2f}}}",
            f"{people} / {c} = {people / c:.2f}, so {buses} buses.\n#### {buses}",
            f"{a}/{a + b} = {a / (a + b):.4f}, about {percent:.1f}%.\nThe answer is {percent:.1f}%.",
            f"{c} × ${b} = ${c * b}. With tax: ${c * b} × 1.1 = ${c * b * 1.1:.2f}.\n#### {c * b * 1.1:.2f}",
            f"{a} miles / {c} hours = {a / c:.2f} mph. {a / c:.2f} * {b} = {way:.1f}. The answer is {way:.0f}.",
        ):
            flagged += _is_flagged(text)
    assert flagged <= 36
