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
from offtarget.gate.page import environment, policy, template_file
from offtarget.gate.rates import ROLES
from offtarget.gate.registry import ReportFormat
from offtarget.gate.tables import OUTCOMES, denominators, examples

STATIC_EXAMPLES = 12
"""Pairs with a misaligned answer that are in the page even without its script."""
EXAMPLE_LENGTH = 4000


def render(run: LoadedRun) -> str:
    """The page as text that can be encoded as UTF-8."""
    from markupsafe import Markup

    style, script = template_file("report.css"), template_file("report.js")
    answers = embedded_answers(run)
    return (
        environment()
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
            hidden=hidden.view(run),
            explained=explained.view(run),
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
            policy=policy(style, script),
        )
    )


FORMAT = ReportFormat("html", "report.html", "one self-contained page", render)
