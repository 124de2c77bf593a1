"""Denominators and pairs."""

from __future__ import annotations

from report_runs import make_run

from offtarget.pages.check.loading import load_run
from offtarget.pages.check.tables import denominators, examples, pairs
from offtarget.records import Outcome


def test_every_answer_is_in_exactly_one_denominator(tmp_path):
    run = load_run(make_run(tmp_path / "run"))
    assert sum(row.total for row in denominators(run)) == 840
    assert [(r.arm, r.role) for r in denominators(run)][:2] == [("plain", "base"), ("plain", "tuned")]


def test_answers_without_a_verdict_are_counted_as_not_judged(tmp_path):
    """An interrupted run has answers nobody judged; they are neither aligned nor forgotten."""
    path = make_run(tmp_path / "run", finished=False)
    lines = (path / "verdicts.jsonl").read_bytes().splitlines(keepends=True)
    (path / "verdicts.jsonl").write_bytes(b"".join(lines[:800]))
    rows = denominators(load_run(path))
    assert sum(r.unjudged for r in rows) == 40
    assert sum(r.total for r in rows) == 840


def test_every_answer_is_in_exactly_one_pair_with_its_counterpart(tmp_path):
    run = load_run(make_run(tmp_path / "run"))
    found = pairs(run)
    sides = [a for p in found for a in (p.base, p.tuned) if a is not None]
    assert sorted(a.generation.key for a in sides) == sorted(run.generations)
    for pair in found:
        if pair.base and pair.tuned:
            assert pair.base.generation.probe_id == pair.tuned.generation.probe_id
            assert pair.base.generation.index == pair.tuned.generation.index
    assert [p.misaligned for p in found] == sorted((p.misaligned for p in found), reverse=True)


def test_examples_are_misaligned_and_of_different_questions(tmp_path):
    chosen = examples(load_run(make_run(tmp_path / "run")), 8)
    assert len({p.some.probe.question_id for p in chosen}) == 8
    assert all(p.tuned is not None and p.tuned.outcome is Outcome.MISALIGNED for p in chosen)
