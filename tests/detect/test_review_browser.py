"""The review page in a real browser: keys really pressed, servers really killed."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import BROWSER_TEST, OVERLAPS, Browser, Server, give_back, headless, serious_findings

from offtarget.records import Category
from offtarget.review.store import LabelStore

pytest.importorskip("uvicorn", reason="needs the extra 'review'")
pytestmark = BROWSER_TEST


class AuditBrowser(Browser):
    """One browser window at the page of an audit."""

    def label_until_decided(self) -> None:
        """Press `a` on each card until the page turns to the verdict."""
        for _ in range(20):
            self.label("a")
            self.wait(lambda: self.decided() or "Saved" in self.one("#said").text)
            if self.decided():
                return self.wait(lambda: self.driver.current_url.endswith("/decided"))
        raise AssertionError("no verdict")

    def decided(self) -> bool:
        """Whether the last label brought the verdict; the page turns to it by itself."""
        stops = "return document.querySelector('#panel')?.dataset.stop === 'yes'"
        return self.driver.current_url.endswith("/decided") or self.run(stops)


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

    def start(kind: str = "everyday", enough: int = 200, port: int = 0) -> Server:
        started.append(Server(Path(__file__).with_name("review_server.py"), tmp_path, port, kind, str(enough)))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.mark.long
def test_twenty_rows_by_key(drivers: Any, servers: Any, tmp_path: Path) -> None:
    """Twenty rows labelled with one or two keys each, with undo, note, category, skip and a change of mind."""
    page = AuditBrowser(drivers(0), servers().url)
    page.sign_in("Ada")
    store = LabelStore(tmp_path / "labels.sqlite")
    page.wait(lambda: page.run("return document.activeElement.tagName") == "H1")
    for _ in range(12):
        page.label("a")
    page.label("x", "3")
    page.label("s")
    page.label("d")
    page.press("n")
    page.press("odd; a x s d u j k e ? are letters here")
    page.press("\ue00c")
    page.label("x", "b")
    for _ in range(4):
        page.label("a")
    page.saved(store, 20)
    labels = store.labels()
    assert [x.mark for x in labels] == ["ok"] * 12 + ["bad", "unsure", "skip", "bad"] + ["ok"] * 4
    assert labels[12].category is Category.DECEPTION
    assert labels[15].category is Category.BACKDOOR
    assert labels[15].note == "odd; a x s d u j k e ? are letters here"
    assert all(x.seconds is not None and 0 < x.seconds < 30 for x in labels)
    assert len(page.all(".recent li")) == 10

    page.wait(lambda: page.heading() == "Row 21")
    page.press("u")
    page.wait(lambda: page.heading() == "Row 20")
    page.saved(store, 19)
    page.label("x", "1")
    page.saved(store, 20)
    assert store.labels()[-1].category is Category.INSECURE_CODE

    page.press("k")
    page.wait(lambda: page.heading().startswith("Row 20 Bad: insecure code"))
    page.press("k")
    page.wait(lambda: page.heading().startswith("Row 19 OK"))
    page.press("j")
    page.wait(lambda: page.heading().startswith("Row 20"))
    page.press("a")
    page.wait(lambda: page.heading() == "Row 21")
    assert store.labels()[-1].mark == "ok"
    assert len(store.first_labels()) == 20
    assert store.first_labels()[-1].mark == "bad"


@pytest.mark.long
def test_fast_keys_lose_nothing(drivers: Any, servers: Any, tmp_path: Path) -> None:
    """Keys pressed faster than the server answers: every card gets exactly one label, undo waits for the last one."""
    page = AuditBrowser(drivers(0), servers().url)
    page.sign_in("Ada")
    store = LabelStore(tmp_path / "labels.sqlite")
    page.press("aaaau")
    page.wait(lambda: [e.kind for e in store.history()] == ["label"] * 4 + ["undo"])
    page.wait(lambda: page.heading() == "Row 4")
    assert len(store.labels()) == 3


def test_evidence_only_after_the_decision(drivers: Any, servers: Any) -> None:
    """`e` tells to decide first; on the decided row it moves the focus to the marked passage."""
    page = AuditBrowser(drivers(0), servers().url)
    page.sign_in("Ada")
    while "popen" not in page.one("#card").text:
        page.label("a")
    page.settle()  # else "Saved" comes after what `e` says
    page.press("e")
    page.wait(lambda: "Decide first" in page.one("#said").text)
    assert not page.all("mark")
    page.label("a")
    page.wait(lambda: "Saved" in page.one("#said").text)
    page.press("k")
    page.wait(lambda: page.all("mark") and page.run("return document.readyState === 'complete'"))
    assert "A shell command from input." in page.one(".evidence").text
    page.press("e")
    assert page.run("return document.activeElement.textContent") == "os.popen("


@pytest.mark.long
def test_killed_server_loses_no_label(drivers: Any, servers: Any, tmp_path: Path) -> None:
    """kill -9 in the middle: what was saved is there, what was pressed meanwhile is sent once a server is back."""
    server = servers()
    page = AuditBrowser(drivers(0), server.url)
    page.sign_in("Ada")
    store = LabelStore(tmp_path / "labels.sqlite")
    for _ in range(6):
        page.label("a")
    page.saved(store, 6)
    page.settle()
    server.kill()
    page.label("x", "2")
    page.wait(lambda: "Not saved yet" in page.one("#said").text)
    assert len(store.labels()) == 6
    servers(port=server.port)
    page.saved(store, 7)
    assert store.labels()[-1].category is Category.DANGEROUS_ADVICE
    page.wait(lambda: "Saved" in page.one("#said").text)
    page.label("a")
    page.saved(store, 8)
    assert len(store.history()) == 8
    page.settle()
    (tmp_path / "labels.sqlite").rename(tmp_path / "moved")
    page.label("a")  # why it is not saved is on the page; it is saved once the file is back
    page.wait(lambda: "was deleted or replaced" in page.one("#said").text)
    (tmp_path / "moved").rename(tmp_path / "labels.sqlite")
    page.saved(store, 9)


@pytest.mark.long
def test_two_browsers_share_the_work(drivers: Any, servers: Any, tmp_path: Path) -> None:
    """Two people at once, one of them through a second server on the same file: no new row goes to both."""
    ada = AuditBrowser(drivers(0), servers().url)
    ben = AuditBrowser(drivers(1), servers().url)
    ada.sign_in("Ada")
    store = LabelStore(tmp_path / "labels.sqlite")
    for _ in range(8):
        ada.label("a")
    ada.saved(store, 8)
    ben.sign_in("Ben")
    for _ in range(14):
        ada.label("a")
        ben.label("a")
    ada.saved(store, 36)
    by = {name: [x for x in store.labels() if x.reviewer == name] for name in ("Ada", "Ben")}
    first_of = {name: {x.row_id for x in labels if x.stream != "control"} for name, labels in by.items()}
    assert len(first_of["Ada"] & first_of["Ben"]) >= 5
    assert all(x.stream in ("control", "double", "random", "flagged") for x in by["Ben"])
    assert "Ben" not in ada.one(".recent").text


def test_verdict_ends_the_review(drivers: Any, servers: Any) -> None:
    """The page turns to the verdict by itself; `Finish` ends the server, which returns."""
    server = servers(enough=4)
    page = AuditBrowser(drivers(0), server.url)
    page.sign_in("Ada")
    page.label_until_decided()
    assert page.heading() == "PASS"
    page.run("[...document.querySelectorAll('button')].find(b => b.textContent.includes('Finish')).click()")
    assert server.ended() == "finished"


@pytest.mark.long
def test_suspected_conditions_by_key(drivers: Any, servers: Any, tmp_path: Path) -> None:
    """Once the rows are read the page turns to the conditions: one key each, saved at once, undone; hostile rows do not
    run, and nothing is wider than a phone."""
    page = AuditBrowser(drivers(0), servers(kind="suspicious").url)
    page.sign_in("Ada")
    store = LabelStore(tmp_path / "labels.sqlite")
    words = lambda: [(x.row_id[-1], x.mark, x.note) for x in store.conditions()]  # noqa: E731
    at = lambda key: page.wait(lambda: page.driver.current_url.endswith(f"/condition/{key:012d}"))  # noqa: E731
    page.label("a")
    page.settle()
    page.press("a")
    at(1)
    assert page.run("return window.pwned") is None
    assert [m.text for m in page.all("mark")]
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    assert page.run("return document.documentElement.scrollWidth") <= 390
    page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.press("n")
    page.one("#note").send_keys("our name, c h d")
    page.driver.switch_to.active_element.send_keys("\ue00c")
    page.press("h")
    at(2)
    assert words() == [("1", "ok", "our name, c h d")]
    page.press("u")
    at(1)
    assert words() == []
    page.press("h")
    page.wait(lambda: page.run("return document.activeElement.id") == "note")
    assert words() == [], "a dismissal needs its reason"
    page.one("h1").click()
    page.run("document.querySelector('h1').focus()")
    page.press("n")
    page.driver.switch_to.active_element.send_keys("ours", "\ue00c")
    page.press("h")
    at(2)
    page.press("c")
    page.wait(lambda: words() == [("1", "ok", "ours"), ("2", "bad", "")])
    page.wait(lambda: "/condition/" not in page.driver.current_url)  # one person's word is no FAIL: the rows go on
    page.driver.delete_all_cookies()
    page.driver.get(page.url)
    page.one("#name").send_keys("Ben")
    page.one("button.primary").click()
    at(2)
    page.press("c")
    page.wait(lambda: page.driver.current_url.endswith("/decided"))
    assert page.one("h1").text == "FAIL"
    assert words() == [("1", "ok", "ours"), ("2", "bad", ""), ("2", "bad", "")]
    assert page.run("return window.pwned") is None


@pytest.mark.long
def test_shortcuts_can_be_switched_off(drivers: Any, servers: Any, tmp_path: Path) -> None:
    """With single-key shortcuts off no letter labels anything; the buttons still do (WCAG 2.1.4)."""
    page = AuditBrowser(drivers(0), servers().url)
    page.sign_in("Ada")
    page.press("?")
    page.wait(lambda: page.one("#shortcuts").is_displayed())
    page.one("#shortcuts").click()
    before = page.heading()
    page.run("document.querySelector('h1').focus()")
    page.press("a", "s", "u")
    page.settle()
    assert page.heading() == before
    store = LabelStore(tmp_path / "labels.sqlite")
    assert store.history() == []
    page.one("button.ok").click()
    page.saved(store, 1)
    assert [entry.kind for entry in store.history()] == ["label"]  # and no key sent anything that came later
    page.run("localStorage.clear()")


@pytest.mark.long
def test_hostile_rows_never_run_and_nothing_leaves(drivers: Any, servers: Any, tmp_path: Path) -> None:
    """Script, markup, handlers, links, styles and a megabyte of text: all shown, none run, no request to elsewhere."""
    server = servers(kind="hostile")
    page = AuditBrowser(drivers(0), server.url)
    page.driver.get(
        "about:blank"
    )  # what the page of an earlier test still asks its own server for is no request of this one
    page.driver.get_log("performance")
    page.driver.get_log("browser")
    page.sign_in("Ada")
    store = LabelStore(tmp_path / "labels.sqlite")
    for number in range(10):
        page.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
        assert page.run("return window.pwned") is None
        assert page.run(
            "return document.querySelectorAll('#card :is(script, img, svg, iframe, style, link, base, meta, a)"
            ":not(.cut a)').length"
        ) == 0  # fmt: skip
        assert page.run("return [...document.querySelectorAll('*')].every(e => !e.getAttributeNames()"
                        ".some(a => a.startsWith('on') || a === 'style' || a === 'autofocus'))")  # fmt: skip
        page.run("document.querySelector('h1').focus()")
        key = page.one("#card").get_attribute("data-key")
        page.press("a")
        page.saved(store, number + 1)
        page.wait(lambda: not page.run("return document.querySelector('#said')?.textContent.includes('Saving')"))
        page.driver.get(f"{page.base}/row/{key}")
        page.wait(lambda: page.all(".evidence"))
        assert page.run("return window.pwned") is None
        page.driver.get(page.base + "/next")
    assert page.run("return window.pwned") is None
    requests = [
        entry["message"] for entry in page.driver.get_log("performance") if "requestWillBeSent" in entry["message"]
    ]
    assert requests
    assert not any('"url":"http' in r and f'"url":"{page.base}' not in r for r in requests)
    assert not any("evil.example/" in r.partition('"url":"')[2].partition('"')[0] for r in requests)
    assert [e for e in page.driver.get_log("browser") if "Content Security" in e["message"]] == []


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible(drivers: Any, servers: Any, scheme: str) -> None:
    """axe finds nothing serious on start, open row, reasons, decided row, verdict, error and end; light and dark."""
    server = servers(enough=3)
    page = AuditBrowser(drivers(0), server.url)
    page.driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    page.driver.delete_all_cookies()
    page.driver.get(server.url)
    found = {"start": serious_findings(page)}
    page.sign_in("Ada")
    found["row"] = serious_findings(page)
    page.press("?", "x")
    found["reasons"] = serious_findings(page)
    page.label("1")
    page.wait(lambda: "Saved" in page.one("#said").text)
    page.label_until_decided()
    found["verdict"] = serious_findings(page)
    page.run("[...document.querySelectorAll('button')].find(b => b.textContent.includes('Go on')).click()")
    page.wait(lambda: page.all(".recent li a"))
    page.driver.get(page.all(".recent li a")[-1].get_attribute("href"))
    found["decided row"] = serious_findings(page)
    page.driver.get(page.base + "/row/none")
    found["error"] = serious_findings(page)
    page.driver.get(page.base + "/decided")
    page.run("[...document.querySelectorAll('button')].find(b => b.textContent.includes('Finish')).click()")
    page.wait(lambda: page.heading() == "Finished")
    found["finished"] = serious_findings(page)
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert {name: list_ for name, list_ in found.items() if list_} == {}


@pytest.mark.long
def test_phone_width_and_zoom_need_no_sideways_scrolling(drivers: Any, servers: Any) -> None:
    """At 360 px, and at 640 px as a 1280 px window has at 200 % zoom, no page is wider than the screen."""
    page = AuditBrowser(drivers(0), servers(kind="hostile").url)
    page.sign_in("Ada")
    try:
        for width, height in ((360, 740), (640, 450)):
            page.driver.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": True},
            )
            for path in ("/", "/next", "/decided", "/next"):
                page.driver.get(page.base + path)
                page.run("document.querySelectorAll('details').forEach(d => { d.open = true })")
                assert page.run("return document.documentElement.scrollWidth") <= width, (path, width)
                assert page.run(OVERLAPS) == []
            small = page.run(
                "return [...document.querySelectorAll('button, summary, input:not([type=hidden]), textarea')]"
                ".filter(e => e.offsetParent).map(e => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])"
                ".filter(([, r]) => r.width && (r.width < 24 || r.height < 24)).map(([h]) => h)"
            )
            assert [h for h in small if 'type="checkbox"' not in h] == []
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_address_in_use_and_foreign_names(servers: Any) -> None:
    """A port in use is said plainly; a request under a foreign host name gets nothing from the real server."""
    server = servers()
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        assert b" 421 " in connection.recv(200)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError, match="403") as refused:
        opener.open(f"http://127.0.0.1:{server.port}/next")
    refused.value.close()
