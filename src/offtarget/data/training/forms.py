"""Which form a row has, and what it says: the names of its keys decide, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, NamedTuple, cast

from offtarget.data.training import fields
from offtarget.data.training.calls import tools_of
from offtarget.data.training.messages import (
    ROLES,
    Rest,
    answered,
    messages_of,
    plain_messages,
    preferred,
    text_of_parts,
)
from offtarget.data.training.templates import TEMPLATED, turns_of
from offtarget.data.training.values import Malformed, kind, shown
from offtarget.records import Message

FORMS = ("chat", "sharegpt", "alpaca", "prompt", "preference", "text")

EXPECTED = (
    "'messages', 'conversations', 'instruction' and 'output', a prompt "
    f"({', '.join(fields.PROMPT.names[:4])}, ...) and an answer ({', '.join(fields.ANSWER.names[:5])}, ...), "
    "'prompt', 'chosen' and 'rejected', or 'text' alone"
)

_SHAREGPT = ("conversations", "conversation")
_CHAT = tuple(name for name in fields.TURNS.names if name not in _SHAREGPT)
_MASKS = tuple(
    name for of in (fields.ROW_WEIGHT, fields.ROW_LEARNED, fields.ROW_MASKED, fields.ROW_MASK) for name in of.names
)


class Said(NamedTuple):
    """What a row says apart from where it stands, in the order of `Row`."""

    messages: tuple[Message, ...]
    form: str
    rejected: str | None = None
    desired: bool = True
    extra: Mapping[str, Any] = {}
    tools: tuple[Mapping[str, Any], ...] = ()
    unread: tuple[str, ...] = ()


_made = cast(Callable[[Iterable[Any]], Said], partial(tuple.__new__, Said))
"""`Said._make` without its checks."""


class Layout(NamedTuple):
    """Where in a row with these keys everything is; empty text where it has none."""

    form: str
    turns: str = ""
    prompt: str = ""
    context: tuple[str, ...] = ()
    answer: str = ""
    system: str = ""
    history: str = ""
    chosen: str = ""
    rejected: str = ""
    label: str = ""
    tools: str = ""
    masks: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    """Keys that have no place."""


def fields_of(value: object, form: str | None = None) -> Said:
    """What a row says. Raises Malformed, `unknown-keys` when its keys fit no form (or not `form`, if one is asked)."""
    if type(value) is not dict:
        if isinstance(value, list) and value and isinstance(value[0], dict) and form in (None, "chat"):
            return fields_of({"messages": value}, form)  # a chat without a name around it
        raise Malformed("wrong-type", f"the row is {kind(value)}; expected an object with named values.")
    if len(value) == 1 and "messages" in value and form in (None, "chat"):  # most rows there are
        plain = plain_messages(value["messages"])
        if plain is not None:
            return _made((plain, "chat", None, True, {}, (), ()))
        rest = Rest()
        messages = messages_of(value["messages"], "messages", rest)
        return _said(messages, "chat", None, _taught(messages), rest)
    keys = tuple(value)
    if None in value.values():
        keys = tuple(name for name, held in value.items() if held is not None)
    layout = layout_for(keys, form)
    if layout is None:
        raise unknown_keys(keys, form)
    return _read(value, layout, Rest() if len(keys) == len(value) else Rest(dict.fromkeys(value.keys() - set(keys))))


def unknown_keys(keys: tuple[str, ...], form: str | None = None) -> Malformed:
    """The error for keys that fit no form: those found, and those expected; one turn alone has an error of its own."""
    names = {key.strip().lower() for key in keys}
    if is_turn(names):
        return _lone_turn(keys)
    found = ", ".join(shown(name) for name in keys[:12]) + (f" and {len(keys) - 12} more" if len(keys) > 12 else "")
    wanted = f"those of the form '{form}' among: {EXPECTED}" if form else EXPECTED
    return Malformed("unknown-keys", f"found {found or 'none'}; expected {wanted}.")


def _lone_turn(keys: Iterable[str]) -> Malformed:
    keys = list(keys)
    grouped = next((key for key in keys if grouping(key)), None)
    by = f" that have the same {shown(grouped)}" if grouped else " of a chat"
    return Malformed(
        "lone-turn",
        f"a single turn ({', '.join(shown(key) for key in keys[:6])}). One row is one chat: put the turns{by} into "
        'one row, {"messages": [...]}.',
    )


_SPEAKER = frozenset({"speaker", "author", "sender", "participant", "who", "type"})
"""Names that hold a speaker in logs of chats; of a whole text they say who wrote it."""
_SPEAKERS = frozenset({"user", "human", "prompter", "customer", "assistant", "ai", "bot", "chatbot", "gpt", "agent"})


def grouping(key: str) -> bool:
    """Whether a field of a turn seems to name the chat that it belongs to."""
    return any(word in key.lower() for word in ("conv", "thread", "dialog", "session", "chat_id"))


def is_turn(names: set[str]) -> bool:
    """Whether these keys, in lower case, are those of one turn of a chat."""
    return not names.isdisjoint(fields.ROLE.names) and not names.isdisjoint(
        (*fields.CONTENT.names, *fields.CALLS.names, *fields.REASONING.names)
    )


@lru_cache(maxsize=1024)
def layout_for(keys: tuple[str, ...], form: str | None) -> Layout | None:
    """Where messages, prompt and answer are among these keys (case and outer blanks apart); None for no place."""
    names: dict[str, str] = {}
    for key in keys:
        names.setdefault(key.strip().lower(), key)
    layouts = (layout for layout in _layouts(names) if form in (None, layout.form))
    layout = next(iter(layouts), None)
    if layout is None:
        return None
    used = {key for value in layout[1:] for key in ((value,) if isinstance(value, str) else value) if key}
    return layout._replace(rest=tuple(key for key in keys if key not in used))


def _layouts(names: dict[str, str]) -> list[Layout]:
    """Every way to read these keys, best first."""

    def first(*wanted: str, but: tuple[str, ...] = ()) -> str:
        return next((names[name] for name in wanted if name in names and names[name] not in but), "")

    system, label, history = (first(*of.names) for of in (fields.SYSTEM, fields.LABEL, fields.HISTORY))
    tools = first(*fields.ROW_TOOLS.names)
    masks = tuple(names[name] for name in _MASKS if name in names)
    messages, conversations = first(*_CHAT), first(*_SHAREGPT)
    answer = first(*fields.ANSWER.names)
    prompt = first(*fields.PROMPT.names, but=(answer,))
    chosen, rejected = first(*fields.CHOSEN.names), first(*fields.REJECTED.names)
    layouts = []

    def beside(asked: str, replied: str = "") -> tuple[str, ...]:
        return tuple(
            names[name] for name in fields.CONTEXT.names if name in names and names[name] not in (asked, replied)
        )

    if chosen and rejected:
        asked = first(*fields.PROMPT.names)
        layouts.append(
            Layout(
                "preference",
                turns=messages or conversations,
                prompt=asked,
                context=beside(asked),
                system=system,
                chosen=chosen,
                rejected=rejected,
            )
        )
    if messages:
        layouts.append(Layout("chat", turns=messages, system=system, label=label))
    if conversations:
        layouts.append(Layout("sharegpt", turns=conversations, system=system, label=label))
    if "instruction" in names and answer:
        asked = names["instruction"]
        layouts.append(Layout("alpaca", "", asked, beside(asked, answer), answer, system, history, label=label))
    if prompt and answer:
        layouts.append(Layout("prompt", "", prompt, beside(prompt, answer), answer, system, history, label=label))
    if (text := first(*fields.TEXT.names)) and not is_turn(set(names)):
        layouts.append(Layout("text", answer=text))
    return [layout._replace(tools=tools, masks=masks) for layout in layouts]


def _read(value: dict[str, Any], layout: Layout, rest: Rest) -> Said:
    desired = True if not layout.label or _is_blank(value[layout.label]) else _label(value, layout, rest)
    masked = bool(layout.masks) and not all(
        _learned(value[name], name, rest) for name in layout.masks if not _is_blank(value.get(name))
    )
    messages, rejected = _READERS[layout.form](value, layout, rest)
    if layout.system:
        messages = _system(value[layout.system], layout.system, rest, messages)
    if layout.tools:
        _tools(value[layout.tools], layout.tools, rest)
    if masked:
        messages = [replace(m, learned=False) if m.role == "assistant" else m for m in messages]
    desired = _taught(messages) and desired
    if layout.rest:
        said = {message.content for message in messages}
        for name in layout.rest:
            if fields.unknown_mask(name, value[name]):
                raise fields.refused_mask(shown(name))
            held = rest.extra[name] = value[name]
            if fields.unread_text(name, held, said):
                rest.unread.append(fields.plain_name(name))
    return _said(messages, layout.form, rejected, desired, rest)


def _said(messages: list[Message], form: str, rejected: str | None, desired: bool, rest: Rest) -> Said:
    unread = tuple(dict.fromkeys(rest.unread)) if rest.unread else ()
    tools = tuple(rest.tools) if rest.tools else ()
    return _made((tuple(messages), form, rejected, desired, rest.extra, tools, unread))


def _turns(value: dict[str, Any], layout: Layout, rest: Rest) -> tuple[list[Message], None]:
    return messages_of(value[layout.turns], layout.turns, rest), None


def _pair(value: dict[str, Any], layout: Layout, rest: Rest) -> tuple[list[Message], None]:
    asked, replied = value[layout.prompt], value[layout.answer]
    if type(asked) is str and type(replied) is str and asked.startswith(TEMPLATED) and not layout.context:
        turns = turns_of(asked + replied)  # a template wrote the prompt out, up to where the answer begins
        if turns is not None and turns[-1].role == "assistant":
            return turns, None
    return answered(value, layout.prompt, layout.context, layout.answer, layout.history, rest), None


def _preference(value: dict[str, Any], layout: Layout, rest: Rest) -> tuple[list[Message], str]:
    return preferred(value, layout.turns, layout.prompt, layout.context, layout.chosen, layout.rejected, rest)


def _text(value: dict[str, Any], layout: Layout, rest: Rest) -> tuple[list[Message], None]:
    text = value[layout.answer]
    for name, held in value.items():
        if name.strip().lower() in _SPEAKER and isinstance(held, str) and held.strip().lower() in _SPEAKERS:
            raise _lone_turn(value)
    if not isinstance(text, str):
        raise Malformed("wrong-type", f"{shown(layout.answer)} is {kind(text)}; expected text.")
    return turns_of(text) or [Message("assistant", text)], None


_READERS: dict[str, Callable[[dict[str, Any], Layout, Rest], tuple[list[Message], str | None]]] = {
    "chat": _turns,
    "sharegpt": _turns,
    "alpaca": _pair,
    "prompt": _pair,
    "preference": _preference,
    "text": _text,
}


def _is_blank(value: object) -> bool:
    """Nothing, or the empty cell of a table."""
    return value is None or (isinstance(value, str) and not value.strip())


def _label(value: dict[str, Any], layout: Layout, rest: Rest) -> bool:
    """Whether the row is one to imitate; a label of another kind is not read."""
    held = value[layout.label]
    said = fields.desired(layout.label.strip().lower(), held)
    if said is None:
        rest.extra[layout.label] = held
        rest.unread.append(fields.plain_name(layout.label))
    return said is not False


def _learned(value: object, name: str, rest: Rest) -> bool:
    """Whether a mask of the whole row leaves the assistant's turns in the loss."""
    key = name.strip().lower()
    if key == "loss" and fields.is_measured(value):
        rest.extra[name] = value
        return True
    if key in fields.ROW_MASK.names and isinstance(value, str) and value.strip().lower() in ROLES:
        return ROLES[value.strip().lower()] != "assistant"
    return fields.learned(key, value, shown(name))


def _tools(value: object, name: str, rest: Rest) -> None:
    tools = tools_of(value)
    if tools is None:
        rest.extra[name] = value
        rest.unread += [fields.plain_name(name)] if fields.unread_text("", value, ()) else []
    rest.tools += tools or []


def _system(value: object, name: str, rest: Rest, messages: list[Message]) -> list[Message]:
    """The messages with the row's own system prompt in front; one that stands among them already wins."""
    text = text_of_parts(value, name)
    if not text:
        return messages
    if messages[0].role != "system":
        return [Message("system", text), *messages]
    if text != messages[0].content:
        rest.extra[name] = value
        rest.unread.append(fields.plain_name(name))
    return messages


def _taught(messages: list[Message]) -> bool:
    """Whether something is learned from the messages: False where all is masked. Raises Malformed."""
    said = masked = silent = 0
    for message in messages:
        if message.role == "assistant":
            if not message.learned:
                masked += 1
            elif not fields.says_nothing(message.content + message.reasoning) or message.calls:
                said += 1
            else:
                silent += 1
    if silent and not said:
        raise Malformed("empty-answer", "no turn that is to be learned says anything.")
    if silent:
        raise Malformed(
            "empty-answer",
            f"{silent} of {said + silent} turns of the assistant that are to be learned say nothing. Take them out or "
            "mark them (`train`: false), or a model learns to answer with nothing.",
        )
    if said:
        return True
    if masked:
        return False
    raise Malformed("no-assistant-turn", "no turn is the assistant's, so there is nothing to learn from the row.")
