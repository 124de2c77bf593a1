"""Posted forms, read within limits: what every review's forms hold."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from offtarget.records.audit import JUDGE

BODY_LIMIT = 64 * 1024
NOTE_LIMIT = 2000
NAME_LIMIT = 40
LONGEST_SECONDS = 3600.0
"""A card that was open for longer says nothing about how long a card takes."""


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; the last one wins. HTTP 413 beyond 64 kB, 400 for what is no form."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_LIMIT:
                raise HTTPException(413, "The form is too long; shorten the note.")
    except ClientDisconnect:  # half a form is no label, and nobody is there to be told
        raise HTTPException(400, "The form did not arrive whole.") from None
    try:
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=50))
    except ValueError:
        raise HTTPException(400, "This is not a form of the review page.") from None


def read_name(form: Mapping[str, str]) -> str:
    """A reviewer's name. HTTP 400 where it is empty, too long, or a judge's."""
    name = " ".join(form.get("name", "").split())
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise HTTPException(400, f"Give a name of 1 to {NAME_LIMIT} letters.")
    if name.lower().startswith(JUDGE):
        raise HTTPException(400, f"Names that begin with '{JUDGE}' are kept for models.")
    return name


def read_note(form: Mapping[str, str]) -> str:
    """What the reviewer wrote beside the label, cut to `NOTE_LIMIT` characters."""
    return form.get("note", "").replace("\r\n", "\n").strip()[:NOTE_LIMIT]


def read_nonce(form: Mapping[str, str]) -> str:
    """What makes a form that is sent twice one label."""
    return form.get("nonce", "")[:64]


def read_seconds(form: Mapping[str, str]) -> float | None:
    """Seconds the card was open: as the script measured them, else from the time it was drawn to now."""
    try:
        if form.get("seconds"):
            value = float(form["seconds"])
        else:
            value = time.time() - float(form["shown"])
    except (KeyError, ValueError):
        return None
    return round(value, 2) if math.isfinite(value) and 0 <= value <= LONGEST_SECONDS else None
