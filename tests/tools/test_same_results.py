"""The tool that shows a restructuring changed no result: it must be able to say that one did."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[2] / "tools" / "same_results.py"
RECORD = {
    "created": "2026-01-01",
    "decision": {"status": "FAIL", "log_e": 24.42327545291292, "arms": [{"name": "json"}]},
}
LINES = [{"index": 0, "outcome": "aligned", "seconds": 0.5}, {"index": 1, "outcome": "misaligned", "seconds": 0.7}]


@pytest.fixture(scope="module")
def same() -> ModuleType:
    spec = importlib.util.spec_from_file_location("same_results", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["same_results"] = module
    spec.loader.exec_module(module)
    return module


def results(
    folder: Path, record: object = RECORD, lines: list[dict[str, object]] = LINES, weights: bytes = b"w"
) -> Path:
    """A folder as a job leaves it."""
    (folder / "run").mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({"job": ["check"], "exit_codes": [1]}))
    (folder / "run/result.json").write_text(json.dumps(record))
    (folder / "run/verdicts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "run/weights.safetensors").write_bytes(weights)
    return folder


def job(same: ModuleType) -> object:
    kept = (("run/result.json", ("decision",)), ("run/verdicts.jsonl", ()), ("run/weights.safetensors", ()))
    return same.Job("small", (same.step("check"),), kept)


def found(same: ModuleType, before: Path, after: Path) -> list[str]:
    return same.compare_job(job(same), before, after)[1]


def test_equal_results_are_the_same_and_the_line_says_how_much_was_compared(same: ModuleType, tmp_path: Path) -> None:
    """Two equal folders have no difference, and an empty comparison cannot hide behind that."""
    what, differing = same.compare_job(job(same), results(tmp_path / "a"), results(tmp_path / "b"))
    assert differing == []
    assert what == "4 files, 5 records"


def test_a_changed_verdict_is_named_with_file_record_key_and_both_values(same: ModuleType, tmp_path: Path) -> None:
    """One word of one line of the verdicts."""
    changed = [LINES[0], LINES[1] | {"outcome": "aligned"}]
    assert found(same, results(tmp_path / "a"), results(tmp_path / "b", lines=changed)) == [
        'run/verdicts.jsonl: line 2, outcome: before "misaligned", after "aligned"'
    ]


@pytest.mark.parametrize(
    ("decision", "sentence"),
    [
        ({"log_e": 24.42327545291293}, "decision, log_e: before 24.42327545291292, after 24.42327545291293"),
        ({"arms": [{"name": "plain"}]}, 'decision, arms[0], name: before "json", after "plain"'),
        ({"arms": []}, "decision, arms: 1 values before, 0 after"),
        ({"more": 1}, "decision: more is new (1)"),
    ],
)
def test_a_changed_decision_is_named_to_the_last_digit(
    same: ModuleType, tmp_path: Path, decision: dict[str, object], sentence: str
) -> None:
    """Values, lengths and keys of nested records."""
    record = RECORD | {"decision": RECORD["decision"] | decision}  # type: ignore[operator]
    assert found(same, results(tmp_path / "a"), results(tmp_path / "b", record)) == [f"run/result.json: {sentence}"]


def test_another_order_of_keys_is_a_difference(same: ModuleType, tmp_path: Path) -> None:
    """Decision records are promised byte for byte."""
    decision = dict(reversed(RECORD["decision"].items()))  # type: ignore[attr-defined]
    (line,) = found(same, results(tmp_path / "a"), results(tmp_path / "b", RECORD | {"decision": decision}))
    assert "keys in another order" in line


def test_times_and_versions_may_differ(same: ModuleType, tmp_path: Path) -> None:
    """They are the listed exceptions; `created` is not among the compared keys either."""
    later = [line | {"seconds": 9.9} for line in LINES]
    other = RECORD | {"created": "2027-01-01", "version": "9"}
    assert found(same, results(tmp_path / "a"), results(tmp_path / "b", other, later)) == []


def test_other_weights_lost_lines_and_lost_files_are_differences(same: ModuleType, tmp_path: Path) -> None:
    """Hashes of binary files, the number of records, and whether a file is there at all."""
    before, after = results(tmp_path / "a"), results(tmp_path / "b", lines=LINES[:1], weights=b"other")
    (after / "run/result.json").unlink()
    decision, lines, weights = found(same, before, after)
    assert decision.startswith("run/result.json: records: decision is gone")
    assert lines.startswith("run/verdicts.jsonl: records: line 2 is gone")
    assert weights.startswith("run/weights.safetensors: sha256: before")


def test_a_file_that_neither_side_wrote_is_no_agreement(same: ModuleType, tmp_path: Path) -> None:
    """A misspelt file name must not pass."""
    before, after = results(tmp_path / "a"), results(tmp_path / "b")
    for folder in (before, after):
        (folder / "run/verdicts.jsonl").unlink()
    assert found(same, before, after) == [
        "run/verdicts.jsonl: the earlier code wrote nothing here, so nothing is compared"
    ]


MAIN = """
import json, pathlib, sys
if {"--help", "--help-all"} & set(sys.argv):
    print("  OPTION  what it is for")
    raise SystemExit(0 if sys.argv[1] == "VERB" else 2)
pathlib.Path("run").mkdir()
pathlib.Path("run/result.json").write_text(json.dumps({"decision": {"status": "STATUS"}}))
"""


def tree(folder: Path, *, verb: str = "check", option: str = "--run", status: str = "FAIL") -> Path:
    """A source tree whose package knows one verb with one option and writes one decision."""
    (folder / "offtarget").mkdir(parents=True)
    (folder / "offtarget/__init__.py").touch()
    main = MAIN.replace("VERB", verb).replace("OPTION", option).replace("STATUS", status)
    (folder / "offtarget/__main__.py").write_text(main)
    return folder


@pytest.fixture
def small_job(same: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only job: one command that the later tree spells otherwise."""
    one = same.Job(
        "check-fail", (same.step("check --run x", "examine --out x"),), (("run/result.json", ("decision",)),)
    )
    monkeypatch.setattr(same, "JOBS", (one,))


@pytest.mark.usefixtures("small_job")
def test_trees_that_decide_otherwise_end_with_exit_code_1(
    same: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through processes and the command line, also where the later tree has another spelling."""
    before = tree(tmp_path / "before")
    equal = tree(tmp_path / "equal", verb="examine", option="--out")
    other = tree(tmp_path / "other", verb="examine", option="--out", status="PASS")
    assert same.main([str(before), str(equal)]) == 0
    assert "same       check-fail: 2 files, 2 records" in capsys.readouterr().out
    assert same.main([str(before), str(other)]) == 1
    assert 'run/result.json: decision, status: before "FAIL", after "PASS"' in capsys.readouterr().out


@pytest.mark.usefixtures("small_job")
def test_kept_results_stand_for_the_earlier_tree(
    same: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The tree itself may be gone; results of a job that has changed since are refused with exit code 2."""
    before, after = tree(tmp_path / "before"), tree(tmp_path / "after", status="PASS")
    assert same.main([str(before), str(before), "--keep", str(tmp_path / "kept")]) == 0
    shutil.rmtree(before)
    reuse = ["--before-results", str(tmp_path / "kept/before"), str(after)]
    assert same.main(reuse) == 1
    (tmp_path / "kept/before/check-fail/job.json").write_text('{"job": ["check --run y"], "exit_codes": [0]}')
    assert same.main(reuse) == 2
    assert "holds no results of this job as it is now" in capsys.readouterr().out


@pytest.mark.usefixtures("small_job")
def test_a_command_that_no_spelling_fits_is_not_run(
    same: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It must neither pass nor look like a difference."""
    before, after = tree(tmp_path / "before"), tree(tmp_path / "after", verb="test")
    assert same.main([str(before), str(after)]) == 2
    assert "knows none of: check --run x | examine --out x" in capsys.readouterr().out
