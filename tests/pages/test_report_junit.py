"""JUnit XML, read back by a parser."""

from __future__ import annotations

import json
from xml.etree.ElementTree import fromstring

import junitparser
import pytest
from audit_runs import make_audit
from report_runs import HOSTILE, make_run, models

from offtarget.pages import written
from offtarget.pages.card import Card
from offtarget.pages.check.card import card
from offtarget.pages.check.loading import load_run
from offtarget.pages.registry import report_format
from offtarget.workflows.runs.report import report_text


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


@pytest.mark.parametrize("kind", ["check", "audit", "card"])
def test_a_reader_that_is_not_ours_reads_the_same(tmp_path, kind):
    """Names, results and counts by junitparser; in a case the outcome stands before its output, as schemas have it."""
    if kind == "card":
        text = written.junit(Card("FAIL", "a training", "It went wrong."))
    else:
        path = make_run(tmp_path / "run") if kind == "check" else make_audit(tmp_path / "run", "detectors")
        text = report_text(path, "junit")
    (tmp_path / "report.xml").write_text(text, encoding="utf-8")
    suites = list(junitparser.JUnitXml.fromfile(str(tmp_path / "report.xml")))
    cases = [case for suite in suites for case in suite]
    assert sum(suite.tests for suite in suites) == len(cases) > 0
    assert all(case.name and case.classname for case in cases)
    assert isinstance(cases[0].result[0], junitparser.Failure)
    order = ("skipped", "error", "failure", "system-out")
    for case in fromstring(text).iter("testcase"):
        tags = [child.tag for child in case]
        assert tags == sorted(tags, key=order.index)
