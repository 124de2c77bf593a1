"""An audit whose summary somebody changed by hand is refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from audit_runs import make_audit

from offtarget.errors import InputError
from offtarget.rundir import read_json, write_json
from offtarget.workflows.audit.run import AuditRun


@pytest.mark.parametrize(
    "changed",
    [{"carried": 1}, {"unread": "x"}, {"flagged_rows": "x"}, {"files": "x"}, {"files": [1]}, {"files": [{}]}],
    ids=str,
)
def test_a_changed_summary_of_a_scan_is_refused(changed: dict[str, Any], tmp_path: Path) -> None:
    """It says which file; it was a traceback."""
    make_audit(tmp_path / "run", "detectors")
    file = tmp_path / "run" / "scan.json"
    scan = {**read_json(file), "undesired": 0, "notes": [], "flagged_spreading": 0}
    write_json(file, scan)
    assert AuditRun.open(tmp_path / "run").scan == scan
    write_json(file, {**scan, **changed})
    with pytest.raises(InputError, match=r"scan\.json is not the summary of a scan of this version"):
        AuditRun.open(tmp_path / "run")
