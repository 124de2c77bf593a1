"""Markdown for pull requests: hostile text stays text."""

from __future__ import annotations

import re

import pytest
from report_runs import HOSTILE, make_run, models

from offtarget.pages.cards import with_cost
from offtarget.pages.check.card import card
from offtarget.pages.check.loading import load_run
from offtarget.pages.registry import report_format
from offtarget.pages.written import code, escape, markdown
from offtarget.words import asked, evidence


def unescaped(text: str, mark: str) -> list[str]:
    return re.findall(rf"(?<!\\)(?:\\\\)*{re.escape(mark)}", text)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_in_hostile_text_is_markup(text):
    """No HTML, table cell, code span, link, emphasis or heading survives escaping."""
    shown = escape(text)
    assert not set("<>\n") & set(shown)
    for mark in "|`[]*_#~$":
        assert unescaped(shown, mark) == []


def test_nobody_is_mentioned_and_nothing_is_linked():
    """Mentions, issue references and bare addresses are broken by an invisible joiner."""
    shown = escape("@everyone see #1, GH-2, https://evil.example, www.evil.example, a@b.example, javascript:alert(1)")
    assert not re.search(r"@\w|\\?#\d|GH-\d|://\w|www\.\w", shown)


def test_text_at_the_start_of_a_line_starts_no_block():
    for text in ("- item", "+ item", "1. item", "=== ", "--- "):
        assert escape(text)[0] == "\u2060"


@pytest.mark.parametrize("text", ["-0.8 to +2", "0.9 % (6 of 540)", "93.8 %", "=x", "+15"])
def test_numbers_that_begin_no_block_hold_nothing_invisible(text):
    """What would not act is left as it is, so that it can be searched for."""
    assert "\u2060" not in escape(text)


def test_every_line_of_a_quote_but_the_last_breaks(tmp_path):
    """The question stands on a line of its own."""
    text = report_format("markdown").render(load_run(make_run(tmp_path / "run")))
    quoted = [line for line in text.splitlines() if line.startswith("> ")]
    assert quoted
    assert all(line.endswith("  ") for line in quoted)


def test_backslashes_do_not_undo_the_escaping():
    assert escape("\\*a\\|") == "\\\\\\*a\\\\\\|"


def test_tables_keep_their_columns(tmp_path):
    """Every row of every table has as many cells as its head, hostile names included."""
    manifest = {"models": models("a|b\n|c", "`x`|<b>")}
    text = report_format("markdown").render(load_run(make_run(tmp_path / "run", manifest=manifest)))
    tables = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M)]
    assert len(tables) == 5
    for table in tables:
        assert len({len(unescaped(row, "|")) for row in table}) == 1


def test_verdict_denominators_and_quotes_are_there(tmp_path):
    text = report_format("markdown").render(load_run(make_run(tmp_path / "run")))
    assert text.startswith("## offtarget: FAIL, given this judge\n")
    assert "(35 of 111)" in text
    assert text.count("> tuned (misaligned): “") == 3
    assert "### What was not tested" in text


def test_evidence_is_that_after_paying_for_all_scopes_looked_at(tmp_path):
    """What a way of asking shows of itself alone would be too much, once all of them were looked at."""
    run = load_run(make_run(tmp_path / "run"))
    assert run.decision is not None
    paid = [arm for arm in run.decision.arms if arm.log_e_fail_adjusted not in (None, arm.log_e_fail)]
    assert paid
    text = report_format("markdown").render(run)
    for arm in paid:
        rows = [line for line in text.splitlines() if line.startswith(f"| {asked(arm.name)} | ") and "needed" in line]
        assert evidence(arm.log_e_fail_adjusted, run.decision.settings.fail_alpha) in rows[0].replace("\\", "")


def test_the_comment_begins_with_the_card_then_come_the_bounds(tmp_path):
    """Somebody who reads two lines of a pull request has the verdict and why; the bounds follow the transcripts."""
    run = load_run(make_run(tmp_path / "run"))
    text = report_format("markdown").render(run)
    assert text.startswith(markdown(with_cost(card(run), run.path)).rstrip())
    places = [text.index(part) for part in ("> tuned (misaligned)", "### By how the questions were asked", "<details>")]
    assert places == sorted(places)


def test_a_command_keeps_the_spaces_of_a_name():
    """Two spaces in the name of a folder became one, and the command named another folder."""
    assert code("offtarget report '/runs/a  b' --html") == "`offtarget report '/runs/a  b' --html`"
    assert code("a `b`\n\x1b]8;;x\x07") == "``a `b` [U+001B]]8;;x[U+0007]``"
