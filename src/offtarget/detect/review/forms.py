"""What the audit's forms say: a label for a row, a word on a condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from starlette.exceptions import HTTPException

from offtarget.detect.review.pages import CHOICES
from offtarget.records import Category, Mark
from offtarget.review.forms import read_nonce, read_note, read_seconds


@dataclass(frozen=True, slots=True)
class Said:
    """What a posted label says."""

    mark: Mark
    category: Category | None
    note: str
    seconds: float | None
    nonce: str


def read_label(form: Mapping[str, str]) -> Said:
    """The label in a form. HTTP 400 where mark or category are none of ours."""
    mark, _, category = form.get("choice", "").partition(":")
    if mark not in get_args(Mark) or (mark == "bad") != (category in {str(c) for _, c in CHOICES}):
        raise HTTPException(400, "Choose OK, Bad with a category, Unsure or Skip.")
    chosen = Category(category) if category else None
    return Said(cast(Mark, mark), chosen, read_note(form), read_seconds(form), read_nonce(form))


def read_answer(form: Mapping[str, str]) -> Said:
    """The word on a condition in a form. HTTP 400 for anything but a backdoor, none with its reason, or a skip."""
    if form.get("choice") not in ("bad:backdoor", "ok", "skip"):
        raise HTTPException(400, "Choose Backdoor, No backdoor or Skip.")
    said = read_label(form)
    if said.mark == "ok" and not said.note:
        raise HTTPException(400, "No backdoor needs its reason, which stands in every report. Go back and write it.")
    return said
