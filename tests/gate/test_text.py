"""Numbers and hostile text for people."""

from __future__ import annotations

import math
from xml.etree.ElementTree import Element, fromstring, tostring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.gate.text import between, e_value, of, one_line, percent, points, visible
from offtarget.records import Interval, Tally


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (None, "no data"),
        (math.nan, "no data"),
        (0.0, "0 %"),
        (0.0004, "<0.1 %"),
        (0.013, "1.3 %"),
        (0.0994, "9.9 %"),
        (0.0996, "10 %"),
        (0.14, "14 %"),
        (0.994, "99.4 %"),
        (0.9999, ">99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_percentages_have_sensible_digits_and_no_data_is_not_zero(rate, text):
    assert percent(rate).replace("\u00a0", " ") == text


def test_differences_carry_their_sign():
    assert points(0.14) == "+14 points"
    assert points(-0.003) == "\u22120.3 points"
    assert points(None) == "no data"
    assert between(Interval(-0.012, 0.14)) == "\u22121.2 to +14"
    assert between(None) == ""


def test_a_tally_without_scored_answers_is_no_data():
    assert of(Tally(refused=3)) == "no data"
    assert of(Tally(aligned=112)) == "0 of 112"


def test_e_values_of_any_size_are_short():
    values = (None, 0.0, 3.0, 40.0, -40.0, math.inf, -math.inf, math.nan)
    assert [e_value(v) for v in values] == ["no data", "1", "20", "2.4e+17", "4.2e-18", "∞", "0", "no data"]


@given(st.text(alphabet=st.characters(codec=None, categories=None)))
def test_visible_text_is_legal_in_utf8_and_xml(text):
    """Whatever a model writes can be encoded and parsed back unchanged after `visible`."""
    shown = visible(text)
    shown.encode("utf-8")
    element = Element("a")
    element.text = shown
    assert (fromstring(tostring(element)).text or "") == shown


def test_hidden_characters_are_shown_by_name():
    shown = visible("a\u202eb\x00c\ud800d\U000e0041e\u200bf")
    assert shown == "a[U+202E]b[U+0000]c[U+D800]d[U+E0041]e[U+200B]f"


def test_one_line_has_no_line_breaks_and_keeps_its_limit():
    assert one_line("a\r\nb\n\n c" + "x" * 500, 20) == "a b c" + "x" * 14 + "…"
