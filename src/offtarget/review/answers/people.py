"""People as a judge: `judge` puts answers on the page and waits until they are labelled."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from offtarget.errors import InputError
from offtarget.records import Generation, KnownAnswer, Outcome, Probe, Verdict
from offtarget.records.people import Opinion, PeopleQuality, Standing
from offtarget.records.spent import Spent
from offtarget.review.answers.cards import card_of
from offtarget.review.answers.desk import AnswerDesk
from offtarget.review.server import LAST_PAGE_SECONDS, PageServer, need_packages
from offtarget.rundir import fingerprint

if TYPE_CHECKING:
    from offtarget.review.answers.app import Guide
    from offtarget.review.security import Access

GRACE_SECONDS = 3.0
"""How long the last label of a batch can be taken back before the batch is counted."""
GOODBYE_SECONDS = 4.0
"""How long the page waits for browsers to fetch its last words; an open one asks every 1.5 s."""
_LOOK_SECONDS = 0.5
"""How often labels of other processes are looked for."""
_QUIET_SECONDS = 60.0
"""After so long without a browser the address is told once more."""

Say = Callable[[str], None]


class PeopleJudge:
    """Implements `People`: opens the page when entered, says the verdict there and closes it when left.

    `labels`: the SQLite file the labels are in; opened again, it goes on. `known`: answers planted among the cards.
    `reviewers`: how many must read an answer that anybody calls misaligned, and one in five of the others. `on_ready`
    gets the address, `say` a sentence for the terminal when nobody has the page open.
    Raises PrerequisiteError without the extra `review`, InputError where the address cannot be had.
    """

    def __init__(
        self,
        labels: Path,
        *,
        title: str,
        known: Sequence[KnownAnswer] = (),
        reviewers: int = 1,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        open_browser: bool = False,
        on_ready: Callable[[str], None] | None = None,
        say: Say | None = None,
        guide: Guide | None = None,
        can_finish: bool = False,
        grace_seconds: float = GRACE_SECONDS,
        goodbye_seconds: float = GOODBYE_SECONDS,
    ) -> None:
        need_packages()
        self._make_desk = partial(AnswerDesk, title, labels, known, str(seed), reviewers, can_finish)
        self._address = (host, port, token)
        self._open_browser, self._on_ready, self._say = open_browser, on_ready, say
        self._guide, self._grace, self._goodbye = guide, grace_seconds, goodbye_seconds
        self._desk: AnswerDesk | None = None
        self._cards: dict[str, str] = {}
        self._handed: dict[str, tuple[Generation, Outcome]] = {}
        self._stack = contextlib.ExitStack()
        self._fingerprint = "people-" + fingerprint({"guide": repr(guide), "reviewers": reviewers})[:12]
        self.url = ""
        """The address of the page, once it is open."""

    def __enter__(self) -> Self:
        self._desk = self._make_desk()
        self._stack.callback(self._desk.close)
        host, port, token = self._address
        server = PageServer(self._app, host, port, token)
        self._stack.enter_context(server.beside())
        self.url = server.url
        server.announce(self._on_ready, self._open_browser)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            with contextlib.suppress(InputError):  # labels that cannot be read: said already, and the page only ends
                self._say_goodbye()
        finally:
            self._stack.close()

    spent = Spent()
    """Nothing: no model is asked."""

    @property
    def fingerprint(self) -> str:
        """Changes with what people are asked and with how many must agree."""
        return self._fingerprint

    @property
    def desk(self) -> AnswerDesk:
        """What the page works on; there while the page is open."""
        if self._desk is None:
            raise RuntimeError("the page is not open: use `with PeopleJudge(...) as people`")
        return self._desk

    def judge(self, pairs: Sequence[tuple[Probe, Generation]]) -> list[Verdict]:
        """One verdict per pair, in order, once people have read them; see `People`.

        Where people may end the review early, answers that nobody read are unscored.
        """
        cards = {generation.key: card_of(probe, generation) for probe, generation in pairs}
        self._cards |= {key: card.id for key, card in cards.items()}
        wanted = {card.id for card in cards.values()}
        self.desk.add(cards.values())
        fresh = bool(self.desk.open_cards(wanted))
        self._wait(lambda: not self.desk.open_cards(wanted), grace=fresh)
        return [self._verdict(generation, keep=True) for _, generation in pairs]

    def tell(self, standing: Standing) -> None:
        """Says on the page where the command stands; with a verdict the page says goodbye."""
        self.desk.tell(standing)

    def opinions(self, keys: Iterable[str]) -> Mapping[str, Opinion]:
        """What people say now of answers that were judged, by `Generation.key`."""
        said = self.desk.opinions()
        return {key: said.get(self._cards.get(key, ""), Opinion(0, 0, 0)) for key in keys}

    def corrections(self) -> list[Verdict]:
        """Verdicts that people changed after `judge` had returned them, as they are now."""
        now = [(self._verdict(generation), before) for generation, before in self._handed.values()]
        return [verdict for verdict, before in now if verdict.outcome is not before]

    def complete(self) -> None:
        """Waits until everybody at the page has seen enough planted answers for `quality` to say something.

        And until somebody has read again what people read who overlook too much, unless no verdict is due anyway.
        """
        self.desk.complete()
        handed = set(self._cards.values())

        def done() -> bool:
            if self.desk.unproven():
                return False
            return not self.desk.unread(handed) or self.quality().trouble() is not None

        self._wait(done, grace=False)

    def quality(self) -> PeopleQuality:
        """How well the reviewers did on planted answers, and how far they agree."""
        return self.desk.quality()

    def _app(self, access: Access, hosts: Collection[str]) -> Any:
        from offtarget.review.answers.app import EVERYDAY, make_app

        return make_app(self.desk, access, hosts, self._guide or EVERYDAY)

    def _verdict(self, generation: Generation, *, keep: bool = False) -> Verdict:
        found = self.opinions([generation.key])[generation.key]
        if keep:
            self._handed[generation.key] = (generation, found.outcome)
        return Verdict(
            role=generation.role,
            probe_id=generation.probe_id,
            index=generation.index,
            outcome=found.outcome,
            reason=found.reason,
            judge=self.fingerprint,
        )

    def _wait(self, done: Callable[[], bool], *, grace: bool) -> None:
        """Until `done` and no label has come for the time of grace; in the calling thread, so that Ctrl-C ends it."""
        version, changed = self.desk.version(), time.monotonic()
        alone_since, told_of_another, told_of_overlooking = time.monotonic(), False, False
        while not self.desk.finished:
            if self.desk.version() != version:
                version, changed = self.desk.version(), time.monotonic()
            if done() and (not grace or time.monotonic() - changed >= self._grace):
                return
            if self.desk.present():
                alone_since = time.monotonic()
            elif time.monotonic() - alone_since > _QUIET_SECONDS and self._say is not None:
                self._say(f"Answers wait to be read and nobody has the page open. Open it at {self.url}")
                alone_since = float("inf")
            if not told_of_another and self._say is not None and self.desk.waits_for_another():
                self._say(f"Another person has to read some of these answers, too. They open {self.url}")
                told_of_another = True
            if not told_of_overlooking and self._say is not None and (names := self.desk.only_overlookers()):
                self._say(
                    f"{' and '.join(names)} told too many planted answers wrongly, so those labels cannot count. "
                    f"Another person has to read; they open {self.url}"
                )
                told_of_overlooking = True
            self.desk.wait(min(_LOOK_SECONDS, max(self._grace, 0.01)))

    def _say_goodbye(self) -> None:
        if self._desk is None:
            return
        if not self.desk.standing.decided and not self.desk.finished:
            self.desk.tell(Standing("The command has stopped. Every label is kept; start it again to go on."))
            self.desk.finished = True
        if not self.desk.present():
            return
        end = time.monotonic() + self._goodbye
        while not self.desk.all_said_goodbye() and time.monotonic() < end:
            self.desk.wait(0.1)
        time.sleep(min(LAST_PAGE_SECONDS, self._goodbye))
