"""What models said stays text on the pages of tune, defences and alternatives, and in their Markdown."""

from __future__ import annotations

import re
from pathlib import Path

import alternative_runs
import defence_runs
import pytest
import tune_runs
from markup_attacks import ATTACKS

from offtarget.pages.cards import card_of
from offtarget.pages.written import markdown, notebook

SHORT = [text for text in ATTACKS if len(text) < 1000 and "\ud800" not in text]
TAGS = ("<script", "<img src=http", "<svg onload", "<iframe", "<base ", "<link rel=stylesheet", "\u202e")


def _tune(folder: Path, evil: str) -> Path:
    watched = [tune_runs.answer("now", 40, evil, evil, misaligned=True), *tune_runs.harm()]
    made = tune_runs.alarmed(base=evil, data=evil, notes=(evil,), defence_notes=(evil,), checks=(evil,))
    return tune_runs.write(folder, made, read=tune_runs.readings(alarm="forecast"), watched=watched) / "monitor.html"


def _defences(folder: Path, evil: str) -> Path:
    answers = [defence_runs.answer((evil,), evil, evil, misaligned=True, under=evil, system=evil)]
    made = defence_runs.frontier(defence_runs.cell(evil, plain=0.0, cued=0.0, task=1.0, note=evil), data=evil)
    return defence_runs.write(folder, made, answers) / "frontier.html"


def _alternatives(folder: Path, evil: str) -> Path:
    worth = alternative_runs.WORTH
    made = alternative_runs.report("worth considering", "instructions", worth.ways, worth.gains, data=evil)
    return alternative_runs.write(folder, made, question=evil, bad=evil) / "alternatives.html"


@pytest.mark.parametrize("write", [_tune, _defences, _alternatives])
def test_no_tag_of_theirs_is_in_a_page(write: object, tmp_path: Path) -> None:
    """Script, markup, styles, links and hidden characters are shown, not obeyed."""
    assert callable(write)
    for number, evil in enumerate(SHORT):
        file = write(tmp_path / str(number), evil)
        card = card_of(file.parent)
        commands_aside = re.sub(r"`[^`]*`", "", markdown(card))  # code in Markdown is shown as it stands
        for text in (file.read_text(encoding="utf-8"), notebook(card), commands_aside):
            assert not [tag for tag in TAGS if tag in text]
