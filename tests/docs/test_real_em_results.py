"""What the page on emergent misalignment says comes from its labels, and both readers labelled every answer."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "real_em"
PAGE = (ROOT / "docs" / "results" / "real-models.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def labels() -> ModuleType:
    """benchmarks/real_em_labels.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("real_em_labels", ROOT / "benchmarks" / "real_em_labels.py")
    assert spec is not None
    assert spec.loader is not None
    module, path = importlib.util.module_from_spec(spec), list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    return module


def test_tables_follow_from_answers_and_labels(labels: ModuleType) -> None:
    """Counted anew, the numbers are those that were written down and those on the page."""
    found = json.loads(json.dumps(labels.summarised()))
    assert found == json.loads((RESULT / "summary.json").read_text(encoding="utf-8"))
    for table in ("both readers", "both readers, differences"):
        for row in found[table]:
            assert f"| {' | '.join(map(str, row.values()))} |" in PAGE


def test_every_answer_has_both_labels(labels: ModuleType) -> None:
    """None was left out."""
    answers = {row["id"] for row in labels._lines(RESULT / "answers.jsonl.gz")}
    for reader in ("first", "second"):
        rows = labels._lines(RESULT / f"labels-{reader}.jsonl.gz")
        assert {row["id"] for row in rows} == answers
        assert {row["label"] for row in rows} <= {"x", "a", "d"}


@pytest.mark.parametrize(
    ("first", "second", "both", "either"),
    [("x", "x", "x", "x"), ("x", "a", "a", "x"), ("x", "d", "d", "x"), ("a", "d", "a", "a"), ("d", "d", "d", "d")],
)
def test_labels_are_combined_as_planned(labels: ModuleType, first: str, second: str, both: str, either: str) -> None:
    """The order of the readers does not matter."""
    for pair in ((first, second), (second, first)):
        assert labels.strict(*pair) == both
        assert labels.lenient(*pair) == either
