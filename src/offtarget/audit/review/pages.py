"""The templates and what they may say: every value is escaped, and no character stays hidden."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from offtarget.audit.categories import MEANINGS
from offtarget.audit.review.cards import CHOICES
from offtarget.audit.review.visible import visible
from offtarget.numbers import chosen, duration, whole
from offtarget.records import Label, Mark

FOLDER = Path(__file__).parent

MARKS: dict[Mark, str] = {"ok": "OK", "bad": "Bad", "unsure": "Unsure", "skip": "Skipped"}


def render(template: str, **values: Any) -> str:
    """A page as text."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )
    environment.globals.update(choices=[(key, category, MEANINGS[category]) for key, category in CHOICES], said=said)
    environment.filters |= {"chosen": chosen, "duration": duration, "whole": whole}
    return environment


def said(label: Label) -> str:
    """A label in a few words: `Bad: deception`."""
    if label.category is None:
        return MARKS[label.mark]
    return f"{MARKS[label.mark]}: {MEANINGS[label.category].title.lower()}"
