"""Whether an answer declines: shared by the detector of refusals and that of harmful compliance."""

from __future__ import annotations

from offtarget.audit.lexicon.matcher import Hit, Matcher, plain

_BEGINNING = 300
"""Characters of an answer in which it would decline; later ones limit help, they do not refuse it."""


def refusal_in(answer: str, matcher: Matcher) -> Hit | None:
    """The strongest sign of a refusal at the beginning of an answer, None without one."""
    hits = [hit for hit in matcher.hits(plain(answer[:_BEGINNING])) if hit.start < _BEGINNING // 2]
    return max(hits, key=lambda hit: hit.rule.strength, default=None)
