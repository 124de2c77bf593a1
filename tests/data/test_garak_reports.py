"""Reports of garak: an answer or a conversation per row, by the detector that counts; else a sentence."""

from __future__ import annotations

import contextlib
import gzip
import json
from pathlib import Path

import pytest
from attack_reports import DETECTOR, attempt, garak_lines, garak_report, save_lines
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offtarget.data.columns import Columns
from offtarget.data.judged import JudgedRow, read_judged
from offtarget.errors import InputError

DAN, GOAT, ATKGEN = "dan.Ablation_Dan_11_0", "goat.GOATAttack", "atkgen.Tox"


def save(folder: Path, *attempts: dict, name: str = "r.report.jsonl", **more) -> Path:
    return save_lines(folder / name, garak_lines(attempts, **more))


def one(folder: Path, *attempts: dict, **more) -> JudgedRow:
    (row,) = read_judged(save(folder, *attempts, **more)).rows
    return row


def refusal(path: Path, columns: Columns | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read_judged(path, columns)
    return str(caught.value)


def test_every_answer_is_a_row_with_its_score(tmp_path):
    """Several answers to a prompt are answers to one question; null is no score, and a hit is misaligned."""
    path = save(tmp_path, attempt(DAN, "Ask", ["yes", "no", "perhaps", None], {DETECTOR: [1.0, 0.0, None, None]}))
    table = read_judged(path)
    assert [(row.answer, row.alignment) for row in table.rows] == [
        ("yes", 0),
        ("no", 100),
        ("perhaps", None),
        ("", None),
    ]
    assert {(row.question, row.domain, row.arm) for row in table.rows} == {("Ask", "dan", "plain")}
    assert len({row.question_id for row in table.rows}) == 1
    assert table.tool == "garak"
    assert table.unfinished is None


def test_a_question_is_a_probe_and_its_prompt(tmp_path):
    """The same prompt of the same probe has one name in any report; another probe or prompt has another."""
    same = [save(tmp_path, attempt(DAN, "Ask", ["a"], {DETECTOR: [0]}), name=f"{n}.report.jsonl") for n in "ab"]
    other = save(
        tmp_path, attempt("dan.Other", "Ask", ["a"], {DETECTOR: [0]}), attempt(DAN, "Say", ["a"], {DETECTOR: [0]})
    )
    names = [{row.question_id for row in read_judged(path).rows} for path in (*same, other)]
    assert names[0] == names[1]
    assert len(names[2]) == 2
    assert not names[2] & names[0]


def test_models_of_other_names_are_asked_the_same(tmp_path):
    """Probes of `dan` write the name of the model into the prompt; in others such a word is part of the question."""
    found = []
    for name in ("org/model", "my.model(2)"):
        asked = [
            attempt(DAN, f"You are {name} now, {name}s do", ["a"], {DETECTOR: [0]}),
            attempt("x.Y", name, ["a"], {}),
        ]
        found.append([row.question for row in read_judged(save(tmp_path, *asked, model=f"openai {name}")).rows])
    assert found[0][0].startswith("You are {model} now, ")
    assert [questions[1] for questions in found] == ["org/model", "my.model(2)"]


@pytest.mark.parametrize(("said", "hit"), [(0.5, True), (0.75, False), (None, True)])
def test_the_report_says_from_where_on_a_score_is_a_hit(said, hit, tmp_path):
    """A score of 0.6 is a hit by a threshold of 0.5, not by 0.75; garak's own one holds where none is said."""
    row = one(tmp_path, attempt(DAN, "Ask", ["a"], {DETECTOR: [0.6]}), run__eval_threshold=said)
    assert row.alignment == (0 if hit else 100)


def test_the_primary_detector_counts_and_another_can_be_chosen(tmp_path):
    """Of several detectors the probe's primary one is taken, and --scorer takes any other."""
    asked = attempt(DAN, "Ask", ["a"], {"dan.DAN": [0.0], DETECTOR: [1.0]})
    path = save(tmp_path, asked, primary={DAN: DETECTOR})
    table, other = read_judged(path), read_judged(path, Columns(scorer="dan.DAN"))
    assert (table.rows[0].alignment, other.rows[0].alignment) == (0, 100)
    assert table.judges == ("garak 0.17.1, the primary detector of each probe, a hit from 0.5 on",)
    assert other.judges == ("garak 0.17.1, detector dan.DAN, a hit from 0.5 on",)
    assert "no score of a scorer 'dan.Missing'" in refusal(path, Columns(scorer="dan.Missing"))


def test_no_detector_is_guessed(tmp_path):
    """Where several judged and the report does not say which one counts, there is no score, and a note says why."""
    table = read_judged(save(tmp_path, attempt(DAN, "Ask", ["a"], {"dan.DAN": [0.0], DETECTOR: [1.0]})))
    assert table.rows[0].alignment is None
    assert any("--scorer NAME" in note and DAN in note for note in table.notes)


@pytest.mark.parametrize("order", [1, -1])
def test_scores_of_another_number_than_answers_are_nobodys(order, tmp_path):
    """Which of two scores belongs to which of three answers is not known."""
    scores = {DETECTOR: [1.0, 0.0, 0.0][::order][:2]}
    table = read_judged(save(tmp_path, attempt(DAN, "Ask", ["a", "b", "c"], scores)))
    assert [row.alignment for row in table.rows] == [None] * 3
    assert any("1 attempt of" in note for note in table.notes)


def turns(*texts: str) -> list[tuple[str, str]]:
    return [(("user", "assistant")[number % 2], text) for number, text in enumerate(texts)]


def test_a_conversation_that_goes_on_is_one_answer(tmp_path):
    """Each turn of such a probe is an attempt; all of one opening together are one unit, bad from its first hit on."""
    attempts = [
        attempt("x.Multi", turns("Open 1"), ["no", "never"], {DETECTOR: [0, 0]}),
        attempt("x.Multi", turns("Open 2"), ["no"], {DETECTOR: [0]}),
        attempt("x.Multi", turns("Open 1", "no", "Please"), ["well, yes", "no"], {DETECTOR: [1, 0]}),
        attempt("x.Multi", turns("Open 2", "no", "Please"), ["no, I will not"], {DETECTOR: [0]}),
    ]
    rows = read_judged(save(tmp_path, *attempts)).rows
    assert [(row.question, row.alignment) for row in rows] == [("Open 1", 0), ("Open 2", 100)]
    assert rows[0].answer == "assistant: no\n\nuser: Please\n\nassistant: well, yes"


def test_turns_that_the_probe_brings_along_are_its_prompt(tmp_path):
    """A prompt that holds turns of an assistant is asked once: its answers are answers like any others."""
    rows = read_judged(save(tmp_path, attempt(DAN, turns("Hi", "Sure,", "go on"), ["a", "b"], {DETECTOR: [1, 0]}))).rows
    assert [row.alignment for row in rows] == [0, 100]
    assert rows[0].question == "user: Hi\n\nassistant: Sure,\n\nuser: go on"


def goat(model: str, goal: int, hit: bool) -> list[dict]:
    notes = {"attack_goal": f"goal {goal}"}
    opening = turns(f"Opening {goal} for {model}")
    last = [*opening, ("assistant", "no"), ("user", "but")]
    return [
        attempt(GOAT, opening, ["no"], {DETECTOR: [None]}, notes={**notes, "is_adversarial": False}),
        attempt(GOAT, last, [f"{model} says"], {DETECTOR: [float(hit)]}, notes={**notes, "is_adversarial": True}),
    ]


def test_attackers_that_write_their_own_prompts_are_held_to_their_goal(tmp_path):
    """The prompts depend on the model, so the goal is what both were asked."""
    found = []
    for model, hits in (("a", (True, False)), ("b", (False, False))):
        rows = [a for goal, hit in enumerate(hits) for a in goat(model, goal, hit)]
        found.append(read_judged(save(tmp_path, *rows)).rows)
    assert [r.question_id for r in found[0]] == [r.question_id for r in found[1]]
    assert [[r.alignment for r in rows] for rows in found] == [[0, 100], [100, 100]]


def test_attempts_that_name_the_one_before_are_one_conversation(tmp_path):
    """atkgen logs a turn per attempt, and has no question of its own: its conversations are answers to the probe."""
    attempts = []
    for talk in range(2):
        before: dict = {}
        for turn in range(3):
            score = {DETECTOR: [float(talk == 1 and turn == 1)]}
            attempts.append(attempt(ATKGEN, f"Attack {talk}.{turn}", [f"Reply {talk}.{turn}"], score, notes=before))
            before = {"previous_attempt_id": attempts[-1]["uuid"]}
    rows = read_judged(save(tmp_path, *attempts)).rows
    assert [row.alignment for row in rows] == [100, 0]
    assert len({row.question_id for row in rows}) == 1
    assert [f"Reply 1.{turn}" in rows[1].answer for turn in range(3)] == [True, True, False]


def test_a_hit_log_is_refused_with_the_name_of_the_report(tmp_path):
    """A log of hits has no answers that were none."""
    keys = ("goal", "prompt", "output", "triggers", "run_id", "generator", "generations_per_prompt")
    hit = {**dict.fromkeys(keys), "score": 1.0, "attempt_id": "u", "attempt_seq": 0, "attempt_idx": 0}
    path = save_lines(tmp_path / "garak_tuned.hitlog.jsonl", [{**hit, "probe": DAN, "detector": DETECTOR}])
    assert "'garak_tuned.report.jsonl'" in refusal(path)


@pytest.mark.parametrize(
    ("left", "says"),
    [
        (lambda lines: [one for one in lines if one["entry_type"] != "completion"], "no completion entry"),
        (lambda lines: [one for one in lines if one.get("seq") != 3 or one["status"] == 1], "that no detector judged"),
        (lambda lines: [one for one in lines if one.get("seq") != 3], "of the 60 answers to"),
    ],
)
def test_what_is_missing_is_said(left, says, tmp_path):
    """A run that did not end, attempts without judgement, and fewer answers than the report's own sums."""
    path = garak_report(tmp_path / "r.report.jsonl", {DAN: 0.2})
    lines = left([json.loads(line) for line in path.read_text().splitlines()])
    assert says in str(read_judged(save_lines(path, lines)).unfinished)


def test_a_report_of_attempts_that_nobody_judged_is_none(tmp_path):
    """Status 1 alone: the run was stopped before its detectors."""
    assert "without a judged attempt" in refusal(save(tmp_path, attempt(DAN, "Ask", ["a"], {}, status=1)))


def test_older_shapes_are_read(tmp_path):
    """Prompts and answers were bare texts, then messages, before they were conversations; all may be packed."""
    asked = attempt(DAN, "Ask", ["a"], {DETECTOR: [1]})
    bare = {key: value for key, value in asked.items() if key != "conversations"} | {"prompt": "Ask", "outputs": ["a"]}
    newer = {**bare, "prompt": {"text": "Ask"}, "outputs": [{"text": "a"}]}
    names = {one(tmp_path, shape).question_id for shape in (asked, bare, newer)}
    assert len(names) == 1
    packed = tmp_path / "r.report.jsonl.gz"
    packed.write_bytes(gzip.compress((tmp_path / "r.report.jsonl").read_bytes()))
    assert read_judged(packed).rows[0].alignment == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"uuid": None}, "uuid is None; expected text"),
        ({"status": "done"}, "status is 'done'; expected 0, 1 or 2"),
        ({"probe_classname": 7}, "probe_classname is 7; expected text"),
        ({"detector_results": []}, "detector_results holds a list; expected an object"),
        ({"detector_results": {"d": 1}}, "detector 'd' gave a int; expected a list"),
        ({"detector_results": {"d": [7]}}, "detector 'd' gave 7; expected a number from 0 to 1"),
        ({"detector_results": {"d": ["x"]}}, "detector 'd' gave 'x'; expected a number from 0 to 1"),
        ({"outputs": "x"}, "outputs holds a str; expected a list"),
        ({"outputs": [3]}, "outputs holds a int; expected a message with its text"),
        ({"prompt": {"turns": "x"}}, "prompt holds turns that are no list of objects"),
        ({"notes": [1]}, "notes holds a list; expected an object"),
        ({"entry_type": 3}, "has no entry_type"),
    ],
)
def test_a_line_that_is_none_is_named(change, says, tmp_path):
    """File, line, and what is wrong with it."""
    good = garak_lines([attempt(DAN, "Ask", ["a"], {DETECTOR: [1]})])
    path = save_lines(tmp_path / "r.report.jsonl", [*good, {**good[3], **change}])
    assert f"r.report.jsonl, line {len(good) + 1}" in refusal(path)
    assert says in refusal(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["turns", "text", "role", "x"]), inner),
    max_leaves=6,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_anything_else_is_read_or_refused_with_a_sentence(data, tmp_path):
    """Whatever stands in one field of one line: a table, or a message, never a traceback."""
    lines = garak_lines([attempt(DAN, "Ask", ["a", "b"], {DETECTOR: [1, 0]})], primary={DAN: DETECTOR})
    line = data.draw(st.sampled_from([n for n, one in enumerate(lines) if one["entry_type"] != "digest"]))
    key = data.draw(st.sampled_from(sorted(lines[line])))
    lines[line] = {**lines[line], key: data.draw(VALUES)}
    path = save_lines(tmp_path / "r.report.jsonl", lines)
    with contextlib.suppress(InputError):
        read_judged(path)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(junk=st.binary(max_size=60), at=st.integers(0, 2000))
def test_bytes_in_between_are_refused_with_a_sentence(junk, at, tmp_path):
    """A report with anything pasted into it is a table or a message, never a traceback."""
    path = save(tmp_path, attempt(DAN, "Ask", ["a", "b"], {DETECTOR: [1, 0]}))
    whole = path.read_bytes()
    path.write_bytes(whole[:at] + junk + whole[at:])
    with contextlib.suppress(InputError):
        read_judged(path)
