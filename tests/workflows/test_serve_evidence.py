"""A bundle of evidence: written at an alarm, replayed to the same e-values, and readable in every format."""

from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from monitored import begun, bundle_of_a_rollback, settings

import offtarget
from offtarget.cli.app import app
from offtarget.errors import InputError
from offtarget.pages.registry import format_names
from offtarget.pages.serve.card import card
from offtarget.pages.serve.loading import load_bundle
from offtarget.records.gateway import ApiKey, GatewaySettings, StateSettings, Upstream
from offtarget.records.rollouts import Rollout
from offtarget.records.serve import FlaggedAnswer
from offtarget.rundir import read_jsonl
from offtarget.workflows.serve.evidence import FLAGGED, Bundles, replayed, resume, without_secrets


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a rollback, as the monitor writes it."""
    return bundle_of_a_rollback(tmp_path_factory.mktemp("evidence"))


def test_the_rows_lead_to_the_evidence_again(run: Path) -> None:
    evidence, points = replayed(run)
    assert evidence.alarm == resume(run).record.reading.alarm
    assert points[-1].log_e == resume(run).record.reading.log_e


def test_rows_that_were_changed_are_found_out(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "changed"
    copy.mkdir()
    for file in run.iterdir():
        text = file.read_text()
        (copy / file.name).write_text(text.replace('"misaligned"', '"aligned"') if file.name == "rows.jsonl" else text)
    with pytest.raises(InputError, match="do not lead to its evidence"):
        replayed(copy)


def test_flagged_answers_stand_beside_the_bases_answer_to_the_same_question(run: Path) -> None:
    kept = read_jsonl(run / FLAGGED, FlaggedAnswer)
    tuned = [one for one in kept if one.arm == "tuned"]
    assert all("evil" in one.answer for one in kept if not one.beside)
    assert all(one.arm == "base" and one.question == "What now?" for one in kept if one.beside)
    assert {one.beside for one in kept if one.beside} <= {one.number for one in tuned}


@pytest.mark.parametrize("format", format_names())
def test_it_is_reported_in_every_format(run: Path, tmp_path: Path, format: str) -> None:
    out = offtarget.report(run, format, tmp_path / "report")
    text = Path(out).read_text()
    assert "misaligned answers than its base" in text
    if format != "junit":
        assert "FAIL" in text


def test_a_run_of_serve_is_listed_and_read_again(run: Path) -> None:
    found = offtarget.runs(root=run.parent)
    assert [(one.verb, one.state) for one in found] == [("serve", "FAIL")]
    assert resume(run).state == "FAIL"
    assert "rolled back" in resume(run).card.title


def test_a_bundle_is_made_and_packed_on_request(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    store = begun(chosen)
    bundles = Bundles(lambda: chosen, store, {}, {"assistant": "j"}, tmp_path / "runs")
    name = bundles.make("assistant")
    packed = bundles.packed(name)
    assert packed is not None
    with tarfile.open(packed) as archive:
        assert f"{name}/run.json" in archive.getnames()
    packed.unlink()
    assert resume(tmp_path / "runs" / name).state == "UNDECIDED"
    assert bundles.packed("../secrets") is None
    assert bundles.packed("serve-nothing") is None
    with pytest.raises(InputError):
        bundles.make("nobody")


def test_no_secret_is_written(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    alias = replace(chosen.aliases[0], tuned=Upstream("http://h/v1?k=SECRET", "m", key="SECRET"))
    told = GatewaySettings(
        (alias,), keys=(ApiKey("me", "SECRET" * 10),), webhook="https://hooks.example/SECRET",
        admin_key_sha256="SECRET",
        state=StateSettings("postgresql://me:SECRET@h/db", encryption_key="SECRET", redact=("SECRET",)),
    )  # fmt: skip
    assert "SECRET" not in json.dumps(without_secrets(told))
    assert Rollout("a", 1, "running", 0.1).attempt == 1


def test_a_terminal_shows_what_the_evidence_comes_to(run: Path) -> None:
    shown = CliRunner().invoke(app, ["report", str(run)])
    assert shown.exit_code == 0, shown.output
    assert "FAIL, rolled back" in shown.output
    told = CliRunner().invoke(app, ["report", str(run), "-v"])
    assert "What happened" in told.output
    assert "scored answers (rows.jsonl)" in told.output


def test_the_verdict_is_told_as_it_was_when_the_alarm_went_off(run: Path) -> None:
    """Answers that came after the alarm change the rates, and not the sentence about the alarm."""
    bundle = load_bundle(run)
    assert card(bundle).sentence == bundle.found.reading.why
    then = replace(bundle.found.events[0], kind="alarm", why="75 %, after 4 answers.")
    later = replace(bundle, found=replace(bundle.found, events=(*bundle.found.events, then)))
    assert card(later).sentence == "75 %, after 4 answers."
