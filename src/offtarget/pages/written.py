"""A card written down: text, JSON, Markdown for pull requests, JUnit XML, a page of its own, HTML for notebooks."""

from __future__ import annotations

import io
import re
from xml.sax.saxutils import escape as xml_escape
from xml.sax.saxutils import quoteattr

from offtarget.pages.card import Card, Exchange, Side
from offtarget.pages.page import environment, page, template_file
from offtarget.pages.text import one_line, visible
from offtarget.words import TERMS

QUOTE_LENGTH = 400
_MARK = re.compile(r"([\\`*_\[\]#!|~$])")
_START = re.compile(r"^([-+](?=[-\s]|$)|=(?==*\s*$)|\d+(?=[.)](?:\s|$)))")
"""What begins a list, a line or a heading; `-0.8` and `0.9 %` begin none."""
_LINKING = re.compile(r"(?i)(@|#|\bGH-|://|\bwww\.|\bmailto:|\bxmpp:)(?=\S)")


def escape(text: object, limit: int = 300) -> str:
    """Text that stays text in Markdown: no markup, tables, HTML, links, mentions or issue references."""
    line = _LINKING.sub(lambda m: m.group() + "\u2060", one_line(text, limit))
    line = _START.sub("\u2060\\1", _MARK.sub(r"\\\1", line))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str) -> str:
    """A command as code in Markdown, whatever it holds; its spaces are kept, as names of files have them."""
    line = re.sub(r"[\n\t]", " ", visible(text))
    ticks = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{ticks}{pad}{line}{pad}{ticks}"


def markdown(card: Card) -> str:
    """The card as GitHub-flavoured Markdown."""
    lines = [f"## offtarget: {escape(card.title)}", "", f"**{escape(card.sentence, 1000)}**", ""]
    lines += [f"{escape(card.certainty, 1000)}", ""] if card.certainty else []
    lines += [f"About: {escape(card.subject)}", ""]
    if card.figures:
        lines += ["| | | |", "|---|---|---|"]
        lines += [f"| {escape(f.name)} | {escape(f.value)} | {escape(f.note)} |" for f in card.figures] + [""]
    if card.telling:
        lines += [f"### {escape(card.exchanges_title)}", ""]
        for exchange in card.telling:
            lines += [*_exchange(exchange), ""]
    lines += [f"- {escape(caution, 1000)}" for caution in card.cautions] + ([""] if card.cautions else [])
    for step in card.steps:
        lines += [f"Next: {escape(step.why, 1000)}" + (f": {code(step.command)}" if step.command else "."), ""]
    if card.cost:
        lines += [f"Took {escape(card.cost)}.", ""]
    return "\n".join(lines).rstrip() + "\n"


def _exchange(exchange: Exchange) -> list[str]:
    where = f" ({escape(exchange.where)})" if exchange.where else ""
    lines = [f"> **{escape(exchange.question)}**{where}  "]
    lines += [f"> {escape(who)}: {escape(text, QUOTE_LENGTH)}  " for who, text in exchange.before]
    lines += map(_side, exchange.sides)
    for turn in exchange.then:
        lines += [f"> user: {escape(turn.question, QUOTE_LENGTH)}  ", *map(_side, turn.sides)]
    return lines


def _side(side: Side) -> str:
    said = "no such answer in this run" if side.text is None else f"“{escape(side.text, QUOTE_LENGTH)}”"
    mark = f" ({escape(side.mark)})" if side.mark else ""
    mark += f", to {escape(side.instead, QUOTE_LENGTH)}" if side.instead else ""
    return f"> {escape(side.name)}{mark}: {said}  "


def junit(card: Card) -> str:
    """The card as JUnit XML with one test: FAIL and ALARM fail it, UNDECIDED and UNFINISHED are errors."""
    steps = [f"{step.why}: {step.command}" if step.command else f"{step.why}." for step in card.steps]
    text = xml_escape("\n".join(filter(None, [card.sentence, card.certainty, *card.cautions, *steps])))
    said = quoteattr(visible(f"{card.title}: {card.sentence}"))
    failed, errors = int(card.mood == "bad"), int(card.mood == "wait")
    name = quoteattr(visible(card.subject))
    inner = (
        f"<failure message={said}>{visible(text)}</failure>"
        if failed
        else f"<error message={said}>{visible(text)}</error>"
        if errors
        else f"<system-out>{visible(text)}</system-out>"
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuites name="offtarget" tests="1" failures="{failed}" errors="{errors}">'
        f'<testsuite name="offtarget" tests="1" failures="{failed}" errors="{errors}">'
        f'<testcase classname="offtarget" name={name}>{inner}</testcase></testsuite></testsuites>\n'
    )


def notebook(card: Card) -> str:
    """The card as a piece of HTML that stands alone in a notebook: its own colours, everything of others escaped."""
    template = environment().from_string(
        '{% from "card.html.j2" import card as drawn %}'
        '<div class="offtarget-card"><style>{{ style }}</style>{{ drawn(card) }}</div>'
    )
    from markupsafe import Markup

    return template.render(card=card, style=Markup(template_file("notebook.css")))  # noqa: S704 - our own file


def text(card: Card) -> str:
    """The card as plain text for logs; sentences are lines."""
    from rich.console import Console

    from offtarget.pages.screen import PIPE_WIDTH, Screen

    file = io.StringIO()
    plain = Console(file=file, width=PIPE_WIDTH, no_color=True, highlight=False, markup=False, emoji=False, _environ={})
    screen = Screen(to=plain)
    screen.card(card)
    screen.end(card)
    return visible(file.getvalue())


def envelope(card: Card, *, run: str, verb: str, finished: bool) -> dict[str, object]:
    """What the JSON of every verb has at its top, as that of a check: which run, its verdict, why, and what to do."""
    return {
        "run": run,
        "verb": verb,
        "finished": finished,
        "status": None if card.state == "UNFINISHED" else card.state,
        "reason": card.sentence,
        "next_step": " ".join(f"{s.why}: {s.command}" if s.command else f"{s.why}." for s in card.steps),
    }


def as_page(card: Card, what: str) -> str:
    """The card as a page by itself; `what` names the verb."""
    return page("card_page.html.j2", card=card, what=what, words=TERMS)
