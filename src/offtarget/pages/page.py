"""What every HTML report shares: templates with escaping on, and a policy that allows the page's own files only."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Callable
from importlib import resources
from typing import TYPE_CHECKING, Any

from offtarget import numbers
from offtarget.pages import text

if TYPE_CHECKING:
    from jinja2 import Environment

NUMBERS = (
    "percent", "chosen", "points", "between", "bounds", "hundredths_range", "share_range", "whole", "e_value",
    "audit_e_value", "needed_e_value", "p_value", "times", "duration",
)  # fmt: skip
"""Filters of the templates: functions of `offtarget.numbers`, set in type."""


@functools.cache
def template_file(name: str) -> str:
    """The text of a template, style sheet or script; `name` is its path in `pages/`."""
    return resources.files("offtarget.pages").joinpath(name).read_text(encoding="utf-8")


def page(template: str, *styles: str, script: str | None = None, **values: Any) -> str:
    """A page as text that can be encoded as UTF-8: `page.css` and these style sheets, and one script at most."""
    from markupsafe import Markup

    style = "".join(map(template_file, ("page.css", *styles)))
    code = None if script is None else template_file(script)
    # Both are our own files; whatever else a template prints is escaped.
    shell = {"style": Markup(style), "script": Markup(code or ""), "policy": policy(style, code)}  # noqa: S704
    return environment().get_template(template).render(**shell, **values)


def policy(style: str, script: str | None = None) -> str:
    """A Content-Security-Policy under which this style sheet and script work and nothing else does."""
    allowed = [f"style-src '{_hash(style)}'"]
    if script is not None:
        allowed.append(f"script-src '{_hash(script)}'")
    return "; ".join(["default-src 'none'", *allowed, "img-src data:", "base-uri 'none'", "form-action 'none'"])


REPORT_SCRIPTS = ("check/report.js",)
"""Every script that a report may hold."""


@functools.cache
def report_policy() -> str:
    """A Content-Security-Policy for a server of reports: of scripts only our own run, whatever a file says."""
    scripts = " ".join(f"'{_hash(template_file(name))}'" for name in REPORT_SCRIPTS)
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src {scripts}; img-src data:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


@functools.cache
def environment() -> Environment:
    """Templates that escape everything and fail on a name that does not exist."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    made = Environment(
        loader=FunctionLoader(template_file),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {name: getattr(text, name) for name in ("visible", "one_line", "typeset", "sentence")}
    made.filters |= {name: _typeset(getattr(numbers, name)) for name in NUMBERS} | {"of_scored": text.of_scored}
    return made


def _typeset(number: Callable[[Any], str]) -> Callable[[Any], str]:
    return lambda value: text.typeset(number(value))
