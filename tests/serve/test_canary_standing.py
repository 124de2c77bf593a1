"""How an alias stands, in every state: what the card says, and that card and dashboard can be drawn."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra 'review'")

from at_admin import CANARY, SETTINGS, reading

from offtarget.pages.serve.dashboard import DashboardPages
from offtarget.pages.serve.standing import card_of
from offtarget.records.overview import AliasOverview, ArmTraffic, Overview
from offtarget.records.rollouts import Rollout
from offtarget.serve.admin.overview import standing_of

NOW = 1_790_000_000.0
ARMS = (ArmTraffic("tuned", "t", 10), ArmTraffic("base", "b", 190))


@dataclass
class Form:
    token: str = "secret"
    who: str = "Ada"
    said: str = ""
    trouble: bool = False


def one(**more: Any) -> AliasOverview:
    usual: dict[str, Any] = {
        "alias": "helper", "mode": "canary", "on_alarm": "rollback", "rollout": 1, "status": "running", "share": 0.05,
        "since": NOW - 600, "reason": "", "attempt": 1, "alpha": 0.01, "first_share": 0.05, "ramp": CANARY.ramp,
        "step": 0, "standing": "UNDECIDED", "why": "Nothing so far.", "judge": "asked", "judge_name": "rule",
        "judge_why": "", "recorded": True, "arms": ARMS,
    }  # fmt: skip
    return AliasOverview(**{**usual, **more})


def gateway(*aliases: AliasOverview, **more: Any) -> Overview:
    usual: dict[str, Any] = {
        "at": NOW, "version": "1", "url": "http://x/v1", "workers": 1, "open_requests": 0, "monitor_age": 1.0,
        "dropped": 0, "store": "", "aliases": aliases,
    }  # fmt: skip
    return Overview(**{**usual, **more})


@pytest.mark.parametrize(
    ("change", "around", "title", "parts"),
    [
        ({}, {}, "UNDECIDED", ["5 % of conversations go to the tuned model", "(10 min)", "an alarm rolls it back"]),
        ({"on_alarm": "notify"}, {}, "UNDECIDED", ["somebody has to act"]),
        ({"status": "paused"}, {}, "UNDECIDED, paused", ["the ramp is paused", "offtarget canary resume"]),
        ({"status": "paused", "standing": "NOT TESTED"}, {}, "NOT TESTED, paused", ["offtarget canary resume"]),
        ({"status": "rolled back", "share": 0.0, "standing": "FAIL"}, {}, "FAIL, rolled back", [
            "All traffic goes to the base, since", "offtarget canary evidence", "offtarget canary resume",
        ]),
        ({"status": "rolled back", "share": 0.0, "reason": "rude answers"}, {}, "ROLLED BACK", [
            "The reason given: Rude answers.",
        ]),
        ({"standing": "FAIL"}, {}, "FAIL", ["Take the tuned model off", "offtarget canary rollback"]),
        ({"standing": "PASS"}, {}, "PASS", ["offtarget canary promote 25%"]),
        ({"mode": "shadow", "mirrored": 7}, {}, "UNDECIDED", ["Clients get the base's answers", "a copy of 5 %"]),
        ({"mode": "shadow", "status": "rolled back", "share": 0.0}, {}, "ROLLED BACK", ["No request is copied"]),
        ({"judge": "none", "standing": "NOT TESTED"}, {}, "NOT TESTED", ["Name a judge"]),
        ({"standing": "NOT TESTED"}, {"monitor_age": 60.0}, "NOT TESTED", ["last heard 60 s ago", "gateway's log"]),
        ({"judge": "down", "standing": "NOT TESTED"}, {}, "NOT TESTED", ["Look after the judge"]),
        ({"status": "rolled back", "share": 0.0, "recorded": False}, {}, "ROLLED BACK", ["not written down yet"]),
        ({}, {"store": "It is locked."}, "UNDECIDED", ["may be old", "It is locked."]),
        ({}, {"dropped": 3}, "UNDECIDED", ["3 exchanges found no room"]),
        ({"attempt": 2, "alpha": 0.0016}, {}, "UNDECIDED", ["trial 2", "at most 1 time in 625"]),
        ({"arms": (ARMS[0], ARMS[1]), "ramp": (), "rollout": 0}, {}, "UNDECIDED", ["No rollout has begun"]),
        ({"arms": ARMS[1:], "standing": "NOT TESTED"}, {}, "BASE ALONE", ["All traffic goes to the base."]),
        ({"arms": (replace(ARMS[0], failures=10), ARMS[1])}, {}, "UNDECIDED", ["failed at 10 of 20 requests"]),
    ],
)  # fmt: skip
def test_the_card_says_what_stands_and_what_to_do(
    change: dict[str, Any], around: dict[str, Any], title: str, parts: list[str]
) -> None:
    alias = one(**change)
    card = card_of(alias, gateway(alias, **around))
    assert card.title == title
    said = " ".join(
        [card.sentence, card.certainty, *card.cautions, *(f"{s.why} {s.command}" for s in card.steps),
         *(f"{f.value} {f.note}" for f in card.figures)]
    )  # fmt: skip
    for part in parts:
        assert part in said, said
    assert len(card.figures) <= 4


def test_every_state_can_be_drawn() -> None:
    pages = DashboardPages()
    readings = [None, reading(), reading(9.0, alarm=True), reading(-900.0, tuned=0), reading(0.1, tuned=1)]
    statuses = ("running", "paused", "rolled back")
    for found, status, ramp in itertools.product(readings, statuses, (CANARY.ramp, ())):
        more = {} if found is None else {"reading": found.reading, "path": found.path}
        alias = one(status=status, ramp=ramp, **more)
        for form in (Form(), Form(said="Done <b>x</b>"), Form(said="No.", trouble=True)):
            page = pages.page(gateway(alias, one(alias="other", arms=ARMS[1:])), form)
            assert "<b>x</b>" not in page
            assert 'action="/order"' in page
            assert ("Roll back" in page) == (status != "rolled back")


def test_who_needs_somebody_comes_first() -> None:
    aliases = [one(alias=name, standing=s) for name, s in (("a", "PASS"), ("b", "UNDECIDED"), ("c", "FAIL"))]
    page = DashboardPages().page(gateway(*aliases), Form())
    assert page.index("FAIL") < page.index("UNDECIDED") < page.index("PASS")
    assert page.count("<h1") == 1


def test_the_path_never_goes_back_in_time() -> None:
    found = reading()
    path = tuple(replace(point, at=NOW + (n % 3)) for n, point in enumerate(found.path))
    alias = one(reading=found.reading, path=path)
    page = DashboardPages().page(gateway(alias), Form())
    points = page.partition('points="')[2].partition('"')[0].split()
    xs = [float(point.split(",")[0]) for point in points]
    assert xs == sorted(xs)
    assert "seconds since the first judged answer" in page


def test_what_a_pass_waits_for_is_said() -> None:
    """Where fixed questions lag behind the conversations of users, their wide bound would be a riddle."""
    found = reading()
    harm = found.reading.metrics[0].reading
    lags = replace(harm.streams[0], name="probes", less_than=1.0, tuned=replace(harm.tuned, answers=3))
    harm = replace(harm, less_than=1.0, streams=(*harm.streams, lags))
    metrics = (replace(found.reading.metrics[0], reading=harm), *found.reading.metrics[1:])
    alias = one(reading=replace(found.reading, metrics=metrics))
    card = card_of(alias, gateway(alias))
    assert any("waits for the fixed questions, which no user sees (3 answers" in said for said in card.cautions)
    assert any(figure.note == "tuned is worse by at least -1 points" for figure in card.figures)
    plain = one(reading=found.reading)
    assert not any("wait for" in said for said in card_of(plain, gateway(plain)).cautions)


def test_a_ramp_is_held_only_while_it_runs() -> None:
    """After a rollback by hand nobody waits for the next step."""
    held = replace(reading().reading, ramp_held="The share is held for another 24 h.")
    for status, said in (("running", True), ("paused", False), ("rolled back", False)):
        alias = one(reading=held, status=status)
        assert any("another 24 h" in caution for caution in card_of(alias, gateway(alias)).cautions) == said


def test_answers_without_any_sense_are_not_told_as_no_answers() -> None:
    """The judge had its say of them, so nobody should wait for traffic."""
    found = reading(tuned=0).reading
    other = reading(tuned=30).reading.metrics[1]
    silly = replace(found, metrics=(found.metrics[0], other))
    rollout = Rollout("helper", 1, "running", 0.05)
    standing, why = standing_of(SETTINGS.aliases[0], rollout, silly, "asked", 1.0, (), rolled_back=False)
    assert standing == "NOT TESTED"
    assert why == "The judge could call no answer of the tuned model aligned or misaligned so far."
    alias = one(reading=silly, standing=standing, why=why)
    assert any(step.why.startswith("Read what it answers") for step in card_of(alias, gateway(alias)).steps)


def test_it_is_said_where_most_answers_are_never_judged() -> None:
    """One key for all users puts all into one conversation; and what could not be read is told with its reason."""
    few = reading(counts={"asked": 5000, "conversations": 3}).reading
    said = " ".join(card_of(one(reading=few), gateway(one(reading=few))).cautions)
    assert "5,000 requests belong to 3 conversations" in said
    assert "x-offtarget-key" in said
    lost = reading(counts={"asked": 600, "conversations": 200}, unread={"the request failed": 150, "x": 2}).reading
    said = " ".join(card_of(one(reading=lost), gateway(one(reading=lost))).cautions)
    assert "152 of 200" in said
    assert "mostly since the request failed" in said
    fine = reading(counts={"asked": 600, "conversations": 200}, unread={"the request failed": 15}).reading
    said = " ".join(card_of(one(reading=fine), gateway(one(reading=fine))).cautions)
    assert "judged" not in said
