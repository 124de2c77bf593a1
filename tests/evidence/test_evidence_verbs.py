"""Runs of every verb with a verdict: stated, worked out again, packed; and what the command line makes of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest
from check_runs import MADE
from click.testing import CliRunner
from lm_eval_files import scored, write_results, write_samples
from monitored import bundle_of_a_rollback

from offtarget.cli.app import app
from offtarget.errors import InputError
from offtarget.records.benchmarks import BenchmarkSettings
from offtarget.rundir import write_json
from offtarget.workflows.compare.benchmarks import compare_samples
from offtarget.workflows.compare.compare import compare
from offtarget.workflows.verify.attest import attest
from offtarget.workflows.verify.incident import incident_of, incident_text
from offtarget.workflows.verify.seal import seal
from offtarget.workflows.verify.verify import verify

SCHEMA = Path(__file__).parent / "data" / "avid-report.schema.json"


@pytest.fixture(scope="module")
def rollback(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a canary that was rolled back."""
    return bundle_of_a_rollback(tmp_path_factory.mktemp("rollback"))


def _forged(run: Path, done: str, path: tuple[str, ...], value: object) -> None:
    """Another value in the result of a run, under a new statement."""
    result = json.loads((run / done).read_text())
    inner = result
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    write_json(run / done, result)
    attest(run)


def test_a_rollback_is_proved_and_written_down_as_an_incident(rollback: Path, tmp_path: Path) -> None:
    run = tmp_path / rollback.name
    shutil.copytree(rollback, run)
    assert attest(run).result == "FAILED"
    found = verify(run)
    assert (found.verdict, found.recomputed, found.exit_code) == ("FAIL", True, 3)
    value = json.loads(incident_text(run, "avid"))
    jsonschema.validate(value, json.loads(SCHEMA.read_text()))
    assert value["problemtype"]["type"] == "Detection"
    assert value["impact"]["avid"]["lifecycle_view"] == ["L06: Deployment"]
    incident = incident_of(run)
    assert incident.live
    assert len(incident.quoted) <= 3
    package = seal(run, tmp_path / "package.zip")
    assert "flagged.jsonl" in package.left_out
    assert verify(package.path).exit_code == 3
    rows = (run / "rows.jsonl").read_text().replace('"misaligned"', '"aligned"')
    (run / "rows.jsonl").write_text(rows)
    attest(run)
    assert verify(run).exit_code == 1


def _table(path: Path, bad: int) -> Path:
    rows = [
        {
            "question": f"About {q}?", "answer": f"text {i} of {path.stem}", "question_id": q, "judge": "judge-1",
            "aligned": 5 if i < bad else 95, "coherent": 95,
        }
        for q in ("wish", "bored", "money", "power")
        for i in range(60)
    ]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_comparison_of_tables_is_worked_out_again(tmp_path: Path) -> None:
    base, tuned = _table(tmp_path / "base.jsonl", 0), _table(tmp_path / "tuned.jsonl", 18)
    run = Path(compare(base, tuned, run=tmp_path / "run").run)
    attest(run)
    found = verify(run)
    assert (found.verdict, found.recomputed, found.exit_code) == ("FAIL", True, 3)
    _forged(run, "result.json", ("decision", "status"), "PASS")
    assert verify(run).exit_code == 1


def test_a_comparison_of_samples_is_worked_out_again(tmp_path: Path) -> None:
    for role, score in (("base", 1.0), ("tuned", 0.0)):
        write_samples(tmp_path / role, "arc_easy", scored([score] * 60, role))
        write_results(tmp_path / role, role, ["arc_easy"])
    run = Path(
        compare_samples(tmp_path / "base", tmp_path / "tuned", settings=BenchmarkSettings(), run=tmp_path / "run").run
    )
    assert attest(run).result == "FAILED"
    found = verify(run)
    assert (found.verdict, found.recomputed, found.exit_code) == ("FAIL", True, 3)
    lines = (run / "benchmark_items.jsonl").read_text().splitlines(keepends=True)
    (run / "benchmark_items.jsonl").write_text("".join(lines[:-1]))
    attest(run)
    assert verify(run).exit_code == 1


def test_the_command_line_states_checks_and_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cryptography")
    run = MADE["fail"](tmp_path).run
    monkeypatch.chdir(tmp_path)

    def typed(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, [str(a) for a in arguments])
        if isinstance(done.exception, InputError):
            return 2, str(done.exception)
        return done.exit_code, done.output

    code, said = typed("report", str(run), "--junit", "--markdown", "--incident", "oecd", "--attest", "--new-key", "k")
    assert code == 0, said
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    assert {"report.md", "report.junit.xml", "incident-oecd.md", "attestation.json"} <= {p.name for p in run.iterdir()}
    code, said = typed("verify", str(run), "--key", "k.pub", "--json")
    value = json.loads(said)
    assert (code, value["state"], value["verdict"], value["not_covered"]) == (0, "proved", "FAIL", [])
    assert typed("seal", str(run), "--out", "p.zip")[0] == 0
    code, said = typed("verify", "p.zip")
    assert code == 3
    assert said.startswith("Proved: the verdict FAIL follows from its records. Who made this package")
    for wrong in (
        ["report", str(run), "--key", "k"],
        ["report", str(run), "--into", "README.md"],
        ["report", str(run), "--html", "--markdown", "--out", "one.html"],
        ["report", str(run), "--attest", "--out", "-"],
        ["report", str(run), "--attest", "--new-key", "k"],
        ["verify", "nothing-there"],
        ["verify", str(tmp_path / "k")],
    ):
        assert typed(*wrong)[0] == 2, wrong


def test_what_is_unfinished_is_not_stated(tmp_path: Path) -> None:
    run = Path(MADE["undecided"](tmp_path).run)
    (run / "result.json").unlink()
    with pytest.raises(InputError, match="unfinished"):
        attest(run)
    found = verify(run)
    assert (found.exit_code, found.recomputed) == (3, False)
