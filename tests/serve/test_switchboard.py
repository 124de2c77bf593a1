"""What was shut off by hand stays off, whatever the store says afterwards and whatever crashes."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.records.gateway import Alias, CanarySettings, Upstream
from offtarget.records.rollouts import Rollout
from offtarget.serve.cell import CLOSED, STALE_SECONDS, Cell, Switch
from offtarget.serve.switchboard import KILLED, Switchboard

ALIASES = (
    Alias("a", Upstream("http://h", "b"), Upstream("http://h", "t"), CanarySettings(share=0.05)),
    Alias("s", Upstream("http://h", "b"), Upstream("http://h", "t"), CanarySettings(share=0.05, mode="shadow")),
    Alias("base alone", Upstream("http://h", "b")),
)
FIRST = Rollout("a", 1, "running", 0.05)


def board(folder: Path) -> Switchboard:
    return Switchboard(ALIASES, Cell.create(folder / "cell", len(ALIASES)), folder)


def test_a_killed_rollout_stays_off_until_one_with_a_higher_number(tmp_path: Path) -> None:
    switches = board(tmp_path)
    assert switches.apply(FIRST).share == 0.05
    kill = switches.kill("a", 1.0, "ada", "looks bad")
    reader = Cell.open(tmp_path / "cell")
    assert reader.read(0).share == 0
    for stale in (FIRST, replace(FIRST, share=0.5), replace(FIRST, status="paused")):
        assert switches.apply(stale).share == 0
    again = board(tmp_path)  # a crash before the store knew of it
    assert again.kills() == {"a": kill}
    assert again.apply(FIRST).share == 0
    again.forget(kill)
    assert again.apply(FIRST).share == 0
    assert again.apply(replace(FIRST, number=2)).share == 0.05
    assert board(tmp_path).kills() == {}


def test_a_kill_while_the_settings_are_read_again_holds(tmp_path: Path) -> None:
    """In the fresh cell no rollout is in force yet; what was in force before is what is shut off."""
    switches = board(tmp_path)
    switches.apply(FIRST)
    switches.renew(ALIASES, Cell.create(tmp_path / "fresh", len(ALIASES)))
    assert switches.kill("a", 1.0, "ada", "looks bad").rollout == 1
    assert switches.apply(FIRST).share == 0


def test_a_rollout_of_other_models_closes_and_one_of_these_opens(tmp_path: Path) -> None:
    switches = board(tmp_path)
    switches.serves({"a": "m1"})
    assert switches.apply(replace(FIRST, models="m1")).share == 0.05
    assert switches.apply(replace(FIRST, number=2, models="m2")).share == 0
    assert switches.in_force("a").rollout == 2
    assert switches.apply(replace(FIRST, number=3, models="m1")).share == 0.05


def test_a_rolled_back_rollout_is_not_opened_by_what_was_read_before(tmp_path: Path) -> None:
    switches = board(tmp_path)
    switches.apply(FIRST)
    switches.apply(replace(FIRST, status="rolled back", share=0.0))
    assert switches.apply(FIRST).share == 0


def test_the_base_answers_that_are_scored_stand_beside_the_tuned_ones(tmp_path: Path) -> None:
    switches = board(tmp_path)
    for share in (0.001, 0.01, 0.04, 0.05):
        switch = switches.apply(replace(FIRST, share=share))
        assert (1 - share) * switch.base_sample == pytest.approx(19 * share)
    assert switches.apply(replace(FIRST, share=0.5)).base_sample == 1
    assert switches.apply(replace(FIRST, share=1.0)).base_sample == 1
    shadow = switches.apply(replace(FIRST, alias="s", share=0.02))
    assert shadow.shadow
    assert shadow.base_sample == pytest.approx(0.38)
    assert switches.apply(replace(FIRST, alias="base alone")).share == 0
    assert switches.apply(replace(FIRST, alias="gone")).share == 0


def test_a_damaged_note_of_kills_is_no_reason_to_go_on(tmp_path: Path) -> None:
    for text in ("{", "[3]", '[{"alias": "a"}]', "3"):
        (tmp_path / KILLED).write_text(text)
        with pytest.raises(InputError, match=KILLED):
            board(tmp_path)


def test_a_writer_that_hangs_closes_every_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Cell.create(tmp_path / "cell", 1)
    worker = Cell.open(tmp_path / "cell")
    cell.write(0, Switch(rollout=3, share=0.5, base_sample=0.1, shadow=False))
    cell.beat()
    now = time.monotonic()
    monkeypatch.setattr("offtarget.serve.cell.time.monotonic", lambda: now + STALE_SECONDS - 1)
    assert worker.read(0).share == 0.5
    monkeypatch.setattr("offtarget.serve.cell.time.monotonic", lambda: now + STALE_SECONDS + 1)
    assert worker.read(0) == CLOSED
    cell.beat()
    assert worker.read(0).share == 0.5
