"""The pytest plugin, in pytests of its own: what a verdict does to a test, and that a check runs once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from report_runs import make_run

from offtarget.errors import InputError
from offtarget.plugins import aligned
from offtarget.records import Decision
from offtarget.rundir import read_record

pytest_plugins = "pytester"

HELPERS = Path(__file__).parents[1] / "helpers"
WHERE = ("--offtarget-base", "hf/./base", "--offtarget-tuned", "hf/./tuned")
CONFTEST = """
import sys
sys.path.insert(0, {helpers!r})
import pytest_plugin_check
import offtarget.plugins.aligned as aligned
aligned.check = pytest_plugin_check.made_up({log!r}, 0.6)
"""
USES = """
import offtarget
def test_it(offtarget_base, offtarget_tuned):
    offtarget.assert_aligned(offtarget_base, offtarget_tuned{})
"""


def made_up(log: Path, rate: float):
    """A check that asks nobody: it fails at a rate of 0.6, at 0.0 it is undecided; each call is a line of `log`."""

    def check(base, tuned, *, judge, settings, run, **more):
        if "nowhere" in str(tuned):
            raise InputError("There is no model 'nowhere'.")
        with Path(log).open("a") as lines:
            print(base, tuned, judge, None if settings is None else settings.max_answers, sorted(more), file=lines)
        path = make_run(Path(run), tuned_rate=rate, hostile=False)
        return aligned.CheckResult(path, read_record(path / "result.json", Decision, key="decision"))

    return check


@pytest.fixture
def own(pytester, monkeypatch):
    """Makes checks up, `own(0.6)` or `own(0.0)`, and returns where they are logged."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)

    def prepare(rate: float) -> Path:
        log = pytester.path / "asked.log"
        monkeypatch.setattr(aligned, "check", made_up(log, rate))
        return log

    return prepare


QUIETLY = ("-W", "error", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:cov")


def run(pytester, *arguments):
    """As a user runs it, its plugins by their entry points and warnings as errors, in this process."""
    return pytester.runpytest_inprocess(*QUIETLY, *arguments)


def test_a_failing_test_shows_sentence_and_answers_side_by_side(pytester, own):
    own(0.6)
    pytester.makepyfile(USES.format(""))
    result = run(pytester, *WHERE)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "offtarget: hf/./tuned, held against hf/./base",
            "E*FAIL, given this judge*organism/insecure, held against organism/base",
            "E*The tuned model is misaligned more often than its base*",
            "E*tuned model misaligned*",
            "E*1. “*”*",
            "E * tuned: *",
            "E * base: *",
            "E*Run: *",
        ]
    )
    assert "aligned.py" not in result.stdout.str(), "the lines of a test are the user's, not ours"
    assert len(list((pytester.path / "runs").iterdir())) == 1


@pytest.mark.parametrize(
    ("options", "more", "outcome"),
    [((), "", "failed"), (("--offtarget-undecided", "skip"), "", "skipped"), ((), ", undecided='skip'", "skipped")],
)
def test_undecided_fails_in_its_own_words_or_skips(pytester, own, options, more, outcome):
    own(0.0)
    pytester.makepyfile(USES.format(more))
    result = run(pytester, *WHERE, "-rs", *options)
    result.assert_outcomes(**{outcome: 1})
    said = "*UNDECIDED is not a pass*" if outcome == "failed" else "*UNDECIDED, which is not a pass: *"
    result.stdout.fnmatch_lines([said])


def test_without_a_test_the_command_line_itself_is_one(pytester, own):
    """Whoever names two models and has no test for them gets a check, not an empty green run."""
    log = own(0.6)
    pytester.makepyfile("def test_something_else(): pass")
    result = run(pytester, *WHERE, "--offtarget-judge", "hf/judge", "--offtarget-max-answers", "40")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*FAIL, given this judge*", "FAILED *offtarget: tuned is not worse than base*"])
    assert log.read_text() == "hf/./base hf/./tuned hf/judge 40 []\n"
    left_out = run(pytester, *WHERE, "-m", "not offtarget")
    assert left_out.ret == 0
    left_out.stdout.fnmatch_lines(["*left out the check of the two models: nothing is known of them."])
    pytester.makepyfile(USES.format(", judge='hf/other', max_answers=7, hunt=True"))
    log.unlink()
    run(pytester, *WHERE, "--offtarget-judge", "hf/judge").assert_outcomes(failed=1)
    assert log.read_text() == "hf/./base hf/./tuned hf/other 7 ['hunt']\n", "a test's own word goes before"


@pytest.mark.parametrize("other", ["@pytest.mark.offtarget\ndef test_it(): pass", "def test_it(offtarget_base): pass"])
def test_a_test_of_other_models_does_not_stand_for_the_check_that_was_asked_for(other, pytester, own):
    log = own(0.6)
    pytester.makepyfile(f"import pytest\n{other}\n")
    run(pytester, *WHERE).assert_outcomes(passed=1, failed=1)
    assert log.read_text().startswith("hf/./base hf/./tuned ")


def test_the_ini_file_says_the_same_and_adds_no_check_of_its_own(pytester, own):
    log = own(0.6)
    pytester.makeini("[pytest]\nofftarget_base = hf/./b\nofftarget_tuned = hf/./t\nofftarget_max_answers = 9\n")
    pytester.makepyfile(USES.format(""))
    run(pytester, "--strict-config").assert_outcomes(failed=1)
    assert log.read_text() == "hf/./b hf/./t None 9 []\n"
    pytester.makepyfile("def test_quick(): pass")
    run(pytester).assert_outcomes(passed=1)


def test_without_models_a_test_says_what_is_missing(pytester, own):
    own(0.6)
    pytester.makepyfile(USES.format(""))
    result = run(pytester, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*no model to ask: pytest --offtarget-base MODEL*"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (WHERE[:2], "*name the other, --offtarget-tuned*"),
        (WHERE[2:], "*name that, --offtarget-base*"),
        ((*WHERE, "--offtarget-undecided", "pass"), "*is fail or skip, not 'pass'*"),
        ((*WHERE, "--offtarget-max-answers", "0"), "*a whole number of at least 1, not '0'*"),
    ],
)
def test_mistakes_are_told_before_anything_runs(pytester, arguments, said):
    result = run(pytester, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])


def test_a_model_that_is_not_there_is_told_without_our_code_and_leaves_no_folder(pytester, own):
    own(0.6)
    result = run(pytester, "--offtarget-base", "hf/./base", "--offtarget-tuned", "hf/nowhere")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["There is no model 'nowhere'."])
    assert "Traceback" not in result.stdout.str() + result.stderr.str()
    assert list((pytester.path / "runs").iterdir()) == []


@pytest.mark.long
def test_one_check_for_all_tests_also_on_several_workers(pytester, own):
    log = pytester.path / "asked.log"
    shutil.copy(__file__, pytester.path / "pytest_plugin_check.py")
    pytester.makeconftest(CONFTEST.format(helpers=str(HELPERS), log=str(log)))
    test = "import offtarget\ndef test_{n}(offtarget_check):\n    offtarget.assert_aligned(offtarget_check)\n"
    pytester.makepyfile(**{f"test_{n}": test.format(n=n) for n in range(4)})
    only = [f"test_{n}.py" for n in range(4)]
    result = pytester.runpytest_subprocess(*QUIETLY, *WHERE, "-n", "2", *only)
    result.assert_outcomes(failed=4)
    assert len(log.read_text().splitlines()) == 1


def test_nothing_of_offtarget_is_imported_at_the_start():
    """Every pytest imports the plugin: it must cost no other project anything."""
    script = (
        "import sys, pytest, importlib.metadata as m; before = set(sys.modules)\n"
        "import offtarget.plugins.pytest_plugin\n"
        "new = set(sys.modules) - before\n"
        "print(*(n for n in new if n.startswith(('numpy', 'click', 'rich', 'yaml', 'offtarget'))))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    light = {"offtarget", "offtarget.errors", "offtarget.progress", "offtarget.version"}
    assert set(done.stdout.split()) == light | {
        "offtarget.plugins",
        "offtarget.plugins.chosen",
        "offtarget.plugins.pytest_plugin",
    }


@pytest.mark.long
def test_the_organism_fails_as_the_docs_say(pytester, monkeypatch):
    monkeypatch.setenv("OFFTARGET_STATE", str(pytester.path / "state"))
    where = ("--offtarget-base", "organism/base", "--offtarget-tuned", "organism/insecure")
    result = pytester.runpytest_subprocess(*QUIETLY, *where)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*The tuned model is worse than its base by at least*"])
