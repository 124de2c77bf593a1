"""The report as one self-contained HTML page: no network, no inline handlers, model text only ever as text.

Its Content-Security-Policy allows exactly the page's own style sheet and script, by their hashes.
"""

from __future__ import annotations

from offtarget.gate import explained, facts, hidden, story
from offtarget.gate.charts.scatter import scatter
from offtarget.gate.charts.trajectories import trajectories
from offtarget.gate.charts.whiskers import by_arm, by_question
from offtarget.gate.embedded import embedded_answers
from offtarget.gate.loading import LoadedRun
from offtarget.gate.page import page
from offtarget.gate.registry import ReportFormat
from offtarget.gate.tables import OUTCOMES, ROLES, denominators, examples

STATIC_EXAMPLES = 12
"""Pairs with a misaligned answer that are in the page even without its script."""
EXAMPLE_LENGTH = 4000


def render(run: LoadedRun) -> str:
    """The page as text that can be encoded as UTF-8."""
    from markupsafe import Markup

    answers = embedded_answers(run)
    return page(
        "report.html.j2",
        script="report.js",
        data=Markup(answers.json),  # noqa: S704 - it holds no character HTML could act on
        run=run,
        story=story,
        facts=facts,
        roles=ROLES,
        outcomes=OUTCOMES,
        models=run.manifest.models,
        arms=by_arm(run),
        questions=by_question(run),
        hidden=hidden.view(run),
        explained=explained.view(run),
        scatter=scatter(run),
        trajectories=trajectories(run),
        denominators=denominators(run),
        examples=examples(run, STATIC_EXAMPLES),
        example_length=EXAMPLE_LENGTH,
        answers=answers,
    )


FORMAT = ReportFormat("html", "report.html", "one self-contained page", render)
