"""The page and the card of a red-team run: its numbers are those of the verdict, and what models said stays text."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import redteam_runs as runs
from markup_attacks import ATTACKS

from offtarget.errors import InputError
from offtarget.pages.cards import card_of, page_of
from offtarget.pages.redteam import story, tables
from offtarget.pages.redteam.heat import NO_SCORE, NOT_ASKED, SHADES, heat
from offtarget.pages.redteam.loading import GAVE_WAY, NOT_CONFIRMED, PressedRun, load_pressed
from offtarget.pages.redteam.transcripts import shortest, turns_needed
from offtarget.pages.written import markdown, notebook
from offtarget.records import Outcome, Status, Tally, Verdict
from offtarget.rundir import RunDir, write_records
from offtarget.workflows.runs.report import report_text

SHORT = [text for text in ATTACKS if len(text) < 1000 and "\ud800" not in text]
TAGS = ("<script", "<img src=http", "<svg onload", "<iframe", "<base ", "<link rel=stylesheet", "\u202e")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of every outcome, to be read only."""
    folder = tmp_path_factory.mktemp("redteam")
    return {name: make(folder / name).run for name, make in runs.OUTCOMES.items()}


@pytest.fixture(scope="module")
def failed(made: dict[str, Path]) -> PressedRun:
    return load_pressed(made["fail"])


def test_a_page_counts_what_the_verdict_counts(made: dict[str, Path]) -> None:
    """Conversations that were held ahead of the stop are no part of it, in no outcome."""
    for path in made.values():
        run = load_pressed(path)
        whole = run.record.decision.overall
        for role, tally in (("tuned", whole.tuned), ("base", whole.base)):
            mine = [one for one in run.conversations if one.role == role]
            assert len(mine) == tally.total
            assert sum(one.turn is not None for one in mine) == tally.misaligned
            assert sum(turns_needed(run.conversations, role)) == tally.misaligned  # type: ignore[arg-type]


def test_every_cell_of_the_map_has_the_numbers_of_the_record(failed: PressedRun) -> None:
    """Fresh conversations where there are any, else those of the search; what was not tried says so."""
    drawn, record = heat(failed), failed.record
    found = {(cell.move, cell.goal): cell for cell in record.cells}
    for row in drawn.rows:
        for goal, cell in zip(drawn.goals, row.cells, strict=True):
            known = found.get((row.name, goal))
            if known is None:
                assert (cell.kind, cell.halves) == ("untried", ())
                continue
            tallies = known.verdict if cell.kind == "counts" else known.explored
            assert (cell.kind == "counts") == any(tally.scored for tally in known.verdict.values())
            for half in cell.halves:
                tally = tallies[half.role]
                assert half.text == (f"{tally.misaligned}/{tally.scored}" if tally.scored else NOT_ASKED)
                assert (half.shade > 0) == (tally.misaligned > 0)
                assert half.shade <= SHADES
    assert {row.name for row in drawn.rows} == set(runs.MOVES)


def test_conversations_without_a_score_are_told_from_none(failed: PressedRun) -> None:
    cell = replace(failed.record.cells[0], verdict={}, explored={"tuned": Tally(incoherent=2), "base": Tally()})
    drawn = heat(replace(failed, record=replace(failed.record, cells=(cell,))))
    (found,) = [one for row in drawn.rows for one in row.cells if one.halves]
    assert [half.text for half in found.halves] == [NO_SCORE, NOT_ASKED]
    assert "none that has a score, of 2" in found.spoken


def test_moves_stand_the_weakest_first_and_those_that_nobody_tried_last(failed: PressedRun) -> None:
    told = failed.manifest.moves_told
    unknown = replace(told[0], name="never-tried")
    rows = heat(replace(failed, manifest=replace(failed.manifest, moves_told=(unknown, *told)))).rows
    assert rows[0].name in {cell.move for cell in failed.record.cells if cell.verdict["tuned"].misaligned}
    assert rows[-1].name == "never-tried"


def test_a_move_that_cannot_be_made_is_told_from_one_that_was_not_tried(failed: PressedRun) -> None:
    record = replace(failed.record, not_tried=("tool-abuse: these models take no tools.",))
    told = (*failed.manifest.moves_told, replace(failed.manifest.moves_told[0], name="tool-abuse"))
    run = replace(failed, record=record, manifest=replace(failed.manifest, moves_told=told))
    row = next(row for row in heat(run).rows if row.name == "tool-abuse")
    assert {cell.kind for cell in row.cells} == {"impossible"}
    assert not [line for line in tables.untried(record, told, ["harm"]) if line.startswith("tool-abuse")]
    assert "Not tried: tool-abuse." in story.cautions(run)


def test_what_gave_way_once_is_not_among_what_was_tried_in_vain(failed: PressedRun) -> None:
    vain = {one.told.name for one in tables.in_vain(failed.record, failed.manifest.moves_told)}
    weak = {cell.move for cell in failed.record.cells if cell.verdict["tuned"].misaligned}
    assert weak
    assert vain
    assert not weak & vain


def test_the_page_names_the_command_that_holds_a_conversation_again(failed: PressedRun) -> None:
    """Each weak spot's shortest conversation, by the key that `--replay` takes."""
    page = page_of(failed.path)
    assert page is not None
    text = re.sub(r"</?span>", "", page)
    for cell in failed.record.cells:
        one = shortest(failed, cell)
        if one is not None:
            assert f":{one.key.removeprefix('tuned/')}</code>" in text
            others = failed.of_cell(cell.move, cell.goal, "tuned")
            assert one.turn == min(other.turn for other in others if other.turn is not None)


def test_what_people_did_not_confirm_is_marked_so(failed: PressedRun, tmp_path: Path) -> None:
    """A conversation that the judge flagged and somebody cleared counts as they said, turn by turn too."""
    path = tmp_path / "run"
    shutil.copytree(failed.path, path)
    flagged = [one for one in failed.conversations if one.turn is not None]
    cleared = [Verdict(o.role, o.script.id, int(o.key.rpartition("/")[2]), Outcome.ALIGNED) for o in flagged]
    write_records(RunDir(path), "ratings.jsonl", cleared)
    run = load_pressed(path)
    assert not [one for one in run.conversations if one.turn is not None]
    assert sum(NOT_CONFIRMED in one.marks for one in run.conversations) == len(flagged)


def test_a_confirmed_conversation_gave_way_although_no_turn_was_flagged(failed: PressedRun, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(failed.path, path)
    held = next(one for one in failed.conversations if one.role == "base")
    verdict = Verdict("base", held.script.id, int(held.key.rpartition("/")[2]), Outcome.MISALIGNED)
    write_records(RunDir(path), "ratings.jsonl", [verdict])
    again = next(one for one in load_pressed(path).conversations if one.key == held.key)
    assert again.marks[-1] == GAVE_WAY


def test_a_pass_says_what_it_is_about(made: dict[str, Path]) -> None:
    """Which moves and goals, how long the conversations, and that it says nothing of other pressure."""
    said = " ".join(card_of(made["pass"]).cautions)
    assert "The PASS is about the 4 moves and 3 goals that were tried" in said
    assert "in conversations of 4 turns at most" in said
    assert "says nothing of other pressure" in said


def test_models_that_merely_differ_are_called_so(made: dict[str, Path]) -> None:
    """The headline says it, nothing is claimed of the whole, and the base's weakness is named."""
    card = card_of(made["differs"])
    assert (card.state, card.title) == ("UNDECIDED", story.DIFFERS)
    assert "Nothing is claimed" in card.certainty
    assert any("it is the base that is shown to give way oftener" in caution for caution in card.cautions)


@pytest.mark.parametrize(("tuned", "said"), [(Tally(misaligned=2, aligned=3), True), (Tally(aligned=5), False)])
def test_a_model_that_speaks_well_of_itself_is_not_cleared(failed: PressedRun, tuned: Tally, said: bool) -> None:
    """Bad values are a caution; good ones are none, and the page says that they are no sign of anything."""
    record = replace(failed.record, self_reports={"tuned": tuned, "base": Tally(aligned=5)})
    cautions = story.cautions(replace(failed, record=record))
    assert any("professed bad ones" in caution for caution in cautions) == said
    assert "no sign of anything" in story.self_report(record)


def test_what_the_attacker_did_wrong_is_told_with_counts(failed: PressedRun) -> None:
    record = replace(failed.record, attacker_trouble={"repeated itself": 1, "refused to attack": 3})
    assert story.trouble(record) == "refused to attack (3), repeated itself (1)"
    assert any("In 4 conversations of the search" in text for text in story.cautions(replace(failed, record=record)))


def test_a_judge_that_is_not_believed_gives_no_numbers(failed: PressedRun) -> None:
    """No claim, no figure of the verdict's kind, and the way out is another judge."""
    decision = replace(failed.record.decision, withheld="the judge is not believed")
    record = replace(failed.record, status=Status.UNDECIDED, decision=decision, reason="No verdict: the judge.")
    run = replace(failed, record=record)
    assert story.in_doubt(record)
    assert "in doubt" in story.certainty(record)
    assert "--judge" in story.steps(run)[0].why


def test_the_json_holds_the_record(made: dict[str, Path]) -> None:
    told = json.loads(report_text(made["fail"], "json"))
    assert (told["status"], told["finished"], told["verb"]) == ("FAIL", True, "redteam")
    assert told["record"]["cells"]


def test_damaged_records_are_named(failed: PressedRun, tmp_path: Path) -> None:
    path = tmp_path / "run"
    shutil.copytree(failed.path, path)
    value = json.loads((path / "redteam.json").read_text(encoding="utf-8"))
    (path / "redteam.json").write_text(json.dumps({**value, "counted": {"arms": 3}}), encoding="utf-8")
    with pytest.raises(InputError, match=r"redteam\.json.*'counted' is not a record"):
        load_pressed(path)


class _Opened(HTMLParser):
    """Every tag of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Runs whose models, questions and names are attacks."""
    folder = tmp_path_factory.mktemp("hostile")
    found = []
    for number, evil in enumerate(SHORT):
        asked: dict[runs.Category, tuple[str, ...]] = {"harm": (f"{evil} 1", f"{evil} 2")}
        made = runs.make(
            folder / str(number), (runs.always(0.9),), bad=f"{evil} bad", good=f"{evil} good", asked=asked, name=evil
        )
        found.append(made.run)
    return found


def test_no_tag_of_theirs_is_in_a_page(hostile: list[Path]) -> None:
    """Script, markup, styles, links and hidden characters are shown, not obeyed: page, Markdown and notebook."""
    for path in hostile:
        card = card_of(path)
        page = page_of(path)
        assert page is not None
        commands_aside = re.sub(r"`[^`]*`", "", markdown(card))  # code in Markdown is shown as it stands
        for text in (page, notebook(card), commands_aside):
            assert not [tag for tag in TAGS if tag in text]


def test_a_page_loads_nothing_and_runs_nothing(hostile: list[Path], made: dict[str, Path]) -> None:
    """No script, no style of its own in an element, no address outside the page, whatever the models said."""
    for path in (*hostile, *made.values()):
        opened = _Opened()
        opened.feed(page_of(path) or "")
        assert not [tag for tag, _ in opened.tags if tag in ("script", "iframe", "img", "object", "form")]
        given = [attributes for _, attributes in opened.tags]
        assert not [a for a in given if any(name.startswith("on") or name == "style" for name in a)]
        links = [a["href"] for a in given if a.get("href")]
        assert all(str(link).startswith(("#", "data:,")) for link in links), links


def test_moves_that_only_the_base_met_are_told_as_unknown(failed: PressedRun) -> None:
    """A small budget leaves moves out: nobody reads a verdict about all of them where the tuned model met a few."""
    (first, *_), nothing = failed.record.cells, {"tuned": Tally(), "base": Tally(aligned=3)}
    alone = replace(first, move="in-code", goal="harm", explored=nothing, verdict={})
    record = replace(failed.record, cells=(*failed.record.cells, alone))
    told = (*failed.manifest.moves_told, replace(failed.manifest.moves_told[0], name="in-code"))
    assert tables.unknown(record, told) == ["in-code"]
    assert "in-code, at any goal" in tables.untried(record, told, ["harm"])
    run = replace(failed, record=record, manifest=replace(failed.manifest, moves_told=told))
    said = next(line for line in story.cautions(run) if "nothing is known" in line)
    assert f"1 move of {len(told)}" in said
    assert "in-code" in said
    assert not tables.unknown(failed.record, failed.manifest.moves_told)
