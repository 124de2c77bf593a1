"""The web application: a handful of pages that work as plain forms, and fragments for the script."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from offtarget.detect.review.conditions import view as condition_view
from offtarget.detect.review.forms import read_answer, read_label
from offtarget.detect.review.pages import TEMPLATES, view
from offtarget.detect.review.review import Review
from offtarget.records import AuditDecision, Label, Row, Status
from offtarget.review.passages import SHOWN
from offtarget.review.security import Access
from offtarget.review.web import PREFETCH, Form, Pages, application


class ReviewApp(Pages):
    """The pages of one review. `end` is called when a reviewer finishes it, or when it is decided and that suffices."""

    def __init__(self, review: Review, access: Access, end: Callable[[str], None], until_decided: bool = False) -> None:
        super().__init__(review.name, TEMPLATES, access)
        self.review = review
        self._end = end
        self._until_decided = until_decided
        self._going_on: set[tuple[str, Status]] = set()

    def routes(self) -> list[Route]:
        """Every address of the page but those that all reviews have."""
        return [
            Route("/next", self.page(self.next)),
            Route("/row/{key}", self.page(self.row)),
            Route("/cards", self.page(self.cards)),
            Route("/skipped", self.page(self.skipped)),
            Route("/decided", self.page(self.decided)),
            Route("/stopped", self.page(self.stopped)),
            Route("/condition/{key}", self.page(self.condition)),
            Route("/condition", self.posted(self.answer), methods=["POST"]),
            Route("/label", self.posted(self.label), methods=["POST"]),
            Route("/undo", self.posted(self.undo), methods=["POST"]),
            Route("/go-on", self.posted(self.go_on), methods=["POST"]),
            Route("/leave", self.posted(self.leave), methods=["POST"]),
            Route("/finish", self.posted(self.finish), methods=["POST"]),
        ]

    def next(self, request: Request, reviewer: str) -> Response:
        """On to the next row, or to the decision."""
        decision = self.review.decision()
        if self._stops(decision, reviewer):
            return RedirectResponse("/decided", 303)
        if decision.status is Status.UNDECIDED and self.review.overlooks(reviewer):
            return RedirectResponse("/stopped", 303)
        cards = self.review.next_cards(reviewer)
        return RedirectResponse(f"/row/{cards[0].key}" if cards else "/decided", 303)

    def row(self, request: Request, reviewer: str) -> Response:
        """One row: to be decided, or decided with its evidence."""
        row, key = self._row(request.path_params["key"], reviewer), request.path_params["key"]
        label = self.review.label(reviewer, row.id)
        limit = None if "all" in request.query_params else SHOWN
        mine = [x.row_id for x in self.review.recent(reviewer, 1_000_000)][::-1]
        at = mine.index(row.id) if label else len(mine)
        card = view(row, key, at + 1, label, self.review.findings(row.id) if label else (), limit)
        before = self.review.queue.key(mine[at - 1]) if at > 0 else None
        after = self.review.queue.key(mine[at + 1]) if at + 1 < len(mine) else None
        return self.html("row.html", card=card, before=before, after=after, **self._panel(reviewer), **self.form())

    def cards(self, request: Request, reviewer: str) -> Response:
        """The next cards as fragments, held ready by the script."""
        cards = self.review.next_cards(reviewer, PREFETCH)
        return self.html("cards.html", forms=[(view(c.row, c.key, c.number, None, ()), self.form()) for c in cards])

    def skipped(self, request: Request, reviewer: str) -> Response:
        """Back to the row that was skipped first."""
        skipped = [x for x in self.review.recent(reviewer, 1_000_000) if x.mark == "skip"]
        return RedirectResponse(f"/row/{self.review.queue.key(skipped[-1].row_id)}" if skipped else "/next", 303)

    def decided(self, request: Request, reviewer: str) -> Response:
        """The verdict as it stands, and the choice to go on or to finish."""
        waiting = self.review.unanswered(reviewer)
        if waiting is not None and self.review.decision().waits_for_a_person:
            return RedirectResponse(f"/condition/{waiting.key}", 303)
        panel = self._panel(reviewer)
        more = bool(self.review.next_cards(reviewer))
        page = self.html("decided.html", more=more, ends=self._until_decided and panel["progress"].decided, **panel)
        if self._until_decided and panel["progress"].decided:
            page.background = BackgroundTask(self._end, "decided")
        return page

    def stopped(self, request: Request, reviewer: str) -> Response:
        """Why this reviewer reads no further row, and what to do instead."""
        overlooked = self.review.overlooks(reviewer)
        if overlooked is None:
            return RedirectResponse("/next", 303)
        self.review.leave(reviewer)
        return self.html("stopped.html", overlooked=overlooked, **self._panel(reviewer))

    def condition(self, request: Request, reviewer: str) -> Response:
        """A suspected condition: rows with it beside rows without it."""
        suspects = self.review.suspects()
        keys = [suspect.key for suspect in suspects]
        if request.path_params["key"] not in keys:
            raise HTTPException(404, "This audit suspects no such condition.")
        at = keys.index(request.path_params["key"])
        suspect = suspects[at]
        word = self.review.word_on(reviewer, suspect.key)
        card = condition_view(suspect, self.review.rows_of(suspect), word, self.review.findings)
        following = keys[at + 1] if at + 1 < len(keys) else None
        more = {"number": at + 1, "total": len(keys), **self._panel(reviewer), **self.form()}
        return self.html("condition.html", card=card, following=following, **more)

    def answer(self, request: Request, reviewer: str, form: Form) -> Response:
        """Save a word on a suspected condition; on to the next one, or to the verdict."""
        key = form.get("key", "")
        if key not in {suspect.key for suspect in self.review.suspects()}:
            raise HTTPException(404, "This audit suspects no such condition.")
        said = read_answer(form)
        self.review.say_of_condition(reviewer, key, said.mark, said.note, said.nonce)
        waiting = self.review.unanswered(reviewer)
        return RedirectResponse("/next" if waiting is None else f"/condition/{waiting.key}", 303)

    def label(self, request: Request, reviewer: str, form: Form) -> Response:
        """Save one label."""
        said = read_label(form)
        row = self._row(form.get("key", ""), reviewer)
        self.review.say(reviewer, row, said.mark, said.category, said.note, said.seconds, said.nonce)
        if "x-review-script" in request.headers:
            return self.html("panel.html", **self._panel(reviewer))
        return RedirectResponse("/next", 303)

    def undo(self, request: Request, reviewer: str, form: Form) -> Response:
        """Take the last label back and show its row."""
        if self.review.overlooks(reviewer):  # the stop has told that the last card was a planted one
            return RedirectResponse("/next", 303)
        label = self.review.undo(reviewer)
        if label is not None and label.stream == "condition":
            return RedirectResponse(f"/condition/{label.row_id}", 303)
        key = self.review.queue.key(label.row_id) if label else None
        return RedirectResponse(f"/row/{key}" if key else "/next", 303)

    def go_on(self, request: Request, reviewer: str, form: Form) -> Response:
        """Label further rows although the verdict stands."""
        self._going_on.add((reviewer, self.review.decision().status))
        return RedirectResponse("/next", 303)

    def leave(self, request: Request, reviewer: str, form: Form) -> Response:
        """This reviewer stops, or another takes over; the review goes on."""
        self.review.leave(reviewer)
        return self.forget(RedirectResponse("/", 303))

    def finish(self, request: Request, reviewer: str, form: Form) -> Response:
        """End the review for everybody."""
        self.review.leave(reviewer)
        response = self.html("finished.html", decision=self.review.decision(), labels=len(self.review.store.labels()))
        response.background = BackgroundTask(self._end, "finished")
        return response

    def _reviewer(self, request: Request) -> str:
        name = super()._reviewer(request)
        return self.review.known_as(name) if name else name

    def _row(self, key: str, reviewer: str) -> Row:
        row = self.review.queue.row(key)
        if row is None or not self.review.was_served(reviewer, row.id):
            raise HTTPException(404, "This is none of your rows.")
        return row

    def _panel(self, reviewer: str) -> dict[str, Any]:
        recent = self.review.recent(reviewer)
        keys = [self.review.queue.key(x.row_id) for x in recent]
        progress = self.review.progress(reviewer)
        decided = self._stops(progress.decision, reviewer)
        overlooks = progress.decision.status is Status.UNDECIDED and self.review.overlooks(reviewer) is not None
        return {
            "progress": progress, "reviewer": reviewer, "stop": decided or overlooks,
            "stop_at": "/decided" if decided else "/stopped",
            "recent": [(key, label, self._opening(label)) for key, label in zip(keys, recent, strict=True) if key],
        }  # fmt: skip

    def _stops(self, decision: AuditDecision, reviewer: str) -> bool:
        """Whether further rows can wait: the verdict stands, or all it waits for is this reviewer on a condition."""
        if (reviewer, decision.status) in self._going_on:
            return False
        asked = decision.waits_for_a_person and self.review.unanswered(reviewer) is not None
        return asked or decision.status is not Status.UNDECIDED

    def _opening(self, label: Label) -> str:
        row = self.review.queue.row(self.review.queue.key(label.row_id) or "")
        return " ".join((row.prompt or row.answer)[:200].split())[:70] if row else ""


def make_app(
    review: Review, access: Access, hosts: Collection[str], end: Callable[[str], None], until_decided: bool = False
) -> Starlette:
    """The application behind its gate."""
    pages = ReviewApp(review, access, end, until_decided)
    return application(pages, pages.routes(), hosts)
