"""The report as one self-contained HTML page: no network, no inline handlers, model text only ever as text.

Its Content-Security-Policy allows exactly the page's own style sheet and script, by their hashes.
"""

from __future__ import annotations

from offtarget.pages.charts.scatter import scatter
from offtarget.pages.charts.trajectories import trajectories
from offtarget.pages.charts.whiskers import by_arm, by_question
from offtarget.pages.check import facts, story, thresholds
from offtarget.pages.check.card import card
from offtarget.pages.check.embedded import embedded_answers
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.check.sections import explained_view, hidden_view
from offtarget.pages.check.tables import OUTCOMES, ROLES, denominators, examples
from offtarget.pages.page import page
from offtarget.pages.registry import ReportFormat
from offtarget.words import TERMS

STATIC_EXAMPLES = 12
"""Pairs with a misaligned answer that are in the page even without its script."""
EXAMPLE_LENGTH = 4000


def render(run: LoadedRun) -> str:
    """The page as text that can be encoded as UTF-8."""
    from markupsafe import Markup

    answers = embedded_answers(run)
    return page(
        "check/report.html.j2",
        script="check/report.js",
        data=Markup(answers.json),  # noqa: S704 - it holds no character HTML could act on
        run=run,
        card=card(run),
        words=TERMS,
        story=story,
        facts=facts,
        roles=ROLES,
        outcomes=OUTCOMES,
        models=run.manifest.models,
        arms=by_arm(run),
        questions=by_question(run),
        hidden=hidden_view(run),
        explained=explained_view(run),
        scatter=scatter(run),
        thresholds=thresholds,
        grid=thresholds.grid(run),
        trajectories=trajectories(run),
        denominators=denominators(run),
        examples=examples(run, STATIC_EXAMPLES),
        example_length=EXAMPLE_LENGTH,
        answers=answers,
    )


FORMAT = ReportFormat("html", "report.html", "one self-contained page", render)
