"""Reading run directories, also damaged ones."""

from __future__ import annotations

import json

import pytest
from report_runs import make_run

from offtarget.errors import InputError
from offtarget.pages.check.loading import load_run
from offtarget.pages.registry import formats


def test_everything_written_is_loaded(tmp_path):
    run = load_run(make_run(tmp_path / "run"))
    assert len(run.generations) == len(run.verdicts) == len(run.answers()) == 840
    assert run.finished
    assert run.problems == ()


def test_a_torn_last_line_is_left_out_and_named(tmp_path):
    """A crash in the middle of a write costs one line, and the report says so."""
    path = make_run(tmp_path / "run", finished=False)
    for name in ("generations.jsonl", "verdicts.jsonl"):
        data = (path / name).read_bytes()
        (path / name).write_bytes(data[:-25])
    run = load_run(path)
    assert len(run.generations) == 839
    assert [p.split()[2] for p in run.problems] == ["generations.jsonl", "verdicts.jsonl"]
    assert "incomplete line" in formats()["html"].render(run)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("verdicts.jsonl", '{"role": "base"}\n', r"verdicts\.jsonl, line 1"),
        ("generations.jsonl", "[1]\n", r"generations\.jsonl, line 1"),
        (
            "generations.jsonl",
            '{"role":"base","probe_id":"p","index":0,"seed":1,"text":5,"tokens":1,"finish":"stop"}\n',
            r"line 1.*'text' is not text",
        ),
        (
            "generations.jsonl",
            '{"role":"judge","probe_id":"p","index":0,"seed":1,"text":"","tokens":1,"finish":"stop"}\n',
            r"line 1.*'role'",
        ),
        ("run.json", "[]", r"run\.json holds list"),
        ("run.json", '{"verb": ', r"run\.json is not readable JSON"),
        ("result.json", '{"decision": {"status": "FAIL"}}', r"result\.json does not hold a decision"),
        ("result.json", '{"decision": ', r"result\.json is not readable JSON"),
    ],
)
def test_damage_is_an_input_error_naming_the_place(tmp_path, name, text, message):
    path = make_run(tmp_path / "run", per_probe=(1, 1))
    (path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        load_run(path)


def test_a_folder_without_manifest_is_not_a_run(tmp_path):
    with pytest.raises(InputError, match="not a run directory"):
        load_run(tmp_path)


@pytest.mark.parametrize("name", sorted(formats()))
def test_every_format_survives_a_run_without_answers(tmp_path, name):
    """A run that has only just begun can be reported, as unfinished and without a rate."""
    path = make_run(tmp_path / "run", finished=False)
    for file in path.glob("*.jsonl"):
        file.unlink()
    text = formats()[name].render(load_run(path))
    assert "no verdict yet" in text
    assert json.dumps("PASS") not in text


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ({"models": {"base": "a/b", "tuned": None}}, "it is not an object"),
        ({"models": []}, "'models' is not an object"),
        ({"settings": 3}, "it is not an object"),
        ({"checks": "one sentence"}, "'checks' is not a list"),
        ({"judge_by": "dice"}, "'judge_by' is none of auto, probabilities, samples"),
        ({"verb": "chekc"}, "of no verb of this version (its verb is 'chekc')"),
        ({"verb": ["check"]}, "of no verb of this version"),
        ({"verb": "tune"}, "does not hold a tune manifest of this version ('fingerprint', 'base', 'out', 'defences'"),
    ],
)
def test_a_damaged_or_foreign_manifest_is_one_sentence(tmp_path, manifest, reason):
    """Nothing in it is guessed: a report that misreads how a run was started would be worse than none."""
    path = make_run(tmp_path / "run", per_probe=(1, 1), manifest=manifest)
    with pytest.raises(InputError) as error:
        load_run(path)
    assert str(error.value).startswith(f"{path / 'run.json'} ")
    assert reason in str(error.value)
