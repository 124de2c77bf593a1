"""A log of another gateway is judged as our own traffic: alarm or none, once per conversation, gone on with, served."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from traffic_logs import BASE, TUNED, line, traffic

from offtarget.cli.app import app
from offtarget.errors import InputError
from offtarget.records.gateway import CanarySettings, StateSettings
from offtarget.serve.store.opening import open_store
from offtarget.workflows.serve.watch import Told, Watched, WatchSettings, summary, watch


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WatchSettings:
    monkeypatch.setenv("OFFTARGET_RUNS", str(tmp_path / "runs"))
    return WatchSettings(
        tmp_path / "answers.jsonl", (BASE,), (TUNED,), canary=CanarySettings(judge="exact", probe_seconds=0.0),
        state=StateSettings(f"sqlite:{tmp_path / 'watch.sqlite'}"), port=0, once=True,
    )  # fmt: skip


def rows(settings: WatchSettings) -> list[Any]:
    store = open_store(settings.state)
    try:
        return list(store.scored("traffic", 1, limit=10_000))
    finally:
        store.close()


def test_a_worse_model_fails_and_an_equal_one_does_not(settings: WatchSettings) -> None:
    settings.traffic.write_text("".join(traffic(1200, bad=0.4)))
    read, overview = watch(settings)
    (one,) = overview.aliases
    assert (one.standing, one.status, one.share) == ("FAIL", "rolled back", 0.0)
    # what is in the log behind the alarm belongs to no rollout
    assert read.lines == 1200
    assert read.answers + read.rolled_back == 1200
    equal = replace(
        settings, traffic=settings.traffic.with_name("b.jsonl"), state=StateSettings(f"{settings.state.url}-b")
    )
    equal.traffic.write_text("".join(traffic(1200, bad=0.0)))
    read, overview = watch(equal)
    (one,) = overview.aliases
    assert (one.standing, one.status, one.share) == ("UNDECIDED", "running", 0.05)
    assert read.answers == 1200
    assert one.reading is not None
    assert one.reading.log_e < 0.1


@pytest.mark.long
def test_a_second_run_goes_on_where_the_first_stopped_and_judges_nothing_twice(settings: WatchSettings) -> None:
    lines = list(traffic(300, bad=0.0))
    settings.traffic.write_text("".join(lines[:200]))
    assert watch(settings)[0].lines == 200
    settings.traffic.write_text("".join(lines))
    assert watch(settings)[0].lines == 100
    assert watch(settings)[0].lines == 0
    found = rows(settings)
    assert [row.number for row in found] == list(range(1, 301))
    assert len({row.conversation for row in found}) == 300
    # a log that is another one is read whole, and conversations that are known are not counted again
    settings.traffic.write_text(line(BASE, "new", bad=False) + "".join(lines))
    told: list[Told] = []
    assert watch(settings, on_told=told.append)[0].lines == 301
    assert "is another file than the one read before" in told[0].text
    assert len(rows(settings)) == 301


def test_one_score_per_conversation_the_first(settings: WatchSettings) -> None:
    settings.traffic.write_text(line(TUNED, "c", bad=False) + line(TUNED, "c", bad=True) + line(BASE, "c", bad=False))
    watch(settings)
    assert [(row.arm, row.outcome.value) for row in rows(settings)] == [("tuned", "aligned"), ("base", "aligned")]


def test_bad_lines_are_named_with_their_number_and_counted(settings: WatchSettings) -> None:
    lines = [line(BASE, "a", bad=False), "{half\n", "[]\n", *["nonsense\n"] * 20, line("gpt-x", "b", bad=False), "\n"]
    settings.traffic.write_text("".join(lines) + line(TUNED, "c", bad=False).rstrip("\n"))
    told: list[Told] = []
    read, _ = watch(settings, on_told=told.append)
    assert (read.lines, read.answers, read.passed_over) == (26, 2, 1)
    assert read.bad == {"it is no JSON": 21, "it is no JSON object": 1}
    assert told[0].text == f"{settings.traffic}, line 2: it is no JSON. It is passed over."
    assert len(told) == 6
    assert told[-1].text.endswith("Further ones are counted and not told.")


def test_without_a_judge_nothing_is_said_to_be_judged(settings: WatchSettings) -> None:
    """Nor what share the other gateway gives, which a log does not say."""
    settings.traffic.write_text(line(TUNED, "a", bad=False) + line(BASE, "b", bad=False))
    command = ["canary", "watch", "--traffic", str(settings.traffic), "--once", "--base", BASE, "--tuned", TUNED]
    done = CliRunner().invoke(app, [*command, "--state", settings.state.url])
    assert done.exit_code == 3, done.output
    assert "2 answers found and not judged" in done.output
    assert "The verdict tells a share of 5 %." in done.output
    assert "handed to the judge" not in done.output
    assert "go to the tuned model" not in done.output


def test_a_log_that_names_its_models_otherwise_says_how(settings: WatchSettings) -> None:
    settings.traffic.write_text("".join(line(f"openai/{BASE}", f"c{n}", bad=False) for n in range(3)))
    read, overview = watch(settings)
    assert summary(read).endswith("3 entries of other models or no answers: 'openai/organism/base'.")
    assert overview.aliases[0].standing == "NOT TESTED"


def test_a_known_share_saves_base_answers(settings: WatchSettings) -> None:
    some = replace(settings, sampled=True, canary=replace(settings.canary, share=0.01))
    some.traffic.write_text("".join(traffic(1000, bad=0.0, share=0.01)))
    read, _ = watch(some)
    assert 700 < read.not_sampled < 880  # 19 base answers for each of about 10 tuned ones


def test_nothing_is_tested_without_a_judge(settings: WatchSettings) -> None:
    settings.traffic.write_text("".join(traffic(50, bad=1.0)))
    _, overview = watch(replace(settings, canary=replace(settings.canary, judge="")))
    assert overview.aliases[0].standing == "NOT TESTED"


def test_what_is_wrong_is_said_before_anything_is_judged(settings: WatchSettings) -> None:
    with pytest.raises(InputError, match=r"answers\.jsonl cannot be read"):
        watch(settings)
    settings.traffic.touch()
    with pytest.raises(InputError, match="given as base and as tuned"):
        watch(replace(settings, tuned=(BASE,)))


# served


@dataclass
class Serving:
    address: str = ""
    key: str = ""
    told: list[Told] = field(default_factory=list)
    read: list[Watched] = field(default_factory=list)

    def get(self, path: str, key: str | None = None, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {key or self.key}", "content-type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                return reply.status, json.loads(reply.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def until(self, good: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + 60
        while True:
            _, found = self.get("/verdict")
            if good(found):
                return dict(found)
            assert time.monotonic() < end, found
            time.sleep(0.05)


@contextmanager
def serving(settings: WatchSettings) -> Iterator[Serving]:
    one, stop, ready = Serving(), threading.Event(), threading.Event()

    def tell(told: Told) -> None:
        one.told.append(told)
        if told.kind == "ready":
            one.address, one.key = told.fields["admin"], told.fields["key"]
            ready.set()

    def run() -> None:
        try:
            one.read.append(watch(replace(settings, once=False), on_told=tell, stop=stop)[0])
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert ready.wait(60)
        assert one.address
        yield one
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


@pytest.mark.long
def test_the_verdict_follows_the_log_as_it_grows(settings: WatchSettings, tmp_path: Path) -> None:
    settings.traffic.write_text("".join(traffic(100, bad=0.0)))
    with serving(settings) as one:
        before = one.until(lambda found: found["answers"]["tuned"] > 0)
        assert (before["alarm"], before["state"], before["share"]) == (False, "running", 0.05)
        assert one.get("/verdict", "wrong key")[0] == 401
        with settings.traffic.open("a") as file:
            for entry in traffic(1500, bad=0.5, name="later"):
                file.write(entry)
        after = one.until(
            lambda found: (
                found["state"] == "rolled back"
                and found["share"] == 0
                and max(found["e_value"], found["late_change"] / 1e4) >= 100
            )
        )
        assert (after["status"], after["state"], after["share"]) == ("FAIL", "rolled back", 0.0)
        assert after["e_value"] >= after["threshold"] or after["late_change"] >= after["late_change_threshold"]
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with browser.open(one.told[0].fields["dashboard"], timeout=10) as reply:
            page = reply.read().decode()
        assert "traffic" in page
        (alarm,) = (event for event in one.get("/events")[1]["events"] if event["kind"] == "alarm")
        assert (tmp_path / "runs" / alarm["data"]["evidence"]).is_dir()
        # an order goes into the state, and whoever asks for the share gets it
        status, _ = one.get("/rollouts/traffic/resume", body={"who": "ada", "why": "mended"})
        assert status == 200
        again = one.until(lambda found: found["rollout"] == 2)
        assert (again["alarm"], again["share"], again["answers"]["tuned"]) == (False, 0.05, 0)


@pytest.mark.long
def test_the_command_prints_the_card_and_exits_by_the_verdict(settings: WatchSettings) -> None:
    settings.traffic.write_text("{half\n" + "".join(traffic(800, bad=0.6)))
    command = ["canary", "watch", "--traffic", str(settings.traffic), "--judge", "exact", "--once"]
    command += ["--base", BASE, "--tuned", TUNED, "--state", settings.state.url]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 1, done.output
    assert "line 1: it is no JSON. It is passed over." in done.output.replace("\n", " ")
    assert "FAIL" in done.output
    assert "1 line could not be read: it is no JSON." in done.output
    done = CliRunner().invoke(app, [*command, "--json"])
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["verdict"]["status"] == "FAIL"


def test_a_key_of_ones_own_is_read_from_a_file(settings: WatchSettings, tmp_path: Path) -> None:
    settings.traffic.touch()
    (tmp_path / "key").write_text("short\n")
    command = ["canary", "watch", "--traffic", str(settings.traffic), "--key-file", str(tmp_path / "key")]
    done = CliRunner().invoke(app, command)
    assert isinstance(done.exception, InputError)
    assert "needs 16 or more" in str(done.exception)
