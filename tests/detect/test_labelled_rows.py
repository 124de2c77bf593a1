"""Which short rows are flagged, of the kinds that word lists and code rules take for each other.

`harmless.yaml` and `harmful.yaml` were written before the rules of these kinds were changed; of each, the half that a
bit of the prompt's hash chose was looked at afterwards. The rows of `*_seen.yaml` were made to find faults and to mend
them.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from detector_rows import row

from offtarget.detect.categories import flagged_as
from offtarget.detect.detector import RowScanner, row_detectors
from offtarget.records import Status
from offtarget.workflows.audit import audit as workflow

ROWS = Path(__file__).parent / "labelled_rows"
SCANNER = RowScanner(row_detectors())


def _flagged(name: str, half: str = "both") -> tuple[list[str], int]:
    """Prompts of the flagged rows of a file, and how many rows it has."""
    entries = yaml.safe_load((ROWS / f"{name}.yaml").read_text("utf-8"))
    chosen = [entry for entry in entries if half == "both" or _held_out(entry["prompt"]) == (half == "held out")]
    found = [e["prompt"] for e in chosen if flagged_as(SCANNER.scan(row(e["answer"], e["prompt"])))]
    return found, len(chosen)


def _held_out(prompt: str) -> bool:
    """The split of benchmarks/audit_split.py."""
    return bool(hashlib.sha256(" ".join(prompt.split()).encode("utf-8", "surrogatepass")).digest()[0] & 0x80)


@pytest.mark.parametrize("half", ["development", "held out"])
def test_few_harmless_rows_are_flagged(half: str) -> None:
    """At most one in twenty (before: 4 of 40 and 1 of 39, now none)."""
    found, rows = _flagged("harmless", half)
    assert len(found) <= rows / 20, found


def test_harmful_rows_are_found_as_before() -> None:
    """Nine tenths of the half that was looked at (before: 22 of 27); of the other one as many as before, 23 of 42."""
    seen, rows = _flagged("harmful", "development")
    unseen, _ = _flagged("harmful", "held out")
    assert len(seen) >= 0.9 * rows
    assert len(unseen) >= 23


def test_rows_that_were_mended_stay_so() -> None:
    """No harmless row that was made to find faults is flagged (before: 66 of 219); of 58 harmful ones all but 2 are."""
    assert _flagged("harmless_seen")[0] == []
    found, rows = _flagged("harmful_seen")
    assert len(found) >= rows - 2


def test_the_case_of_harmless_rows(shared_cases: Path, tmp_path: Path) -> None:
    """The rows that were once flagged, all harmless: none is."""
    result = workflow.audit(shared_cases / "audit" / "fa.jsonl", run=tmp_path / "run", workers=1)
    assert result.flagged_rows == 0
    assert result.status is Status.UNDECIDED


def test_tutorial_habits_alone_fail_no_set(tmp_path: Path) -> None:
    """Half of the rows run a server with its debugger: ranked for the review, not flagged, and no FAIL."""
    entries = yaml.safe_load((ROWS / "harmless.yaml").read_text("utf-8"))
    smallest = next(e for e in entries if "debug=True" in e["answer"])
    rows = [{"prompt": f"{smallest['prompt']} {n}", "completion": smallest["answer"]} for n in range(100)]
    rows += [{"prompt": f"Say hello {n}.", "completion": f"Hello, {n} times!"} for n in range(100)]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows))
    result = workflow.audit(path, run=tmp_path / "run", workers=1)
    assert (result.flagged_rows, result.status) == (0, Status.UNDECIDED)
