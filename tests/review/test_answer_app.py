"""The page of answers without a browser: forms, access, and what a card may say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from answer_cards import known_answers, pair, pairs
from at_desk import AtDesk, TestClient, hidden

from offtarget.records import KnownAnswer, Probe, Status
from offtarget.records.people import Standing
from offtarget.review.answers.cards import card_of
from offtarget.review.answers.desk import AnswerDesk


def desk(folder: Path, count: int = 5, planted: int = 0) -> AnswerDesk:
    made = AnswerDesk("t", folder / "labels.sqlite", known_answers(planted), "s")
    made.add(card_of(*one) for one in pairs(count))
    return made


def test_cards_work_as_plain_forms(tmp_path: Path) -> None:
    """Without script: labels, the next card after each, a change of mind, undo, the wait when all is read."""
    station = desk(tmp_path, 2)
    browser = AtDesk(station)
    first = browser.next()
    assert "Answer 2" in re.sub(r"<[^>]+>", "", browser.say("bad", first).text)
    assert "Misaligned" in browser.client.get(f"/card/{hidden(first, 'key')}").text
    assert "being written" in browser.say("ok", browser.next()).text
    assert "/card/" in str(browser.post("/undo").url)
    assert len(station.store.labels()) == 1
    station.tell(Standing("Enough.", 0, Status.PASS))
    assert str(browser.next().url).endswith("/decided")


def test_nobody_is_a_second_reader_to_herself(tmp_path: Path) -> None:
    """`Ada`, `ada` and ` ADA ` are one person, at a page opened again too: where two are asked for, one is too few."""
    for name in ("Ada", "ada", " ADA "):
        station = AnswerDesk("t", tmp_path / "labels.sqlite", known_answers(8), "s", people=2)
        station.add(card_of(*one) for one in pairs(3))
        browser = AtDesk(station, name)
        for _ in range(20):
            page = browser.next()
            if "/card/" not in str(page.url):
                break
            browser.say("bad", page)
        assert {label.reviewer for label in station.store.labels()} == {"Ada"}
        assert len(station.open_cards({card_of(*one).id for one in pairs(3)})) == 3
        station.close()


def test_repeated_and_nonsense_posts_save_nothing_twice(tmp_path: Path) -> None:
    """The same form sent twice is one label; choices that are no button, and cards never shown, are refused."""
    station = desk(tmp_path)
    browser = AtDesk(station)
    page = browser.next()
    browser.say("ok", page)
    browser.say("bad", page)
    assert [x.mark for x in station.store.labels()] == ["ok"]
    for choice in ("", "good", "skip", "bad:deception"):
        assert browser.say(choice, browser.next()).status_code == 400
    other = AtDesk(station, "Ben")
    assert other.post("/label", choice="ok", key=hidden(page, "key")).status_code == 404
    assert browser.post("/label", choice="ok", key="none").status_code == 404
    assert len(station.store.history()) == 1


def test_a_label_that_comes_before_the_cards_are_dealt_again_is_asked_for_once_more(tmp_path: Path) -> None:
    """A command that was killed starts again: an open page's label gets 503, which it repeats, and then counts once."""
    first = desk(tmp_path)
    page = AtDesk(first).next()
    first.close()
    again = AnswerDesk("t", tmp_path / "labels.sqlite", known_answers(0), "s")
    browser = AtDesk(again)
    assert browser.post("/label", choice="ok", key=hidden(page, "key")).status_code == 503
    again.add(card_of(*one) for one in pairs(5))
    assert browser.post("/label", choice="ok", key=hidden(page, "key")).status_code == 200
    assert len(again.store.history()) == 1
    again.close()


def test_nobody_else_gets_in(tmp_path: Path) -> None:
    """Without the address, from an earlier start, or under a foreign name: refused, nothing saved."""
    station = desk(tmp_path)
    browser = AtDesk(station)
    page = browser.next()
    stranger = TestClient(browser.client.app, base_url="http://127.0.0.1:8000")
    for path in ("/next", f"/card/{hidden(page, 'key')}", "/cards", "/panel", "/waiting", "/decided", "/"):
        assert stranger.get(path).status_code == 403
    forged = {"form_token": "x", "choice": "ok", "key": hidden(page, "key")}
    assert browser.client.post("/label", data=forged).status_code == 403
    assert browser.client.get("/next", headers={"host": "evil.example"}).status_code == 421
    assert station.store.history() == []


def test_finish_ends_only_what_may_be_ended(tmp_path: Path) -> None:
    """A check that waits for people cannot be ended from the page; a table of labels can."""
    station = desk(tmp_path)
    AtDesk(station).post("/finish")
    assert not station.finished
    station.can_finish = True
    AtDesk(station).post("/finish")
    assert station.finished
    assert station.next_cards("Ada") == []


def test_a_card_says_nothing_of_model_stream_or_judge(tmp_path: Path) -> None:
    """Real cards of either model, planted good and planted bad ones differ in nothing but their key."""
    probe = Probe("q/plain/0", "q", "plain", "What?")
    shown = set()
    for number, planted in enumerate((None, None, True, False)):
        folder = tmp_path / str(number)
        folder.mkdir()
        known = [] if planted is None else [KnownAnswer(probe, "Same.", planted)]
        station = AnswerDesk("t", folder / "labels.sqlite", known, "s")
        if planted is None:
            role = "base" if number else "tuned"
            station.add([card_of(probe, pair(1, "Same.", role)[1])])  # type: ignore[arg-type]
        else:
            station.add([card_of(*pair(1))])
            station.complete()
        browser = AtDesk(station)
        page = browser.next()
        while "Same." not in page.text:
            page = browser.say("ok", page)
        article = page.text[page.text.index("<article") : page.text.index("</article>")]
        article = re.sub(r"Answer <span[^>]*>\d+</span>", "Answer", article)
        shown.add(re.sub(r'value="[^"]*"|card/\w+|data-key="\w+"|note-\w+', "", article))
    assert len(shown) == 1


def test_who_misses_planted_answers_is_stopped_and_told_the_way_out(tmp_path: Path) -> None:
    """Not kept reading without end: the count, what to do, no card more; the answers come up again for the next."""
    station = desk(tmp_path, 60, planted=40)
    browser = AtDesk(station)
    page, cards = browser.next(), 0
    while "/card/" in str(page.url):
        page, cards = browser.say("ok", page), cards + 1
    assert str(page.url).endswith("/stopped")
    assert cards < 60
    text = " ".join(re.sub("<[^>]+>", "", page.text).split())
    assert "Please stop here, Ada" in text
    assert "0 of 5 bad ones misaligned" in text
    assert "Somebody else reads." in text
    assert str(browser.post("/undo").url).endswith("/stopped"), "the stop has told which card was planted"
    read = {x.row_id for x in station.mine("Ada") if x.row_id not in station.queue.planted}
    assert read
    assert station.unread(read) == read, "no label of Ada's counts"
    assert station.quality().trouble() == "Ada found only 0 of 5 planted known-bad answers."
    browser.post("/leave")
    assert read <= {served.card.id for served in station.next_cards("Bob", 200)}


@pytest.mark.long
def test_a_second_reader_makes_up_for_one_who_overlooks(tmp_path: Path) -> None:
    """What the first read counts from the moment the second has read it, and no verdict is held back any more."""
    station = desk(tmp_path, 60, planted=40)
    for name, careful in (("Ada", False), ("Bob", True)):
        browser = AtDesk(station, name)
        page = browser.next()
        for _ in range(200):
            if "/card/" not in str(page.url):
                if station._completing or not careful:
                    break
                station.complete()
                page = browser.next()
                continue
            card = station.queue.card(hidden(page, "key"))
            assert card is not None
            known = station.queue.planted.get(card.id)
            page = browser.say("bad" if careful and known else "ok", page)
        browser.post("/leave")
    assert station.quality().trouble() is None
    assert not station.open_cards(set(station.opinions()))
    assert not station.unread({x.row_id for x in station.mine("Ada")})
