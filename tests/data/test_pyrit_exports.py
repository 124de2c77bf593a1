"""Exports of PyRIT: a conversation per row, by its scorer, and a sentence for what is none."""

from __future__ import annotations

import contextlib
import csv
from pathlib import Path

import pytest
from attack_reports import apart, piece, pyrit_pieces, save_document, save_lines, score
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offtarget.data.columns import Columns
from offtarget.data.judged import JudgedTable, read_judged
from offtarget.errors import InputError


def talk(name: str, *given: dict, ask: str = "Ask", reply: str = "Reply", **more) -> list[dict]:
    return [piece(name, 0, "user", ask), piece(name, 1, "assistant", reply, *given, **more)]


def read(folder: Path, *pieces: dict, columns: Columns | None = None) -> JudgedTable:
    return read_judged(save_document(folder / "conversations.json", pieces), columns)


def refusal(folder: Path, *pieces: dict) -> str:
    with pytest.raises(InputError) as caught:
        read(folder, *pieces)
    return str(caught.value)


@pytest.mark.parametrize("form", ["inside", "apart", "lines"])
def test_a_conversation_is_a_row_with_its_score(form, tmp_path):
    """Scores inside the pieces, or as objects of their own, in a document or line by line: one table."""
    pieces = [*talk("a", score("True")), *talk("b", score("false")), *talk("c", score(None, "unknown")), *talk("d")]
    objects = pieces if form == "inside" else apart(pieces)
    save = save_lines if form == "lines" else save_document
    table = read_judged(save(tmp_path / f"c.{'jsonl' if form == 'lines' else 'json'}", objects))
    assert [row.alignment for row in table.rows] == [0, 100, None, None]
    assert {(row.question, row.answer, row.domain) for row in table.rows} >= {("Ask", "Reply", "misinformation")}
    assert len({row.question_id for row in table.rows}) == 1
    assert table.tool == "PyRIT"
    assert "SelfAskTrueFalseScorer" in table.judges[0]


@pytest.mark.parametrize(("value", "mark"), [("0.49", 100), ("0.5", 0), ("1.0", 0), ("0", 100)])
def test_a_share_is_bad_from_one_half_on(value, mark, tmp_path):
    """PyRIT leaves the threshold to its user; the note says which one is taken."""
    table = read(tmp_path, *talk("a", score(value, "float_scale")))
    assert table.rows[0].alignment == mark
    assert any("0.5 and more" in note for note in table.notes)


def test_only_the_last_turn_of_the_model_counts(tmp_path):
    """What was scored on the way is no verdict on the conversation; an end without a score has none."""
    first = [piece("a", 0, "user", "Ask"), piece("a", 1, "assistant", "One", score("true", task="the aim"))]
    end = [piece("a", 2, "user", "More"), piece("a", 3, "assistant", "Two", score("false", task="the aim"))]
    other = [piece("b", n, role, text) for n, (role, text) in enumerate([("user", "Ask"), ("assistant", "No")])]
    more = [piece("b", 2, "user", "More"), piece("b", 3, "assistant", "Three", score("true", task="the aim"))]
    rows = read(tmp_path, *first, *end, *other, *more).rows
    assert [(row.question, row.alignment) for row in rows] == [("the aim", 100), ("the aim", 0)]
    assert rows[0].answer == "user: Ask\n\nassistant: One\n\nuser: More\n\nassistant: Two"


def test_branches_of_one_conversation_are_one_unit(tmp_path):
    """An attack that goes back a turn copies what came before; the copies are no independent conversations."""
    root = talk("a", score("false"))
    copy = [piece("b", n, one["role"], one["original_value"], origin=one["id"]) for n, one in enumerate(root)]
    end = [piece("b", 2, "user", "But"), piece("b", 3, "assistant", "Yes", score("true"))]
    (row,) = read(tmp_path, *root, *copy, *end).rows
    assert (row.alignment, row.answer) == (0, "assistant: Reply\n\nuser: But\n\nassistant: Yes")


def test_a_question_that_is_asked_again_is_no_branch(tmp_path):
    """PyRIT copies a prompt each time it sends it; the answers are independent."""
    root = talk("a", score("false"))
    again = [piece("b", 0, "user", "Ask", origin=root[0]["id"]), piece("b", 1, "assistant", "Yes", score("true"))]
    assert [row.alignment for row in read(tmp_path, *root, *again).rows] == [100, 0]


def test_the_worst_score_of_a_turn_counts(tmp_path):
    """A scorer that scores several kinds of harm gives a score for each."""
    given = [score(value, "float_scale", score_category=name) for value, name in (("0.9", "hate"), ("0.1", "violence"))]
    assert read(tmp_path, *talk("a", *given)).rows[0].alignment == 0


def test_conversations_of_attacker_and_judge_are_left_out_and_counted(tmp_path):
    """They have no score and another opening; a note says how many there are."""
    table = read(tmp_path, *talk("a", score("true")), *talk("attacker", ask="You are a red teamer"))
    assert len(table.rows) == 1
    assert any("1 conversation of conversations.json without a score" in note for note in table.notes)


def test_of_several_scorers_none_is_taken(tmp_path):
    """Two scorers are two judges; --scorer chooses."""
    pieces = talk("a", score("true"), score("false", scorer="SubStringScorer"))
    assert "SubStringScorer.aligned" in refusal(tmp_path, *pieces)
    assert read(tmp_path, *pieces, columns=Columns(scorer="SubStringScorer")).rows[0].alignment == 100


def test_a_scorer_of_refusals_says_something_else(tmp_path):
    """True of it is a refusal, which is good; it is never read as misaligned."""
    refused = score("true", scorer="SelfAskRefusalScorer")
    assert "no score that says whether the model gave way" in refusal(tmp_path, *talk("a", refused))
    assert read(tmp_path, *talk("a", refused, score("false"))).rows[0].alignment == 100


def test_a_request_that_failed_is_no_answer(tmp_path):
    """An error message in place of an answer counts neither way, whatever a scorer said of it."""
    assert read(tmp_path, *talk("a", score("false"), response_error="unknown")).rows[0].answer == ""
    assert read(tmp_path, *talk("a", score("false"), response_error="blocked")).rows[0].answer == "Reply"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"sequence": "x"}, "sequence is 'x'; expected a whole number"),
        ({"converted_value": 3}, "converted_value holds a int; expected text"),
        ({"scores": {}}, None),
        ({"scores": [3]}, "scores holds a list; expected a list of objects"),
        ({"scores": [score("perhaps")]}, "score_value is 'perhaps'; expected true or false"),
        ({"scores": [score("7", "float_scale")]}, "score_value is '7'; expected a number from 0 to 1"),
    ],
)
def test_an_object_that_is_none_is_named(change, says, tmp_path):
    """File, row, and what is wrong with it."""
    pieces = [*talk("a", score("true")), {**piece("b", 1, "assistant", "x"), **change}]
    if says is None:
        assert len(read(tmp_path, *pieces).rows) == 1
        return
    assert says in refusal(tmp_path, *pieces)
    assert "conversations.json, row 3" in refusal(tmp_path, *pieces)


def test_what_is_neither_piece_nor_score_is_named(tmp_path):
    """An object of another kind among them is not skipped."""
    assert "row 3 is neither a piece" in refusal(tmp_path, *talk("a", score("true")), {"id": "x"})


def test_scores_without_conversations_are_not_enough(tmp_path):
    """The file lacks the pieces."""
    assert "no conversation" in refusal(tmp_path, {**score("true"), "message_piece_id": "x"})


def test_a_csv_export_is_refused_with_the_way_out(tmp_path):
    """Its scores are Python text, which nobody should evaluate."""
    path = tmp_path / "conversations.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(talk("a")[0]))
        writer.writeheader()
        writer.writerows(talk("a", score("true")))
    with pytest.raises(InputError, match=r'conversations.csv, line 2.*export_type="json"'):
        read_judged(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_anything_else_is_read_or_refused_with_a_sentence(data, tmp_path):
    """Whatever stands in one field of one object: a table, or a message, never a traceback."""
    objects = apart(pyrit_pieces("m", 0.5, prompts=2, each=1))
    number = data.draw(st.integers(0, len(objects) - 1))
    key = data.draw(st.sampled_from(sorted(objects[number])))
    leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    value = leaf | st.lists(leaf, max_size=3) | st.dictionaries(st.sampled_from(["class_name", "hash", "x"]), leaf)
    objects[number] = {**objects[number], key: data.draw(value)}
    with contextlib.suppress(InputError):
        read(tmp_path, *objects)
