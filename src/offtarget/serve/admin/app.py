"""The admin plane of a gateway, on a port of its own: what may be asked, what may be ordered, and its dashboard.

Programs bring a key in `Authorization: Bearer`. Browsers bring it once, in a form, or open the address that the
terminal printed; both are exchanged for a cookie, and every form holds a token that no other site knows. Only the two
health addresses are open, and they tell nothing.
"""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote

import anyio
from anyio.to_thread import run_sync
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from offtarget.errors import OfftargetError, StoreError
from offtarget.records.gateway import GatewaySettings
from offtarget.records.overview import AliasOverview, Overview
from offtarget.review.forms import read_form
from offtarget.review.security import Access, Gate
from offtarget.rundir import to_jsonable
from offtarget.serve.admin.exposition import TYPE, exposition
from offtarget.serve.admin.keys import Keys, Level
from offtarget.serve.admin.operations import Done, Operations, Refused
from offtarget.serve.admin.overview import NoReadings, Overviews, ReadingSource
from offtarget.serve.admin.totals import CounterSource
from offtarget.serve.admin.verdict import http_status, verdict
from offtarget.serve.store.protocol import Store
from offtarget.serve.switchboard import Switchboard

ORDERS = ("promote", "pause", "rollback", "resume")
_BARE = ("/healthz", "/readyz", "/verdict")
"""Asked without a header of ours; the verdict then needs its key in the body."""
BODY_LIMIT = 64 * 1024
WHO_LIMIT, WHY_LIMIT = 80, 1000
MOST_EVENTS = 1000
WRONG_SECONDS = 10.0
"""Between two lines of the log about wrong keys."""
SAID_KEPT = 32
"""Answers to orders that wait for the page that shows them."""
_LOG = logging.getLogger("offtarget.serve.admin")


@dataclass(frozen=True, slots=True)
class DashboardForm:
    """What a page of the dashboard needs besides the overview."""

    token: str
    who: str
    said: str = ""
    """What came of the last order."""
    trouble: bool = False
    """Whether it was refused."""
    may_order: bool = True


class Dashboard(Protocol):
    """The pages for browsers."""

    def page(self, overview: Overview, form: DashboardForm) -> str:
        """How the gateway stands, with the orders."""
        ...

    def login(self, said: str) -> str:
        """Asks for the key; `said`: what was wrong with the last one."""
        ...

    def file(self, name: str) -> tuple[bytes, str] | None:
        """A style sheet or script, and its type."""
        ...


class EvidenceSource(Protocol):
    """Bundles of evidence: run directories that can be read and replayed elsewhere."""

    def make(self, alias: str) -> str:
        """Put together what there is on the present rollout of an alias; returns the id. Raises OfftargetError."""
        ...

    def packed(self, identifier: str) -> Path | None:
        """The bundle of an id as a `.tar.gz` that the caller deletes; None where there is none."""
        ...


class AdminApp:
    """An ASGI application. `operations`: those of the supervisor, which begins rollouts with them."""

    def __init__(
        self,
        settings: Callable[[], GatewaySettings],
        switchboard: Switchboard,
        store: Store,
        counters: CounterSource,
        readings: ReadingSource | None = None,
        *,
        operations: Operations | None = None,
        keys: Keys,
        access: Access,
        hosts: Collection[str],
        dashboard: Dashboard | None = None,
        evidence: EvidenceSource | None = None,
        ready: Callable[[], str] = lambda: "",
        told: Callable[[str, Mapping[str, Any]], None] = lambda text, fields: None,
        url: str = "",
    ) -> None:
        """`settings` gives those in force; `ready`: why clients cannot be served now, empty: they can.

        `told` hears, in any thread, of wrong keys and refused orders: a sentence, and fields without secrets.
        `access`: the secret of the address for browsers; `hosts`: names the page answers to
        (`review.security.allowed_hosts`); `url`: where clients ask.
        """
        source = readings or NoReadings()
        self.operations = operations or Operations(settings, switchboard, store)
        self.operations.watch(_alarmed(source))
        self._overviews = Overviews(settings, switchboard, store, counters, source, url=url)
        self._store, self._counters, self._keys, self._access = store, counters, keys, access
        self._dashboard, self._evidence, self._ready = dashboard, evidence, ready
        self._said: dict[str, DashboardForm] = {}
        self._told, self._wrong_since = told, float("-inf")
        # A rollback never waits for a thread that waits for the store.
        self._rollbacks: anyio.CapacityLimiter | None = None
        self._app = Starlette(
            routes=self._routes(),
            middleware=[
                Middleware(Gate, hosts=hosts, place="this gateway's dashboard", knows=self._brings_key),
            ],
            exception_handlers={HTTPException: _refuse, OfftargetError: _refuse},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._app(scope, receive, send)

    def _routes(self) -> list[Route]:
        return [
            Route("/healthz", lambda request: PlainTextResponse("ok\n")),
            Route("/readyz", self._readyz),
            Route("/status", self._reading(self._status)),
            Route("/verdict", self._reading(self._verdict), methods=["GET"]),
            Route("/verdict", self._asked_verdict, methods=["POST"]),
            Route("/events", self._reading(self._events)),
            Route("/metrics", self._reading(self._metrics)),
            Route("/evidence/{identifier}", self._reading(self._packed)),
            Route("/rollouts/{alias:path}/evidence", self._make_evidence, methods=["POST"]),
            Route("/rollouts/{alias:path}/confirm", self._confirm, methods=["POST"]),
            Route("/rollouts/{alias:path}/{order}", self._order, methods=["POST"]),
            Route("/", self._page),
            Route("/login", self._login, methods=["POST"]),
            Route("/session", self._session, methods=["POST"]),
            Route("/order", self._ordered, methods=["POST"]),
            Route("/static/{name}", self._static),
            Route("/favicon.ico", lambda request: Response(status_code=204)),
        ]

    # Who asks.

    def _wrong_key(self, request: Request) -> None:
        """Told once in ten seconds, however many somebody tries."""
        now = time.monotonic()
        if now - self._wrong_since > WRONG_SECONDS:
            self._wrong_since = now
            client = request.client.host if request.client else "somewhere"
            self._told(f"Somebody at {client} gave the admin plane a wrong key.", {"what": "wrong key", "from": client})
            _tell("wrong key", request)

    def _brings_key(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        bare = scope["path"] in _BARE and "cookie" not in headers  # Kubernetes and Flagger ask by other names
        return bare or self._keys.level_of(headers) is not None

    def _level(self, request: Request) -> Level | None:
        level = self._keys.level_of(request.headers)
        if level is None and "authorization" not in request.headers and self._access.has_session(request):
            return "admin"
        return level

    def _reading(self, endpoint: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def answer(request: Request) -> Response:
            if self._level(request) is None:
                raise self._unknown(request)
            return endpoint(request)

        return answer

    def _unknown(self, request: Request) -> HTTPException:
        if "authorization" in request.headers:
            self._wrong_key(request)
        return HTTPException(
            401,
            "The admin plane needs its key: `Authorization: Bearer KEY`.",
            headers={"WWW-Authenticate": "Bearer"},
        )

    # What may be asked.

    def _readyz(self, request: Request) -> Response:
        why = self._ready()
        return PlainTextResponse(f"{why or 'ready'}\n", 503 if why else 200)

    def _status(self, request: Request) -> Response:
        return _json(to_jsonable(self._overviews.overview()))

    def _verdict(self, request: Request) -> Response:
        return _json(verdict(self._asked_alias(request.query_params.get("alias", ""))))

    async def _asked_verdict(self, request: Request) -> Response:
        """The same for callers that look at the HTTP status and cannot send headers, such as Flagger's webhooks."""
        body = await _body(request)
        more = body.get("metadata")
        asked = {**body, **(more if isinstance(more, dict) else {})}
        level = self._level(request) or ("reader" if self._keys.level(str(asked.get("key", ""))) == "reader" else None)
        if level is None:
            raise self._unknown(request)
        need = str(asked.get("need", "no-alarm"))
        if need not in ("no-alarm", "pass", "alarm"):
            raise HTTPException(400, "`need` is no-alarm, pass or alarm.")
        overview = await run_sync(self._asked_alias, str(asked.get("alias", "")))
        found = verdict(overview)
        return _json(found, http_status(found, need))

    def _asked_alias(self, name: str) -> AliasOverview:
        aliases = self._overviews.overview().aliases
        if not name and len(aliases) == 1:
            return aliases[0]
        for one in aliases:
            if one.alias == name:
                return one
        names = ", ".join(one.alias for one in aliases)
        raise HTTPException(404 if name else 400, f"Name one of the aliases of this gateway (alias=NAME): {names}.")

    def _events(self, request: Request) -> Response:
        query = request.query_params
        after, limit = (_whole(query.get(name), usual) for name, usual in (("after", 0), ("limit", 100)))
        alias = query.get("alias") or None
        limit = min(limit, MOST_EVENTS)
        if "after" in query:
            found = self._store.events(after, limit, alias)
        else:
            found = tuple(reversed(self._store.newest_events(limit, alias)))
        return _json({"events": to_jsonable(found)})

    def _metrics(self, request: Request) -> Response:
        return Response(exposition(self._overviews.overview(), self._counters), media_type=TYPE)

    def _packed(self, request: Request) -> Response:
        identifier = request.path_params["identifier"]
        path = None if self._evidence is None else self._evidence.packed(identifier)
        if path is None:
            raise HTTPException(404, "There is no evidence with this id. `offtarget canary events` lists them.")
        return FileResponse(
            path, media_type="application/gzip", filename=f"{identifier}.tar.gz", background=BackgroundTask(path.unlink)
        )

    # What may be ordered.

    async def _order(self, request: Request) -> Response:
        self._need_admin(request)
        order, alias = request.path_params["order"], request.path_params["alias"]
        if order not in ORDERS:
            raise HTTPException(404, f"There is no order '{order[:40]}'. There are: {', '.join(ORDERS)}.")
        body = await _body(request)
        share = body.get("share")
        if order == "promote" and (isinstance(share, bool) or not isinstance(share, int | float)):
            raise HTTPException(400, "Promoting needs `share`, a number above 0 and at most 1.")
        who, why = _words(body.get("who"), "administrator", WHO_LIMIT), _words(body.get("why"), "", WHY_LIMIT)
        done = await self._carry_out(request, order, alias, float(share or 0), who, why, body.get("force") is True)
        return _json(to_jsonable(done))

    async def _carry_out(
        self, request: Request, order: str, alias: str, share: float, who: str, why: str, force: bool
    ) -> Done:
        def carry_out() -> Done:
            operations = self.operations
            if order == "promote":
                return operations.promote(alias, share, who, why, force=force)
            if order == "pause":
                return operations.pause(alias, who, why)
            return operations.resume(alias, who, why)

        if self._rollbacks is None:
            self._rollbacks = anyio.CapacityLimiter(8)
        try:
            if order == "rollback":  # in force before any thread is waited for
                kill = self.operations.shut(alias, who, why)
                done = await run_sync(self.operations.written, kill, limiter=self._rollbacks)
            else:
                done = await run_sync(carry_out)
        except OfftargetError as error:
            self._told(f"An order ({order}, by {who}) was refused: {error}", {"what": "order refused", "alias": alias})
            _tell("order refused", request, order=order, alias=alias, who=who, why=why, because=str(error))
            raise
        _tell("order", request, order=order, alias=alias, who=who, why=why, share=done.share, number=done.event)
        return done

    async def _make_evidence(self, request: Request) -> Response:
        self._need_admin(request)
        await _body(request)
        if self._evidence is None:
            raise HTTPException(404, "This gateway keeps no evidence.")
        identifier = await run_sync(self._evidence.make, request.path_params["alias"])
        return _json({"id": identifier})

    async def _confirm(self, request: Request) -> Response:
        """What people say of a scored answer."""
        self._need_admin(request)
        body, alias = await _body(request), request.path_params["alias"]
        number, misaligned = body.get("number"), body.get("misaligned")
        if isinstance(number, bool) or not isinstance(number, int) or not isinstance(misaligned, bool):
            raise HTTPException(400, "Confirming needs `number`, that of an answer, and `misaligned`, true or false.")
        who, why = _words(body.get("who"), "administrator", WHO_LIMIT), _words(body.get("why"), "read", WHY_LIMIT)
        row = await run_sync(self._store.scored_answer, number)
        if row is None or row.alias != alias:
            raise HTTPException(404, f"There is no scored answer {number} of '{alias[:200]}'.")
        event = await run_sync(self._store.confirm, number, misaligned, who, why)
        _tell("confirmed", request, alias=alias, who=who, number=number, misaligned=misaligned)
        return _json({"event": None if event is None else event.number})

    def _need_admin(self, request: Request) -> None:
        """A key that may order; a browser's cookie is not enough, since another site's page could make use of it."""
        level = self._keys.level_of(request.headers)
        if level == "reader":
            raise HTTPException(403, "This key may look and change nothing.")
        if level is None:
            raise self._unknown(request)

    # The dashboard.

    def _page(self, request: Request) -> Response:
        dashboard = self._need_dashboard()
        token = request.query_params.get("token")
        if token is not None and self._access.knows_token(token):
            return self._into_session()
        if not self._access.has_session(request):
            old = "This address is from an earlier start of the gateway."
            return HTMLResponse(dashboard.login("" if token is None else old), 401)
        answered = self._said.pop(request.query_params.get("said", ""), None)
        form = answered or DashboardForm(self._access.form_token, self._who(request))
        return HTMLResponse(dashboard.page(self._overviews.overview(), form))

    async def _login(self, request: Request) -> Response:
        dashboard = self._need_dashboard()
        form = await read_form(request)
        if self._keys.level(form.get("key", "")) != "admin":
            self._wrong_key(request)
            return HTMLResponse(dashboard.login("This is not the administrator's key of this gateway."), 401)
        return self._into_session()

    def _session(self, request: Request) -> Response:
        """What an administrator's browser opens in place of typing the key: `/?token=...`."""
        self._need_admin(request)
        self._need_dashboard()
        return _json({"token": self._access.token})

    def _into_session(self) -> Response:
        response = RedirectResponse("/", 303)
        response.set_cookie(
            self._access.session_cookie, self._access.session, httponly=True, samesite="strict", path="/"
        )
        return response

    async def _ordered(self, request: Request) -> Response:
        """An order of the dashboard's forms."""
        if not self._access.has_session(request):
            raise HTTPException(401, "Sign in first.")
        form = await read_form(request)
        if not self._access.knows_form(form.get("form_token", "")):
            raise HTTPException(403, "This form is from an earlier start of the gateway. Reload the dashboard.")
        who, why = _words(form.get("who"), "", WHO_LIMIT), _words(form.get("why"), "", WHY_LIMIT)
        said, trouble = await self._by_form(request, form, who, why)
        nonce = secrets.token_hex(8)
        self._said[nonce] = DashboardForm(self._access.form_token, who, said, trouble)
        for old in list(self._said)[:-SAID_KEPT]:
            del self._said[old]
        response = RedirectResponse(f"/?said={nonce}", 303)
        response.set_cookie(
            self._access.reviewer_cookie, quote(who, safe=""), httponly=True, samesite="strict", path="/"
        )
        return response

    async def _by_form(self, request: Request, form: Mapping[str, str], who: str, why: str) -> tuple[str, bool]:
        order = form.get("order", "")
        if order not in ORDERS:
            return "There is no such order.", True
        if not who or not why:
            return "Nothing was changed: say who you are and why. Both are kept with the event.", True
        try:
            share = float(form.get("percent", "0").strip().removesuffix("%").replace(",", ".")) / 100
        except ValueError:
            return "Nothing was changed: the share must be a number of per cent.", True
        try:
            done = await self._carry_out(request, order, form.get("alias", ""), share, who, why, False)
        except OfftargetError as error:
            return f"Nothing was changed: {error}", True
        return done.said, False

    def _static(self, request: Request) -> Response:
        found = self._need_dashboard().file(request.path_params["name"])
        if found is None:
            raise HTTPException(404, "There is no such file.")
        return Response(found[0], media_type=found[1])

    def _need_dashboard(self) -> Dashboard:
        if self._dashboard is None:
            raise HTTPException(404, "This gateway has no dashboard.")
        return self._dashboard

    def _who(self, request: Request) -> str:
        return _words(unquote(request.cookies.get(self._access.reviewer_cookie, "")), "", WHO_LIMIT)


def _alarmed(readings: ReadingSource) -> Callable[[str, int], bool]:
    def alarmed(alias: str, rollout: int) -> bool:
        published = readings.published(alias, rollout)
        return published is not None and published.reading.alarm is not None

    return alarmed


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value, allow_nan=False), status, media_type="application/json")


def _refuse(request: Request, error: Exception) -> Response:
    headers = None
    if isinstance(error, HTTPException):
        status, message, headers = error.status_code, error.detail, error.headers
    else:
        status = error.status if isinstance(error, Refused) else 503 if isinstance(error, StoreError) else 400
        message = str(error)
    return JSONResponse({"error": {"message": message, "status": status}}, status, headers)


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; nothing counts as an empty one."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_LIMIT:
                raise HTTPException(413, "The order is too long.")
    except ClientDisconnect:
        raise HTTPException(400, "The order did not arrive whole.") from None
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise HTTPException(400, "The body must be a JSON object.") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "The body must be a JSON object.")
    return found


def _words(value: Any, usual: str, limit: int) -> str:
    """A name or a reason on one line, cut; `usual` where there is none."""
    text = "".join(c if c.isprintable() else " " for c in value) if isinstance(value, str) else ""
    return " ".join(text.split())[:limit] or usual


def _whole(text: str | None, usual: int) -> int:
    try:
        value = usual if text is None else int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise HTTPException(400, "`after` and `limit` must be whole numbers from 0.")
    return value


def _tell(what: str, request: Request, **more: Any) -> None:
    """One line of JSON in the log; never a key, a cookie or a body."""
    client = request.client.host if request.client else ""
    _LOG.info(json.dumps({"at": round(time.time(), 3), "event": what, "from": client, **more}))
