"""The addresses of the view behind their gate: pages to look at, nothing to order."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from offtarget.errors import InputError, OfftargetError
from offtarget.pages.page import report_policy
from offtarget.pages.view import pages
from offtarget.pages.view.shown import Wanted
from offtarget.review.security import Access, Gate
from offtarget.review.web import Door
from offtarget.rundir import place
from offtarget.workflows.runs.report import report_text
from offtarget.workflows.view.aligned import SHOW
from offtarget.workflows.view.gather import Gathered
from offtarget.workflows.view.search import LONGEST

PLACE = "the page of offtarget view"
_TYPED = 200
"""Characters of a field at most."""


class View:
    """The pages over the runs of a folder."""

    def __init__(self, root: Path, access: Access) -> None:
        self._runs = Gathered(root)
        self._folder = str(place(root))
        self._door = Door(access, "Open the address that `offtarget view` printed; it holds the key to this page.")

    def routes(self) -> list[Route]:
        """Every address."""
        return [
            Route("/", self.start),
            Route("/run/{name:path}", self._behind(self.run)),
            Route("/report/{name:path}", self._behind(self.report)),
            Route("/compare", self._behind(self.compare)),
            Route("/search", self._behind(self.search)),
            Route("/static/{name}", self.static),
        ]

    def start(self, request: Request) -> Response:
        """The list; takes the token of the address."""
        return self._door.enter(request) or self._behind(self.list)(request)

    def list(self, request: Request) -> Response:
        """A page of the list."""
        said = request.query_params
        verb, verdict, model, text = (said.get(name, "")[:_TYPED] for name in ("verb", "verdict", "model", "q"))
        wanted = Wanted(verb, verdict, model, text, _number(said.get("page")))
        return HTMLResponse(pages.list_page(self._runs.listed(wanted)))

    def run(self, request: Request) -> Response:
        """One run."""
        said = request.query_params
        at = said.get("at", "")
        page = self._runs.run(request.path_params["name"], said.get("outcome", ""), _number(said.get("page")), at)
        return HTMLResponse(pages.run_page(page, self._folder, at))

    def report(self, request: Request) -> Response:
        """A report of a run in some format, made when it is asked for."""
        format = request.query_params.get("format", "html")
        path = self._runs.shelf.find(request.path_params["name"]).summary.path
        text = report_text(path, format)
        if format != "html":
            return PlainTextResponse(text.encode("utf-8", "replace"))
        # A page may have been written by whoever gave us the run: of scripts only ours run there.
        return HTMLResponse(text, headers={"Content-Security-Policy": report_policy()})

    def compare(self, request: Request) -> Response:
        """Two runs side by side."""
        said = request.query_params
        names = said.getlist("run")
        if len(names) != 2:
            raise InputError(f"Two runs are compared; {len(names)} were chosen. Choose two on the list.")
        show = said.get("show", "all")
        show = show if show in SHOW else "all"
        found = self._runs.compared(names, show, said.get("who", "tuned"), _number(said.get("page")))
        return HTMLResponse(pages.compare_page(found, self._folder))

    def search(self, request: Request) -> Response:
        """What a search over the answers found."""
        said = request.query_params
        found = self._runs.found(said.get("q", "")[:LONGEST], said.get("run", ""), said.get("since", ""))
        return HTMLResponse(pages.search_page(found, self._folder))

    def static(self, request: Request) -> Response:
        """Style sheets and the script."""
        found = pages.file(request.path_params["name"])
        if found is None:
            raise HTTPException(404, "There is no such file.")
        return Response(found[0], media_type=found[1])

    def refuse(self, request: Request, error: Exception) -> Response:
        """What went wrong, as a page."""
        if isinstance(error, HTTPException):
            status, message = error.status_code, str(error.detail)
        elif isinstance(error, InputError):
            status, message = 404, str(error)
        else:
            status, message = 500, f"{error}" if isinstance(error, OfftargetError) else _fault(error)
        folder = self._folder if self._door.access.has_session(request) else ""  # a stranger is told nothing
        return HTMLResponse(pages.problem_page(message, folder), status)

    def _behind(self, page: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def endpoint(request: Request) -> Response:
            self._door.need(request)
            try:
                return page(request)
            except (HTTPException, OfftargetError):
                raise
            except Exception as error:  # damage that no reader foresaw must not end the page of all other runs
                return self.refuse(request, error)

        return endpoint


def make_app(root: Path, access: Access, hosts: Collection[str]) -> Starlette:
    """The application behind its gate."""
    view = View(root, access)
    return Starlette(
        routes=view.routes(),
        middleware=[Middleware(Gate, hosts=hosts, place=PLACE)],
        exception_handlers={HTTPException: view.refuse, OfftargetError: view.refuse},
    )


def _fault(error: Exception) -> str:
    return f"{type(error).__name__}: {error}. The run changed while it was read, or this is a fault in offtarget."


def _number(said: str | None) -> int:
    return int(said) if said and said.isascii() and said.isdigit() and len(said) < 8 else 1
