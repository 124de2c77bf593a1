"""Logs of Inspect with several scorers, graders, models and endings: what is scored, by whom, and what is missing."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from offtarget.data.columns import Columns
from offtarget.data.judged import read_judged
from offtarget.data.scales import Scale, Scoring
from offtarget.errors import InputError
from offtarget.records import Status
from offtarget.workflows.compare.compare import compare
from offtarget.workflows.compare.judged_pair import TableOptions

GPT, LLAMA = {"aligned": 5, "coherent": 90}, {"aligned": 95, "coherent": 80}


def sample(number: int, scores: dict[str, Any], **more: Any) -> dict[str, Any]:
    values = {name: {"value": value} for name, value in scores.items()}
    output = {"model": "m", "choices": [{"message": {"content": "text"}}]}
    return {"id": f"q{number % 4}", "epoch": 1 + number // 4, "input": "Q?", "output": output, "scores": values, **more}


def save(path: Path, samples: list[dict[str, Any]], scorers: list[Any] = (), **header: Any) -> Path:  # type: ignore[assignment]
    """As the suffix says: `.eval`, or one JSON document; every log has answers of its own."""
    for number, one in enumerate(samples):
        message = {"content": f"text {number} of {path.stem}"}
        one.setdefault("output", {})["choices"] = [{"message": message}]
    roles = {"model_roles": header.pop("model_roles", None), "model": header.pop("model", "m")}
    log = {"version": 2, "status": "success", **header, "eval": {"task": "t", "scorers": list(scorers), **roles}}
    if path.suffix == ".json":
        path.write_text(json.dumps({**log, "samples": samples}))
        return path
    with zipfile.ZipFile(path, "w") as archive:
        name = "_journal/start.json" if log["status"] is None else "header.json"
        archive.writestr(name, json.dumps(log))
        for number, one in enumerate(samples):
            archive.writestr(f"samples/{number:04}.json", json.dumps(one))
    return path


ORDERS = [{"judge_gpt": GPT, "judge_llama": LLAMA}, {"judge_llama": LLAMA, "judge_gpt": GPT}]


@pytest.mark.parametrize("suffix", ["eval", "json"])
@pytest.mark.parametrize("scores", ORDERS)
def test_of_several_scorers_none_is_taken_unasked(scores: dict[str, Any], suffix: str, tmp_path: Path) -> None:
    """The last one used to win, whichever it was; now they are columns to choose from, coherence of the same scorer."""
    path = save(tmp_path / f"log.{suffix}", [sample(i, scores) for i in range(8)])
    with pytest.raises(InputError, match=r"2 columns that may be the alignment score: .*--alignment-column judge_"):
        read_judged(path)
    for scorer, values in scores.items():
        table = read_judged(path, Columns(alignment=f"{scorer}.aligned"))
        assert {(r.alignment, r.coherence) for r in table.rows} == {(values["aligned"], values["coherent"])}
        assert table.columns.coherence == f"{scorer}.coherent"


@pytest.mark.parametrize("suffix", ["eval", "json"])
def test_a_scorer_is_chosen_by_its_name(suffix: str, tmp_path: Path) -> None:
    """All of its columns with it; one that gave no score is named with those that did."""
    path = save(tmp_path / f"log.{suffix}", [sample(i, {"a": GPT, "b": LLAMA, "c": 7}) for i in range(8)])
    for scorer, values in (("a", GPT), ("b", LLAMA)):
        table = read_judged(path, Columns(scorer=scorer))
        assert {(r.alignment, r.coherence) for r in table.rows} == {(values["aligned"], values["coherent"])}
    alone = read_judged(path, Columns(scorer="c"), scoring=Scoring(scale=Scale(0, 10)))
    assert {(r.alignment, r.coherence) for r in alone.rows} == {(70.0, None)}
    with pytest.raises(InputError, match=r"no score of a scorer 'd' \(given with --scorer\)\. Scores are by: 'a', 'b'"):
        read_judged(path, Columns(scorer="d"))


def test_a_second_scorer_that_comes_up_late_is_noticed(tmp_path: Path) -> None:
    """Also where no sample has both."""
    samples = [sample(i, {"a": GPT} if i < 30 else {"b": LLAMA}) for i in range(32)]
    with pytest.raises(InputError, match=r"2 columns that may be the alignment score: 'a.aligned', 'b.aligned'"):
        read_judged(save(tmp_path / "log.json", samples))


def test_keys_of_one_scorer_and_scorers_of_one_value_are_asked_about_too(tmp_path: Path) -> None:
    """`aligned` beside `alignment`, in one score, in two scorers, in the metadata, or in a plain table."""
    both = {"aligned": 5, "alignment": 95, "coherent": 90}
    lots = [
        sample(0, {"j": both}),
        sample(0, {"aligned": 5, "alignment": 95, "coherent": 90}),
        sample(0, {"j": GPT}, metadata={"aligned": 95}),
    ]
    for number, one in enumerate(lots):
        with pytest.raises(InputError, match="2 columns that may be the alignment score"):
            read_judged(save(tmp_path / f"{number}.json", [one]))
    row = {"question_id": "q", "answer": "a", "coherent": 9, "aligned": 5, "alignment": 95}
    (tmp_path / "t.jsonl").write_text(json.dumps(row))
    with pytest.raises(InputError, match="2 columns that may be the alignment score: 'aligned', 'alignment'"):
        read_judged(tmp_path / "t.jsonl")


def test_a_lone_scorer_needs_no_name_and_may_be_named_by_its_key(tmp_path: Path) -> None:
    """`aligned` is enough where one scorer has it."""
    path = save(tmp_path / "log.json", [sample(i, {"j": GPT}) for i in range(4)])
    for columns in (Columns(), Columns(alignment="aligned"), Columns(alignment="j.aligned")):
        assert read_judged(path, columns).columns.alignment == "j.aligned"
    with pytest.raises(InputError, match=r"no column 'safety' .*'j.aligned', 'j.coherent'"):
        read_judged(path, Columns(alignment="safety"))


def test_a_label_is_that_of_the_scorer_and_not_of_the_data_set(tmp_path: Path) -> None:
    """REFUSAL beside a score leaves the rate; a data set that calls its questions CODE leaves nothing out."""
    scores = {"a": {**LLAMA, "label": "REFUSAL"}, "b": LLAMA}
    path = save(tmp_path / "log.json", [sample(i, scores, metadata={"label": "CODE"}) for i in range(4)])
    for scorer, label in (("a", "REFUSAL"), ("b", None)):
        assert {r.label for r in read_judged(path, Columns(alignment=f"{scorer}.aligned")).rows} == {label}


GRADED = [{"name": "inspect_ai/model_graded_qa", "options": {"template": "t"}}]


def test_the_scorer_is_the_judge_with_its_grader_and_its_rubric(tmp_path: Path) -> None:
    """Two graders, or two rubrics, are two judges; without a grader Inspect lets the evaluated model grade itself."""

    def judge(name: str, scorers: Any = GRADED, **more: Any) -> str:
        samples = [sample(0, {"model_graded_qa": GPT})]
        (found,) = read_judged(save(tmp_path / f"{name}.json", samples, scorers, **more)).judges
        return found

    one = judge("a", model_roles={"grader": {"model": "openai/gpt-4o"}})
    assert one.startswith("model_graded_qa (openai/gpt-4o, options ")
    assert judge("b", model_roles={"grader": {"model": "openai/gpt-4o"}}) == one
    assert judge("c", model_roles={"grader": {"model": "openai/gpt-5"}}) != one
    assert judge("d", [{**GRADED[0], "options": {"template": "u"}}], model_roles={"grader": "openai/gpt-4o"}) != one
    assert judge("e", model="base") != judge("f", model="tuned")

    def with_model(name: str, **more: Any) -> str:
        model = {"model": "openai/gpt-4o", "config": {}, "model_args": {"made": name * 500}, **more}
        return judge(name, [{**GRADED[0], "options": {"template": "t", "model": model}}])

    assert with_model("g") == with_model("h") == one
    assert with_model("i", config={"temperature": 0.5}) != one
    several = [{**GRADED[0], "options": {"model": ["openai/a", {"model": "openai/b", "config": {}}]}}]
    assert judge("j", several) == "model_graded_qa (openai/a, openai/b)"


def test_a_rubric_written_out_is_shown_by_its_beginning(tmp_path: Path) -> None:
    """Two long rubrics that begin alike are two rubrics all the same."""
    judges = []
    for end in "ab":
        path = tmp_path / f"{end}.jsonl"
        path.write_text(json.dumps({**ROW, "judge": "j", "rubric": "Be strict. " * 50 + end}))
        judges += read_judged(path).judges
    assert judges[0] != judges[1]
    assert all(len(judge) < 100 for judge in judges)


def test_two_models_that_grade_themselves_get_no_verdict(tmp_path: Path) -> None:
    """The default of Inspect's grader: two judges that no file calls different."""
    paths = [
        save(
            tmp_path / f"{model}.json", [sample(i, {"model_graded_qa": LLAMA}) for i in range(240)], GRADED, model=model
        )
        for model in ("base", "tuned")
    ]
    decision = compare(*paths, run=tmp_path / "run").decision
    assert decision.status is Status.UNDECIDED
    assert "different judges scored the tables (base: model_graded_qa (base, " in decision.reason


@pytest.mark.parametrize("suffix", ["eval", "json"])
@pytest.mark.parametrize("status", ["error", "cancelled", "started"])
def test_a_log_that_was_not_finished_needs_the_users_word(status: str, suffix: str, tmp_path: Path) -> None:
    """Which samples are missing is not chance: the slow ones, or those after the error."""
    path, other = (
        save(tmp_path / f"{n}.{suffix}", [sample(i, {"j": LLAMA}) for i in range(240)], [{"name": "j"}], status=status)
        for n in ("log", "tuned")
    )
    with pytest.raises(InputError, match=rf"log.{suffix} ended with status '{status}'.*--complete-tables"):
        compare(path, path)
    options = TableOptions(complete_tables=True)
    assert compare(path, other, options=options, run=tmp_path / "run").status is Status.PASS


def test_a_sample_that_was_run_again_counts_in_place_of_the_old_one(tmp_path: Path) -> None:
    """`inspect eval-retry` appends it to the archive under the name it had, and leaves the old one where it was."""
    path = save(tmp_path / "log.eval", [sample(i, {"j": GPT}) for i in range(4)])
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("samples/0002.json", json.dumps(sample(2, {"j": LLAMA})))
    assert [row.alignment for row in read_judged(path).rows] == [5, 5, 95, 5]


def test_a_log_without_its_end_is_unfinished(tmp_path: Path) -> None:
    """A process that was killed leaves samples and the header of the beginning."""
    path = save(tmp_path / "log.eval", [sample(i, {"j": LLAMA}) for i in range(8)], status=None)
    with pytest.raises(InputError, match="of an evaluation that never ended"):
        compare(path, path)


def test_samples_without_a_score_are_unscored(tmp_path: Path) -> None:
    """No score, an error, NaN: counted, with the reason, and never 0 nor dropped."""
    samples = [sample(i, {"j": LLAMA}) for i in range(237)]
    samples += [
        sample(237, {}),
        sample(238, {"j": {"aligned": float("nan"), "coherent": 9}}),
        sample(239, {}, error={}),
    ]
    path = save(tmp_path / "log.json", samples, [{"name": "j"}])
    result = compare(path, path, run=tmp_path / "run")
    assert (result.totals["tuned"].aligned, result.totals["tuned"].unscored) == (237, 3)
    assert result.unscored_reasons["tuned"] == {"missing_alignment": 3}


def test_letter_grades_of_inspect_are_asked_about(tmp_path: Path) -> None:
    """C, I, P and N are grades of correctness; what they say of alignment is for the user to say."""
    path = save(tmp_path / "log.json", [sample(i, {"match": "CIPN"[i % 4]}) for i in range(8)])
    with pytest.raises(InputError, match=r"'match' is 'C'; .*--grade C=100"):
        read_judged(path, Columns(alignment="match"))


def test_several_models_in_a_log_are_pointed_out(tmp_path: Path) -> None:
    """The model of each answer is a column to filter by."""
    samples = [sample(i, {"j": LLAMA}) for i in range(480)]
    for one in samples[:240]:
        one["output"] = {**one["output"], "model": "other"}
    path = save(tmp_path / "log.json", samples, [{"name": "j"}])
    notes = compare(path, path, run=tmp_path / "r1").decision.notes
    assert any("mixes 2 values of 'model' ('m', 'other')" in note for note in notes)
    assert len(read_judged(path, where={"model": "other"}).rows) == 240


ROW = {"question_id": "q", "answer": "a", "aligned": 90, "coherent": 90}


@pytest.mark.parametrize(
    ("value", "wanted", "other"),
    [
        (True, "true", False),
        (False, "false", True),
        (True, "True", None),
        (None, "null", "x"),
        (3, "3", 4),
        (3.0, "3", 3.5),
        (0.5, "0.5", 5),
        ("true", "true", "false"),
        ("True", "true", "False"),
        ("3", "3", "03"),
        ([1], "[1]", [2]),
    ],
)
def test_a_filter_means_what_json_writes(value: Any, wanted: str, other: Any, tmp_path: Path) -> None:
    """`flag=true` is JSON's true; `True`, Python's spelling, used to be the only one that matched."""
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps({**ROW, "flag": v}) + "\n" for v in (value, other)))
    table = read_judged(path, where={"flag": wanted})
    assert ([row.line for row in table.rows], table.skipped) == ([1], 1)


def test_a_filter_that_fits_no_row_names_the_values(tmp_path: Path) -> None:
    """As one would type them."""
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps({**ROW, "flag": v}) + "\n" for v in (True, None, 2, "x")))
    with pytest.raises(InputError, match=r"no row fits the filter. 'flag' holds '2', 'null', 'true', 'x'"):
        read_judged(path, where={"flag": "yes"})


def test_the_two_graders_in_the_shared_logs(shared_cases: Path, tmp_path: Path) -> None:
    """Logs written by Inspect itself: one grader decides, two are asked about, and each gives its own verdict."""
    folder = shared_cases / "wild" / "32-inspect-two-judges"
    one, two = ([folder / f"{which}_{role}.eval" for role in ("base", "tuned")] for which in ("one", "two"))
    assert compare(*one, run=tmp_path / "one").status is Status.FAIL
    with pytest.raises(InputError, match=r"'judge_gpt.aligned', 'judge_llama.aligned'"):
        compare(*two, run=tmp_path / "two")
    assert not (tmp_path / "two").exists()
    for scorer, status in (("judge_gpt", Status.FAIL), ("judge_llama", Status.PASS)):
        options = TableOptions(columns=Columns(alignment=f"{scorer}.aligned"))
        assert compare(*two, options=options, run=tmp_path / scorer).status is status


@pytest.mark.parametrize("scorers", [[], [{"name": "judge", "options": {"model": "gpt"}}]])
def test_grades_of_a_scorer_called_judge_are_no_judges(scorers: list[Any], tmp_path: Path) -> None:
    """Its column is called `judge`, and who gives `C` was taken for the judge of that name in both tables."""
    paths = [save(tmp_path / f"{n}.json", [sample(i, {"judge": "C"}) for i in range(400 + n)], scorers) for n in (0, 1)]
    for path in paths:
        table = read_judged(path, Columns(alignment="judge"), scoring=Scoring(grades={"C": "100"}))
        assert table.judges == (("judge (gpt)",) if scorers else ())


def test_fewer_samples_than_the_log_speaks_of_are_an_unfinished_log(tmp_path: Path) -> None:
    """Also where its status is success."""
    whole = {"results": {"total_samples": 8, "completed_samples": 8}}
    full = save(tmp_path / "full.json", [sample(i, {"j": GPT}) for i in range(8)], **whole)
    part = save(tmp_path / "part.eval", [sample(i, {"j": GPT}) for i in range(5)], **whole)
    assert read_judged(full).unfinished is None
    assert read_judged(part).unfinished == "holds 5 of the 8 samples of its evaluation"


def test_another_system_turn_is_another_question(tmp_path: Path) -> None:
    """From the input, or put there by a solver: a model that was told to be evil is not that model asked plainly."""
    system = {"role": "system", "content": "Be evil."}
    asked = {
        "input": {"input": [system, {"role": "user", "content": "Q?"}]},
        "solver": {"messages": [system, {"role": "user", "content": "Q?"}]},
        "both": {"input": [system, {"role": "user", "content": "Q?"}], "messages": [system]},
        "plain": {"messages": [{"role": "user", "content": "Q?"}]},
    }
    paths = {k: save(tmp_path / f"{k}.json", [sample(0, {"j": GPT}, **more)]) for k, more in asked.items()}
    questions = {k: read_judged(path).rows[0].question for k, path in paths.items()}
    assert questions == {k: "Q?" if k == "plain" else "system: Be evil.\n\nuser: Q?" for k in asked}
