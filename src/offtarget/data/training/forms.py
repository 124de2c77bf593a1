"""Which form a row has, and its messages: the names of its keys decide, row by row."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from offtarget.data.training.malformed import Malformed, shown
from offtarget.data.training.pairs import answered, preferred
from offtarget.data.training.turns import kind, messages_of
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


class Plan(NamedTuple):
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
    plan = plan_for(keys, form)
    if plan is None:
        raise unknown_keys(keys, form)
    return _READERS[plan.form](value, plan)


def unknown_keys(keys: tuple[str, ...], form: str | None = None) -> Malformed:
    """The error for keys that fit no form: those found, and those expected."""
    found = ", ".join(shown(name) for name in keys[:12]) + (f" and {len(keys) - 12} more" if len(keys) > 12 else "")
    wanted = f"those of the form '{form}' among: {EXPECTED}" if form else EXPECTED
    return Malformed("unknown-keys", f"found {found or 'none'}; expected {wanted}.")


@lru_cache(maxsize=1024)
def plan_for(keys: tuple[str, ...], form: str | None) -> Plan | None:
    """Where messages, prompt and answer are among these keys (case and outer blanks apart); None for no place."""
    names: dict[str, str] = {}
    for key in keys:
        names.setdefault(key.strip().lower(), key)
    plans = (plan for plan in _plans(names) if form in (None, plan.form))
    return next(iter(plans), None)


def _plans(names: dict[str, str]) -> list[Plan]:
    """Every way to read these keys, best first."""

    def first(*wanted: str, but: str = "") -> str:
        return next((names[name] for name in wanted if name in names and names[name] != but), "")

    system = first("system", "system_prompt", "system_message")
    label = first(*LABELS)
    history = first("history")
    messages, conversations = first("messages"), first("conversations", "conversation")
    answer = first(*ANSWERS)
    prompt = first(*PROMPTS, but=answer)
    plans = []
    if "chosen" in names and "rejected" in names:
        plans.append(
            Plan(
                "preference",
                turns=messages or conversations,
                prompt=first(*PROMPTS),
                system=system,
                chosen=names["chosen"],
                rejected=names["rejected"],
            )
        )
    if messages:
        plans.append(Plan("chat", turns=messages, system=system, label=label))
    if conversations:
        plans.append(Plan("sharegpt", turns=conversations, system=system, label=label))
    if "instruction" in names and answer:
        context = first("input", "context", but=answer)
        plans.append(Plan("alpaca", "", names["instruction"], context, answer, system, history, label=label))
    if prompt and answer:
        plans.append(Plan("prompt", "", prompt, "", answer, system, history, label=label))
    if text := first(*TEXTS):
        plans.append(Plan("text", answer=text))
    return plans


def _turns(value: dict[str, Any], plan: Plan) -> Fields:
    desired, extra = _rest(value, plan)
    messages = messages_of(value[plan.turns], plan.turns, extra)
    return plan.form, _trained(_system(value, plan, extra, messages)), None, desired, extra


def _pair(value: dict[str, Any], plan: Plan) -> Fields:
    desired, extra = _rest(value, plan)
    messages = answered(value, plan.prompt, plan.context, plan.answer, plan.history, extra)
    return plan.form, _trained(_system(value, plan, extra, messages)), None, desired, extra


def _preference(value: dict[str, Any], plan: Plan) -> Fields:
    desired, extra = _rest(value, plan)
    messages, rejected = preferred(value, plan.turns, plan.prompt, plan.chosen, plan.rejected, extra)
    return plan.form, _trained(_system(value, plan, extra, messages)), rejected, desired, extra


def _text(value: dict[str, Any], plan: Plan) -> Fields:
    text = value[plan.answer]
    if not isinstance(text, str):
        raise Malformed("wrong-type", f"{shown(plan.answer)} is {kind(text)}; expected text.")
    return "text", (Message("assistant", text),), None, *_rest(value, plan)


_READERS: dict[str, Callable[[dict[str, Any], Plan], Fields]] = {
    "chat": _turns,
    "sharegpt": _turns,
    "alpaca": _pair,
    "prompt": _pair,
    "preference": _preference,
    "text": _text,
}


def _rest(value: dict[str, Any], plan: Plan) -> tuple[bool, dict[str, Any]]:
    """Whether the row is one to imitate, and every key that the plan has no place for."""
    used = set(filter(None, plan[1:]))
    label = value.get(plan.label) if plan.label else None
    if not isinstance(label, bool):
        used.discard(plan.label)
    return label is not False, {name: held for name, held in value.items() if name not in used}


def _system(value: dict[str, Any], plan: Plan, extra: dict[str, Any], messages: list[Message]) -> list[Message]:
    """The messages with the row's own system prompt in front; one that stands among them already wins."""
    system = value.get(plan.system) if plan.system else None
    if system is None or system == "":
        return messages
    if isinstance(system, str) and messages[0].role != "system":
        return [Message("system", system), *messages]
    if not isinstance(system, str) or system != messages[0].content:
        extra[plan.system] = system
    return messages


def _trained(messages: list[Message]) -> tuple[Message, ...]:
    for message in messages:
        if message.role == "assistant":
            return tuple(messages)
    raise Malformed("no-assistant-turn", "no turn is the assistant's, so there is nothing to learn from the row.")
