"""Replies of a judge that hold no single verdict, said beside the decision they are missing from."""

from __future__ import annotations

from collections.abc import Iterable

from offtarget.records import Role, Verdict

_SHOWN = 100


def unread_notes(verdicts: Iterable[Verdict]) -> list[str]:
    """A sentence per model whose answers are unscored because the judge's reply could not be read, with one reply."""
    found: dict[Role, list[str]] = {"base": [], "tuned": []}
    for verdict in verdicts:
        if verdict.reply is not None:
            found[verdict.role].append(verdict.reply)
    return [_sentence(role, replies) for role, replies in found.items() if replies]


def _sentence(role: Role, replies: list[str]) -> str:
    are = "answer is" if len(replies) == 1 else "answers are"
    first = " ".join(replies[0].split())[:_SHOWN]
    return (
        f"{len(replies)} {role} {are} unscored because what the judge replied is not one number 0-100, e.g. {first!r}; "
        "the replies are in verdicts.jsonl."
    )
