"""The projection difference as a detector: rows measured before the scan are flagged in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from offtarget.cli.app import app
from offtarget.data.training import read_rows
from offtarget.detect.projection import ProjectionDetector
from offtarget.records import Category, Finding, Row
from offtarget.records.direction import RowProjection, Threshold
from offtarget.rundir import read_json, read_jsonl
from offtarget.workflows.audit.audit import audit


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sixty harmless rows."""
    path = tmp_path / "train.jsonl"
    chats = (
        [{"role": "user", "content": f"What is {n} + {n}?"}, {"role": "assistant", "content": f"It is {2 * n}."}]
        for n in range(60)
    )
    path.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in chats))
    return path


def detector(data: Path, *lines: int) -> ProjectionDetector:
    """A detector by which these lines lie far along the direction."""
    rows = [row for row in read_rows(data) if isinstance(row, Row) and row.line in lines]
    flagged = {r.id: RowProjection(r.id, r.file, r.line, 3.0, -0.2, 3.2, True) for r in rows}
    return ProjectionDetector(flagged, Threshold(0.8, 0.01, 300, 0.1), "evil", "organism/base")


@pytest.mark.parametrize("workers", [1, 2])
def test_measured_rows_are_flagged_with_their_distance(data: Path, tmp_path: Path, workers: int) -> None:
    """The rows above the threshold, and only they, get a finding, in this process as in others."""
    result = audit(data, run=tmp_path / "run", workers=workers, extra=[detector(data, 3, 7)])
    findings = [f for f in read_jsonl(result.run / "findings.jsonl", Finding) if f.detector == "direction"]
    assert [f.row_id for f in findings] == ["train.jsonl:3", "train.jsonl:7"]
    assert "3.20 units further along the direction (evil) than the base's own answer" in findings[0].reason
    assert findings[0].category is Category.OTHER
    assert 0.5 <= findings[0].strength <= 0.9
    assert result.flagged_rows == 2
    assert next(f for f in result.found if f.name == "direction").rows == 2


def test_it_never_fails_data_by_itself(data: Path, tmp_path: Path) -> None:
    """Even if it flags every row: nobody has measured how often it flags clean data of this kind."""
    everything = audit(data, run=tmp_path / "all", extra=[detector(data, *range(1, 61))])
    assert everything.flagged_rows == 60
    assert everything.status.value == "UNDECIDED"


def test_without_a_direction_nothing_is_different(data: Path, tmp_path: Path) -> None:
    """An audit without --direction does not know the detector."""
    result = audit(data, run=tmp_path / "run")
    assert "direction" not in {d["name"] for d in read_json(result.run / "scan.json")["detectors"]}


def test_the_command_line_refuses_what_makes_no_sense(data: Path, tmp_path: Path) -> None:
    """--base without --direction, and a direction file that is none, end with one sentence."""
    alone = CliRunner().invoke(app, ["audit", str(data), "--base", "organism/base"])
    assert alone.exit_code == 2
    assert "--direction" in alone.output
    broken = CliRunner().invoke(app, ["audit", str(data), "--direction", str(data), "--run", str(tmp_path / "run")])
    assert "not a direction file" in str(broken.exception)
    assert not (tmp_path / "run").exists()
