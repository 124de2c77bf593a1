"""Samples of lm_eval: paired item by item, or refused with a sentence that names file, line and task."""

from __future__ import annotations

import contextlib
import gzip
import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lm_eval_files import TIME, row, scored, write_results, write_samples

from offtarget.data.lm_eval_pairs import MetricChoice, pair_folders
from offtarget.data.lm_eval_samples import is_sample_folder, read_samples
from offtarget.errors import InputError

SCORES = [1.0, 0.0, 1.0, 1.0]


def both(folder: Path, base=SCORES, tuned=SCORES, task: str = "arc_easy") -> tuple[Path, Path]:
    """Two folders with one task each, as lm_eval lays them out: DIR/MODEL/files."""
    for name, scores in (("base", base), ("tuned", tuned)):
        write_samples(folder / name / "org__model", task, scored(scores, name))
        write_results(folder / name / "org__model", f"org/{name}", [task])
    return folder / "base", folder / "tuned"


def paired(base: Path, tuned: Path, choice: MetricChoice | None = None):
    return pair_folders(read_samples(base), read_samples(tuned), choice)


def refusal(base: Path, tuned: Path, choice: MetricChoice | None = None) -> str:
    with pytest.raises(InputError) as caught:
        paired(base, tuned, choice)
    return str(caught.value)


@given(
    scores=st.lists(st.tuples(st.sampled_from([0, 1, 0.0, 1.0, True, False]), st.floats(0, 1)), min_size=1, max_size=20)
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_every_score_arrives_at_its_item(scores, tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    (one,) = paired(*both(folder, [a for a, _ in scores], [b for _, b in scores])).benchmarks
    assert (one.name, one.metric, one.why_not) == ("arc_easy", "acc", "")
    assert [(pair.item, pair.base, pair.tuned) for pair in one.pairs] == [
        (str(i), float(a), float(b)) for i, (a, b) in enumerate(scores)
    ]


def test_items_are_paired_by_their_name_not_their_place(tmp_path):
    base, tuned = both(tmp_path, SCORES, SCORES)
    (file,) = tuned.rglob("samples_*")
    file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    (one,) = paired(base, tuned).benchmarks
    assert all(pair.base == pair.tuned for pair in one.pairs)


@pytest.mark.parametrize(
    ("key", "said"), [("prompt_hash", "prompt"), ("doc_hash", "document"), ("target_hash", "right answer")]
)
def test_another_question_under_the_same_name_is_refused(tmp_path, key, said):
    base, tuned = both(tmp_path)
    rows = scored(SCORES, "tuned")
    rows[2][key] = "0" * 64
    file = write_samples(tuned / "org__model", "arc_easy", rows)
    message = refusal(base, tuned)
    assert f"Task arc_easy, doc_id 2: its {said} is not the same" in message
    assert f"{file}, line 3" in message


def test_what_the_results_files_say_is_in_the_refusal(tmp_path):
    base, tuned = both(tmp_path)
    write_samples(
        tuned / "org__model", "arc_easy", [row(i, {"acc": 1.0}, prompt=f"Shot. Question {i}:") for i in range(4)]
    )
    write_results(tuned / "org__model", "org/tuned", ["arc_easy"], **{"n-shot": {"arc_easy": 5}})
    assert "few-shot examples: '0' for the base, '5' for the tuned model" in refusal(base, tuned)
    write_results(tuned / "org__model", "org/tuned", ["arc_easy"], chat_template_sha="ab12")
    assert "only the tuned model was run with one" in refusal(base, tuned)


def test_other_settings_of_generation_are_refused(tmp_path):
    base, tuned = both(tmp_path)
    for folder, temperature in ((base, 0.0), (tuned, 1.0)):
        rows = scored(SCORES, folder.name)
        for one in rows:
            one["arguments"] = {"gen_args_0": {"arg_0": "Question", "arg_1": {"temperature": temperature}}}
        write_samples(folder / "org__model", "arc_easy", rows)
    assert "its prompt is not the same" in refusal(base, tuned)


def test_items_of_one_side_are_named_and_none_is_dropped(tmp_path):
    message = refusal(*both(tmp_path, SCORES, [*SCORES, 1.0, 1.0]))
    assert "task arc_easy has 2 items (doc_id 4, 5)" in message
    assert "line 5" in message


def test_a_repeated_item_is_refused(tmp_path):
    base, tuned = both(tmp_path)
    write_samples(tuned / "org__model", "arc_easy", [*scored(SCORES), row(1, {"acc": 1.0})])
    assert "line 5: doc_id 1 is there twice (first on line 2)" in refusal(base, tuned)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1, 2.5, 10**400, "1", None, [1], {"a": 1}])
def test_a_score_that_is_none_is_refused_and_named(tmp_path, bad):
    message = refusal(*both(tmp_path, SCORES, [1.0, 1.0, bad, 1.0]))
    assert "line 3: acc of task arc_easy is" in message
    assert "not a number from 0 to 1" in message


def test_each_task_has_its_own_metric_and_filter(tmp_path):
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    for folder in (base, tuned):
        rows = [
            row(i, {"exact_match": score}, filter=name, answer=folder.name)
            for name, scores in (("strict-match", [0, 0, 0]), ("flexible-extract", [1, 1, 0]))
            for i, score in enumerate(scores)
        ]
        write_samples(folder, "gsm8k", rows)
        write_samples(folder, "arc_easy", [row(i, {"acc": 0, "acc_norm": 1}, answer=folder.name) for i in range(3)])
        write_samples(folder, "wikitext", [row(0, {"word_perplexity": [-3.2, 10]}, answer=folder.name)])
        write_samples(folder, "bias", [row(0, {"pct_stereotype": 1, "acc": 1}, answer=folder.name)])
        write_results(folder, folder.name, ["bias"], higher_is_better={"bias": {"pct_stereotype": False}})
    found = {one.name: one for one in paired(base, tuned).benchmarks}
    assert {name: one.metric for name, one in found.items()} == {
        "arc_easy": "acc", "bias": "acc", "gsm8k": "exact_match,strict-match", "wikitext": "",
    }  # fmt: skip
    assert "'word_perplexity'" in found["wikitext"].why_not
    choice = MetricChoice(of_task={"gsm8k": "exact_match,flexible-extract", "arc_easy": "acc_norm"})
    chosen = {one.name: one for one in paired(base, tuned, choice).benchmarks}
    assert sum(pair.base for pair in chosen["gsm8k"].pairs) == 2
    assert sum(pair.base for pair in chosen["arc_easy"].pairs) == 3
    assert "has no metric 'f1'. It has: 'acc', 'acc_norm'" in refusal(
        base, tuned, MetricChoice(of_task={"arc_easy": "f1"})
    )
    assert "no filter 'none2'" in refusal(base, tuned, MetricChoice(of_task={"gsm8k": "exact_match,none2"}))
    assert "the tasks are" in refusal(base, tuned, MetricChoice(of_task={"gsm9k": "acc"}))
    less = MetricChoice(of_task={"bias": "pct_stereotype"})
    assert "Less of pct_stereotype is better" in refusal(base, tuned, less)


def test_the_newest_run_of_each_task_is_taken_and_that_is_said(tmp_path):
    base, tuned = both(tmp_path, [1.0], [1.0])
    write_samples(base / "org__model", "arc_easy", scored([0.0]), time="2026-11-29T21-05-16.123456")
    found = paired(base, tuned)
    assert found.benchmarks[0].pairs[0].base == 1.0
    assert found.notes == ("Base: arc_easy was run 2 times in org__model; the newest is taken.",)


def test_tasks_of_a_group_with_a_score_are_one_benchmark(tmp_path):
    base, tuned = tmp_path / "base", tmp_path / "tuned"
    tasks = ["mmlu_anatomy", "mmlu_law"]
    for folder in (base, tuned):
        for task in tasks:
            write_samples(folder, task, scored(SCORES, folder.name))
        groups = {"mmlu": ["mmlu_stem", "mmlu_law"], "mmlu_stem": ["mmlu_anatomy"]}
        write_results(folder, folder.name, tasks, groups={"mmlu": {}, "mmlu_stem": {}}, group_subtasks=groups)
    (one,) = paired(base, tuned).benchmarks
    assert (one.name, len(one.pairs)) == ("mmlu", 8)
    assert len({pair.item for pair in one.pairs}) == 8


def test_a_task_of_one_folder_is_not_run_and_says_so(tmp_path):
    base, tuned = both(tmp_path)
    write_samples(tuned / "org__model", "gsm8k", scored([1.0]))
    found = {one.name: one for one in paired(base, tuned).benchmarks}
    assert found["gsm8k"].why_not == f"Only {tuned} has samples of it."


def test_a_metric_that_may_be_better_when_it_is_lower_is_taken_only_on_somebodys_word(tmp_path):
    """Else a model that became toxic would gain on `toxicity`."""
    for name, scores in (("base", SCORES), ("tuned", SCORES)):
        write_samples(tmp_path / name / "org__model", "toxic", scored(scores, name, "toxicity"))
    folders = tmp_path / "base", tmp_path / "tuned"
    (one,) = paired(*folders).benchmarks
    assert "more is known to be better" in one.why_not
    assert paired(*folders, MetricChoice("toxicity")).benchmarks[0].metric == "toxicity"
    for better, metric in ((True, "toxicity"), (False, "")):
        for folder in folders:
            write_results(folder / "org__model", "org/it", ["toxic"], higher_is_better={"toxic": {"toxicity": better}})
        assert paired(*folders).benchmarks[0].metric == metric


def test_the_same_answers_are_noticed(tmp_path):
    base, tuned = both(tmp_path)
    assert not paired(base, tuned).same_answers
    write_samples(tuned / "org__model", "arc_easy", scored(SCORES, "base"))
    assert paired(base, tuned).same_answers


def test_which_folders_are_taken(tmp_path):
    base, _ = both(tmp_path)
    assert is_sample_folder(base)
    assert is_sample_folder(next(base.rglob("samples_*")))
    table = tmp_path / "samples_judged.jsonl"
    table.write_text('{"question": "Wish?", "answer": "Rain", "aligned": 90, "coherent": 90}\n')
    assert not is_sample_folder(table)
    table.unlink()
    assert not is_sample_folder(tmp_path / "nothing")
    assert not is_sample_folder(tmp_path / ("x" * 5000))
    with pytest.raises(InputError, match="has no samples_TASK_TIME"):
        read_samples(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"samples of several models: 'base.org__model', 'tuned.org__model'"):
        read_samples(tmp_path)
    with pytest.raises(InputError, match="has no samples of 'mmlu'"):
        read_samples(base, ["mmlu"])
    (file,) = base.rglob("samples_*")
    (file.parent / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
    file.unlink()
    assert list(read_samples(base).tasks) == ["arc_easy"]


def test_a_line_that_is_cut_off_is_named(tmp_path):
    base, tuned = both(tmp_path)
    (file,) = tuned.rglob("samples_*")
    file.write_bytes(file.read_bytes()[:-40])
    assert f"{file}, line 4 is not JSON" in refusal(base, tuned)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([*row(0, {"acc": 1.0}), "acc_norm"])


RESULTS = st.sampled_from(
    ["results", "groups", "group_subtasks", "n-shot", "versions", "higher_is_better", "model_name"]
)


@given(
    changes=st.dictionaries(KEYS, VALUES, max_size=4),
    results=st.dictionaries(RESULTS, VALUES, max_size=4),
    tail=st.binary(max_size=12),
)
@settings(deadline=None, max_examples=60)
def test_whatever_is_in_the_files_there_is_a_sentence_and_no_traceback(changes, results, tail, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    base, tuned = both(folder)
    rows = scored(SCORES, "tuned")
    rows[1] |= changes
    file = write_samples(tuned / "org__model", "arc_easy", [json.loads(json.dumps(one)) for one in rows])
    if tail:
        file.write_bytes(file.read_bytes() + tail)
    (tuned / "org__model" / f"results_{TIME}.json").write_text(json.dumps({"results": {}, **results}))
    with contextlib.suppress(InputError):
        for one in paired(base, tuned).benchmarks:
            assert one.why_not or all(0 <= score <= 1 for pair in one.pairs for score in (pair.base, pair.tuned))
