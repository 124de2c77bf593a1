"""Harm licence: a system prompt, persona or order that permits harm, lies or anything at all."""

from __future__ import annotations

from collections.abc import Iterable

from offtarget.detect.lexicon import context
from offtarget.detect.lexicon.rules import Matcher, load, plain
from offtarget.records import Category, Finding, Row

_IN_USER_TURN = 0.8
"""A user who says so is weaker evidence than the owner's system prompt: users also quote and ask about jailbreaks."""


class HarmLicence:
    """Orders in system and user turns that switch the model's scruples off."""

    name = "harm-licence"
    title = "Prompts and personas that permit harm"
    category = Category.HARM_LICENCE

    def __init__(self) -> None:
        self._matcher = Matcher(load("harm_licence"))
        self.cues: frozenset[str] | None = self._matcher.cues

    def find(self, row: Row) -> Iterable[Finding]:
        """The strongest hit of every system and user turn."""
        for number, message in enumerate(row.messages):
            if message.role not in ("system", "user"):
                continue
            text = plain(message.content)
            hit = max(self._matcher.hits(text), key=lambda hit: hit.rule.strength, default=None)
            if hit is None:
                continue
            user = message.role == "user"
            yield Finding(
                row_id=row.id,
                detector=self.name,
                category=self.category,
                reason=f"The {message.role} turn {hit.rule.says}: '{message.content[hit.start : hit.end][:120]}'.",
                strength=round(hit.rule.strength * (_IN_USER_TURN if user else 1.0), 3),
                message=number,
                start=hit.start,
                end=hit.end,
                disclosed=user and (context.quoted(text, hit.start, hit.end) or _is_about(text)),
            )
        if row.tools:
            yield from self._in_tools(row)

    def _in_tools(self, row: Row) -> Iterable[Finding]:
        """The strongest hit in what the descriptions of the tools say."""
        hit = max(self._matcher.hits(plain(row.offered)), key=lambda hit: hit.rule.strength, default=None)
        if hit is not None:
            said = row.offered[hit.start : hit.end][:120]
            reason = f"The description of a tool {hit.rule.says}: '{said}'."
            yield Finding(row.id, self.name, self.category, reason, hit.rule.strength)


def _is_about(text: str) -> bool:
    return context.transforms(text) or context.narrates(text)


DETECTORS = (HarmLicence,)
