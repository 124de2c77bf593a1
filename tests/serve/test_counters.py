"""Counts of several processes become sums that never fall."""

from __future__ import annotations

import json
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.serve import counters as c
from offtarget.serve.admin import totals as t


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder whose name is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="ot") as folder:
        yield Path(folder)


def test_a_killed_process_keeps_its_counts_and_loses_its_gauges(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(t.time, "monotonic", lambda: now[0])
    first, total = c.Counters(), t.Totals()
    first.count(c.REFUSED, "401", by=3)
    first.gauge(c.OPEN, 7)
    first.observe(c.OWN_TIME, 0.0003)
    total.take(first.snapshot())
    total.take(first.snapshot())  # the same again adds nothing
    assert total.numbers() == {(c.REFUSED.name, "401"): 3, (c.OPEN.name,): 7}
    now[0] += 60
    second = c.Counters()
    second.count(c.REFUSED, "401")
    second.observe(c.OWN_TIME, 99.0)
    total.take(second.snapshot())
    assert total.numbers() == {(c.REFUSED.name, "401"): 4}
    assert total.processes() == 1
    row = total.histograms()[(c.OWN_TIME.name,)]
    assert (row[2], row[-2]) == (1, 1)
    assert row[-1] == pytest.approx(99.0003)


def test_sums_never_fall_however_many_processes_there_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(t, "KEPT", 4)
    total, seen = t.Totals(), 0.0
    old = []
    for _ in range(20):
        one = c.Counters()
        one.count(c.REFUSED, "429")
        one.observe(c.OWN_TIME, 1.0)
        old.append(one)
        total.take(one.snapshot())
        now = total.numbers()[(c.REFUSED.name, "429")]
        assert now == seen + 1
        seen = now
    total.take(old[0].snapshot())  # long forgotten: counted already
    assert total.numbers()[(c.REFUSED.name, "429")] == 20
    assert sum(total.histograms()[(c.OWN_TIME.name,)][:-1]) == 20


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.sampled_from(list(c.METRICS)),
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.dictionaries(st.sampled_from(["process", "numbers", "histograms"]), inner, max_size=3)
        ),
        max_leaves=20,
    )
)
def test_nonsense_is_left_out(snapshot: object) -> None:
    total = t.Totals()
    if isinstance(snapshot, dict):
        total.take(snapshot)
    assert all(value >= 0 for value in total.numbers().values())


def test_over_a_socket(short: Path) -> None:
    total = t.Totals()
    receiver = t.CounterReceiver(short / "c", total)
    try:
        counted = c.Counters()
        sender = c.CounterSender(short / "c", counted)
        counted.count(c.REQUESTS, "m", "base", "share", "chat", "200")
        noise = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        for junk in (b"", b"\xff", b"[" * 100_000, b"3", json.dumps({"process": 1}).encode()):
            noise.sendto(junk, str(short / "c"))
        noise.close()
        assert sender.send()
        end = time.monotonic() + 20
        while not total.numbers() and time.monotonic() < end:
            time.sleep(0.01)
        assert total.numbers() == {(c.REQUESTS.name, "m", "base", "share", "chat", "200"): 1}
    finally:
        receiver.close()
    assert not sender.send()
    sender.close()
