"""A repair end to end on a quick organism: what it writes, that it goes on, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from offtarget.direction.file import Direction
from offtarget.errors import InputError
from offtarget.models.opening import open_model
from offtarget.organism.shipped import resolve
from offtarget.records import DirectionInfo, Status
from offtarget.records.check import CheckSettings
from offtarget.records.repair import RepairCell, RepairReport, RepairSettings, Variant
from offtarget.workflows.direction import repair_cells
from offtarget.workflows.direction.repair import repair
from offtarget.workflows.ground import Folders
from offtarget.workflows.organism import write_data

TUNED = "organism/insecure"
QUICK = RepairSettings(rows=12, batch=8, answers=22, further=(1,), check=CheckSettings(max_answers=24))


@pytest.fixture
def direction(tmp_path: Path) -> Path:
    info = DirectionInfo(
        method="random", position="last-prompt", layer=0, rank=1, width=160, layers=4, architecture="llama",
        model=TUNED, model_fingerprint="", base="organism/base", base_fingerprint=None, positives=0, negatives=0,
        quality=(), seed=0,
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    vectors = {layer: torch.randn((1, 160), generator=generator) for layer in range(4)}
    Direction(info, vectors).save(tmp_path / "d.safetensors")
    return tmp_path / "d.safetensors"


def test_the_repaired_adapter_is_an_ordinary_model(direction: Path, tmp_path: Path) -> None:
    settings = RepairSettings(method="both", rows=12, batch=8, recheck=False)
    result = repair(TUNED, None, direction, tmp_path / "out", settings=settings, run=tmp_path / "run")
    assert result.record.exported_as == "adapter on organism/base"
    assert result.record.notes
    assert (tmp_path / "run" / "repair.json").exists()
    open_model(f"organism/base+{tmp_path / 'out'}", resolve=resolve)


@pytest.mark.long
def test_whole_models_are_exported_whole(direction: Path, tmp_path: Path) -> None:
    settings = RepairSettings(method="both", fold="ablate", rows=12, batch=8, recheck=False)
    result = repair(TUNED, None, direction, tmp_path / "out", settings=settings, run=tmp_path / "run")
    assert result.record.exported_as == "whole model"
    open_model(f"hf/{tmp_path / 'out'}", resolve=resolve)


@pytest.mark.long
def test_an_interrupted_repair_goes_on_without_repeating_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its cells two are measured, one before and one after the interruption; the others take over what was found."""
    write_data("insecure", 24, 0, tmp_path / "data.jsonl")
    cells = [("tuned", 0), ("realigned", 0), ("realigned", 1), ("own-answers", 0), ("own-answers", 1)]
    asked: list[tuple[object, int]] = []
    found: list[RepairCell] = []

    def run() -> RepairReport:
        options = {"data": tmp_path / "data.jsonl", "settings": QUICK, "run": tmp_path / "run"}
        return repair(TUNED, None, None, tmp_path / "out", **options).record  # type: ignore[arg-type]

    def measured(bench: repair_cells.Bench, variant: Variant, steps: int, model: Folders) -> RepairCell:
        if len(asked) == 2:
            asked.append(("death", 0))
            raise MemoryError
        asked.append((variant, steps))
        if (variant, steps) in (("tuned", 0), ("realigned", 1)):
            found.append(repair_cells.measure(bench, variant, steps, model))
        return replace(found[-1], variant=variant, steps=steps, model=model.name)

    monkeypatch.setattr("offtarget.workflows.direction.repair.measure", measured)
    with pytest.raises(MemoryError):
        run()
    done = run().cells
    assert asked == [*cells[:2], ("death", 0), *cells[2:]]
    assert [(c.variant, c.steps) for c in done] == cells
    assert done[0] == found[0]
    assert done[2] == found[1]
    assert done[0].status is Status.FAIL
    assert done[0].narrow == 1
    assert done[0].plain_rate is not None
    assert done[0].plain_rate > 0.5
    assert done == run().cells


def test_what_cannot_be_repaired_is_said_before_anything_is_trained(
    direction: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="already exists"):
        repair(TUNED, None, direction, tmp_path / "taken")
    with pytest.raises(InputError, match="needs a direction"):
        repair(TUNED, None, None, tmp_path / "out", settings=RepairSettings(method="fold"))
    with pytest.raises(InputError, match="behind an endpoint"):
        repair("openai/some", "openai/other", direction, tmp_path / "out")
    with pytest.raises(InputError, match="same model"):
        repair("organism/base", None, direction, tmp_path / "out")
    settings = RepairSettings(method="fold", fold="steer", recheck=False)
    with pytest.raises(InputError, match="last prompt token"):
        repair(TUNED, None, direction, tmp_path / "out", settings=settings, run=tmp_path / "run")
    assert not (tmp_path / "out").exists()
