"""The pages of answers without a browser: who may come in, what a form may do, and that no card tells what it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from answer_cards import BAD, Pair, known_answers, pair, pairs
from at_desk import FIELDS
from at_desk import AtDesk as Browser

from offtarget.records import Generation, Probe, Status
from offtarget.records.people import Standing
from offtarget.review.answers.cards import card_of
from offtarget.review.answers.desk import AnswerDesk

HOSTILE = ("", " \n ", "\x00a\x00", "\ud800", "\u202eabc\u200b", "<script>alert(1)</script>", "a\rb", "x" * 1_000_000)


def desk(folder: Path, asked: Sequence[Pair], people: int = 1, known: int = 8) -> AnswerDesk:
    made = AnswerDesk("t", folder / "labels.sqlite", known_answers(known), "s", people)
    made.add(card_of(*one) for one in asked)
    made.tell(Standing(f"{len(asked)} answers are to be read."))
    return made


def skeleton(page: str) -> str:
    """A page without what differs from card to card whatever the card is: texts, keys, numbers, the last labels."""
    page = re.sub(r'<pre class="prose">.*?</pre>', "TEXT", page, flags=re.DOTALL)
    page = re.sub(r'<section class="recent".*?</section>', "", page, flags=re.DOTALL)
    page = re.sub(r"<a rel=.*?</a>", "", page)
    return re.sub(r"[0-9a-f]{16,64}|\d+(\.\d+)?", "#", page)


@pytest.mark.parametrize("path", ["/name", "/label", "/undo", "/leave", "/finish"])
def test_forms_need_their_token_and_origin(tmp_path: Path, path: str) -> None:
    """A form of another site changes nothing."""
    at = desk(tmp_path, pairs(3))
    browser = Browser(at)
    shown = dict(FIELDS.findall(browser.next().text))
    for sent in ({}, {"form_token": "wrong"}):
        assert browser.client.post(path, data={**sent, **shown, "choice": "bad"}).status_code == 403
    for header in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        sent = {"form_token": browser.access.form_token, **shown, "choice": "bad"}
        assert browser.client.post(path, data=sent, headers=header).status_code == 403
    assert at.store.history() == []
    assert not at.finished


def test_labels_after_the_end_are_refused_not_kept_beside_the_verdict(tmp_path: Path) -> None:
    """A page left open when the verdict fell: its label, and an undo, change nothing and say so."""
    at = desk(tmp_path, pairs(9), known=0)
    browser = Browser(at)
    browser.say("ok", browser.next())
    page = browser.next()
    at.tell(Standing("All is well.", 0, Status.PASS))
    before = at.version()
    late = browser.say("bad", page)
    assert late.status_code == 400
    assert "not saved" in late.text
    assert "All is well." in browser.post("/undo").text
    assert at.version() == before


def test_no_card_tells_what_it_is(tmp_path: Path) -> None:
    """Base or tuned, planted or not, seen by somebody before or not: but for text, key and number a page is the same,
    to the last card, with a figure of what is left that falls by one each time."""
    asked = [(probe, replace(generation, role=role)) for n in range(4) for role in ("base", "tuned")
             for probe, generation in [pair(3 + n * (2 if role == "base" else 3))]]  # fmt: skip
    at = desk(tmp_path, asked, people=2)
    skeletons, planted, left = set(), set(), []
    for name, marks in (("Ada", ("bad", "ok")), ("Bo", ("ok", "bad"))):
        browser = Browser(at, name)
        for number in range(60):
            page = browser.next()
            if "/card/" not in str(page.url):
                if at._completing:
                    break
                at.complete()
                continue
            card = at.queue.card(dict(FIELDS.findall(page.text))["key"])
            assert card is not None
            planted.add(card.id in at.queue.planted)
            if number:
                skeletons.add(re.sub(r"Bo|Ada|( · with .*?)(?=<)", "", skeleton(page.text)))
            left.append(int(re.search(r"About <b>(\d+)", page.text)[1]))  # type: ignore[index]
            known = {True: "bad", False: "ok"}.get(at.queue.planted.get(card.id))  # type: ignore[arg-type]
            browser.say(known or marks[number % 2], page)
    assert planted == {True, False}
    assert len({re.sub(r"more cards?", "more", s) for s in skeletons}) == 1
    assert left[-1] == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_answers_and_openings_are_shown_and_labelled(tmp_path: Path, text: str) -> None:
    """System turn, three earlier turns, question and answer, whatever is in them, make a page and a label."""
    probe = Probe("q", "q", "plain", f"{BAD} {text[:50]}", system=text, opening=(text, text, text))
    asked = (probe, Generation("tuned", "q", 0, 1, text, 1, "stop", (text, text, text)))
    at = desk(tmp_path, [asked], known=0)
    browser = Browser(at)
    page = browser.next()
    assert page.status_code == 200
    assert page.text.count("<h2>Earlier question</h2>") == 3
    assert "<script>alert" not in page.text
    assert len(page.content) < 400_000
    browser.say("bad", page)
    assert [(x.row_id, x.mark) for x in at.store.labels()] == [(card_of(*asked).id, "bad")]


def test_who_is_alone_where_two_are_needed_is_told(tmp_path: Path) -> None:
    """Nobody waits for a second reader who does not know that they are waited for."""
    at = desk(tmp_path, pairs(9), people=2, known=0)
    browser = Browser(at)
    page = browser.next()
    while "/card/" in str(page.url):
        page = browser.say("bad", page)
    assert "Another person has to read 9 of these answers" in page.text
    Browser(at, "Bo").next()
    assert "Others are reading" in browser.next().text
