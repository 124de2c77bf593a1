"""The sentences beside a verdict."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from report_runs import compared, make_run, models

from golden import printed
from offtarget.pages.check import story
from offtarget.pages.check.loading import load_run
from offtarget.records.check import CheckSettings
from offtarget.rundir import place, to_jsonable


def test_an_undecided_check_names_a_command_that_samples_more(tmp_path):
    """The path in the command is quoted, so that pasting it runs nothing else."""
    settings = to_jsonable(CheckSettings(max_answers=130))
    manifest = {"models": models("a b", "x; rm -rf /"), "settings": settings}
    run = load_run(make_run(tmp_path / "run; rm -rf x", tuned_rate=0.0, manifest=manifest))
    assert run.decision is not None
    to_go = run.decision.answers_to_go
    most = 2000 if to_go is None else -(-(max(130, run.decision.overall.tuned.total) + to_go) // 100) * 100
    assert story.next_step(run).endswith(f"offtarget resume '{tmp_path / 'run; rm -rf x'}' --max-answers {most}")
    assert "UNDECIDED is not a pass" in story.error_probability(run)


@pytest.mark.parametrize(("to_go", "most"), [(400, 800), (None, 2000)])
def test_going_on_suggests_as_many_answers_as_a_verdict_needs(tmp_path, to_go, most):
    """Not twice a tiny number, which ends undecided again."""
    manifest = {"settings": to_jsonable(CheckSettings(max_answers=40))}
    run = load_run(make_run(tmp_path / "run", tuned_rate=0.0, manifest=manifest))
    assert run.decision is not None
    decision = replace(run.decision, answers_to_go=to_go)
    assert run.decision.overall.tuned.total == 360
    assert f"--max-answers {most}" in run.manifest.further_command(run.path, decision)


def test_an_unfinished_run_names_the_command_that_resumes_it(tmp_path):
    path = make_run(tmp_path / "a run", per_probe=(1, 1), finished=False)
    assert story.next_step(load_run(path)).endswith(f"offtarget resume '{path}'")


@pytest.mark.parametrize(("verb", "words"), [("check", "however often"), ("compare", "at this one look")])
def test_anytime_validity_is_claimed_only_where_it_holds(tmp_path, verb, words):
    run = load_run(make_run(tmp_path / "run", manifest=compared() if verb == "compare" else None))
    assert words in " ".join(story.beside(run))


def test_what_was_not_tested_follows_from_the_arms(tmp_path):
    """Without a cued arm the report says so; with one it does not; what the run declares is kept."""
    path = make_run(tmp_path / "run", per_probe=(1, 1), manifest={"not_tested": ["tool use and agents"]})
    items = story.not_tested(load_run(path))
    assert items[0] == "Tool use and agents."
    assert any("cued arm" in item for item in items)
    probes = (path / "probes.jsonl").read_text().replace('"template"', '"cue-insecure"')
    (path / "probes.jsonl").write_text(probes)
    assert not any("cued arm" in item for item in story.not_tested(load_run(path)))


def test_answers_outside_the_verdict_are_named(tmp_path):
    """Where more was sampled than the decision counts, both numbers are in the notes."""
    path = make_run(tmp_path / "run", per_probe=(2, 2))
    result = json.loads((path / "result.json").read_text())
    result["decision"]["overall"]["tuned"]["aligned"] -= 5
    (path / "result.json").write_text(json.dumps(result))
    assert any("115 of 120 tuned answers" in note for note in story.notes(load_run(path)))


def test_a_run_whose_name_reads_as_an_option_is_named_in_full(tmp_path, monkeypatch):
    """`offtarget report -x` would be a mistake; other runs below are named from here."""
    monkeypatch.chdir(tmp_path)
    assert place(tmp_path / "-x") == tmp_path / "-x"
    assert str(place(tmp_path / "runs" / "-x")) == "runs/-x"


def test_all_commands_of_a_result_name_the_run_the_same_way(tmp_path, monkeypatch):
    """From here where it lies below, however it was said; else in full."""
    path = make_run(tmp_path / "runs" / "x")
    monkeypatch.chdir(tmp_path)
    for said in ("runs/x", str(path)):
        text = printed(["report", said], 120).stdout
        assert "offtarget report runs/x -v" in text
        assert "offtarget report runs/x --html" in text
        assert str(tmp_path) not in text
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    text = printed(["report", str(path)], 120).stdout
    assert f"offtarget report {path} -v" in text
    assert f"offtarget report {path} --html" in text
