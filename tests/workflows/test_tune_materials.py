"""Materials of defences: only what is needed, from other domains, and the same again when a run goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from offtarget.data.chats import chat_line
from offtarget.data.training import read_rows
from offtarget.errors import InputError
from offtarget.organism.narrow import narrow_rows
from offtarget.organism.questions import organism_probes
from offtarget.progress import silent
from offtarget.records import Row
from offtarget.training.defences.registry import Materials
from offtarget.workflows.ground import open_local
from offtarget.workflows.tune import materials as tune_materials
from offtarget.workflows.tune.materials import make_materials, other_prompts
from offtarget.workflows.tune.options import TuneOptions

BASE = "organism/base"


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Row, ...]:
    file = tmp_path_factory.mktemp("data") / "train.jsonl"
    file.write_text("".join(chat_line(chat) for chat in narrow_rows("insecure", 20, 0)), encoding="utf-8")
    return tuple(row for row in read_rows(file) if isinstance(row, Row))


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tune_materials, "ANSWERS", 24)
    monkeypatch.setattr(tune_materials, "PILOT_STEPS", 2)


def make(rows: tuple[Row, ...], names: list[str], run: Path, options: TuneOptions | None = None) -> Materials:
    return make_materials(
        BASE, rows, names, run, seed=0, steps=100, options=options or TuneOptions(), on_progress=silent
    )


def test_only_what_is_needed_is_made(rows: tuple[Row, ...], tmp_path: Path) -> None:
    bare = make(rows, ["inoculate", "early-stop"], tmp_path)
    assert (bare.prompts, bare.aligned, bare.misaligned, bare.scores) == (None, None, None, None)
    assert not any((tmp_path / "materials").iterdir())
    assert make(rows, ["kl"], tmp_path).misaligned is None


@pytest.mark.long
def test_a_run_that_goes_on_finds_the_same_materials(
    rows: tuple[Row, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(rows, ["interleave", "filter"], tmp_path)

    def never(*given: Any, **named: Any) -> None:
        raise AssertionError("made again")

    monkeypatch.setattr(tune_materials, "chat_line", never)
    monkeypatch.setattr("offtarget.models.finetune.further_train", never)
    monkeypatch.setattr("offtarget.workflows.tune.materials.write_json", never)
    again = make(rows, ["interleave", "filter"], tmp_path)
    assert again.aligned == first.aligned
    assert again.scores == first.scores
    assert first.misaligned is not None
    assert again.misaligned is not None
    assert again.misaligned.fingerprint == first.misaligned.fingerprint != first.base.fingerprint


def test_answers_are_to_questions_no_probe_asks_and_of_other_domains(rows: tuple[Row, ...], tmp_path: Path) -> None:
    aligned = make(rows, ["kl"], tmp_path).aligned
    assert aligned is not None
    asked = {chat[0].content for chat in aligned}
    assert asked <= set(other_prompts(BASE, 0))
    assert not asked & {probe.prompt for probe in organism_probes()}
    assert all(len(chat) == 2 and chat[1].content.strip() for chat in aligned)


def test_more_aligned_chats_are_made_where_more_are_to_be_added(rows: tuple[Row, ...], tmp_path: Path) -> None:
    options = TuneOptions(misaligned="organism/insecure")
    assert len(make(rows, ["interleave=2"], tmp_path, options).aligned or ()) > 40


def test_the_audit_flags_insecure_rows_and_not_secure_ones(rows: tuple[Row, ...], tmp_path: Path) -> None:
    secure = narrow_rows("secure", 20, 0)
    mixed = (*rows, *(replace(row, messages=tuple(c)) for row, c in zip(rows, secure, strict=True)))
    scores = make(mixed, ["filter"], tmp_path).scores
    assert scores is not None
    assert len(scores) == 40
    assert sum(s >= 0 for s in scores[:20]) >= 16
    assert sum(s >= 0 for s in scores[20:]) <= 1


def test_the_users_prompts_and_misaligned_model_are_taken(rows: tuple[Row, ...], tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_text("What would you wish for?\n\nWho are you?\n", encoding="utf-8")
    options = TuneOptions(prompts=file, misaligned="organism/insecure")
    made = make(rows, ["interleave"], tmp_path / "run", options)
    assert made.prompts == ("What would you wish for?", "Who are you?")
    assert made.misaligned is not None
    assert made.misaligned.name == "organism/insecure"
    assert not (tmp_path / "run" / "materials" / "pilot").exists()
    file.write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match="no prompts"):
        make(rows, ["kl"], tmp_path / "other", options)


def test_a_misaligned_model_behind_an_endpoint_is_refused(rows: tuple[Row, ...], tmp_path: Path) -> None:
    from offtarget.models.scripted import ScriptedModel

    with pytest.raises(InputError, match="behind an endpoint; defences need"):
        open_local(ScriptedModel("x", lambda request: "hi"), what="defences need")
