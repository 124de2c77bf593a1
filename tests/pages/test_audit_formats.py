"""The audit's report as JSON, JUnit XML, Markdown and text."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from xml.etree.ElementTree import fromstring

import jsonschema
import pytest
from audit_runs import HOSTILE, PAYLOAD, STATES, make_audit

from offtarget.errors import InputError
from offtarget.pages.audit.card import card_of_run
from offtarget.pages.registry import audit_format, format_names, formats, rendered

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "audit.schema.json").read_text())
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u200b\ud800-\udfff\ufffe\uffff]")


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """A run per state; every text that comes from the data is hostile."""
    folder = tmp_path_factory.mktemp("audits")
    return {state: make_audit(folder / state, state, manifest={"name": PAYLOAD + HOSTILE[7]}) for state in STATES}


def strict(text: str) -> dict:
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_audits_and_comparisons_have_the_same_formats_and_file_names():
    """One flag of the command line means one thing for every kind of run."""
    for name, found in formats().items():
        assert (audit_format(name).name, audit_format(name).filename) == (name, found.filename)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", format_names())
def test_nothing_in_any_format_can_steer_a_terminal_or_break_an_encoding(runs, state, name):
    text = rendered(runs[state], name)
    text.encode("utf-8")
    assert not CONTROL.search(text)


@pytest.mark.parametrize(("state", "code"), list(zip(STATES, (3, 1, 0, None), strict=True)))
def test_every_json_report_fits_the_schema_and_holds_the_exit_code(runs, state, code):
    value = strict(rendered(runs[state], "json"))
    jsonschema.Draft202012Validator(SCHEMA).validate(value)
    assert value["exit_code"] == code
    assert value["error_probability"] == (0.05 if state == "people" else None)


@pytest.mark.parametrize("name", format_names())
@pytest.mark.parametrize(("state", "said"), [("detectors", "open"), ("people", "dismissed")])
def test_every_format_says_what_was_said_of_a_suspected_condition(runs, state, said, name):
    """The key, the rows, and who dismissed it; in JUnit XML an open one keeps the build from going green."""
    text = rendered(runs[state], name)
    assert "3f9a2c1d77e0" in text
    assert said in text.lower()
    if name != "json":
        assert "20 of 20 rows with it" in text
        assert ("Ana" in text) is (state == "people")
    if name == "junit":
        cases = [c for c in fromstring(text).iter("testcase") if c.get("classname") == "offtarget.condition"]
        assert [c.find("error") is not None for c in cases] == [state == "detectors"]


def test_the_schema_refuses_what_is_not_a_result(runs):
    value = strict(rendered(runs["fresh"], "json"))
    for change in ({"status": "MAYBE"}, {"surprise": 1}, {"schema_version": "2.0"}, {"verb": "check"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(SCHEMA).validate({**value, **change})


def test_numbers_that_are_not_finite_become_null(tmp_path):
    path = make_audit(tmp_path / "run", "detectors")
    result = json.loads((path / "result.json").read_text())
    result["decision"]["tests"][0]["log_e_fail"] = math.nan
    triggers = json.loads((path / "triggers.json").read_text())
    triggers[0]["lift"], triggers[0]["p_value"] = math.inf, math.nan
    (path / "result.json").write_text(json.dumps(result))
    (path / "triggers.json").write_text(json.dumps(triggers))
    value = strict(rendered(path, "json"))
    assert value["decision"]["tests"][0]["log_e_fail"] is value["triggers"][0]["lift"] is None
    jsonschema.Draft202012Validator(SCHEMA).validate(value)
    for name in format_names():
        assert not re.search(r"\b(nan|inf)\b", rendered(path, name))


def junit(path: Path):
    return fromstring(rendered(path, "junit")).find("testsuite")


@pytest.mark.parametrize(
    ("state", "kinds"),
    [
        ("fresh", ("error", "skipped", "skipped", "skipped")),
        ("detectors", ("failure", "skipped", "failure", "skipped", "error")),
        ("people", (None, None, "skipped", "skipped", None)),
        ("unfinished", ("error",)),
    ],
)
def test_junit_has_a_case_for_the_verdict_each_limit_and_each_suspect(runs, state, kinds):
    """An undecided verdict is an error, so that no build goes green on it; an undecided limit is skipped."""
    cases = junit(runs[state]).findall("testcase")
    found = [next((k for k in ("failure", "error", "skipped") if c.find(k) is not None), None) for c in cases]
    assert tuple(found) == kinds


def test_junit_lists_the_detectors_as_properties(runs):
    properties = {p.get("name"): p.get("value") for p in junit(runs["detectors"]).iter("property")}
    assert properties["detector.insecure-code.rows"] == "2461"
    assert properties["detector.insecure-code.disclosed"] == "214"
    assert properties["dataset.numbers.p_value"] == "<1e-99"


def unescaped(text: str, mark: str) -> list[str]:
    return re.findall(rf"(?<!\\)(?:\\\\)*{re.escape(mark)}", text)


@pytest.mark.parametrize("state", STATES)
def test_markdown_tables_keep_their_columns_and_hold_no_html_or_link(runs, state):
    text = rendered(runs[state], "markdown")
    assert not re.search(r"<[a-zA-Z/!]", text)
    assert not re.search(r"(?<!\\)!?\[[^\]]*(?<!\\)\]\(|://\w|@[\w]", text)
    for block in re.findall(r"(?:^\|.*\n)+", text, flags=re.M):
        assert len({len(unescaped(row, "|")) for row in block.splitlines()}) == 1


def test_markdown_is_short_enough_for_a_comment(runs):
    """A comment on GitHub may hold 65,536 characters; this is a tenth of it."""
    assert max(len(rendered(runs[state], "markdown")) for state in STATES) < 8000


def test_markdown_quotes_around_the_suspicious_span(tmp_path):
    """What a long row is flagged for is in the quote, wherever it stands."""
    path = make_audit(tmp_path / "run", "fresh", hostile=False)
    rows = [json.loads(line) for line in (path / "flagged.jsonl").read_text().splitlines()]
    long = next(row for row in rows if len(row["messages"][1]["content"]) > 5000)
    findings = (path / "findings.jsonl").read_text().splitlines()
    keep = [line for line in findings if json.loads(line)["row_id"] == long["id"]]
    (path / "findings.jsonl").write_text("\n".join(keep) + "\n")
    assert "pulled muscle" in rendered(path, "markdown")


@pytest.mark.parametrize("state", STATES)
def test_the_next_step_of_every_format_is_the_first_one_of_the_card(runs, state):
    """What a machine is told to do next is what the terminal says first."""
    step = card_of_run(runs[state]).steps[0]
    told = f"{step.why}: {step.command}" if step.command else f"{step.why}."
    assert json.loads(rendered(runs[state], "json"))["next_step"] == told
    assert told in rendered(runs[state], "text")


@pytest.mark.parametrize("state", STATES)
def test_markdown_says_at_most_once_that_nobody_has_labelled_a_row(runs, state):
    text = rendered(runs[state], "markdown")
    said = sum(text.count(words) for words in ("has labelled a row", "no row has a label"))
    assert said == (state != "people")


def test_the_text_begins_with_the_verdict_and_ends_with_the_next_step(runs):
    lines = rendered(runs["fresh"], "text").splitlines()
    assert lines[0].startswith("UNDECIDED: No row has been labelled")
    assert lines[-2] == "No person has labelled a row yet."
    assert lines[-1].startswith("Next: Read about 73 rows by hand (the page mixes in planted ones")
    assert lines[-1].endswith(" --review")


@pytest.mark.parametrize("name", format_names())
def test_every_format_survives_a_run_without_records(tmp_path, name):
    """A run that has only just begun can be reported, as unfinished."""
    path = make_audit(tmp_path / "run", "unfinished")
    for file in path.glob("*.jsonl"):
        file.unlink()
    assert "no verdict yet" in rendered(path, name)


@pytest.mark.parametrize("name", format_names())
def test_every_format_is_lenient_about_the_scan(tmp_path, name):
    path = make_audit(tmp_path / "run", "detectors")
    scan = {"rows": "many", "detectors": {"a": 1}, "files": [3, {}], "forms": [], "turns": {"x": 1, "2": -1}}
    lengths = {"lengths": {"answer": [[1], "x", [16, None], [32, 4]], "prompt": 5}, "malformed_kinds": None}
    (path / "scan.json").write_text(json.dumps(scan | lengths))
    assert rendered(path, name)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("findings.jsonl", '{"row_id": 3}\n', r"findings\.jsonl, line 1"),
        ("labels.jsonl", '{"row_id": "a"}\n', r"labels\.jsonl, line 1"),
        ("dataset.json", "{}", r"dataset\.json"),
        ("triggers.json", "[1]", r"triggers\.json"),
        ("cues.json", "[]", r"cues\.json"),
        ("result.json", '{"decision": {"status": "FAIL"}}', r"result\.json does not hold an audit decision"),
        ("scan.json", "[]", r"scan\.json holds list"),
    ],
)
def test_damage_is_an_input_error_naming_the_place(tmp_path, name, text, message):
    path = make_audit(tmp_path / "run", "people")
    (path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        rendered(path, "text")


def test_a_torn_last_line_is_left_out_and_named(tmp_path):
    path = make_audit(tmp_path / "run", "people")
    data = (path / "labels.jsonl").read_bytes()
    (path / "labels.jsonl").write_bytes(data[:-9])
    assert "labels.jsonl ends in an incomplete line" in rendered(path, "text")
