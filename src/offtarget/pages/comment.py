"""The comment on a pull request: verdict first, the numbers, two answers, and the rest folded.

Its first line is a comment of HTML that nobody sees: by it whoever posts the next one finds this one and replaces it.
Texts of models and strangers pass `written.escape`: none of them can be markup, mention or link anybody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from offtarget.pages.card import Card
from offtarget.pages.written import escape, markdown

QUOTED = 2
"""Exchanges that are quoted; everything else is a click away."""
CAUTIONS = 3
"""What must be known beside the verdict and is not folded."""
LONGEST = 60_000
"""Characters at most; GitHub refuses a comment of more than 65,536, GitLab of more than a million."""


def marker(verb: str, *about: str) -> str:
    """The first line of a comment about these models or data; the same for every run of the same."""
    key = hashlib.sha256("\n".join(about).encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"<!-- offtarget {verb.replace(' ', '-')} {key} -->"


def comment(card: Card, verb: str, about: Sequence[str], run: str, *folded: tuple[str, Sequence[str]]) -> str:
    """The comment as GitHub-flavoured Markdown.

    `about`: names of what was looked at, the same in every run of it; `folded`: titles and lines of Markdown.
    """
    cautions, step = card.cautions, card.steps[0] if card.steps else None
    shown = replace(
        card,
        exchanges=card.exchanges[:QUOTED],
        steps=() if step is None else (step,),
        cautions=cautions[:CAUTIONS],
        cost="",
    )
    head = markdown(shown).replace("## offtarget: ", f"### offtarget {verb}: ", 1).replace("\n### ", "\n#### ", 1)
    lines = [marker(verb, *about), head]
    lines += _fold("More to know beside the verdict", [f"- {escape(caution, 1000)}" for caution in cautions[CAUTIONS:]])
    for title, inner in folded:
        more = _fold(title, inner)
        if sum(map(len, [*lines, *more])) + len(lines) + len(more) > LONGEST:
            more = _fold(title, ["Too long for a comment; the report of the run has it."])
        lines += more
    lines += [f"Run {escape(run)}" + (f", took {escape(card.cost)}." if card.cost else ".")]
    return "\n".join(lines).rstrip() + "\n"


def of_card(card: Card, verb: str, run: str) -> str:
    """The comment of a verb that has nothing more to fold than its card says."""
    return comment(card, verb, (card.subject,), run)


def _fold(title: str, lines: Sequence[str]) -> list[str]:
    if not lines:
        return []
    return ["<details>", f"<summary>{escape(title)}</summary>", "", *lines, "", "</details>", ""]
