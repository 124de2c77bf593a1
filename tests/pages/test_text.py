"""Hostile text and our own, for people."""

from __future__ import annotations

from xml.etree.ElementTree import Element, fromstring, tostring

from hypothesis import given
from hypothesis import strategies as st

from offtarget.pages.text import of_scored, one_line, typeset, visible
from offtarget.records import Tally


def test_a_tally_without_scored_answers_is_no_data():
    assert of_scored(Tally(refused=3)) == "no data"
    assert of_scored(Tally(aligned=112)) == "0 of 112"


def test_a_sentence_is_set_in_type():
    """Minus signs are true ones and units stay with their number; hyphens, options and dates are left alone."""
    assert typeset("5 % and 1.2 %, -0.3 points") == "5\u00a0% and 1.2\u00a0%, \u22120.3\u00a0points"
    assert typeset("-<0.01 points, -1 to +2") == "\u2212<0.01\u00a0points" + ", \u22121 to +2"
    assert typeset("(error probability <= 5 %)") == "(error probability \u2264\u00a05\u00a0%)"
    untouched = "2024-11-29, arXiv 2502-17424, --out -x, tok-9, 3e-9"
    assert typeset(untouched) == untouched


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
