"""Pages from templates: every value is escaped, and no character stays hidden."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from offtarget.numbers import chosen, duration, of, percent, whole
from offtarget.review.passages import visible

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"


class Templates:
    """The templates of one kind of review, over those that all share. `known`: what every template may use."""

    def __init__(self, folder: Path, **known: Any) -> None:
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader([folder / "templates", FOLDER / "templates"]),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_seen,
        )
        self._environment.globals.update(known)
        self._environment.filters |= {
            "chosen": chosen, "duration": duration, "of": of, "percent": percent, "whole": whole,
        }  # fmt: skip

    def render(self, template: str, **values: Any) -> str:
        """A page as text."""
        return self._environment.get_template(template).render(**values)


def _seen(value: Any) -> Any:
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
