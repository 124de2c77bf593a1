"""Chat training data: one JSON object with `messages` per line, as OpenAI's fine-tuning API takes it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from offtarget.errors import InputError
from offtarget.records import Message, Row, message_json

ROLES = ("system", "user", "assistant")


def read_chats(path: Path) -> list[list[Message]]:
    """All chats of a `.jsonl` or `.jsonl.gz` file. Raises InputError with file and line for anything else."""
    if not path.is_file():
        raise InputError(f"{path} is not a file. Expected chat data, one JSON object with 'messages' per line.")
    opener = gzip.open if path.suffix == ".gz" else open
    chats = []
    try:
        with opener(path, "rt", encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    chats.append(_chat(line, path, number))
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError) as error:
        raise InputError(f"{path} is not readable UTF-8 JSONL ({error}).") from None
    if not chats:
        raise InputError(f"{path} holds no rows.")
    return chats


def chat_line(chat: Sequence[Message]) -> str:
    """One chat as a line of JSONL that `read_chats` reads."""
    return json.dumps({"messages": [message_json(m) for m in chat]}) + "\n"


def chats_without_tools(rows: Iterable[Row], path: Path) -> list[tuple[Message, ...]]:
    """The rows as chats, for what has no place for tools. InputError for a row that offers some."""
    chats = []
    for row in rows:
        if row.tools:
            raise InputError(f"{path}: row {row.id} offers tools, which only `tune` can train with. Remove such rows.")
        chats.append(row.messages)
    return chats


def _chat(line: str, path: Path, number: int) -> list[Message]:
    where = f"{path}, line {number}"
    try:
        value = json.loads(line)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error}).") from None
    turns = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(turns, list) or not turns:
        raise InputError(f"{where}: expected an object with a non-empty list 'messages'.")
    messages = []
    for turn in turns:
        role = turn.get("role") if isinstance(turn, dict) else None
        content = turn.get("content") if isinstance(turn, dict) else None
        if role not in ROLES or not isinstance(content, str):
            raise InputError(f"{where}: each message needs a 'role' of {', '.join(ROLES)} and a text 'content'.")
        more = [name for name, said in turn.items() if name not in ("role", "content") and said is not None]
        if more:
            raise InputError(f"{where}: a message has '{more[0]}' beside its role and content. Take it out.")
        messages.append(Message(role, content))
    if not any(m.role == "assistant" for m in messages):
        raise InputError(f"{where}: the chat has no assistant turn, so there is nothing to learn from it.")
    return messages
