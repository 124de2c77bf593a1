"""What a check sees of training data is what an audit of it keeps, without the audit."""

from __future__ import annotations

from pathlib import Path

import pytest

from offtarget.data.chats import chat_line
from offtarget.data.training import open_source
from offtarget.errors import InputError
from offtarget.organism.narrow import narrow_rows
from offtarget.records import AuditSettings
from offtarget.rundir import RunDir
from offtarget.workflows.audit.scan import write_scan
from offtarget.workflows.check.cued_plan import SCAN_SEED, read_data


def _scanned(data: Path, run: Path) -> Path:
    with RunDir.create("audit", data.name, path=run) as directory:
        write_scan(directory, open_source(data), AuditSettings(), SCAN_SEED)
    return run


def test_the_data_itself_and_an_audit_of_it_are_seen_alike(tmp_path: Path) -> None:
    """Rows in the same order and the same conditions: through a run's files nothing is lost or rounded."""
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(chat_line(row) for row in narrow_rows("backdoor", 60, 0)) + "no row\n")
    assert read_data(data) == read_data(_scanned(data, tmp_path / "run"))


def test_unreadable_data_is_refused_as_by_an_audit(tmp_path: Path) -> None:
    """The same sentence, without the list of all places, which only an audit keeps; also where a path reads alike."""
    data = tmp_path / "rows. All are in here.jsonl"
    data.write_text('[]\nnot json\n{"messages": []}\n')
    with pytest.raises(InputError) as refused:
        read_data(data)
    with pytest.raises(InputError) as audited:
        _scanned(data, tmp_path / "run")
    assert f"{refused.value} All are in {tmp_path / 'run' / 'malformed.jsonl'}." == str(audited.value)
    data.write_text("")
    with pytest.raises(InputError, match="is empty: it holds no rows"):
        read_data(data)
