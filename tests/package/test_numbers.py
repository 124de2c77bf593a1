"""Numbers as text: nothing rounds to none or all, order is kept, and nobody formats a share for himself."""

from __future__ import annotations

import ast
import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import offtarget
from offtarget import numbers
from offtarget.records import Interval

SHARES = st.one_of(st.floats(0, 1), st.floats(0, 1e-3), st.floats(0.99, 1))
SOURCE = Path(offtarget.__file__).parent
OWN_FORMATS = {
    "offtarget/numbers.py": "the home of the rule",
    "families/shapes.py": "the reason of a cue is part of the record of a cued check, which must not change",
    "triggers/formats.py": "tenths and quarters in the name of a condition, exact as they are",
}
"""Files that may set a number before a per cent sign, and why."""


def read(text: str) -> tuple[float, float]:
    """The lowest and highest value in per cent that a text may stand for."""
    body = text.removesuffix(" %")
    if body.startswith("<"):
        return 0.0, float(body[1:])
    if body.startswith(">"):
        return float(body[1:]), 100.0
    half = 0.5 * 10 ** -(2 if float(body) < 0.1 else 1)
    return float(body) - half - 1e-9, float(body) + half + 1e-9


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "no data"), (math.nan, "no data"), (0.0, "0 %"), (1e-9, "<0.01 %"), (0.0004, "0.04 %"),
        (0.00097, "0.1 %"), (0.013, "1.3 %"), (0.05, "5 %"), (0.0996, "10 %"), (0.2143, "21.4 %"), (0.9167, "91.7 %"),
        (0.9996, ">99.9 %"), (1.0, "100 %"), (1.2, "120 %"), (-0.05, "-5 %"),
    ],
)  # fmt: skip
def test_shares_have_one_decimal_and_no_data_is_not_zero(share, text):
    """Two decimals below a tenth of a percent, a zero at the end dropped."""
    assert numbers.percent(share) == text


@given(SHARES)
def test_a_share_reads_back_and_never_rounds_to_none_or_all(share):
    """The text stands for a range that holds the value; only 0 reads `0 %`, only 1 reads `100 %`."""
    text = numbers.percent(share)
    low, high = read(text)
    assert low <= 100 * share <= high
    assert (text == "0 %") == (share == 0)
    assert (text == "100 %") == (share == 1)


@given(SHARES, SHARES)
def test_a_larger_share_never_reads_as_a_smaller_one(one, other):
    small, large = read(numbers.percent(min(one, other))), read(numbers.percent(max(one, other)))
    assert small[0] <= large[0]
    assert small[1] <= large[1]


@given(st.integers(1, 10**6).map(lambda n: n / 10**8), st.integers(0, 12))
def test_a_share_that_was_chosen_is_given_in_full(step, halvings):
    """Alpha halved with every round of an audit stays what it is."""
    share = step * 2**-halvings
    assert float(numbers.chosen(share).removesuffix(" %")) == pytest.approx(100 * share, rel=1e-11)
    assert numbers.chosen(0.07) == "7 %"
    assert numbers.chosen(0.0125) == "1.25 %"


@given(SHARES)
def test_bounds_are_rounded_away_from_the_estimate(share):
    """`At least` and `at most` stay true in print."""
    assert read(numbers.at_least(share))[0] <= 100 * share + 1e-9
    if (text := numbers.at_most(share)) != "<0.01 %":
        assert float(text.removesuffix(" %").lstrip(">")) >= 100 * share - 1e-9
    assert numbers.share_range(Interval(0.0021, 0.0412)) == "0.2 % to 4.2 %"
    assert numbers.share_range(None) == "no data"


@given(st.floats(-1, 1))
def test_differences_carry_their_sign(value):
    """The digits of a share, with a sign for all that is not 0."""
    text = numbers.difference(value)
    assert text[0] == ("0" if value == 0 else "+" if value > 0 else "-")
    if "<" not in text:
        assert float(text) == pytest.approx(100 * value, abs=0.05 + 1e-9)


def test_differences_and_intervals_in_points():
    assert numbers.points(0.14) == "+14 points"
    assert numbers.points(-0.003) == "-0.3 points"
    assert numbers.points(0.00001) == "+<0.01 points"
    assert numbers.points(None) == numbers.points(math.nan) == numbers.between(None) == "no data"
    assert numbers.between(Interval(-0.012, 0.14)) == "-1.2 to +14"
    assert numbers.hundredths_range(Interval(0.008, 0.0212)) == "0.8 to 2.1"


def test_an_upper_end_that_says_nothing_is_left_out():
    assert numbers.worse_by(Interval(-0.01, 0.05)) == "-1 to +5 points"
    assert numbers.worse_by(Interval(0.12, 1.0)) == "at least +12 points"
    assert numbers.worse_by(Interval(-0.025, 1.0)) == "at least -2.5 points"


def test_counts_have_separators_and_nothing_of_nothing_is_no_data():
    assert numbers.whole(1520) == "1,520"
    assert numbers.whole(None) == "no data"
    assert numbers.of(14, 1096) == "14 of 1,096"
    assert numbers.of(0, 0) == "no data"
    assert [numbers.many(n, "row") for n in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]
    assert [numbers.mean_count(v) for v in (0.0, 0.01, 1.23, 1204.5)] == ["0.0", "<0.1", "1.2", "1,204.5"]
    assert [numbers.short(v) for v in (16, 4096, 1 << 20)] == ["16", "4k", "1M"]
    assert [numbers.times(v) for v in (6.12, 93.44, 1203.6, math.inf)] == ["6.12×", "93.4×", "1,204×", "no data"]


def test_e_values_of_any_size_are_short():
    logs = (None, math.nan, 0.0, math.log(20), 7.0, 12.0, 40.2, -40.0, math.inf, -math.inf)
    texts = ["no data", "no data", "1", "20", "1,100", "163,000", "10^17", "10^-17", "∞", "0"]
    assert [numbers.e_value(v) for v in logs] == texts
    assert numbers.audit_e_value(1000.0) == "certain"
    assert numbers.audit_e_value(40.2) == "10^17"
    assert [numbers.needed_e_value(a) for a in (0.05, 0.025, 0.01, 0.03)] == ["20", "40", "100", "33.3"]


def e_read(text: str) -> float:
    """The logarithm an e-value's text stands for."""
    return float(text[3:]) * math.log(10) if text.startswith("10^") else math.log(float(text.replace(",", "")))


@given(st.floats(-2000, 2000), st.floats(-2000, 2000))
def test_e_values_read_back_in_order(one, other):
    """Three digits in the middle, the nearest power of ten outside; never 0 and never in the wrong order."""
    low, high = sorted((one, other))
    assert e_read(numbers.e_value(low)) <= e_read(numbers.e_value(high))
    close = 0.006 if math.log(1e-3) < low < math.log(1e6) else 0.51 * math.log(10)
    assert e_read(numbers.e_value(low)) == pytest.approx(low, abs=close)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.034, "0.034"), (0.5, "0.5"), (1.0, "1"), (2e-30, "2e-30"), (0.0004, "4e-4"), (0.0, "<1e-99"), (7.0, "1"),
        (math.nan, "no data"),
    ],
)  # fmt: skip
def test_p_values_are_short(value, text):
    assert numbers.p_value(value) == text


@given(st.floats(1e-98, 1), st.floats(1e-98, 1))
def test_p_values_read_back_in_order(one, other):
    low, high = sorted((one, other))
    assert float(numbers.p_value(low)) <= float(numbers.p_value(high))
    assert float(numbers.p_value(low)) == pytest.approx(low, rel=0.5)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "no data"), (0.0, "0 s"), (3.42, "3.4 s"), (9.97, "10 s"), (45.0, "45 s"), (150.0, "2.5 min"),
        (740.0, "12 min"), (6_100.0, "1.7 h"), (90_000.0, "25 h"),
    ],
)  # fmt: skip
def test_times_are_in_the_unit_one_counts_them_in(seconds, text):
    assert numbers.duration(seconds) == text


@given(st.floats(0, 1e7), st.floats(0, 1e7))
def test_times_read_back_in_order(one, other):
    """A longer time never reads shorter; the text is within a twentieth, or half a tenth of a second."""

    def read(text: str) -> float:
        value, unit = text.split()
        return float(value.replace(",", "")) * {"s": 1, "min": 60, "h": 3600}[unit]

    low, high = sorted((one, other))
    assert read(numbers.duration(low)) <= read(numbers.duration(high)) + 1e-9
    assert read(numbers.duration(low)) == pytest.approx(low, rel=0.055, abs=0.051)


def _own_formats(tree: ast.AST) -> list[int]:
    """Lines on which a value is set before a per cent sign."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            for one, after in zip(node.values, [*node.values[1:], None], strict=True):
                if not isinstance(one, ast.FormattedValue):
                    continue
                spec = ast.unparse(one.format_spec) if one.format_spec else ""
                sign = isinstance(after, ast.Constant) and re.match(r"[ \xa0]?%", str(after.value))
                if "%" in spec or sign:
                    found.append(one.lineno)
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and re.search(r"\{[\w.]*(:[^{}]*)?\}[ \xa0]?%|\{[\w.]*:[^{}]*%\}", node.value)
        ):
            found.append(node.lineno)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
            found += [node.lineno] * ("%%" in str(node.left.value))
    return found


def test_no_other_module_formats_a_share():
    """A share set in two places would sooner or later read differently in them."""
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.as_posix()
        text = path.read_text(encoding="utf-8")
        lines = _own_formats(ast.parse(text)) if "%" in text else []  # a thousand files take seconds to be parsed
        if name.endswith(tuple(OWN_FORMATS)):
            assert lines, f"{name} formats no share any more: take it off the list"
        else:
            assert not lines, f"{name}:{lines}: use offtarget.numbers.percent, chosen or hundredths"


@pytest.mark.parametrize("planted", ['f"{x:.1%}"', 'f"{x:.0f} %"', '"{:g}\\u00a0%"', '"%.1f %%" % x', 'f"{100 * x}%"'])
def test_the_scan_sees_a_share_formatted_in_any_way(planted):
    assert _own_formats(ast.parse(planted))


def test_no_template_formats_a_share():
    """Templates have the functions as filters; a per cent sign behind a value is a position, in an attribute."""
    for path in SOURCE.rglob("templates/*"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"\}\}(\s|&nbsp;)+%|\}\}%(?!\")|%%'|100 \*[^}]*\}\}(?!\")", text), path
