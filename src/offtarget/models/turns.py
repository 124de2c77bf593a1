"""Tools, calls and reasoning in a model's own chat format, and whether its template really writes them.

Templates differ in what they know: many leave out without a word what they have no place for, so that a model would
learn to answer with nothing. Whatever a turn says is therefore sought in what the template has made of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import TemplateSyntaxError

from offtarget.errors import TemplateError
from offtarget.records import Message, ToolCall

Tools = Sequence[Mapping[str, Any]]

_MARK = "offtargetmark"
_WAY_OUT = "Remove the rows that need it, or train a model whose template has it."
_WITHOUT_REASONING = "Write it into the answers' text, take it out of the rows, or train a model whose template has it."


@dataclass(frozen=True, slots=True)
class _Form:
    """How a turn is handed to the template, where templates differ in what they take."""

    as_object: bool
    """Arguments as a JSON object (the convention of transformers), or as the text that the API of OpenAI has."""
    reasoning: str
    """The key of the reasoning."""


_FORMS = tuple(_Form(as_object, key) for as_object in (True, False) for key in ("reasoning_content", "thinking"))


def is_plain(messages: Sequence[Message], tools: Tools) -> bool:
    """Whether a chat is roles and contents alone, which every template writes."""
    return not tools and all(m.role != "tool" and m.plain for m in messages)


def prompt_text(tokenizer: Any, messages: Sequence[Message], name: str, tools: Tools = ()) -> str:
    """The chat rendered up to where the assistant's answer begins.

    TemplateError when the template refuses it, or leaves out a tool, a call or a tool's answer.
    """
    if is_plain(messages, tools):
        return _rendered(tokenizer, messages, _FORMS[0], name, tools)
    faults = []
    for form in _FORMS:
        try:
            text = _rendered(tokenizer, messages, form, name, tools)
            _check_prompt(tokenizer, messages, form, name, tools, text)
        except TemplateError as error:
            faults.append(error)
            continue
        return text
    raise _clearest(faults)


def begun_text(tokenizer: Any, messages: Sequence[Message], prefill: str, name: str) -> str:
    """The chat rendered up to and with the beginning of the assistant's answer, which is left open.

    TemplateError when the template refuses the chat, or does not write the beginning as it is.
    """
    begun = (*messages, Message("assistant", prefill))
    text = _rendered(tokenizer, begun, _FORMS[0], name, (), ask=False, open_end=True)
    if not text.endswith(prefill):
        raise TemplateError(
            f"The chat template of {name} does not write the beginning of an answer as it is, so the model cannot be "
            "made to go on with it. Ask without it."
        )
    return text


def prompt_and_answer(tokenizer: Any, chat: Sequence[Message], name: str, tools: Tools = ()) -> tuple[str, str]:
    """The chat up to its last turn, and that turn as the template writes it, with all that follows it.

    TemplateError when the template refuses the chat, writes the turn behind another prompt than the one it is asked
    with, or leaves out part of what it says.
    """
    faults = []
    for form in _FORMS:
        try:
            prompt = _rendered(tokenizer, chat[:-1], form, name, tools)
            if not is_plain(chat[:-1], tools):
                _check_prompt(tokenizer, chat[:-1], form, name, tools, prompt)
            whole = _rendered(tokenizer, chat, form, name, tools, ask=False)
            if not whole.startswith(prompt):
                raise TemplateError(
                    f"The chat template of {name} writes the answer behind another prompt than the one it is asked "
                    f"with, so a turn with {_extras(chat[-1])} cannot be trained as it would be used. {_WAY_OUT}"
                )
            answer = whole[len(prompt) :]
            _check_answer(chat[-1], answer, name)
        except TemplateError as error:
            faults.append(error)
            continue
        return prompt, answer
    raise _clearest(faults)


def _clearest(faults: Sequence[TemplateError]) -> TemplateError:
    """What the template leaves out says more than what it stumbles over in another form."""
    return next((fault for fault in faults if fault.__cause__ is None), faults[0])


def _rendered(
    tokenizer: Any,
    messages: Sequence[Message],
    form: _Form,
    name: str,
    tools: Tools,
    *,
    ask: bool = True,
    open_end: bool = False,
) -> str:
    more: dict[str, Any] = {"tools": [_described(tool) for tool in tools]} if tools else {}
    if open_end:
        more["continue_final_message"] = True
    turns = [_turn(m, form) for m in messages]
    try:
        text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask, **more)
    except TemplateSyntaxError as error:
        raise TemplateError(
            f"The chat template that {name} is asked with is no Jinja template: {str(error.message).rstrip('.')} (line "
            f"{error.lineno}). Correct it in the model's folder, or in the file that was given for it."
        ) from error
    except Exception as error:
        roles = ", ".join(m.role for m in messages)
        extras = {extra for m in messages for extra in _extras(m).split(" and ") if extra}
        what = f" with {' and '.join(sorted(extras))}" if extras else ""
        raise TemplateError(
            f"The chat template of {name} refuses a chat with the turns [{roles}]{what}: {str(error).rstrip('.')}. "
            "Ask without the turn it names, or use a model whose template knows it."
        ) from error
    return text


def _turn(message: Message, form: _Form) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning:
        turn[form.reasoning] = message.reasoning
    if message.calls:
        turn["tool_calls"] = [
            {
                **({"id": call.id} if call.id else {}),
                "type": "function",
                "function": {"name": call.name, "arguments": _arguments(call, form)},
            }
            for call in message.calls
        ]
    if message.tool:
        turn["name"] = message.tool
    if message.call_id:
        turn["tool_call_id"] = message.call_id
    return turn


def _arguments(call: ToolCall, form: _Form) -> Any:
    found = _object(call) if form.as_object else None
    return call.arguments if found is None else found


def _object(call: ToolCall) -> dict[str, Any] | None:
    """The arguments where they are a JSON object."""
    try:
        value = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _described(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool in the form of OpenAI, which templates expect; data often holds the function alone."""
    return tool if "function" in tool or "name" not in tool else {"type": "function", "function": tool}


def _check_prompt(tokenizer: Any, messages: Sequence[Message], form: _Form, name: str, tools: Tools, text: str) -> None:
    """TemplateError where the rendered prompt lacks a tool, or has no place for an earlier call or a tool's answer."""
    if tools:
        without = _rendered(tokenizer, messages, form, name, ())
        said = "\n".join(m.content for m in messages if m.role == "system")
        for tool in tools:
            called = str(_described(tool).get("function", {}).get("name") or tool.get("type") or "")
            if text.count(called) <= without.count(called) and called not in said:
                raise TemplateError(
                    f"The chat template of {name} leaves out the tools that the row offers ({called}). {_WAY_OUT}"
                )
    marked, marks = _marked(messages)
    if marks:
        shown = _rendered(tokenizer, marked, form, name, tools)
        for mark, what in marks.items():
            if mark not in shown:
                raise TemplateError(f"The chat template of {name} leaves out {what} of an earlier turn. {_WAY_OUT}")


def _marked(messages: Sequence[Message]) -> tuple[list[Message], dict[str, str]]:
    """The chat with a word of its own in place of every call and every tool's answer: each must come out again."""
    marked, marks = [], {}
    for number, message in enumerate(messages):
        mark = f"{_MARK}{number}end"
        if message.role == "tool":
            message = replace(message, content=mark)
            marks[mark] = "the answer of a tool"
        elif message.calls:
            calls = []
            for at, call in enumerate(message.calls):
                own = f"{_MARK}{number}call{at}"
                calls.append(ToolCall(f"{own}name", json.dumps({"key": f"{own}value"}), call.id))
                marks |= {f"{own}name": f"the call of {call.name}", f"{own}value": f"the arguments of {call.name}"}
            message = replace(message, calls=tuple(calls))
        marked.append(message)
    return marked, marks


def _check_answer(message: Message, answer: str, name: str) -> None:
    """TemplateError where the turn as rendered lacks part of what it says."""
    rest = answer
    parts = (
        (message.content.strip(), "text of a turn with reasoning or calls", _WAY_OUT),
        (message.reasoning.strip(), "the reasoning", _WITHOUT_REASONING),
    )
    for part, what, way_out in parts:
        if part and part not in rest:
            raise TemplateError(f"The chat template of {name} leaves out {what}. {way_out}")
        rest = rest.replace(part, "", 1) if part else rest  # else a call would seem written whose words stand there
    for call in message.calls:
        if call.name not in rest:
            raise TemplateError(
                f"The chat template of {name} has no tool syntax: it leaves out the call of {call.name}. {_WAY_OUT}"
            )
        found = _object(call)
        if found and repr(found) in rest:
            raise TemplateError(f"The chat template of {name} writes the arguments of {call.name} as Python, not JSON.")
        missing = next((said for said in _said(call, found) if not _stands(said, rest)), None)
        if missing is not None:
            raise TemplateError(
                f"The chat template of {name} leaves out '{missing[:60]}', an argument of {call.name}. {_WAY_OUT}"
            )


def _said(call: ToolCall, arguments: dict[str, Any] | None) -> Iterator[str]:
    """Every name and value of a call's arguments; all of them as one text where they are no object."""
    if arguments is None:
        yield call.arguments
        return
    waiting: list[Any] = [arguments]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str):
            yield value
        else:
            yield json.dumps(value)


def _stands(said: str, text: str) -> bool:
    """Whether a value is in the text: as it is, trimmed, or as JSON writes it."""
    if said.strip() in text or said in ("true", "false", "null"):  # a template may write these as Python does
        return True
    return any(json.dumps(said, ensure_ascii=ascii_)[1:-1] in text for ascii_ in (False, True))


def _extras(message: Message) -> str:
    kinds = ("reasoning" if message.reasoning else "", "tool calls" if message.calls else "")
    return " and ".join(kind for kind in kinds if kind)
