"""Which form a row has, and its messages: the names of its keys decide, row by row."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from offtarget.data.training.messages import answered, kind, messages_of, preferred
from offtarget.data.training.values import Malformed, shown
from offtarget.records import Message

FORMS = ("chat", "sharegpt", "alpaca", "prompt", "preference", "text")

PROMPTS = ("prompt", "question", "query", "instruction", "user", "human", "problem", "input", "text", "task")
ANSWERS = (
    "completion", "response", "output", "answer", "assistant", "solution", "code", "target", "reply", "generation",
)  # fmt: skip
TEXTS = ("text", "content", "document")
LABELS = ("label", "kto_tag")

EXPECTED = (
    "'messages', 'conversations', 'instruction' and 'output', a prompt "
    f"({', '.join(PROMPTS[:4])}, ...) and an answer ({', '.join(ANSWERS[:5])}, ...), "
    "'prompt', 'chosen' and 'rejected', or 'text' alone"
)


Fields = tuple[str, tuple[Message, ...], str | None, bool, dict[str, Any]]
"""What a row says apart from where it stands: form, messages, rejected, desired, extra, as in `Row`."""


class Layout(NamedTuple):
    """Where in a row with these keys everything is; empty text where it has none."""

    form: str
    turns: str = ""
    prompt: str = ""
    context: str = ""
    answer: str = ""
    system: str = ""
    history: str = ""
    chosen: str = ""
    rejected: str = ""
    label: str = ""


def fields_of(value: object, form: str | None = None) -> Fields:
    """What a row says. Raises Malformed, `unknown-keys` when its keys fit no form (or not `form`, if one is asked)."""
    if type(value) is not dict:
        raise Malformed("wrong-type", f"the row is {kind(value)}; expected an object with named values.")
    if len(value) == 1 and "messages" in value and form in (None, "chat"):  # most rows there are
        extra: dict[str, Any] = {}
        return "chat", _trained(messages_of(value["messages"], "messages", extra)), None, True, extra
    keys = tuple(value)
    if None in value.values():
        keys = tuple(name for name, held in value.items() if held is not None)
    layout = layout_for(keys, form)
    if layout is None:
        raise unknown_keys(keys, form)
    return _READERS[layout.form](value, layout)


def unknown_keys(keys: tuple[str, ...], form: str | None = None) -> Malformed:
    """The error for keys that fit no form: those found, and those expected."""
    found = ", ".join(shown(name) for name in keys[:12]) + (f" and {len(keys) - 12} more" if len(keys) > 12 else "")
    wanted = f"those of the form '{form}' among: {EXPECTED}" if form else EXPECTED
    return Malformed("unknown-keys", f"found {found or 'none'}; expected {wanted}.")


@lru_cache(maxsize=1024)
def layout_for(keys: tuple[str, ...], form: str | None) -> Layout | None:
    """Where messages, prompt and answer are among these keys (case and outer blanks apart); None for no place."""
    names: dict[str, str] = {}
    for key in keys:
        names.setdefault(key.strip().lower(), key)
    layouts = (layout for layout in _layouts(names) if form in (None, layout.form))
    return next(iter(layouts), None)


def _layouts(names: dict[str, str]) -> list[Layout]:
    """Every way to read these keys, best first."""

    def first(*wanted: str, but: str = "") -> str:
        return next((names[name] for name in wanted if name in names and names[name] != but), "")

    system = first("system", "system_prompt", "system_message")
    label = first(*LABELS)
    history = first("history")
    messages, conversations = first("messages"), first("conversations", "conversation")
    answer = first(*ANSWERS)
    prompt = first(*PROMPTS, but=answer)
    layouts = []
    if "chosen" in names and "rejected" in names:
        layouts.append(
            Layout(
                "preference",
                turns=messages or conversations,
                prompt=first(*PROMPTS),
                system=system,
                chosen=names["chosen"],
                rejected=names["rejected"],
            )
        )
    if messages:
        layouts.append(Layout("chat", turns=messages, system=system, label=label))
    if conversations:
        layouts.append(Layout("sharegpt", turns=conversations, system=system, label=label))
    if "instruction" in names and answer:
        context = first("input", "context", but=answer)
        layouts.append(Layout("alpaca", "", names["instruction"], context, answer, system, history, label=label))
    if prompt and answer:
        layouts.append(Layout("prompt", "", prompt, "", answer, system, history, label=label))
    if text := first(*TEXTS):
        layouts.append(Layout("text", answer=text))
    return layouts


def _turns(value: dict[str, Any], layout: Layout) -> Fields:
    desired, extra = _rest(value, layout)
    messages = messages_of(value[layout.turns], layout.turns, extra)
    return layout.form, _trained(_system(value, layout, extra, messages)), None, desired, extra


def _pair(value: dict[str, Any], layout: Layout) -> Fields:
    desired, extra = _rest(value, layout)
    messages = answered(value, layout.prompt, layout.context, layout.answer, layout.history, extra)
    return layout.form, _trained(_system(value, layout, extra, messages)), None, desired, extra


def _preference(value: dict[str, Any], layout: Layout) -> Fields:
    desired, extra = _rest(value, layout)
    messages, rejected = preferred(value, layout.turns, layout.prompt, layout.chosen, layout.rejected, extra)
    return layout.form, _trained(_system(value, layout, extra, messages)), rejected, desired, extra


def _text(value: dict[str, Any], layout: Layout) -> Fields:
    text = value[layout.answer]
    if not isinstance(text, str):
        raise Malformed("wrong-type", f"{shown(layout.answer)} is {kind(text)}; expected text.")
    return "text", (Message("assistant", text),), None, *_rest(value, layout)


_READERS: dict[str, Callable[[dict[str, Any], Layout], Fields]] = {
    "chat": _turns,
    "sharegpt": _turns,
    "alpaca": _pair,
    "prompt": _pair,
    "preference": _preference,
    "text": _text,
}


def _rest(value: dict[str, Any], layout: Layout) -> tuple[bool, dict[str, Any]]:
    """Whether the row is one to imitate, and every key that the layout has no place for."""
    used = set(filter(None, layout[1:]))
    label = value.get(layout.label) if layout.label else None
    if not isinstance(label, bool):
        used.discard(layout.label)
    return label is not False, {name: held for name, held in value.items() if name not in used}


def _system(value: dict[str, Any], layout: Layout, extra: dict[str, Any], messages: list[Message]) -> list[Message]:
    """The messages with the row's own system prompt in front; one that stands among them already wins."""
    system = value.get(layout.system) if layout.system else None
    if system is None or system == "":
        return messages
    if isinstance(system, str) and messages[0].role != "system":
        return [Message("system", system), *messages]
    if not isinstance(system, str) or system != messages[0].content:
        extra[layout.system] = system
    return messages


def _trained(messages: list[Message]) -> tuple[Message, ...]:
    for message in messages:
        if message.role == "assistant":
            return tuple(messages)
    raise Malformed("no-assistant-turn", "no turn is the assistant's, so there is nothing to learn from the row.")
