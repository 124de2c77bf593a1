"""Runs that end in a page instead of a verdict: listed as done, never taken for the last verdict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.workflows.report import report
from offtarget.workflows.runs import find_run, runs


def _run(root: Path, name: str, manifest: dict[str, object], *files: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(manifest))
    for file in files:
        (folder / file).write_text("{}")
    return folder


def test_they_are_listed_and_left_out_of_last(tmp_path: Path) -> None:
    """Done or unfinished by their own file; `last` names a run with a verdict."""
    check = _run(tmp_path, "check", {"verb": "check"})
    _run(tmp_path, "dose", {"verb": "steer", "settings": {"model": "organism/insecure"}}, "dose.json")
    _run(tmp_path, "cut", {"verb": "repair", "model": "organism/backdoor"})
    states = {s.name: (s.state, s.tuned) for s in runs(tmp_path)}
    assert states["dose"] == ("done", "organism/insecure")
    assert states["cut"] == ("unfinished", "organism/backdoor")
    assert find_run("last", tmp_path) == check


def test_their_report_is_their_own_page(tmp_path: Path) -> None:
    """Asking for another is told where the page is."""
    folder = _run(tmp_path, "dose", {"verb": "steer"}, "dose.json")
    with pytest.raises(InputError, match="unfinished"):
        report(folder)
    (folder / "dose.html").write_text("")
    with pytest.raises(InputError, match=r"dose\.html"):
        report(folder)
