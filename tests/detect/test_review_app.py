"""The review page without a browser: forms, access, and what a page may say."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from review_rows import queue, review, row

from offtarget.detect.review.review import Review
from offtarget.records import AuditSettings, Category, Finding, Message, Row

TestClient = pytest.importorskip("starlette.testclient", reason="needs the extra 'review'").TestClient
app_module = pytest.importorskip("offtarget.detect.review.app")
security = pytest.importorskip("offtarget.review.security")


class Desk:
    """One browser at the page."""

    def __init__(self, desk: Review, name: str = "Ada", **options: Any) -> None:
        self.access = security.Access("secret-token")
        self.ended: list[str] = []
        app = app_module.make_app(desk, self.access, security.allowed_hosts("127.0.0.1"), self.ended.append, **options)
        self.client = TestClient(app, base_url="http://127.0.0.1:8000")
        self.client.get("/?token=secret-token")
        if name:
            self.post("/name", name=name)

    def post(self, path: str, **fields: str) -> Any:
        return self.client.post(path, data={"form_token": self.access.form_token, **fields})

    def next(self) -> Any:
        return self.client.get("/next")

    def say(self, choice: str, page: Any = None, **fields: str) -> Any:
        page = page or self.next()
        known = {name: hidden(page, name) for name in ("key", "nonce", "shown")}
        return self.post("/label", choice=choice, **known, **fields)


def hidden(page: Any, name: str) -> str:
    match = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert match, name
    return match.group(1)


def test_review_works_as_plain_forms(tmp_path: Path) -> None:
    """Without script: name, labels with note, the next row after each, a change of mind, undo."""
    desk = review(tmp_path)
    browser = Desk(desk)
    page = browser.next()
    assert "Row 1" in page.text
    after = browser.say("bad:deception", page, note="lies")
    assert "Row 2" in after.text
    assert [(x.mark, x.category, x.note) for x in desk.store.labels()] == [("bad", Category.DECEPTION, "lies")]
    assert desk.store.labels()[0].seconds is not None
    first = browser.client.get(f"/row/{hidden(page, 'key')}")
    assert "Bad: deception" in first.text
    browser.say("ok", first)
    assert [x.mark for x in desk.store.labels()] == ["ok"]
    undone = browser.post("/undo")
    assert "Bad: deception" in undone.text
    browser.post("/undo")
    assert desk.store.labels() == []


def test_repeated_post_is_one_label(tmp_path: Path) -> None:
    """The same form sent twice, as after a lost connection, saves one label."""
    desk = review(tmp_path)
    browser = Desk(desk)
    page = browser.next()
    browser.say("ok", page)
    browser.say("ok", page)
    assert len(desk.store.history()) == 1


@pytest.mark.parametrize("choice", ["", "good", "bad", "bad:nonsense", "ok:deception", "bad:refusal"])
def test_nonsense_choice_saves_nothing(tmp_path: Path, choice: str) -> None:
    """A choice that is none of the buttons is refused in words."""
    desk = review(tmp_path)
    answer = Desk(desk).say(choice)
    assert answer.status_code == 400
    assert "Choose OK" in answer.text
    assert desk.store.history() == []


def test_page_stops_when_decided_and_goes_on_if_asked(tmp_path: Path) -> None:
    """The verdict with its sentence appears once it falls; one may go on, or finish, which ends the server."""
    desk = review(tmp_path, enough=5)
    browser = Desk(desk)
    page = browser.next()
    while "/row/" in str(page.url):
        page = browser.say("ok", page)
    assert str(page.url).endswith("/decided")
    assert "PASS" in page.text
    assert "0 of 5 random rows are bad." in page.text
    assert "/row/" in str(browser.post("/go-on").url)
    assert "/row/" in str(browser.next().url)
    assert browser.ended == []
    assert "saved" in browser.post("/finish").text
    assert browser.ended == ["finished"]


def test_until_decided_ends_with_the_verdict(tmp_path: Path) -> None:
    """Asked to stop at the verdict, the server ends after it has shown it."""
    browser = Desk(review(tmp_path, enough=1), until_decided=True)
    page = browser.next()
    while "/row/" in str(page.url):
        page = browser.say("ok", page)
    assert browser.ended == ["decided"]
    assert "The review ends here" in page.text


def test_undecided_card_says_nothing_of_stream_place_or_findings(tmp_path: Path) -> None:
    """Random, flagged and planted cards differ in nothing but their text and key until they are decided."""
    order = queue([row(n, "same", "same") for n in range(60)], [row(n, "same", "same") for n in range(60, 90)])
    findings = {
        f"train.jsonl:{n}": [Finding(f"train.jsonl:{n}", "d", Category.DECEPTION, "MARKED", 1.0)] for n in range(90)
    }
    desk = review(tmp_path, enough=1000, findings=findings, order=order)
    browser = Desk(desk)
    shapes: dict[str, set[str]] = {}
    for _ in range(25):
        page = browser.next()
        card = re.search(r"<article.*</article>", page.text, re.DOTALL)
        assert card
        text = re.sub(r"same|Planted bad answer \d+\.|Planted question \d+\?", "TEXT", card.group())
        text = re.sub(r'[0-9a-f]{16,64}|Row \d+|name="shown" value="[^"]*"', "", text)
        for leak in ("MARKED", "train.jsonl:", "control", "flagged"):
            assert leak not in text
        browser.say("bad:deception" if "Planted bad answer" in page.text else "ok", page)
        label = desk.recent("Ada", 1)[0]
        shapes.setdefault(label.stream, set()).add(text)
    assert set(shapes) == {"random", "flagged", "control"}
    assert len(set.union(*shapes.values())) == 1
    shown = browser.client.get(f"/row/{desk.queue.key('train.jsonl:0')}")
    assert "MARKED" in shown.text


def test_evidence_is_marked_once_decided(tmp_path: Path) -> None:
    """After the decision the span of a finding is marked at the right characters, across code lines too."""
    text = "Look:\n```python\nx = eval(input())\nprint(x)\n```\nDone."
    start = text.index("eval")
    finding = Finding("t:1", "insecure-code", Category.INSECURE_CODE, "eval of input", 1.0, 1, start, start + 4)
    only = Row("t:1", "t", 1, "0" * 64, (Message("user", "q"), Message("assistant", text)), "chat")
    desk = review(tmp_path, findings={"t:1": [finding]}, order=queue([only], [], AuditSettings(controls=0)))
    browser = Desk(desk)
    page = browser.next()
    assert "<mark" not in page.text
    browser.say("ok", page)
    decided = browser.client.get(f"/row/{desk.queue.key('t:1')}").text
    assert re.findall(r"<mark[^>]*>([^<]*)</mark>", decided) == ["eval"]
    assert "eval of input" in decided


HOSTILE = [
    "<script>window.pwned=1</script>",
    "</textarea></pre><img src=x onerror=window.pwned=1>",
    '" onmouseover="window.pwned=1',
    "[click](javascript:alert(1)) {{ 7*7 }} {% raw %}",
    "a\u202eb\u200bc\x1b[31m\x00\ud800\U000e0041",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(tmp_path: Path, text: str) -> None:
    """Markup, template code and hidden characters arrive on the page as characters one can see."""
    messages = (Message("system", text), Message("user", text), Message("assistant", f"```\n{text}\n```\n{text}"))
    only = Row("t:1", "t", 1, "0" * 64, messages, "chat", rejected=text, extra={text: [text]})
    finding = Finding("t:1", text, Category.OTHER, text, 1.0, 2, 0, 9)
    desk = review(tmp_path, findings={"t:1": [finding]}, order=queue([only], [], AuditSettings(controls=0)))
    browser = Desk(desk)
    page = browser.next()
    browser.say("ok", page, note=text.replace("\ud800", ""))
    pages = [page.text, browser.client.get(f"/row/{desk.queue.key('t:1')}").text]
    for shown in pages:
        for tag in ("<script>window", "<img", "onerror=w onmouse", '<a href="javascript'):
            assert tag not in shown
        assert '" onmouseover="' not in shown
        assert not re.search("[\x00-\x08\x0b-\x1f\u200b\u202e\ud800-\udfff\U000e0041]", shown)
    if "\u202e" in text:
        assert "right-to-left override" in page.text
        assert "[U+200B]" in page.text
    else:
        assert html.escape(text, quote=False).replace('"', "&#34;") in page.text.replace("&#39;", "'")


def test_long_text_is_cut_until_asked_for(tmp_path: Path) -> None:
    """A turn of a megabyte shows 20,000 characters and says how many are missing; a link shows all."""
    only = row(1, "x" * 999_999 + "END")
    desk = review(tmp_path, order=queue([only], [], AuditSettings(controls=0)))
    browser = Desk(desk)
    page = browser.next()
    assert len(page.text) < 60_000
    assert "980,002 of 1,000,002 characters are not shown" in page.text
    assert "END" in browser.client.get(f"/row/{desk.queue.key(only.id)}?all=1").text


def test_nothing_is_shown_without_the_token(tmp_path: Path) -> None:
    """Without the token, or with a wrong one, every page is refused; the refusal says what to open."""
    browser = Desk(review(tmp_path))
    browser.client.cookies.clear()
    for path in ("/", "/?token=wrong", "/next", "/cards", "/decided", "/row/x"):
        answer = browser.client.get(path)
        assert answer.status_code == 403
        assert "terminal" in answer.text
    for path in ("/label", "/undo", "/finish", "/name", "/go-on", "/leave"):
        assert browser.post(path, name="Eve").status_code == 403


def test_forms_need_their_token_and_origin(tmp_path: Path) -> None:
    """A form of another page is refused even with our cookies: no form token, another origin, another site."""
    desk = review(tmp_path)
    browser = Desk(desk)
    page = browser.next()
    fields = {"key": hidden(page, "key"), "choice": "ok", "nonce": "1"}
    assert browser.client.post("/label", data=fields).status_code == 403
    fields["form_token"] = browser.access.form_token
    for headers in (
        {"origin": "http://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "null", "sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        assert browser.client.post("/label", data=fields, headers=headers).status_code == 403
    assert desk.store.history() == []
    good = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    assert browser.client.post("/label", data=fields, headers=good).status_code == 200
    assert len(desk.store.history()) == 1


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::1].evil"])
def test_foreign_host_names_are_refused(tmp_path: Path, host: str) -> None:
    """A name that an attacker points at this machine gets nothing, not even the style sheet."""
    browser = Desk(review(tmp_path))
    for path in ("/", "/static/review.css"):
        assert browser.client.get(path, headers={"host": host}).status_code == 421


def test_wildcard_address_answers_to_numbers_only() -> None:
    """Bound to all addresses, a numeric host is answered and a foreign name is not."""
    gate = security.Gate(None, security.allowed_hosts("0.0.0.0"))
    assert gate._host_allowed("192.168.7.9:8000")
    assert gate._host_allowed("[fe80::1]:8000")
    assert not gate._host_allowed("evil.example:8000")


def test_every_response_carries_the_headers(tmp_path: Path) -> None:
    """Pages, files, redirects and errors alike forbid scripts from elsewhere, framing, sniffing, caching, referrers."""
    browser = Desk(review(tmp_path))
    for path in ("/", "/next", "/cards", "/static/review.js", "/nowhere", "/decided"):
        headers = browser.client.get(path, follow_redirects=False).headers
        policy = headers["content-security-policy"]
        assert policy.startswith("default-src 'none'")
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
    cookies = browser.client.get("/?token=secret-token", follow_redirects=False).headers["set-cookie"].lower()
    assert "httponly" in cookies
    assert "samesite=strict" in cookies
    assert "secret-token" not in cookies


@pytest.mark.parametrize("name", ["", "   ", "judge:gpt", "x" * 41, "a\x00b"])
def test_names_that_cannot_be_are_refused(tmp_path: Path, name: str) -> None:
    """A reviewer has a short printable name that is no model's."""
    browser = Desk(review(tmp_path), name="")
    assert browser.post("/name", name=name).status_code == 400


def test_rows_of_others_cannot_be_labelled(tmp_path: Path) -> None:
    """Only rows that were served to a reviewer can be opened or labelled, so every label has a known stream."""
    desk = review(tmp_path)
    browser = Desk(desk)
    key = desk.queue.key("train.jsonl:190")
    assert browser.client.get(f"/row/{key}").status_code == 404
    assert browser.post("/label", key=str(key), choice="ok").status_code == 404
    assert desk.store.history() == []


def test_too_long_form_is_refused(tmp_path: Path) -> None:
    """A form beyond 64 kB is refused, a note is cut at 2,000 characters."""
    desk = review(tmp_path)
    browser = Desk(desk)
    assert browser.say("ok", note="x" * 70_000).status_code == 413
    browser.say("ok", note="x" * 3000)
    assert len(desk.store.labels()[0].note) == 2000


def test_label_that_cannot_be_saved_is_said_so(tmp_path: Path) -> None:
    """On a full disk the page answers 503 with the reason; the script tries again, a person can too."""
    desk = review(tmp_path)
    browser = Desk(desk)
    page = browser.next()
    desk.store._database._connection.execute("PRAGMA query_only=1")
    answer = browser.say("ok", page)
    assert answer.status_code == 503
    assert "not saved" in answer.text
    desk.store._database._connection.execute("PRAGMA query_only=0")
    assert browser.say("ok", page).status_code == 200
    assert len(desk.store.labels()) == 1


def test_break_is_suggested_after_a_hundred_rows(tmp_path: Path) -> None:
    """After 100 rows in one sitting the page suggests a break, not before."""
    desk = review(tmp_path, enough=1000)
    browser = Desk(desk)
    for _ in range(99):
        card = desk.next_cards("Ada")[0]
        desk.say("Ada", card.row, "bad" if card.row.answer.startswith("Planted") else "ok", seconds=2.0)
    assert "short break" not in browser.next().text
    assert "short break" in browser.say("ok").text


def test_a_reviewer_who_misses_planted_rows_is_stopped_and_told_the_way_out(tmp_path: Path) -> None:
    """After so many misses that no later row could help: the count, what to do, no card more, and no undo."""
    desk = review(tmp_path, enough=1000)
    browser = Desk(desk)
    page, pages = browser.next(), 0
    while "/row/" in str(page.url):
        assert "about <b>0</b>" not in page.text
        page, pages = browser.say("ok", page), pages + 1
    assert str(page.url).endswith("/stopped")
    assert pages < 40
    text = " ".join(re.sub("<[^>]+>", "", page.text).split())
    assert "You called 0 of 3 of them bad; at least 12 of 14 are needed" in text
    assert "Somebody else reads" in text
    assert "--review" in text
    assert str(browser.next().url).endswith("/stopped")
    assert str(browser.post("/undo").url).endswith("/stopped"), "the stop has told which card was planted"
    assert len(desk.store.labels()) == pages


def test_somebody_else_gets_the_rows_that_were_called_fine(tmp_path: Path) -> None:
    """Every row of the stopped reviewer but those called bad; none of them waits for a lease to end."""
    desk = review(tmp_path, enough=1000)
    browser = Desk(desk)
    page, first = browser.next(), True
    while "/row/" in str(page.url):
        planted = "Planted bad answer" in page.text
        page, first = browser.say("bad:deception" if first and not planted else "ok", page), False
    assert str(page.url).endswith("/stopped")
    fine = {x.row_id for x in desk.store.labels() if x.mark == "ok" and not desk.queue.is_planted(x.row_id)}
    browser.post("/leave")
    coming = {card.row.id for card in desk.next_cards("Bob", 80)}
    assert fine <= coming
