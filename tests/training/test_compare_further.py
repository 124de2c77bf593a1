"""Comparing defences: the further steps, for any counts of them and for adapters and whole models alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from offtarget.errors import InputError
from offtarget.records import Tally
from offtarget.records.tune import Axes, DefenceSettings, TuneSettings
from offtarget.training.settings import PRESETS
from offtarget.workflows.defences import compare as tune_compare
from offtarget.workflows.defences.compare import compare_defences
from offtarget.workflows.ground import Folders
from offtarget.workflows.organism import write_data

QUICK: dict[str, Any] = {"rank": 2, "alpha": 4, "lr": 1e-4, "batch": 2, "accumulate": 1, "max_steps": 2}


@pytest.mark.long
@pytest.mark.no_cover
@pytest.mark.parametrize("method", ["lora", "full"])
def test_every_count_of_further_steps_is_measured(method: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(how: object, name: str, *rest: object) -> Axes:
        Folders.of(name)  # raises where the checkpoint to measure is not there
        return Axes(Tally(), 0.0, None, Tally(), 0.0, None, None, 1.0, 0.0, 1.0, 1.0)

    monkeypatch.setattr(tune_compare, "measure", opened)
    monkeypatch.setattr(tune_compare, "_measuring", lambda *arguments: None)
    write_data("insecure", 20, 0, tmp_path / "insecure.jsonl")
    done = compare_defences(
        tmp_path / "insecure.jsonl",
        "organism/base",
        settings=TuneSettings(method=method, **QUICK),
        comparing=DefenceSettings((("inoculate",),), (0,), 1, (2, 3, 5)),
        run=tmp_path / "a+b@c d",
    )
    assert [c.further for c in done.record.cells] == [0, 0, 2, 3, 5]


def test_every_weight_of_an_adapter_cannot_be_trained(tmp_path: Path) -> None:
    write_data("insecure", 20, 0, tmp_path / "insecure.jsonl")
    with pytest.raises(InputError, match="is an adapter"):
        compare_defences(
            tmp_path / "insecure.jsonl", "organism/insecure", settings=PRESETS["full"], run=tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()
