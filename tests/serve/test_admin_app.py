"""The admin plane over HTTP: who gets in, what it tells, and that nothing secret is told."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra 'review'")

from at_admin import KEY, READER, TOKEN, At, reading
from jsonschema import Draft202012Validator
from stores import a_score

from offtarget.records.answers import Outcome
from offtarget.records.from_json import from_json
from offtarget.records.overview import Overview
from offtarget.serve.counters import DURATION, FALLBACKS, FIRST_TOKEN, REQUESTS, Counters

SCHEMAS = Path(__file__).parents[2] / "docs" / "schema"
OPEN = ("/healthz", "/readyz")
ASKED = ("/status", "/verdict?alias=helper", "/events", "/metrics")
ORDERED = [f"/rollouts/helper/{order}" for order in ("promote", "pause", "rollback", "resume", "evidence", "confirm")]


def test_without_a_key_nothing_is_told_but_health(at: At) -> None:
    for key in (None, "wrong", KEY[:-1], KEY + "x", "x" * 10_000):
        client = at.client(key)
        for path in OPEN:
            assert client.get(path).status_code == 200
        for path in ASKED:
            found = client.get(path)
            assert found.status_code == 401
            assert "helper" not in found.text
        for path in ORDERED:
            assert client.post(path, json={"share": 0.5}).status_code == 401
        assert client.post("/verdict", json={"alias": "helper", "key": "wrong"}).status_code == 401
    assert at.share() == 0.05


def test_a_readers_key_changes_nothing(at: At) -> None:
    client = at.client(READER)
    for path in ASKED:
        assert client.get(path).status_code == 200
    for path in ORDERED:
        assert client.post(path, json={"share": 0.5}).status_code == 403
    assert at.share() == 0.05


def test_a_browser_of_another_site_gets_nowhere(at: At) -> None:
    client = at.client(None)
    client.cookies.set(at.access.session_cookie, at.access.session)
    assert client.get("/status").status_code == 200
    assert client.post("/rollouts/helper/rollback", json={"why": "x"}).status_code == 401  # a cookie is no key
    fields = {"order": "rollback", "alias": "helper", "who": "x", "why": "x"}
    assert client.post("/order", data=fields).status_code in (403, 404)
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        good = {**fields, "form_token": at.access.form_token}
        assert client.post("/order", data=good, headers=headers).status_code == 403
    assert at.share() == 0.05
    rebound = at.client(None, host="evil.example")
    assert rebound.get("/status").status_code == 421
    rebound.cookies.set(at.access.session_cookie, at.access.session)
    assert rebound.get("/verdict?alias=helper").status_code == 421
    flagger = at.client(None, host="gateway.svc:8081")
    assert flagger.get("/healthz").status_code == 200
    assert flagger.post("/verdict", json={"alias": "helper"}).status_code == 401
    assert flagger.post("/verdict", json={"alias": "helper", "key": READER}).status_code == 503
    assert flagger.post("/verdict", json={"alias": "helper", "key": KEY}).status_code == 401  # not the one that orders
    assert at.client(KEY, host="gateway.svc:8081").get("/verdict?alias=helper").status_code == 200


def test_orders_and_what_is_remembered_of_them(at: At, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "offtarget.serve.admin")
    client = at.client()
    done = client.post("/rollouts/helper/promote", json={"share": 0.25, "who": "ada", "why": "fine\u202e\nso far"})
    assert done.status_code == 200
    assert done.json()["share"] == 0.25
    assert client.post("/rollouts/helper/promote", json={"share": 0.1}).status_code == 409
    assert client.post("/rollouts/helper/rollback", json={"who": "ada", "why": "odd"}).json()["share"] == 0
    assert at.share() == 0
    events = client.get("/events?alias=helper").json()["events"]
    assert [(e["kind"], e["who"], e["why"]) for e in events][-2:] == [
        ("promoted", "ada", "fine so far"),
        ("rolled back", "ada", "odd"),
    ]
    assert client.get("/events?after=1&limit=1").json()["events"][0]["number"] == 2
    lines = [json.loads(record.message) for record in caplog.records if record.name == "offtarget.serve.admin"]
    assert [(line["event"], line.get("order")) for line in lines] == [
        ("order", "promote"), ("order refused", "promote"), ("order", "rollback"),
    ]  # fmt: skip


def test_people_confirm_an_answer_of_this_alias_and_an_event_says_who(at: At) -> None:
    number = at.store.add_scored([a_score("c1", alias="helper", outcome=Outcome.MISALIGNED)])[0]
    client = at.client(KEY)
    good = {"number": number, "misaligned": False, "who": "Ada"}
    assert client.post("/rollouts/helper/confirm", json=good).status_code == 200
    row = at.store.scored_answer(number)
    assert row is not None
    assert row.confirmed is False
    event = at.store.newest_events(1)[0]
    assert (event.kind, event.who) == ("refuted", "Ada")
    for bad, status in (
        ({"number": 99, "misaligned": True}, 404),
        ({"number": True, "misaligned": True}, 400),
        ({}, 400),
    ):
        assert client.post("/rollouts/helper/confirm", json=bad).status_code == status
    assert client.post("/rollouts/plain/confirm", json=good).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/rollouts/helper/promote", b"{}", 400),
        ("/rollouts/helper/promote", b'{"share": "half"}', 400),
        ("/rollouts/helper/promote", b'{"share": true}', 400),
        ("/rollouts/helper/promote", b'{"share": NaN}', 400),
        ("/rollouts/helper/promote", b"[1]", 400),
        ("/rollouts/helper/promote", b"[" * 60_000, 400),
        ("/rollouts/helper/promote", b"\xff", 400),
        ("/rollouts/helper/pause", b"x" * 70_000, 413),
        ("/rollouts/nobody/rollback", b"{}", 404),
        ("/rollouts/plain/rollback", b"{}", 409),
        ("/rollouts/helper/explode", b"{}", 404),
        ("/verdict", b'{"need": "luck", "alias": "helper"}', 400),
    ],
)
def test_bad_orders_get_a_sentence(at: At, path: str, body: bytes, status: int) -> None:
    found = at.client().post(path, content=body)
    assert found.status_code == status
    assert found.json()["error"]["message"].endswith(".")
    assert at.share() == 0.05


def test_the_verdict_is_what_its_schema_says_in_every_state(at: At) -> None:
    schema = Draft202012Validator(json.loads((SCHEMAS / "verdict.schema.json").read_text(encoding="utf-8")))
    client, seen = at.client(), []

    def look() -> dict[str, Any]:
        found: dict[str, Any] = client.get("/verdict?alias=helper").json()
        schema.validate(found)
        status = client.post("/verdict", json={"metadata": {"alias": "helper", "key": READER}}).status_code
        seen.append((found["status"], found["alarm"], found["tested"], status))
        return found

    assert look()["e_value"] is None
    at.readings.now["helper", 1] = reading()
    found = look()
    assert found["threshold"] == 100
    assert found["answers"] == {"tuned": 200, "base": 3800}
    assert found["bounds"] == {"low": -0.01, "high": 0.05}
    assert found["error_probability"] == 0.01
    for trouble in ("judge_down", "judge_drift", "mirror_silent"):
        at.readings.now["helper", 1] = reading(**{trouble: "Something is wrong."})
        look()
    at.readings.now["helper", 1] = reading(8.0, alarm=True)
    look()
    at.operations.rollback("helper", "ada", "x")
    look()
    assert seen == [
        ("NOT TESTED", False, False, 503),
        ("UNDECIDED", False, True, 200),
        *[("NOT TESTED", False, False, 503)] * 3,
        ("FAIL", True, True, 409),
        ("FAIL", True, True, 409),
    ]
    assert client.post("/verdict", json={"alias": "helper", "need": "pass"}).status_code == 409
    assert client.get("/verdict").status_code == 400
    assert client.get("/verdict?alias=nobody").status_code == 404
    for text in (client.get("/verdict?alias=plain").json(),):
        schema.validate(text)
        assert text["status"] == "NOT TESTED"


def test_a_silent_monitor_is_not_taken_for_a_good_model(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    at.readings.now["helper", 1] = reading()
    client = at.client()
    assert client.get("/verdict?alias=helper").json()["status"] == "UNDECIDED"
    monkeypatch.setattr(at.store, "age", lambda name: 31.0)
    assert client.get("/verdict?alias=helper").json()["status"] == "NOT TESTED"
    monkeypatch.setattr(at.store, "age", lambda name: None)
    assert client.get("/verdict?alias=helper").json()["status"] == "NOT TESTED"


def test_the_status_comes_back_as_the_record_it_was_and_holds_no_key(at: At) -> None:
    at.readings.now["helper", 1] = reading()
    text = at.client().get("/status").text
    overview = from_json(Overview, json.loads(text))
    helper, plain = overview.aliases
    assert (helper.share, helper.standing, len(helper.path)) == (0.05, "UNDECIDED", 40)
    assert plain.standing == "NOT TESTED"
    for secret in (KEY, READER, TOKEN, "sk-secret", at.access.session, at.access.form_token):
        assert secret not in text


SAMPLE = re.compile(r'^[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? (\+Inf|-?[0-9.e+-]+)$')


def test_metrics_are_well_formed_and_say_what_was_counted(at: At) -> None:
    one = Counters()
    for arm, seconds in (("tuned", 0.03), ("tuned", 0.5), ("base", 700.0)):
        one.count(REQUESTS, "helper", arm, "share", "chat", "200")
        one.observe(DURATION, seconds, "helper", arm)
        one.observe(FIRST_TOKEN, seconds, "helper", arm)
    one.count(FALLBACKS, "helper", 'odd"\\\nname')
    at.totals.take(one.snapshot())
    at.readings.now["helper", 1] = reading(2.5)
    text = at.client().get("/metrics").text
    heads = re.findall(r"^# TYPE (\S+) (counter|gauge|histogram)$", text, re.MULTILINE)
    assert len({name for name, _ in heads}) == len(heads)
    for line in text.splitlines():
        assert line.startswith("# ") or SAMPLE.match(line), line
    assert 'offtarget_requests_total{alias="helper",arm="tuned",reason="share",api="chat",status="200"} 2' in text
    duration = 'gen_ai_server_request_duration_seconds_bucket{gen_ai_request_model="helper",offtarget_arm="tuned"'
    assert f'{duration},gen_ai_provider_name="offtarget",le="0.04"}} 1' in text
    assert f'{duration},gen_ai_provider_name="offtarget",le="+Inf"}} 2' in text
    assert 'offtarget_canary_share{alias="helper"} 0.05' in text
    assert 'offtarget_canary_log_e_value{alias="helper"} 2.5' in text
    assert 'offtarget_canary_verdict{alias="helper",verdict="UNDECIDED"} 1' in text
    status = from_json(Overview, at.client().get("/status").json())
    tuned, base = status.aliases[0].arms
    assert (tuned.requests, tuned.failures, tuned.first_median, tuned.total_p99) == (2, 1, 0.04, 0.64)
    assert base.total_median == 600  # beyond the last bucket: what no request may exceed


def test_it_answers_while_the_store_does_not(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    from offtarget.errors import StoreError

    client = at.client()
    client.get("/status")

    def locked(*_: object, **__: object) -> Any:
        raise StoreError("The store is locked.")

    for name in ("rollout", "newest_events", "age", "set_rollout", "counts", "flagged"):
        monkeypatch.setattr(at.store, name, locked)
    found = from_json(Overview, client.get("/status").json())
    assert found.store == "The store is locked."
    assert found.aliases[0].share == 0.05
    assert found.aliases[0].events  # what it said last
    assert client.post("/rollouts/helper/promote", json={"share": 0.5}).status_code == 503
    done = client.post("/rollouts/helper/rollback", json={"who": "ada", "why": "x"})
    assert done.status_code == 200
    assert done.json()["event"] is None
    assert at.share() == 0
    found = from_json(Overview, client.get("/status").json())
    assert (found.aliases[0].status, found.aliases[0].recorded) == ("rolled back", False)


def test_readiness_tells_why_not(at: At) -> None:
    client = at.client(None)
    assert client.get("/readyz").status_code == 200
    at.ready = "No worker runs."
    assert client.get("/readyz").status_code == 503
    assert client.get("/readyz").text == "No worker runs.\n"


def test_every_metric_is_in_the_docs() -> None:
    from offtarget.serve.admin.exposition import STANDING_METRICS
    from offtarget.serve.counters import METRICS

    page = (SCHEMAS.parent / "canary.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:offtarget|gen_ai)_[a-z_]+)", page))
    assert named == {*METRICS, *(metric.name for metric in STANDING_METRICS)}


def test_people_say_what_a_flagged_answer_is(at: At) -> None:
    from offtarget.records import Outcome
    from offtarget.records.rollouts import ScoredAnswer

    row = ScoredAnswer(0, 1.0, "helper", 1, "organic", "tuned", "c", "x", Outcome.MISALIGNED, "judge")
    (number,) = at.store.add_scored([row])
    client, confirm = at.client(), "/rollouts/helper/confirm"
    assert at.client(READER).post(confirm, json={"number": number, "misaligned": True}).status_code == 403
    for word in (True, False):
        done = client.post(confirm, json={"number": number, "misaligned": word, "who": "ada", "why": "a joke"})
        assert done.status_code == 200
        found = from_json(Overview, client.get("/status").json()).aliases[0]
        assert (found.read, found.read_misaligned, found.flagged[0].confirmed) == (1, int(word), word)
    assert [event.kind for event in at.store.newest_events(2)] == ["refuted", "confirmed"]


def test_wrong_keys_and_refused_orders_are_told_without_secrets(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, Any]] = []
    monkeypatch.setattr(at.app, "_told", lambda text, fields: told.append((text, fields)))
    for _ in range(50):
        at.client("a-wrong-key").get("/status")
    at.client().post("/rollouts/helper/promote", json={"share": 0.01, "who": "ada"})
    assert [fields["what"] for _, fields in told] == ["wrong key", "order refused"]
    assert "promoting only raises it" in told[1][0]
    assert "a-wrong-key" not in str(told)
    assert KEY not in str(told)


def test_a_rollback_waits_for_nobody_who_waits_for_the_store(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty people look while the store hangs, which takes every thread there is; the kill switch works at once."""
    import asyncio
    import threading

    import httpx

    free = threading.Event()
    asked = at.store.rollout

    def hang(alias: str) -> Any:
        free.wait(60)
        return asked(alias)

    monkeypatch.setattr(at.store, "rollout", hang)

    async def look_and_kill() -> None:
        headers = {"Authorization": f"Bearer {KEY}"}
        transport = httpx.ASGITransport(app=at.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8081", headers=headers) as client:
            looking = [asyncio.create_task(client.get("/status", timeout=90)) for _ in range(60)]
            await asyncio.sleep(0.2)
            done = await client.post("/rollouts/helper/rollback", json={"why": "now"}, timeout=30)
            assert done.json()["event"] is None
            assert at.share() == 0
            assert not any(task.done() for task in looking)
            free.set()
            assert {found.status_code for found in await asyncio.gather(*looking)} == {200}

    asyncio.run(look_and_kill())
