"""JUnit XML, read back by a parser."""

from __future__ import annotations

import json
from xml.etree.ElementTree import fromstring

import pytest
from report_runs import HOSTILE, make_run, models

from offtarget.pages.check.card import card
from offtarget.pages.check.loading import load_run
from offtarget.pages.registry import report_format


def junit(path):
    return fromstring(report_format("junit").render(load_run(path))).find("testsuite")


def test_one_test_case_for_the_verdict_and_for_each_arm_and_slice(tmp_path):
    run = load_run(make_run(tmp_path / "run"))
    suite = junit(run.path)
    assert run.decision is not None
    expected = 1 + len(run.decision.arms) + len(run.decision.slices)
    assert int(suite.get("tests")) == len(suite.findall("testcase")) == expected
    for kind in ("failures", "errors", "skipped"):
        assert int(suite.get(kind)) == len(
            suite.findall(f"testcase/{kind.removesuffix('s')}" if kind != "skipped" else "testcase/skipped")
        )


def test_fail_is_a_failure_with_its_reason(tmp_path):
    verdict = junit(make_run(tmp_path / "run")).find("testcase")
    assert "json arm" in verdict.find("failure").get("message")


@pytest.mark.parametrize("options", [{}, {"tuned_rate": 0.0}, {"finished": False}])
def test_the_first_line_of_the_verdict_is_the_sentence_of_the_card(tmp_path, options):
    """Whoever reads the log of a build sees what the page and the terminal say."""
    run = load_run(make_run(tmp_path / "run", **options))
    verdict = junit(run.path).find("testcase")
    assert verdict.find("system-out").text.splitlines()[0] == card(run).sentence
    assert card(run).sentence in next(e.get("message") for e in verdict if e.tag in ("failure", "error"))


@pytest.mark.parametrize("options", [{"tuned_rate": 0.0}, {"finished": False}])
def test_undecided_and_unfinished_are_errors_so_that_no_build_goes_green(tmp_path, options):
    suite = junit(make_run(tmp_path / "run", **options))
    assert suite.find("testcase/error") is not None
    assert suite.get("failures") == "0"
    assert len(suite.findall("testcase/skipped")) == len(suite.findall("testcase")) - 1


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_reasons_stay_parsable(tmp_path, text):
    """Control characters XML forbids, CDATA ends and lone surrogates in names do not break the file."""
    manifest = {"models": models(text, text), "judge": text, "version": text}
    path = make_run(tmp_path / "run", per_probe=(1, 1), manifest=manifest)
    result = json.loads((path / "result.json").read_text())
    result["decision"]["notes"] = [text]
    (path / "result.json").write_text(json.dumps(result))
    assert junit(path).get("name")
