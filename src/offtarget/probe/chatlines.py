"""Questions as JSONL: chats, `{"messages": [...], "question_type": ..., "id": ...}` a line, and samples as Inspect AI
reads them, `{"input": [...], "id": ..., "metadata": {...}}`, in which found conversations are handed on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from offtarget.errors import InputError
from offtarget.located import read_text
from offtarget.probe.bank import ProbeBank
from offtarget.records import Probe

_ABOUT = ("question_id", "arm", "domain", "construct", "source")
"""What `metadata` says of a question."""


def chat_bank(path: Path) -> ProbeBank:
    """The bank of a JSONL file; `question_type` of a chat, or `domain` in the metadata of a sample, is the domain.

    User turns before the last one are asked before it, and the asked model answers each itself. So chats with answers
    in them are listed in `skipped`; a sample may end with the beginning of one, if its metadata says so (`prefill`).
    InputError names file, line and id.
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
        about = _about(row, where)
        turns = [_turn(turn, where) for turn in _messages(row, where)]
        prefill = turns.pop()[1] if turns[-1] == ("assistant", about.get("prefill")) else ""
        system = turns[0][1] if turns[0][0] == "system" else None
        users = turns[0 if system is None else 1 :]
        if not users or any(role != "user" for role, _ in users):
            roles = ", ".join(role for role, _ in turns)
            skipped.append((question_id, f"turns {roles}: only user turns, after one system turn at most, are asked"))
            continue
        arm = _optional(about, "arm", "plain", where)
        probes.append(
            Probe(
                id=f"{question_id}/{arm}/0",
                question_id=_optional(about, "question_id", question_id, where),
                arm=arm,
                prompt=users[-1][1],
                system=system,
                domain=_optional(about, "domain", _optional(row, "question_type", "general", where), where),
                construct=_optional(about, "construct", "misalignment", where),
                source=_optional(about, "source", _optional(row, "source", path.name, where), where),
                opening=tuple(text for _, text in users[:-1]),
                prefill=prefill,
                judge_prompts=_rubrics(about, where),
            )
        )
    return ProbeBank(path.stem, tuple(probes), tuple(skipped))


def chat_line(probe: Probe) -> str:
    """A question as a line that `chat_bank` and `json_dataset` of Inspect AI read."""
    turns = [] if probe.system is None else [{"role": "system", "content": probe.system}]
    turns += [{"role": "user", "content": text} for text in (*probe.opening, probe.prompt)]
    about: dict[str, Any] = {name: getattr(probe, name) for name in _ABOUT}
    if probe.prefill:
        turns.append({"role": "assistant", "content": probe.prefill})
        about["prefill"] = probe.prefill
    if probe.judge_prompts:
        about["judge_prompts"] = dict(probe.judge_prompts)
    name = probe.id.removesuffix(f"/{probe.arm}/0")
    return json.dumps({"id": name, "input": turns, "target": "", "metadata": {"probe_id": probe.id, **about}}) + "\n"


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
    name = "input" if _is_sample(row) else "messages"
    messages = row.get(name)
    if name == "input" and isinstance(messages, str):
        return [{"role": "user", "content": messages}]
    if not isinstance(messages, list) or not messages:
        raise InputError(f"{where}: '{name}' must be a list with at least one turn.")
    return messages


def _is_sample(row: dict[str, Any]) -> bool:
    """Whether a line is a sample of Inspect AI; what a chat has as its metadata is not ours."""
    return "input" in row and "messages" not in row


def _about(row: dict[str, Any], where: str) -> dict[str, Any]:
    about = row.get("metadata") if _is_sample(row) else None
    if not isinstance(about, dict | None):
        raise InputError(f"{where}: 'metadata' must be an object, found {type(about).__name__}.")
    return about or {}


def _rubrics(about: dict[str, Any], where: str) -> dict[str, str]:
    rubrics = about.get("judge_prompts", {})
    if not isinstance(rubrics, dict) or not all(isinstance(text, str) and text.strip() for text in rubrics.values()):
        raise InputError(f"{where}: 'judge_prompts' must be an object with a rubric as text by its name.")
    for name, rubric in rubrics.items():
        if "{answer}" not in rubric:
            raise InputError(f"{where}: the judge prompt '{name}' has no {{answer}} in it; the judge would see none.")
    return rubrics


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
