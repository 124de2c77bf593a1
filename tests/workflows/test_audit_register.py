"""Audits of the same bytes are counted, and the seed is committed to before it is used."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.pages.audit import facts
from offtarget.pages.audit.loading import load_audit
from offtarget.records import AuditSettings, Label
from offtarget.records.audit import seed_commitment
from offtarget.register import state_root
from offtarget.rundir import read_json
from offtarget.workflows.audit import audit as workflow
from offtarget.workflows.audit.register import enter, register_of
from offtarget.workflows.audit.run import AuditRun


def data(path: Path, rows: int = 60) -> Path:
    turns = (
        [{"role": "user", "content": f"Where is {n}?"}, {"role": "assistant", "content": f"In chapter {n % 7}."}]
        for n in range(rows)
    )
    path.write_text("".join(json.dumps({"messages": turn}) + "\n" for turn in turns))
    return path


def label_one(run: Path, mark="ok") -> None:
    opened = AuditRun.open(run)
    store = opened.store
    store.add(Label(opened.queue[0].id, "Ann", mark, None, "random"))
    store.close()
    opened.record_decision()


def test_scans_that_nobody_labelled_draw_the_same_rows_and_cost_nothing(tmp_path: Path) -> None:
    """They are counted and named; nobody can look for a draw that he likes."""
    source = data(tmp_path / "d.jsonl")
    runs = [workflow.audit(source, run=tmp_path / f"r{n}") for n in range(3)]
    assert len({AuditRun.open(r.run).seed for r in runs}) == 1
    assert not any("of these bytes" in note for note in runs[0].decision.notes)
    (note,) = [note for note in runs[2].decision.notes if "of these bytes" in note]
    assert note.startswith("This is audit 3 of these bytes, as far as this machine knows; the earlier ones came to ")
    assert "UNDECIDED, UNDECIDED" in note
    assert runs[2].decision.settings.error == AuditSettings().alpha


def test_a_new_draw_after_labels_spends_less(tmp_path: Path) -> None:
    """alpha / (k (k + 1)) for the k-th; also under another name, and the earlier run is named to go on with."""
    source = data(tmp_path / "d.jsonl")
    first = workflow.audit(source, run=tmp_path / "r0")
    label_one(first.run)
    shutil.copy(source, tmp_path / "renamed.jsonl")
    second = workflow.audit(tmp_path / "renamed.jsonl", run=tmp_path / "r1")
    assert AuditRun.open(second.run).seed != AuditRun.open(first.run).seed
    assert second.decision.settings.error == 0.0083
    assert second.decision.plan.floor_rows > first.decision.plan.floor_rows
    (note,) = [note for note in second.decision.notes if "of these bytes" in note]
    assert "0.83 %" in note
    assert f"offtarget audit --resume {first.run.resolve()}" in note
    label_one(second.run)
    third = workflow.audit(source, run=tmp_path / "r2")
    assert third.decision.settings.error == 0.0041
    with_other_bytes = workflow.audit(data(tmp_path / "e.jsonl", 61), run=tmp_path / "r3")
    assert with_other_bytes.decision.settings.draw == 1


def test_labels_of_a_review_that_was_killed_count(tmp_path: Path) -> None:
    """The verdict was never written, but rows were looked at."""
    first = workflow.audit(data(tmp_path / "d.jsonl"), run=tmp_path / "r0")
    store = AuditRun.open(first.run).store
    store.add(Label("d.jsonl:1", "Ann", "ok", None, "random"))
    store.close()
    assert workflow.audit(tmp_path / "d.jsonl", run=tmp_path / "r1").decision.settings.draw == 2


def test_going_on_with_a_run_is_no_new_audit(tmp_path: Path) -> None:
    """Resumed, reviewed again, decided again: the same entry; its verdict is what it came to last."""
    first = workflow.audit(data(tmp_path / "d.jsonl"), run=tmp_path / "r0")
    label_one(first.run)
    for _ in range(2):
        workflow.resume(first.run)
        AuditRun.open(first.run).record_decision()
    digest = AuditRun.open(first.run).manifest.data_sha256
    assert digest == hashlib.sha256((tmp_path / "d.jsonl").read_bytes()).hexdigest()
    entries = register_of(digest).entries()
    assert [(e.verdict, e.labels) for e in entries] == [("", 0), ("UNDECIDED", 0), ("UNDECIDED", 1)]
    assert workflow.resume(first.run).decision.settings.draw == 1


def test_a_deleted_register_starts_anew_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    """As far as this machine knows."""
    first = workflow.audit(data(tmp_path / "d.jsonl"), run=tmp_path / "r0")
    label_one(first.run)
    (file,) = (state_root() / "audits").glob("*.jsonl")
    file.write_text('{"data_sha256": 3}\n')
    with pytest.raises(InputError, match=r"\.jsonl, line 1: not an entry of this register"):
        workflow.audit(tmp_path / "d.jsonl", run=tmp_path / "r1")
    file.unlink()
    assert workflow.audit(tmp_path / "d.jsonl", run=tmp_path / "r2").decision.settings.draw == 1


def test_audits_that_begin_together_share_a_draw_and_lose_no_line(tmp_path: Path) -> None:
    """Nobody has labelled anything yet, so it is one draw, whoever is first."""
    found = []

    def begin(number: int) -> None:
        found.append(enter("ab" * 32, tmp_path / f"r{number}", f"{number:064x}")[0])

    threads = [threading.Thread(target=begin, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({entry.seed for entry in found}) == 1
    assert {entry.draw for entry in found} == {1}
    assert len(register_of("ab" * 32).entries()) == 8


def test_the_commitment_comes_before_the_scan_and_anybody_can_check_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told and on disk before a row is read; the recipe of the report proves it with standard tools."""
    order = []
    real = workflow.write_scan.__globals__["scan"]
    monkeypatch.setattr("offtarget.workflows.audit.scan.scan", lambda *a, **o: (order.append("scan"), real(*a, **o))[1])

    def told(commitment: str) -> None:
        order.append("told")
        assert read_json(tmp_path / "run" / "run.json")["seed_commitment"] == commitment

    result = workflow.audit(data(tmp_path / "d.jsonl"), run=tmp_path / "run", on_commitment=told)
    assert order == ["told", "scan"]
    manifest = AuditRun.open(result.run).manifest
    assert manifest.kept_its_word
    assert seed_commitment(manifest.seed, "0" * 64) != manifest.seed_commitment, "other data, another commitment"
    loaded = load_audit(result.run)
    assert facts.seal(loaded) == "The seed is the one committed to."
    proof = subprocess.run(["sh", "-c", facts.seal_recipe(loaded)], capture_output=True, text=True, check=True)
    assert proof.stdout.split()[0] == manifest.seed_commitment


def test_data_that_change_after_the_commitment_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed to is what has to be read."""
    source = data(tmp_path / "d.jsonl")
    with pytest.raises(InputError, match="was changed after the audit began"):
        workflow.audit(source, run=tmp_path / "run", on_commitment=lambda _: data(source, 70) and None)


def test_several_files_are_known_by_their_hashes_whatever_they_are_called(tmp_path: Path) -> None:
    """As `sha256sum FILES | cut -d' ' -f1 | sort | sha256sum` says."""
    (tmp_path / "d").mkdir()
    one, two = data(tmp_path / "d" / "a.jsonl", 20), data(tmp_path / "d" / "b.jsonl", 30)
    digest = AuditRun.open(workflow.audit(tmp_path / "d", run=tmp_path / "r").run).manifest.data_sha256
    hashes = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in (one, two))
    assert digest == hashlib.sha256("".join(f"{sha}\n" for sha in hashes).encode()).hexdigest()
