"""People who read at a desk without a browser, for the tests of whatever waits for people."""

from __future__ import annotations

import threading
import time
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
