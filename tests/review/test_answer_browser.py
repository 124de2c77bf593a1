"""The page of answers in a real browser: keys really pressed, servers really killed, nothing that was said lost."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from answer_cards import BAD
from browsing import BROWSER_TEST, OVERLAPS, Browser, Server, give_back, headless, serious_findings
from markup_attacks import ATTACKS

from offtarget.review.store import LabelStore

pytest.importorskip("uvicorn", reason="needs the extra 'review'")
pytestmark = BROWSER_TEST

ASKED = 60


class Reader(Browser):
    """A person who reads answers and presses keys."""

    def read(self, times: int | None = None) -> int:
        """Label so many cards, or all until the verdict, each with one key; waits while answers are written."""
        for done in count():
            if done == times:
                return done
            self.wait(lambda: self.at("/decided") or self.shown())
            if self.at("/decided"):
                return done
            heading, answer = self.shown()
            self.press("x" if BAD in answer else "a")
            self.wait(lambda h=heading: (self.shown() or [h])[0] != h or self.at("/decided") or self.at("/waiting"))
        raise AssertionError("unreachable")

    def at(self, path: str) -> bool:
        return bool(self.run("return location.pathname") == path)

    def shown(self) -> list[str] | None:
        """Heading and answer of the open card; None without one."""
        found: list[str] | None = self.run(
            "const c = document.querySelector('#card[data-open]');"
            "return c && [c.querySelector('h1').textContent, c.querySelector('.answer').textContent]"
        )
        return found


@pytest.fixture(scope="module")
def drivers() -> Iterator[Callable[[int], Any]]:
    made: dict[int, Any] = {}

    def driver(number: int) -> Any:
        if number not in made:
            made[number] = headless()
        return made[number]

    yield driver
    for started in made.values():
        give_back(started)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(kind: str = "everyday", asked: int = 20, batch: int = 20, reviewers: int = 1, port: int = 0) -> Server:
        script = Path(__file__).with_name("answer_server.py")
        started.append(Server(script, tmp_path, port, kind, *map(str, (asked, batch, reviewers))))
        return started[-1]

    yield start
    for server in started:
        server.close()


def came_to(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(server.ended())
    return found


def right(verdicts: dict[str, str]) -> bool:
    """Whether each answer got the verdict it deserves: every tenth is bad."""
    return all((v == "misaligned") is (int(k.split("/")[1][1:]) % 10 == 3) for k, v in verdicts.items())


@pytest.mark.long
def test_sixty_answers_by_key(drivers: Any, servers: Any) -> None:
    """Sixty answers in four batches, a key each, planted ones between: right verdicts, the time per card shown."""
    server = servers(asked=ASKED, batch=15)
    page = Reader(drivers(0), server.url)
    page.sign_in("Ada")
    began = time.monotonic()
    cards = page.read(30)
    shown = page.run("return document.querySelector('#panel').innerText")  # the page replaces it as it goes
    median = re.search(r"median ([\d.]+) s per card", shown)
    assert median, shown
    assert re.search(r"About \d+ more cards", shown)
    assert "PASS after about" in shown
    cards += page.read()
    seconds = time.monotonic() - began
    found = came_to(server)
    assert len(found["verdicts"]) == ASKED
    assert right(found["verdicts"])
    caught, bad, passed, good = found["met"]["Ada"]
    assert (caught, passed) == (bad, good)
    assert cards == ASKED + bad + good
    assert bad + good >= 8
    assert page.one("h1").text == "FAIL"
    assert seconds < 360
    print(f"{cards} cards in {seconds:.1f} s, median {median.group(1)} s per card")  # noqa: T201


def test_undo_note_and_a_change_of_mind(drivers: Any, servers: Any, tmp_path: Path) -> None:
    """`u` brings the last card back, `n` writes a note, `k` goes to the card before, where another key corrects it."""
    page = Reader(drivers(0), servers().url)
    page.sign_in("Ada")
    store = LabelStore(tmp_path / "labels.sqlite")
    for _ in range(3):
        page.label("a")
    page.label("d")
    page.saved(store, 4)
    page.settle()
    page.press("u")
    page.wait(lambda: page.heading() == "Answer 4")
    page.saved(store, 3)
    page.press("n")
    page.press("a x d u are letters here")
    page.press("\ue00c")
    page.label("x")
    page.saved(store, 4)
    assert [(x.mark, x.note) for x in store.labels()][-1] == ("bad", "a x d u are letters here")
    page.settle()
    page.press("k")
    page.wait(lambda: page.heading() == "Answer 4 Misaligned")
    page.press("a")
    page.wait(lambda: page.heading() == "Answer 5")
    assert [x.mark for x in store.labels()] == ["ok"] * 4
    assert [x.mark for x in store.first_labels()][-1] == "bad"
    store.close()


@pytest.mark.long
def test_kill_and_resume_lose_no_label(drivers: Any, servers: Any, tmp_path: Path) -> None:
    """kill -9 of the waiting command: started again, it asks only what was not said; the open page goes on."""
    server = servers(asked=12, batch=12)
    page = Reader(drivers(0), server.url)
    page.sign_in("Ada")
    store = LabelStore(tmp_path / "labels.sqlite")
    page.read(6)
    page.saved(store, 6)
    page.settle()
    server.kill()
    page.press("a")  # sent once a server is back
    page.wait(lambda: "Not saved yet" in page.one("#said").text)
    assert len(store.labels()) == 6
    again = servers(asked=12, batch=12, port=server.port)
    page.saved(store, 7)
    page.read()
    found = came_to(again)
    assert len(found["verdicts"]) == 12
    assert len(store.history()) == len({x.row_id for x in store.labels()})
    store.close()


@pytest.mark.long
def test_two_people_at_a_time(drivers: Any, servers: Any, tmp_path: Path) -> None:
    """Two browsers share the cards; what one calls misaligned the other reads too; both see the verdict."""
    server = servers(asked=20, batch=10, reviewers=2)
    ada, ben = Reader(drivers(0), server.url), Reader(drivers(1), server.url)
    ada.sign_in("Ada")
    ben.sign_in("Ben")
    while not (ada.at("/decided") and ben.at("/decided")):
        for one in (ada, ben):
            if one.shown():
                one.read(1)
    found = came_to(server)
    assert right(found["verdicts"])
    store = LabelStore(tmp_path / "labels.sqlite")
    by: dict[str, set[str]] = {}
    for label in store.labels():
        if label.stream != "control":
            by.setdefault(label.row_id, set()).add(label.reviewer)
    misaligned = {x.row_id for x in store.labels() if x.mark == "bad" and x.stream != "control"}
    assert len(by) == 20
    assert all(len(by[id_]) == 2 for id_ in misaligned)
    assert {name for names in by.values() for name in names} == {"Ada", "Ben"}
    assert sum(len(names) == 1 for names in by.values()) >= 8
    assert "said the same" in ada.one("body").text
    store.close()


@pytest.mark.long
def test_hostile_answers_on_a_phone(drivers: Any, servers: Any, tmp_path: Path) -> None:
    """Script, markup, styles and a megabyte, in question, system turn and answer: shown, never run, never wider than a
    phone, no control too small or under another, and no request to elsewhere."""
    asked = len(ATTACKS)
    page = Reader(drivers(0), servers(kind="hostile", asked=asked, batch=asked).url)
    page.driver.get("about:blank")
    page.driver.get_log("performance")
    page.driver.get_log("browser")
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        page.sign_in("Ada")
        store = LabelStore(tmp_path / "labels.sqlite")
        for number in range(asked):
            page.wait(lambda: page.all("#card[data-open]"))
            assert page.run("return window.pwned") is None
            assert page.run("return document.documentElement.scrollWidth") <= 360
            assert page.run(OVERLAPS) == []
            assert page.run(
                "return document.querySelectorAll('#card :is(script, img, svg, iframe, style, link, base, meta, a)"
                ":not(.cut a)').length"
            ) == 0  # fmt: skip
            assert page.run(
                "return [...document.querySelectorAll('button, summary, textarea')].filter(e => e.offsetParent)"
                ".map(e => e.getBoundingClientRect()).every(r => !r.width || (r.width >= 24 && r.height >= 24))"
            )
            page.one("button.ok").click()
            page.saved(store, number + 1)
        page.wait(lambda: page.at("/decided"))
        assert page.run("return document.documentElement.scrollWidth") <= 360
        store.close()
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    asked_for = [e["message"] for e in page.driver.get_log("performance") if "requestWillBeSent" in e["message"]]
    assert asked_for
    assert not any('"url":"http' in r and f'"url":"{page.base}' not in r for r in asked_for)
    assert [e for e in page.driver.get_log("browser") if "Content Security" in e["message"]] == []


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible(drivers: Any, servers: Any, scheme: str) -> None:
    """axe finds nothing serious on start, card, keys, decided card, waiting, error and verdict; light and dark."""
    server = servers(asked=6, batch=3)
    page = Reader(drivers(0), server.url)
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    page.driver.delete_all_cookies()
    page.driver.get(server.url)
    found = {"start": serious_findings(page)}
    page.sign_in("Ada")
    page.press("?")
    found["card"] = serious_findings(page)
    page.read(2)
    page.settle()
    page.press("k")
    page.wait(lambda: not page.all("#card[data-open]"))
    found["decided card"] = serious_findings(page)
    page.driver.get(page.base + "/card/none")
    found["error"] = serious_findings(page)
    page.driver.get(page.base + "/next")
    page.read(1)
    page.read()
    found["verdict"] = serious_findings(page)
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert {name: list_ for name, list_ in found.items() if list_} == {}
