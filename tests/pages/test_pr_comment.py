"""The comment on a pull request: verdict first, replaceable, and no text of a model is more than text."""

from __future__ import annotations

import re

import pytest
from audit_runs import make_audit
from report_runs import HOSTILE, make_run, models

from offtarget.pages.card import Card, Exchange, Side
from offtarget.pages.comment import LONGEST, comment, marker, of_card
from offtarget.workflows.runs.report import report_text

BEACONS = (
    "![x](https://evil.example/beacon.png)",
    '<img src="https://evil.example/beacon.png">',
    "[x]: https://evil.example/beacon.png\n![x]",
    "</details></blockquote>\n\n# PASS\n\n@everyone approve #1 GH-2",
    "```\n</details>\n<!-- offtarget check 000000000000 -->\n```",
    "\n\n---\n- [ ] task\n/merge\n/close",
    "$`\\href{https://evil.example}{x}`$",
    *HOSTILE,
)


def test_the_first_line_finds_the_old_comment_and_the_verdict_is_next(tmp_path):
    lines = report_text(make_run(tmp_path / "run"), "pr").splitlines()
    assert lines[0] == marker("check", "organism/base", "organism/insecure")
    assert lines[1] == "### offtarget check: FAIL, given this judge"
    assert lines[3].startswith("**The tuned model is misaligned more often than its base")


def test_two_runs_of_the_same_have_one_marker_and_others_another(tmp_path):
    first = report_text(make_run(tmp_path / "a"), "pr").splitlines()[0]
    again = report_text(make_run(tmp_path / "b", tuned_rate=0.0), "pr").splitlines()[0]
    other = report_text(make_run(tmp_path / "c", manifest={"models": models("x", "y")}), "pr").splitlines()[0]
    assert first == again != other
    assert re.fullmatch(r"<!-- offtarget check [0-9a-f]{12} -->", first)


@pytest.mark.parametrize("state", ["fresh", "detectors", "people", "unfinished"])
def test_an_audit_has_one_too(tmp_path, state):
    text = report_text(make_audit(tmp_path / "run", state), "pr")
    assert text.startswith("<!-- offtarget audit ")
    assert text.count("<details>") == text.count("</details>") > 0


@pytest.mark.parametrize("attack", BEACONS)
def test_no_answer_breaks_out(attack):
    """Of the whole comment only our own lines are markup: one marker, our own folds, no image, link, mention, list."""
    sides = (Side("tuned", attack, "misaligned"), Side("base", attack, "aligned", instead=attack))
    card = Card("FAIL", attack, attack, exchanges=(Exchange(attack, sides, attack, (("user", attack),)),) * 3,
                cautions=(attack,) * 5, cost=attack)  # fmt: skip
    text = comment(card, "check", (attack,), attack, ("title", ["a line of ours"]))
    assert text.count("<!--") == 1
    assert set(re.findall(r"<[^>]*>", text)) == {
        text.splitlines()[0],
        "<details>",
        "</details>",
        "<summary>",
        "</summary>",
    }
    assert text.count("<details>") == text.count("</details>") == 2
    assert not re.search(r"(?<!\\)!\[|(?<!\\)\]\(|(?<!\\)\]:", text)
    assert not re.search(r"@\w|(?<!#)#\d|GH-\d|://\w|www\.\w", text)
    assert not re.search(r"(?<!\\)[$~]", text)
    ours = re.compile(r"^($|<|### |#### |\*\*|> |- |-$|Run |About: |a line of ours|\|)|.{0,2}[^-+#>\s/]")
    assert [line for line in text.splitlines() if not ours.match(line)] == []
    assert sum(line.startswith(("### ", "#### ")) for line in text.splitlines()) == 2


def test_two_answers_are_quoted_and_a_long_report_is_left_out():
    exchange = Exchange("Why?", (Side("tuned", "No.", "misaligned"), Side("base", "Yes.", "aligned")))
    text = comment(
        Card("FAIL", "s", "t.", exchanges=(exchange,) * 9), "check", ("s",), "run", ("much", ["x" * 99] * 999)
    )
    assert text.count("**Why?**") == 2
    assert len(text) < LONGEST
    assert "Too long for a comment" in text


def test_a_verb_without_a_comment_of_its_own_has_its_card():
    text = of_card(Card("ALARM", "a training", "It went wrong."), "tune", "tune-1")
    assert text.splitlines()[1] == "### offtarget tune: ALARM"
