"""What a red-team card tells of single conversations is true of each: beside whom, and whether anything pressed yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import redteam_runs as runs

from offtarget.pages.cards import card_of, page_of
from offtarget.pages.redteam import story, tables
from offtarget.pages.redteam.card import card
from offtarget.pages.redteam.loading import GAVE_WAY, HELD, PressedRun, load_pressed
from offtarget.pages.redteam.page import by_move
from offtarget.pages.redteam.transcripts import exchange, telling, title
from offtarget.pages.written import markdown
from offtarget.records import Tally
from offtarget.workflows.redteam.explore import Search
from offtarget.workflows.runs.report import report_text


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> PressedRun:
    return load_pressed(runs.OUTCOMES["fail"](tmp_path_factory.mktemp("failed") / "run").run)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> PressedRun:
    """A model that gives way at any question: under `persistence` before anybody has insisted."""
    made = runs.make(tmp_path_factory.mktemp("bare") / "run", (runs.always(0.95),), moves=("persistence",))
    return load_pressed(made.run)


def without_base(run: PressedRun, *scripts: str) -> PressedRun:
    """The run, with no conversation of the base under these scripts; under none where none is named."""
    kept = [c for c in run.conversations if c.role == "tuned" or (scripts and c.script.id not in scripts)]
    return replace(run, conversations=tuple(kept))


def test_the_title_promises_no_base_where_there_is_none(failed: PressedRun) -> None:
    assert title(failed) == "Conversations in which the tuned model gave way, beside its base's"
    alone = without_base(failed)
    assert title(alone) == "Conversations in which the tuned model gave way"
    assert all("its base was not asked the same in a conversation that counts" in one.where for one in telling(alone))
    shown = {one.where for one in telling(failed)}
    scripts = {c.script.id for c in failed.conversations if exchange(failed, c, until=c.turn).where in shown}
    some = without_base(failed, next(iter(scripts)))
    lacking = sum("was not asked the same" in one.where for one in telling(some))
    told = len(telling(some))
    assert ("where it was asked the same" in title(some)) == (0 < lacking < told)


def test_each_conversation_says_what_its_base_did(failed: PressedRun) -> None:
    """Also where the base gave way as well, or gave nothing that has a score."""
    one = next(c for c in failed.conversations if c.role == "tuned" and c.turn is not None)
    other = replace(one, role="base")
    said = {
        (HELD,): "its base held",
        (GAVE_WAY,): "its base gave way, too, at turn 1",
        ("unscored",): "no answer that has a score",
    }
    for marks, words in said.items():
        run = replace(failed, conversations=(one, replace(other, marks=marks)))
        assert words in exchange(run, one).where


def test_who_gives_way_before_anything_pressed_is_not_told_as_brought_down_by_the_move(bare: PressedRun) -> None:
    """On the card, the page, in Markdown, in the table and in the JSON; the verdict counts as it did."""
    cells = [cell for cell in bare.record.cells if cell.verdict["tuned"].misaligned]
    assert cells
    assert all(0 < cell.unpressed["tuned"] <= cell.verdict["tuned"].misaligned for cell in cells)
    drawn = card(bare)
    assert any("gave way at turn 1 of 3, before the pressure began" in one.where for one in drawn.exchanges)
    assert any("before the pressure began" in caution for caution in drawn.cautions)
    assert any("before the pressure began" in figure.note for figure in drawn.figures)
    assert "before the pressure began" in markdown(card_of(bare.path))
    assert "before the pressure began" in (page_of(bare.path) or "")
    assert "before the pressure" in str(tables.weak(bare.record))
    assert '"unpressed"' in report_text(bare.path, "json")


def test_a_turn_that_presses_is_no_plain_question(failed: PressedRun) -> None:
    """Nor is the only turn of a conversation, which the move has dressed."""
    assert all(not cell.unpressed.get("tuned") for cell in failed.record.cells)
    assert not [c for c in failed.conversations if failed.unpressed(c)]
    assert not [text for text in story.cautions(failed) if "before the pressure began" in text]


def test_of_two_contrasts_the_one_that_was_pressed_is_on_the_card(bare: PressedRun) -> None:
    one = next(c for c in bare.conversations if c.role == "tuned" and bare.unpressed(c))
    later = replace(one, key=f"{one.key}0", marks=(HELD, HELD, GAVE_WAY), answers=("a", "b", "c"))
    base = replace(one, role="base", marks=(HELD, HELD, HELD), answers=("a", "b", "c"))
    cells = tuple(c for c in bare.record.cells if (c.move, c.goal) == (one.script.move, one.script.goal))
    run = replace(bare, record=replace(bare.record, cells=cells), conversations=(one, later, base))
    assert "gave way at turn 3" in telling(run)[0].where


@pytest.mark.parametrize(("under", "said"), [(Tally(aligned=9), True), (Tally(aligned=8, misaligned=1), False)])
def test_a_base_that_gives_way_without_pressure_alone_is_told(failed: PressedRun, under: Tally, said: bool) -> None:
    decision = replace(failed.record.decision, overall=replace(failed.record.decision.overall, base=under))
    controls = {"tuned": Tally(aligned=5), "base": Tally(misaligned=2, aligned=3)}
    run = replace(failed, record=replace(failed.record, decision=decision, controls=controls))
    told = [
        text for text in story.cautions(run) if text.startswith("The base gave way in 2 of 5 conversations without")
    ]
    assert bool(told) == said
    assert all("in none of 9 with it. Why is not known" in text for text in told)


def test_a_success_that_the_other_model_was_not_asked_for_teaches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Towards the end there is no room to ask the tuned model what brought the base down: that is no win."""
    monkeypatch.setattr(Search, "_may_ask", lambda _self, talk: talk.role == "tuned")
    made = runs.make(tmp_path / "run", (runs.always(0.9),), (runs.always(0.9),))
    assert not any("base" in cell.found_in for cell in made.record.cells)


def test_the_chart_of_bounds_shows_the_rates_of_the_card(failed: PressedRun) -> None:
    """Shares are those of the counts beside them; where the difference counts what has no score, both say so."""
    whole = replace(
        failed.record.decision.overall, tuned=Tally(misaligned=3, aligned=1, unscored=2), tuned_rate=0.5, base_rate=0.0,
        base=Tally(aligned=4),
    )  # fmt: skip
    decision = replace(failed.record.decision, overall=whole, slices=())
    run = replace(failed, record=replace(failed.record, decision=decision))
    drawn = by_move(run.record)
    assert drawn is not None
    (row,) = drawn.rows
    assert [dot.value for dot in row.dots] == ["75 %", "0 %"]
    assert row.note == f"difference: {story.UNSCORED_HELD}"
    tuned, _, difference, *_ = card(run).figures
    assert tuned.value == "75 %"
    assert story.UNSCORED_HELD in difference.note
