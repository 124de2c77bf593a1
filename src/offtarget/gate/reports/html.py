"""The report as one self-contained HTML page: no network, no inline handlers, model text only ever as text.

Its Content-Security-Policy allows exactly the page's own style sheet and script, by their hashes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from importlib import resources
from typing import TYPE_CHECKING

from offtarget.gate import facts, story, text
from offtarget.gate.charts.scatter import scatter
from offtarget.gate.charts.trajectories import trajectories
from offtarget.gate.charts.whiskers import by_arm, by_question
from offtarget.gate.embedded import embedded_answers
from offtarget.gate.loading import LoadedRun
from offtarget.gate.rates import ROLES
from offtarget.gate.registry import ReportFormat
from offtarget.gate.tables import OUTCOMES, denominators, examples

if TYPE_CHECKING:
    from jinja2 import Environment

STATIC_EXAMPLES = 12
"""Pairs with a misaligned answer that are in the page even without its script."""
EXAMPLE_LENGTH = 4000


def render(run: LoadedRun) -> str:
    """The page as text that can be encoded as UTF-8."""
    from markupsafe import Markup

    style, script = _template_file("report.css"), _template_file("report.js")
    answers = embedded_answers(run)
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            run=run,
            story=story,
            facts=facts,
            roles=ROLES,
            outcomes=OUTCOMES,
            models={role: facts.model(run, role) for role in ROLES},
            arms=by_arm(run),
            questions=by_question(run),
            scatter=scatter(run),
            trajectories=trajectories(run),
            denominators=denominators(run),
            examples=examples(run, STATIC_EXAMPLES),
            example_length=EXAMPLE_LENGTH,
            answers=answers,
            # These three are our own files and JSON without any character HTML could act on.
            style=Markup(style),  # noqa: S704
            script=Markup(script),  # noqa: S704
            data=Markup(answers.json),  # noqa: S704
            policy=(
                f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
                "base-uri 'none'; form-action 'none'"
            ),
        )
    )


@functools.cache
def _template_file(name: str) -> str:
    return resources.files("offtarget.gate").joinpath(f"templates/{name}").read_text(encoding="utf-8")


def _hash(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(_template_file),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("visible", "one_line", "percent", "points", "between", "of", "e_value"):
        environment.filters[name] = getattr(text, name)
    return environment


FORMAT = ReportFormat("html", "report.html", "one self-contained page", render)
