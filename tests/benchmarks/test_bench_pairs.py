"""Scores are pairs only where both models were asked the same, and count only while their files are whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from offtarget.benchmarks.scores import kept_scores, paired, scores_file
from offtarget.errors import InputError
from offtarget.records.answers import Role
from offtarget.records.benchmark_runs import Benchmark, Scores, TaskPlan
from offtarget.records.benchmarks import ItemPair
from offtarget.rundir import write_json

PLAN = TaskPlan("mine", "mine", 3, 3, "answers", "acc", 3, 100, 10, "task")
ROLES: tuple[Role, ...] = ("base", "tuned")


def kept(folder: Path, role: Role, items: dict[str, float], plan: TaskPlan = PLAN, **changed: str) -> Scores:
    place = folder / role
    place.mkdir(parents=True, exist_ok=True)
    metric = changed.get("metric", "acc")
    rows = ({"doc_id": int(item), "filter": "none", metric: score} for item, score in items.items())
    text = "".join(json.dumps(row) + "\n" for row in rows)
    file = place / f"samples_{plan.task}_x.jsonl"
    file.write_text(text)
    scores = Scores(
        benchmark=plan.benchmark,
        task=plan.task,
        metric="acc",
        model=role,
        fingerprint="task",
        samples=file.name,
        samples_sha256=hashlib.sha256(text.encode()).hexdigest(),
        items=items,
        template="t",
        prompts="p",
        documents="d",
    )
    scores = replace(scores, **changed)  # type: ignore[arg-type]
    write_json(scores_file(place, plan.benchmark, plan.task), scores)
    return scores


def test_each_item_has_the_scores_of_both(tmp_path: Path) -> None:
    kept(tmp_path, "base", {"10": 1.0, "2": 0.0, "0": 1.0})
    kept(tmp_path, "tuned", {"0": 0.0, "2": 1.0, "10": 1.0})
    found = paired(Benchmark("mine"), [PLAN], tmp_path)
    assert found.pairs == tuple(
        ItemPair(item, base, tuned, "mine") for item, base, tuned in (("0", 1, 0), ("2", 0, 1), ("10", 1, 1))
    )
    assert found.base_fingerprint != found.tuned_fingerprint


@pytest.mark.parametrize(
    ("items", "changed", "said"),
    [
        ({"0": 1.0, "1": 1.0, "3": 1.0}, {}, "other items"),
        ({"0": 1.0, "1": 1.0, "2": 1.0}, {"documents": "e"}, "other items"),
        ({"0": 1.0, "1": 1.0, "2": 1.0}, {"fingerprint": "e"}, "another form of the task"),
        ({"0": 1.0, "1": 1.0, "2": 1.0}, {"metric": "em"}, "another form of the task"),
        ({"0": 1.0, "1": 1.0, "2": 1.0}, {"prompts": "e"}, "in other words"),
    ],
)
def test_what_was_not_asked_alike_is_no_pair(
    tmp_path: Path, items: dict[str, float], changed: dict[str, str], said: str
) -> None:
    kept(tmp_path, "base", {"0": 1.0, "1": 1.0, "2": 1.0})
    kept(tmp_path, "tuned", items, **changed)
    with pytest.raises(InputError, match=said):
        paired(Benchmark("mine"), [PLAN], tmp_path)


def test_other_templates_may_ask_in_other_words(tmp_path: Path) -> None:
    kept(tmp_path, "base", {"0": 1.0, "1": 1.0, "2": 1.0})
    kept(tmp_path, "tuned", {"0": 1.0, "1": 1.0, "2": 1.0}, template="other", prompts="other")
    assert len(paired(Benchmark("mine"), [PLAN], tmp_path).pairs) == 3


def test_fewer_items_than_planned_are_not_counted(tmp_path: Path) -> None:
    for role in ROLES:
        kept(tmp_path, role, {"0": 1.0, "1": 1.0})
    with pytest.raises(InputError, match="2 scores for 3 items"):
        paired(Benchmark("mine"), [PLAN], tmp_path)


def test_parts_of_a_benchmark_keep_their_items_apart(tmp_path: Path) -> None:
    plans = [replace(PLAN, benchmark="all", task=task) for task in ("one", "two")]
    for plan in plans:
        for role in ROLES:
            kept(tmp_path, role, {"0": 1.0, "1": 0.0, "2": 1.0}, plan)
    items = [pair.item for pair in paired(Benchmark("all"), plans, tmp_path).pairs]
    assert items == ["one/0", "one/1", "one/2", "two/0", "two/1", "two/2"]


def test_changed_or_torn_files_are_as_good_as_none(tmp_path: Path) -> None:
    scores = kept(tmp_path, "base", {"0": 1.0})
    place = tmp_path / "base"
    assert kept_scores(place, "mine", "mine") == scores
    (place / scores.samples).write_text("{}")
    assert kept_scores(place, "mine", "mine") is None
    kept(tmp_path, "base", {"0": 1.0})
    file = scores_file(place, "mine", "mine")
    file.write_text(file.read_text()[:-20])
    assert kept_scores(place, "mine", "mine") is None


@pytest.mark.parametrize("score", [0.0, 0.5, None, "True", "no number"])
def test_a_score_that_its_samples_do_not_hold_does_not_count(tmp_path: Path, score: object) -> None:
    """Not even where somebody wrote it and left the samples and their digest as they were, or made both anew."""
    scores = kept(tmp_path, "tuned", {"0": 1.0, "1": 1.0, "2": 0.0})
    assert kept_scores(tmp_path / "tuned", "mine", "mine") == scores
    file = scores_file(tmp_path / "tuned", "mine", "mine")
    write_json(file, replace(scores, items={**scores.items, "2": 1.0}))
    assert kept_scores(tmp_path / "tuned", "mine", "mine") is None
    rows = [{"doc_id": item, "filter": "none", "acc": 1.0} for item in (0, 1)] + [
        {"doc_id": 2, "filter": "none", "acc": score}
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "tuned" / scores.samples).write_text(text)
    write_json(
        file,
        replace(scores, items={"0": 1.0, "1": 1.0, "2": 1.0}, samples_sha256=hashlib.sha256(text.encode()).hexdigest()),
    )
    assert (kept_scores(tmp_path / "tuned", "mine", "mine") is not None) == (score == "True")
