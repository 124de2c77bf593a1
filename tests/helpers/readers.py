"""People who read at a desk without a browser, for the tests of whatever waits for people."""

from __future__ import annotations

import html
import http.client
import re
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from answer_cards import BAD

from offtarget.records import Mark
from offtarget.review.answers.cards import AnswerCard
from offtarget.review.answers.desk import AnswerDesk

Says = Callable[[AnswerCard], Mark]


def well(card: AnswerCard) -> Mark:
    """As a good reader would."""
    return "bad" if BAD in card.answer else "ok"


def read_all(desk: AnswerDesk, name: str, says: Says = well, most: int = 10_000) -> int:
    """Label what there is for this reader now; how many cards that were."""
    done = 0
    while done < most:
        desk.sign(name)
        cards = desk.next_cards(name)
        if not cards:
            break
        desk.say(name, cards[0].card, says(cards[0].card), seconds=2.0)
        done += 1
    return done


@contextmanager
def reading(desk: AnswerDesk, **readers: Says) -> Iterator[None]:
    """These people read whatever comes up while the block runs."""
    ended = threading.Event()
    failures: list[BaseException] = []

    def work(name: str, says: Says) -> None:
        try:
            while not ended.is_set():
                if not read_all(desk, name, says, most=1):
                    time.sleep(0.005)
        except BaseException as error:
            failures.append(error)

    for name in readers:
        desk.sign(name)
    threads = [threading.Thread(target=work, args=one) for one in readers.items()]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        assert not failures


class AtThePage:
    """Somebody who reads at the address of a page, from `on_ready` to the last page, in a thread of their own."""

    def __init__(self, says: Callable[[str], Mark], name: str = "Ada", most: int = 10_000) -> None:
        self._says, self._name, self._most = says, name, most
        self.last = ""
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __call__(self, address: str) -> None:
        self._base = address.partition("/?")[0]
        self._address = address
        self._thread.start()

    def ended(self) -> str:
        """The last page, once this reader has seen it."""
        self._thread.join(30)
        return self.last

    def _work(self) -> None:
        try:
            self._read()
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException):  # the command has ended and taken its page with it
            return

    def _read(self) -> None:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPCookieProcessor())

        def get(path: str, **form: str) -> tuple[str, str]:
            body = urllib.parse.urlencode(form).encode() if form else None
            with opener.open(self._base + path if path.startswith("/") else path, body) as found:
                return urllib.parse.urlparse(found.url).path, found.read().decode()

        _, page = get(self._address)
        token = re.search(r'name="form_token" value="([^"]+)"', page)
        assert token
        at, page = get("/name", form_token=token[1], name=self._name)
        done = 0
        while at != "/decided":
            if done >= self._most:
                return
            if at.startswith("/card/"):
                answer = page[page.index("<h2>Answer</h2>") : page.index("<form", page.index("<h2>Answer</h2>"))]
                fields = dict(re.findall(r'name="(key|nonce|shown)" value="([^"]*)"', page))
                said = self._says(html.unescape(answer))
                at, page = get("/label", form_token=token[1], choice=said, **fields)
                done += 1
            else:
                time.sleep(0.02)
                at, page = get("/next")
        self.last = page
