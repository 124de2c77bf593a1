"""The web application: a handful of pages that work as plain forms, and fragments for the script."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from offtarget.detect.review.conditions import view as condition_view
from offtarget.detect.review.forms import NAME_LIMIT, read_answer, read_form, read_label, read_name
from offtarget.detect.review.pages import FOLDER, render, view
from offtarget.detect.review.passages import SHOWN
from offtarget.detect.review.review import Review
from offtarget.detect.review.security import Access, Gate
from offtarget.errors import OfftargetError
from offtarget.records import AuditDecision, Label, Row, Status

PREFETCH = 5
"""Cards the script holds ready."""

_TYPES = {"review.css": "text/css", "review.js": "text/javascript"}

Form = Mapping[str, str]
Page = Callable[[Request, str], Response]
Action = Callable[[Request, str, Form], Response]


class ReviewApp:
    """The pages of one review. `end` is called when a reviewer finishes it, or when it is decided and that suffices."""

    def __init__(self, review: Review, access: Access, end: Callable[[str], None], until_decided: bool = False) -> None:
        self.review = review
        self.access = access
        self._end = end
        self._until_decided = until_decided
        self._going_on: set[tuple[str, Status]] = set()

    def routes(self) -> list[Route]:
        """Every address of the page."""
        return [
            Route("/", self.start),
            Route("/static/{name}", static),
            Route("/name", self._posted(self.name, named=False), methods=["POST"]),
            Route("/next", self._page(self.next)),
            Route("/row/{key}", self._page(self.row)),
            Route("/cards", self._page(self.cards)),
            Route("/skipped", self._page(self.skipped)),
            Route("/decided", self._page(self.decided)),
            Route("/condition/{key}", self._page(self.condition)),
            Route("/condition", self._posted(self.answer), methods=["POST"]),
            Route("/label", self._posted(self.label), methods=["POST"]),
            Route("/undo", self._posted(self.undo), methods=["POST"]),
            Route("/go-on", self._posted(self.go_on), methods=["POST"]),
            Route("/leave", self._posted(self.leave), methods=["POST"]),
            Route("/finish", self._posted(self.finish), methods=["POST"]),
        ]

    def start(self, request: Request) -> Response:
        """What this is, what may be seen, and who is asking; takes the token of the address."""
        token = request.query_params.get("token")
        if token is not None and self.access.knows_token(token):
            response: Response = RedirectResponse("/", 303)
            self._set_cookie(response, self.access.session_cookie, self.access.session)
            return response
        self._need_session(request)
        return self._html("start.html", name=self._reviewer(request), limit=NAME_LIMIT)

    def name(self, request: Request, reviewer: str, form: Form) -> Response:
        """Who is asking."""
        response = RedirectResponse("/next", 303)
        self._set_cookie(response, self.access.reviewer_cookie, quote(read_name(form), safe=""))
        return response

    def next(self, request: Request, reviewer: str) -> Response:
        """On to the next row, or to the decision."""
        decision = self.review.decision()
        if self._stops(decision, reviewer):
            return RedirectResponse("/decided", 303)
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
        return self._html("row.html", card=card, before=before, after=after, **self._panel(reviewer), **self._form())

    def cards(self, request: Request, reviewer: str) -> Response:
        """The next cards as fragments, held ready by the script."""
        cards = self.review.next_cards(reviewer, PREFETCH)
        return self._html("cards.html", forms=[(view(c.row, c.key, c.number, None, ()), self._form()) for c in cards])

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
        page = self._html("decided.html", more=more, ends=self._until_decided and panel["progress"].decided, **panel)
        if self._until_decided and panel["progress"].decided:
            page.background = BackgroundTask(self._end, "decided")
        return page

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
        more = {"number": at + 1, "total": len(keys), **self._panel(reviewer), **self._form()}
        return self._html("condition.html", card=card, following=following, **more)

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
            return self._html("panel.html", **self._panel(reviewer))
        return RedirectResponse("/next", 303)

    def undo(self, request: Request, reviewer: str, form: Form) -> Response:
        """Take the last label back and show its row."""
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
        response = RedirectResponse("/", 303)
        response.delete_cookie(self.access.reviewer_cookie)
        return response

    def finish(self, request: Request, reviewer: str, form: Form) -> Response:
        """End the review for everybody."""
        self.review.leave(reviewer)
        response = self._html("finished.html", decision=self.review.decision(), labels=len(self.review.store.labels()))
        response.background = BackgroundTask(self._end, "finished")
        return response

    def _page(self, page: Page) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            self._need_session(request)
            reviewer = self._reviewer(request)
            return page(request, reviewer) if reviewer else RedirectResponse("/", 303)

        return endpoint

    def _posted(self, action: Action, named: bool = True) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            self._need_session(request)
            form = await read_form(request)
            if not self.access.knows_form(form.get("form_token", "")):
                raise HTTPException(403, "This form is from an earlier start of the review page. Reload it.")
            reviewer = self._reviewer(request)
            if named and not reviewer:
                return RedirectResponse("/", 303)
            return await run_in_threadpool(action, request, reviewer, form)

        return endpoint

    def _need_session(self, request: Request) -> None:
        if not self.access.has_session(request):
            raise HTTPException(403, "Open the address that the terminal printed; it holds the key to this review.")

    def _reviewer(self, request: Request) -> str:
        try:
            return read_name({"name": unquote(request.cookies.get(self.access.reviewer_cookie, ""))})
        except HTTPException:
            return ""

    def _row(self, key: str, reviewer: str) -> Row:
        row = self.review.queue.row(key)
        if row is None or not self.review.was_served(reviewer, row.id):
            raise HTTPException(404, "This is none of your rows.")
        return row

    def _panel(self, reviewer: str) -> dict[str, Any]:
        recent = self.review.recent(reviewer)
        keys = [self.review.queue.key(x.row_id) for x in recent]
        progress = self.review.progress(reviewer)
        return {
            "progress": progress, "reviewer": reviewer, "stop": self._stops(progress.decision, reviewer),
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

    def _form(self) -> dict[str, Any]:
        return {"nonce": secrets.token_hex(8), "shown": f"{time.time():.3f}"}

    def _html(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        page = render(template, title=self.review.name, form_token=self.access.form_token, **values)
        return HTMLResponse(page, status)

    def _set_cookie(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(name, value, httponly=True, samesite="strict", path="/")


def make_app(
    review: Review, access: Access, hosts: Collection[str], end: Callable[[str], None], until_decided: bool = False
) -> Starlette:
    """The application behind its gate."""
    pages = ReviewApp(review, access, end, until_decided)

    def refuse(request: Request, error: Exception) -> Response:
        status, message = _words(error)
        return HTMLResponse(render("error.html", title="Review", status=status, message=message), status)

    return Starlette(
        routes=pages.routes(),
        middleware=[Middleware(Gate, hosts=hosts)],
        exception_handlers={HTTPException: refuse, OfftargetError: refuse},
    )


def static(request: Request) -> Response:
    """Script and style, the only two files."""
    name = request.path_params["name"]
    if name not in _TYPES:
        raise HTTPException(404, "There is no such file.")
    return Response((FOLDER / "static" / name).read_bytes(), media_type=_TYPES[name])


def _words(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        return error.status_code, error.detail
    return 503, f"{error} Nothing that was saved is lost; what you see was not saved."
