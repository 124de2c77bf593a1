"""Questions as chat JSONL: one `{"messages": [...], "question_type": ..., "id": ...}` a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from offtarget.errors import InputError
from offtarget.located import read_text
from offtarget.probe.bank import ProbeBank
from offtarget.records import Probe


def chat_bank(path: Path) -> ProbeBank:
    """The bank of a JSONL file of chats; `question_type` becomes the domain, all probes are in the plain arm.

    Chats with more than one user turn are listed in `skipped`. InputError names file, line and id.
    """
    probes: list[Probe] = []
    skipped: list[tuple[str, str]] = []
    lines: dict[str, int] = {}
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _row(line, where)
        question_id = _identifier(row, where, number)
        where = f"{where}, question '{question_id}'"
        if question_id in lines:
            raise InputError(f"{where}: this id is taken by line {lines[question_id]}. Rename one.")
        lines[question_id] = number
        turns = [_turn(turn, where) for turn in _messages(row, where)]
        roles = [role for role, _ in turns]
        if roles not in (["user"], ["system", "user"]):
            skipped.append((question_id, f"turns {', '.join(roles)}: only one user turn after a system turn is asked"))
            continue
        probes.append(
            Probe(
                id=f"{question_id}/plain/0",
                question_id=question_id,
                arm="plain",
                prompt=turns[-1][1],
                system=turns[0][1] if len(turns) == 2 else None,
                domain=_optional(row, "question_type", "general", where),
                source=_optional(row, "source", path.name, where),
            )
        )
    return ProbeBank(path.stem, tuple(probes), tuple(skipped))


def _row(line: str, where: str) -> dict[str, Any]:
    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        row = json.loads(line, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON ({error}). Each line is one question.") from None
    if not isinstance(row, dict):
        raise InputError(f"{where}: expected an object with 'messages', found {type(row).__name__}.")
    return row


def _identifier(row: dict[str, Any], where: str, number: int) -> str:
    value = row.get("id", number)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise InputError(f"{where}: 'id' must be a name or a whole number, found {value!r}.")
    return str(value).strip()


def _messages(row: dict[str, Any], where: str) -> list[Any]:
    messages = row.get("messages")
    if not isinstance(messages, list) or not messages:
        raise InputError(f"{where}: 'messages' must be a list with at least one turn.")
    return messages


def _turn(turn: Any, where: str) -> tuple[str, str]:
    role = turn.get("role") if isinstance(turn, dict) else None
    content = turn.get("content") if isinstance(turn, dict) else None
    if role not in ("system", "user", "assistant"):
        raise InputError(f"{where}: a turn needs the role system, user or assistant, found {role!r}.")
    if not isinstance(content, str) or not content.strip():
        raise InputError(f"{where}: the {role} turn must have a text as 'content'.")
    return role, content


def _optional(row: dict[str, Any], key: str, default: str, where: str) -> str:
    value = row.get(key, default)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where}: '{key}' must be a text, found {value!r}.")
    return value.strip()
