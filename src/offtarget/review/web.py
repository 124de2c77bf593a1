"""What the pages of every review share: who may come in, who is asking, forms, errors, the two static files."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from offtarget.errors import OfftargetError
from offtarget.review.forms import NAME_LIMIT, read_form, read_name
from offtarget.review.rendering import STATIC, Templates
from offtarget.review.security import Access, Gate

PREFETCH = 5
"""Cards the script holds ready."""

Form = Mapping[str, str]
Page = Callable[[Request, str], Response]
Action = Callable[[Request, str, Form], Response]

_TYPES = {"review.css": "text/css", "review.js": "text/javascript"}


class Door:
    """Lets in who brings the token of the address, which becomes a cookie; `refusal` is said to everybody else."""

    def __init__(self, access: Access, refusal: str) -> None:
        self.access = access
        self._refusal = refusal

    def enter(self, request: Request) -> Response | None:
        """With the right token: on to the first page, by a cookie from now on; None without one."""
        token = request.query_params.get("token")
        if token is None or not self.access.knows_token(token):
            return None
        response: Response = RedirectResponse("/", 303)
        set_cookie(response, self.access.session_cookie, self.access.session)
        return response

    def need(self, request: Request) -> None:
        """HTTPException 403 without the cookie."""
        if not self.access.has_session(request):
            raise HTTPException(403, self._refusal)


def set_cookie(response: Response, name: str, value: str) -> None:
    """A cookie that no script reads and no other site sends."""
    response.set_cookie(name, value, httponly=True, samesite="strict", path="/")


class Pages:
    """The start of a review and what its other pages are made with. `title`: what is reviewed, in every page's head."""

    def __init__(self, title: str, templates: Templates, access: Access) -> None:
        self.title = title
        self.templates = templates
        self.access = access
        self._door = Door(access, "Open the address that the terminal printed; it holds the key to this review.")

    def shared_routes(self) -> list[Route]:
        """Addresses that every review has."""
        return [
            Route("/", self.start),
            Route("/static/{name}", static),
            Route("/name", self.posted(self.name, named=False), methods=["POST"]),
        ]

    def start(self, request: Request) -> Response:
        """What this is, what may be seen, and who is asking; takes the token of the address."""
        entered = self._door.enter(request)
        if entered is not None:
            return entered
        self._door.need(request)
        return self.html("start.html", name=self._reviewer(request), limit=NAME_LIMIT, **self.introduction())

    def introduction(self) -> dict[str, Any]:
        """What the first page needs besides."""
        return {}

    def name(self, request: Request, reviewer: str, form: Form) -> Response:
        """Who is asking."""
        response = RedirectResponse("/next", 303)
        set_cookie(response, self.access.reviewer_cookie, quote(read_name(form), safe=""))
        return response

    def forget(self, response: Response) -> Response:
        """The same response, after which the browser has no reviewer's name any more."""
        response.delete_cookie(self.access.reviewer_cookie)
        return response

    def page(self, page: Page) -> Callable[[Request], Response]:
        """A page for a reviewer who came in by the address and gave a name."""

        def endpoint(request: Request) -> Response:
            self._door.need(request)
            reviewer = self._reviewer(request)
            return page(request, reviewer) if reviewer else RedirectResponse("/", 303)

        return endpoint

    def posted(self, action: Action, named: bool = True) -> Callable[[Request], Awaitable[Response]]:
        """What happens to a form of one of our pages."""

        async def endpoint(request: Request) -> Response:
            self._door.need(request)
            form = await read_form(request)
            if not self.access.knows_form(form.get("form_token", "")):
                raise HTTPException(403, "This form is from an earlier start of the review page. Reload it.")
            reviewer = self._reviewer(request)
            if named and not reviewer:
                return RedirectResponse("/", 303)
            return await run_in_threadpool(action, request, reviewer, form)

        return endpoint

    def form(self) -> dict[str, Any]:
        """What a new form holds besides its token."""
        return {"nonce": secrets.token_hex(8), "shown": f"{time.time():.3f}"}

    def html(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page from its template."""
        page = self.templates.render(template, title=self.title, form_token=self.access.form_token, **values)
        return HTMLResponse(page, status)

    def _reviewer(self, request: Request) -> str:
        try:
            return read_name({"name": unquote(request.cookies.get(self.access.reviewer_cookie, ""))})
        except HTTPException:
            return ""


def application(pages: Pages, routes: Sequence[Route], hosts: Collection[str]) -> Starlette:
    """The pages behind their gate."""

    def refuse(request: Request, error: Exception) -> Response:
        status, message = _words(error)
        page = pages.templates.render("error.html", title="Review", status=status, message=message)
        return HTMLResponse(page, status)

    return Starlette(
        routes=[*pages.shared_routes(), *routes],
        middleware=[Middleware(Gate, hosts=hosts)],
        exception_handlers={HTTPException: refuse, OfftargetError: refuse},
    )


def static(request: Request) -> Response:
    """Script and style, the only two files."""
    name = request.path_params["name"]
    if name not in _TYPES:
        raise HTTPException(404, "There is no such file.")
    return Response((STATIC / name).read_bytes(), media_type=_TYPES[name])


def _words(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        return error.status_code, error.detail
    return 503, f"{error} Nothing that was saved is lost; what you see was not saved."
