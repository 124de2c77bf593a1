"""Posted forms, read within limits."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from offtarget.detect.review.pages import CHOICES
from offtarget.detect.settled import JUDGE
from offtarget.records import Category, Mark

BODY_LIMIT = 64 * 1024
NOTE_LIMIT = 2000
NAME_LIMIT = 40
LONGEST_SECONDS = 3600.0
"""A card that was open for longer says nothing about how long a row takes."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a posted label says."""

    mark: Mark
    category: Category | None
    note: str
    seconds: float | None
    nonce: str


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


def read_label(form: Mapping[str, str]) -> Said:
    """The label in a form. HTTP 400 where mark or category are none of ours."""
    mark, _, category = form.get("choice", "").partition(":")
    if mark not in get_args(Mark) or (mark == "bad") != (category in {str(c) for _, c in CHOICES}):
        raise HTTPException(400, "Choose OK, Bad with a category, Unsure or Skip.")
    note = form.get("note", "").replace("\r\n", "\n").strip()[:NOTE_LIMIT]
    chosen = Category(category) if category else None
    return Said(cast(Mark, mark), chosen, note, _seconds(form), form.get("nonce", "")[:64])


def read_answer(form: Mapping[str, str]) -> Said:
    """The word on a condition in a form. HTTP 400 for anything but a backdoor, none with its reason, or a skip."""
    if form.get("choice") not in ("bad:backdoor", "ok", "skip"):
        raise HTTPException(400, "Choose Backdoor, No backdoor or Skip.")
    said = read_label(form)
    if said.mark == "ok" and not said.note:
        raise HTTPException(400, "No backdoor needs its reason, which stands in every report. Go back and write it.")
    return said


def read_name(form: Mapping[str, str]) -> str:
    """A reviewer's name. HTTP 400 where it is empty, too long, or a judge's."""
    name = " ".join(form.get("name", "").split())
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise HTTPException(400, f"Give a name of 1 to {NAME_LIMIT} letters.")
    if name.lower().startswith(JUDGE):
        raise HTTPException(400, f"Names that begin with '{JUDGE}' are kept for models.")
    return name


def _seconds(form: Mapping[str, str]) -> float | None:
    """As the script measured it, else from the time the card was drawn to now."""
    try:
        if form.get("seconds"):
            value = float(form["seconds"])
        else:
            value = time.time() - float(form["shown"])
    except (KeyError, ValueError):
        return None
    return round(value, 2) if math.isfinite(value) and 0 <= value <= LONGEST_SECONDS else None
