"""What a row says as messages: chat turns in any of the usual spellings, a prompt and its answer, a preference."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, NamedTuple

from offtarget.data.training import fields
from offtarget.data.training.calls import as_json, call_of, calls_of, said_calls, tools_of
from offtarget.data.training.values import Malformed, json_value, kind, shown
from offtarget.records import Message, ToolCall
from offtarget.records.answers import plain_turn

Speaker = Literal["system", "user", "assistant", "tool"]

ROLES: dict[str, Speaker] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "ai": "assistant",
    "function_call": "assistant",
    "tool_call": "assistant",
    "tool": "tool",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
    "tool_result": "tool",
    "ipython": "tool",
}
"""Every role that is understood, and whose turn it is. OpenAI's names, ShareGPT's, LLaMA-Factory's, ms-swift's."""

_OWN_NAMES = frozenset({"system", "user", "assistant", "tool", "human", "gpt"})
_CALLING = frozenset({"function_call", "tool_call"})
_LISTENERS = frozenset({"all", "user", "human", "assistant", "system", "developer"})
"""Recipients of a turn that are no tool."""
_CALL_TYPES = frozenset({"tool_use", "server_tool_use", "mcp_tool_use", "function_call", "tool_call"})
_CONTENT_TYPES = frozenset({
    "text", "input_text", "output_text", "image", "image_url", "input_image", "audio", "input_audio", "video", "file",
    "document", "resource", "search_result", "tool_result", "function_call_output", "tool_response", "tool_reference",
})  # fmt: skip
"""Of the parts that a tool's answer is made of; under any other type it is data of the tool's own."""
_THINKING_TYPES = frozenset({"thinking", "reasoning"})
_TOOL_KEYS = {"role", "content", "tool_call_id", "name"}
_CALL_KEYS = {"role", "content", "tool_calls"}
_ANSWERED = ("tool_use_id", "toolUseId", "call_id")
_THOUGHTS = ("reasoningText", *fields.PART_REASONING.names, *fields.PART_TEXT.names)
_DEPTH = 4
"""Deepest that the text of a part is looked for."""
_MASKS = frozenset(fields.PART_MASKS.names)
_TURN_MASKS = _MASKS | frozenset(fields.DETAIL.names)


@dataclass(slots=True)
class Rest:
    """What a row holds besides its messages."""

    extra: dict[str, Any] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    """Names of what nobody reads although it holds text, e.g. `messages[].scratchpad`."""
    tools: list[dict[str, Any]] = field(default_factory=list)

    def keep(self, place: str, of: str, name: str, value: object) -> None:
        """Put an unclaimed field `name` of `of` (such as `messages[]`) into `extra` at its place; name it if unread."""
        self.extra[f"{place}.{name}"] = value
        if fields.unread_text(name, value, ()):
            self.unread.append(f"{of}.{fields.plain_name(name)}")


def plain_messages(turns: object) -> tuple[Message, ...] | None:
    """The messages of turns that hold a role and a text and nothing else, the last the assistant's; None for others."""
    if type(turns) is not list:
        return None
    messages = []
    role = None
    for turn in turns:
        if type(turn) is not dict or len(turn) != 2:
            return None
        role, content = turn.get("role"), turn.get("content")
        if type(content) is not str or not (role == "user" or role == "assistant" or role == "system"):
            return None
        if role == "assistant" and not "!" <= content[:1] <= "~" and fields.says_nothing(content):
            return None  # most begin with a visible sign of ASCII: no call for those
        messages.append(plain_turn(role, content))
    return tuple(messages) if role == "assistant" else None


def messages_of(turns: object, key: str, rest: Rest) -> list[Message]:
    """Messages of the list under `key`; what else a turn holds goes to `rest`, e.g. as `messages[2].name`."""
    if isinstance(turns, str) and turns.lstrip().startswith("["):
        turns = json_value(turns.encode())
    if not isinstance(turns, list):
        raise Malformed("wrong-type", f"{shown(key)} is {kind(turns)}; expected a list of turns.")
    if not turns:
        raise Malformed("no-messages", f"{shown(key)} is an empty list.")
    if isinstance(turns[0], str) and all(isinstance(turn, str) for turn in turns):
        return [Message("assistant" if number % 2 else "user", turn) for number, turn in enumerate(turns)]
    if isinstance(turns[0], list):
        if len(turns) == 1:
            return messages_of(turns[0], key, rest)
        raise Malformed("several-chats", f"{shown(key)} holds {len(turns)} lists of turns. Make each a row of its own.")
    messages: list[Message] = []
    for number, turn in enumerate(turns):
        if type(turn) is dict and len(turn) == 2:
            role, content = turn.get("role"), turn.get("content")
            if type(content) is str and (role == "user" or role == "assistant" or role == "system"):
                messages.append(plain_turn(role, content))
                continue
        usual = _usual(turn, key, number, rest) if type(turn) is dict else None
        if usual is None:
            _add(messages, _Turn(turn, key, number, rest).messages())
        else:
            _add(messages, [usual])
    return messages


def _usual(turn: dict[str, Any], key: str, number: int, rest: Rest) -> Message | None:
    """A turn of calls, or of a tool's answer, in OpenAI's own spelling; None for every other, which `_Turn` reads."""
    role, content = turn.get("role"), turn.get("content")
    if role == "tool" and type(content) is str and turn.keys() <= _TOOL_KEYS:
        name, call = turn.get("name") or "", turn.get("tool_call_id") or ""
        return plain_turn("tool", content, tool=name, call_id=call) if type(name) is type(call) is str else None
    if role == "assistant" and (content is None or type(content) is str) and turn.keys() == _CALL_KEYS:
        calls = turn["tool_calls"]
        if type(calls) is list and calls and all(type(call) is dict for call in calls):
            place = f"{key}[{number}].tool_calls"
            unknown = partial(rest.keep, place, f"{key}[].tool_calls[]")
            return plain_turn("assistant", content or "", calls=tuple([call_of(c, place, unknown) for c in calls]))
    return None


def _add(messages: list[Message], more: list[Message]) -> None:
    """Append, with a turn that is nothing but reasoning (Harmony's channel `analysis`) in front of the next one."""
    last = messages[-1] if messages else None
    alike = last is not None and more and last.role == more[0].role == "assistant" and last.learned == more[0].learned
    if alike and last is not None and last.reasoning and not last.content and not last.calls:
        messages.pop()
        thought = "\n".join(filter(None, (last.reasoning, more[0].reasoning)))
        more[0] = replace(more[0], reasoning=thought)
    messages.extend(more)


class _Part(NamedTuple):
    """What one part of a content is."""

    text: str | None = None
    reasoning: str | None = None
    call: ToolCall | None = None
    answer: Message | None = None
    """The turn of a tool."""


class _Turn:
    """One turn while it is read: its fields are taken out one by one; what stays is metadata or unknown."""

    def __init__(self, turn: object, key: str, number: int, rest: Rest) -> None:
        self._place, self._of, self._rest = f"{key}[{number}]", f"{key}[]", rest
        if not isinstance(turn, dict):
            expected = "expected an object with a role and a content"
            raise Malformed("wrong-type", f"{self._place} is {kind(turn)}; {expected}.")
        self._turn = {name: value for name, value in turn.items() if value is not None}  # null is the same as absent
        self._named, self._role = self._read_role()
        self._masks: list[bool | None] = []
        """What each part of the content says of being learned."""

    def messages(self) -> list[Message]:
        """The turn, after the turns of tools whose answers stand in its content (Anthropic, Gemini)."""
        turn, role, place = self._turn, self._role, self._place
        unread = len(self._rest.unread)
        if tools := self._take(*fields.TURN_TOOLS.names):
            self._rest.tools += self._tools(*tools)
        name, content = self._take(*fields.CONTENT.names) or ("content", None)
        parts = self._parts(name, content)
        texts = [part.text for part in parts if part.text is not None]
        thoughts = [part.reasoning for part in parts if part.reasoning]
        calls = [part.call for part in parts if part.call is not None]
        answers = [part.answer for part in parts if part.answer is not None]
        if role == "assistant":
            texts, thoughts, calls = self._assistant(texts, thoughts, calls)
        if content is None and not (parts or thoughts or calls or texts):
            raise Malformed("missing-content", f"{place} has no content and no tool call.")
        tool, call_id = self._tool() if role == "tool" else ("", "")
        learned = self._learned("\n".join(texts))
        for name, value in turn.items():
            labelled = role == "assistant" and name in fields.LABEL.names and fields.flag(value) is not None
            if labelled or fields.unknown_mask(name, value):
                raise fields.refused_mask(f"{place}.{fields.plain_name(name)}")
            self._rest.keep(place, self._of, name, value)
        if answers and not (texts or thoughts or calls):
            return answers
        text, thought = "\n".join(texts), "\n".join(thoughts)
        if role == "assistant" and learned and len(self._rest.unread) > unread and not (text or thought or calls):
            named = ", ".join(dict.fromkeys(self._rest.unread[unread:]))
            raise Malformed("empty-answer", f"{place} says nothing that is read; it holds {named}.")
        return [*answers, Message(role, text, thought, tuple(calls), learned, tool, call_id)]

    def _take(self, *names: str) -> tuple[str, Any] | None:
        """The first of these fields, removed."""
        for name in names:
            if name in self._turn:
                return name, self._turn.pop(name)
        return None

    def _read_role(self) -> tuple[str, Speaker]:
        found = self._take(*fields.ROLE.names)
        if found is None:
            raise Malformed("missing-role", f"{self._place} has no 'role' (or 'from').")
        key, named = found
        word = named.strip().lower() if isinstance(named, str) else ""
        role = ROLES.get(word)
        if role is None:
            said = shown(named) if isinstance(named, str) else kind(named)
            raise Malformed("unknown-role", f"the role in {self._place} is {said}; expected one of {', '.join(ROLES)}.")
        if named not in _OWN_NAMES:
            self._rest.extra[f"{self._place}.{key}"] = named
        return word, role

    def _tools(self, name: str, value: object) -> list[dict[str, Any]]:
        tools = tools_of(value)
        if tools is None:
            self._rest.keep(self._place, self._of, name, value)
        return tools or []

    def _assistant(
        self, texts: list[str], thoughts: list[str], calls: list[ToolCall]
    ) -> tuple[list[str], list[str], list[ToolCall]]:
        """Text, reasoning and calls of the assistant's turn from the fields beside its content too."""
        turn, place = self._turn, self._place
        while (found := self._take(*fields.REASONING.names)) is not None:
            thought = self._thought(*found)
            if thought and thought not in thoughts:
                thoughts.append(thought)
        for name in fields.CALLS.names:
            if name in turn:
                calls += calls_of(turn.pop(name), f"{place}.{name}", self._unknown(f"{name}[]"))
        if not any(texts) and isinstance(turn.get("refusal"), str):
            texts = [turn.pop("refusal")]
        if self._named in _CALLING and texts and (said := said_calls("\n".join(texts))):
            texts, calls = [], [*calls, *said]
        channel, recipient = (self._described(of.names) for of in (fields.CHANNEL, fields.RECIPIENT))
        if recipient and recipient.strip().lower() not in _LISTENERS:
            return [], thoughts, [*calls, ToolCall(recipient.removeprefix("functions."), "\n".join(texts))]
        if channel == "analysis" and texts:
            return [], [*thoughts, *texts], calls
        return texts, thoughts, calls

    def _described(self, names: tuple[str, ...]) -> str:
        """A field that says what the content is, moved to `extra`."""
        found = self._take(*names)
        if found is None:
            return ""
        self._rest.extra[f"{self._place}.{found[0]}"] = found[1]
        return str(found[1])

    def _thought(self, name: str, value: object) -> str:
        """The text of a field of reasoning; whatever else it holds is named."""
        pieces = [] if isinstance(value, bool | int | float) else _pieces(value, self._place, _THOUGHTS)
        if not pieces or fields.unread_text("", value, pieces):
            self._rest.keep(self._place, self._of, name, value)
        return "\n".join(pieces)

    def _tool(self) -> tuple[str, str]:
        name = self._take(*fields.TOOL_NAME.names)
        call = self._take(*fields.CALL_ID.names)
        return str(name[1]) if name else "", str(call[1]) if call else ""

    def _learned(self, text: str) -> bool:
        """Whether the turn, if it is the assistant's, is in the loss. Raises Malformed for masks that disagree."""
        turn, place = self._turn, self._place
        said = {mask is not False for mask in self._masks} if self._masks.count(None) < len(self._masks) else set()
        for name in [name for name in turn if name in _TURN_MASKS]:
            value = turn.pop(name)
            whole = fields.detailed(value, len(text)) if name in fields.DETAIL.names else None
            if value != [] or name not in fields.DETAIL.names:
                said.add(fields.learned(name, value, f"{place}.{name}") if whole is None else whole)
        if self._role == "assistant":
            if len(said) > 1:
                raise Malformed("mask", f"{place} says of parts of itself that they are learned, of others not.")
            return False not in said
        if True in said:
            self._rest.unread.append(f"{self._of} (learned turns that are not the assistant's)")
        return True

    def _unknown(self, inner: str) -> Any:
        """What `calls_of` tells of fields that it does not know."""
        return partial(self._rest.keep, self._place, f"{self._of}.{inner}")

    def _parts(self, name: str, content: object) -> list[_Part]:
        if isinstance(content, str):
            return [_Part(text=content)]
        if content is None:
            return []
        if self._named in _CALLING or (self._role == "tool" and not _is_content(content)):
            return [_Part(text=as_json(content))]
        if isinstance(content, dict):
            content = [content]
        if not isinstance(content, list):
            what = f"the content of {self._place} is {kind(content)}"
            raise Malformed("wrong-type", f"{what}; expected text or a list of parts.")
        before = len(self._rest.unread)
        parts = [self._part(part, f"{self._of}.{name}[]") for part in content]
        if len(self._rest.unread) > before:
            self._rest.extra[f"{self._place}.{name}"] = content
        return parts

    def _part(self, part: object, of: str) -> _Part:
        """Text, reasoning, a call or a tool's answer; nothing for an image and whatever else has none."""
        if isinstance(part, str):
            self._masks.append(None)
            return _Part(text=part)
        if not isinstance(part, dict):
            raise Malformed("wrong-type", f"a part of {self._place} is {kind(part)}; expected an object.")
        part = {name: value for name, value in part.items() if value is not None}
        masks = [fields.learned(n, part.pop(n), f"{self._place}: {n}") for n in list(part) if n in _MASKS]
        self._masks.append(all(masks) if masks else None)
        read, used = self._read(part)
        if read == _Part():
            sort = part.get("type", next(iter(part), "nothing"))
            self._rest.unread.append(f"{of} of type {fields.plain_name(str(sort))}")
            return read
        for name, value in part.items():
            if name not in used and fields.unknown_mask(name, value):
                raise fields.refused_mask(f"{self._place}: {fields.plain_name(name)}")
            if name not in used and fields.unread_text(name, value, ()):
                self._rest.unread.append(f"{of}.{fields.plain_name(name)}")
        return read

    def _read(self, part: dict[str, Any]) -> tuple[_Part, tuple[str, ...]]:
        """What a part is, and the names of the fields it was read from."""
        place, sort = self._place, str(part.get("type", ""))
        if self._role == "assistant":
            call = next((name for name in fields.PART_CALL.names if isinstance(part.get(name), dict)), None)
            if call is not None:
                return _Part(call=call_of(part[call], place)), (call,)
            if sort in _CALL_TYPES:
                return _Part(call=call_of(part, place)), ("name", "input", "arguments", "function", "args", "id")
            if sort in _THINKING_TYPES or part.get("thought") is True or isinstance(part.get("reasoningContent"), dict):
                names = [name for name in _THOUGHTS if name in part]
                thoughts = [piece for name in names for piece in _pieces(part[name], place, _THOUGHTS)]
                return _Part(reasoning="\n".join(thoughts)), tuple(names)
        answer = next((name for name in fields.PART_RESULT.names if isinstance(part.get(name), dict)), None)
        if answer == "toolResult":
            read, _ = self._read({**part[answer], "type": "tool_result"})
            return read, (answer,)
        if answer is not None:
            held = part[answer]
            said = held.get("response", "")
            text = said if isinstance(said, str) else as_json(said)
            return _Part(answer=_tool_turn(text, held.get("name"), held.get("id"))), (answer,)
        if sort in ("tool_result", "function_call_output", "tool_response"):
            said = part.get("content", part.get("output", ""))
            pieces = _pieces(said, place, fields.PART_TEXT.names) if _is_content(said) else [as_json(said)]
            if _is_content(said) and fields.unread_text("", said, pieces):
                self._rest.unread.append(f"{self._of}.content[].content[]")
            inner, named = "\n".join(pieces), next((part[key] for key in _ANSWERED if key in part), None)
            return _Part(answer=_tool_turn(inner, part.get("name"), named)), ("content", "output")
        name = next((name for name in fields.PART_TEXT.names if name in part), None)
        if name is None:
            return _Part(), ()
        value = part[name]
        if not isinstance(value, str | dict | list):
            raise Malformed("wrong-type", f"the text of a part of {place} is {kind(value)}.")
        pieces = _pieces(value, place, fields.PART_TEXT.names)
        if not isinstance(value, str) and fields.unread_text(name, value, pieces):
            self._rest.unread.append(f"{self._of}.content[].{fields.plain_name(name)}[]")
        return _Part(text="\n".join(pieces)), (name,)


def _tool_turn(text: str, name: object, call: object) -> Message:
    return Message("tool", text, tool=str(name or ""), call_id=str(call or ""))


def _is_content(value: object) -> bool:
    """Whether a value is text, a part or parts, rather than data that a tool answers with."""
    if isinstance(value, list):
        return all(isinstance(part, str) or (isinstance(part, dict) and _is_content(part)) for part in value)
    if isinstance(value, dict):
        sort = value.get("type")
        if isinstance(sort, str) and not (sort in _CONTENT_TYPES or value.keys() & set(fields.PART_TEXT.names)):
            return False
        return sort is not None or not value.keys().isdisjoint(fields.PART_RESULT.names) or set(value) <= {"text"}
    return isinstance(value, str)


def _pieces(value: object, place: str, names: tuple[str, ...], depth: int = 0) -> list[str]:
    """The texts of text, of an object that holds it under one of these names, or of a list of either."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        name = next((name for name in names if value.get(name) is not None), None)
        return [] if name is None or depth > _DEPTH else _pieces(value[name], place, names, depth + 1)
    if isinstance(value, list) and depth <= _DEPTH:
        return [piece for part in value for piece in _pieces(part, place, names, depth + 1)]
    raise Malformed("wrong-type", f"a text of {place} is {kind(value)}.")


def text_of_parts(value: object, key: str) -> str:
    """The text of a system prompt: text, a part, parts, or an object with `parts`. Raises Malformed."""
    pieces = _pieces(value, shown(key), ("parts", *fields.PART_TEXT.names))
    return "\n".join(filter(None, pieces))


_NO_HISTORY: tuple[object, ...] = (None, "", "[]", [])
_HH_TURN = re.compile(r"\n\n(Human|Assistant):")


def answered(
    value: dict[str, Any], prompt: str, context: tuple[str, ...], answer: str, history: str, rest: Rest
) -> list[Message]:
    """Earlier turns of `history`, then the prompt with its context under it, then the answer."""
    asked, replied = value[prompt], value[answer]
    messages = _history(value[history], history, rest) if history and value.get(history) not in _NO_HISTORY else []
    messages += [plain_turn("user", asked)] if type(asked) is str else _side(asked, prompt, "user", rest)
    if context:
        _put_under(messages, value, context, rest)
    messages += (
        [plain_turn("assistant", replied)] if type(replied) is str else _side(replied, answer, "assistant", rest)
    )
    return messages


def _put_under(messages: list[Message], value: dict[str, Any], context: tuple[str, ...], rest: Rest) -> None:
    """Put the texts of these fields under the last message, where that is the user's; else they are not read."""
    for name in context:
        held = value.get(name)
        if held == "":
            continue
        if type(held) is str and messages[-1].role == "user":
            messages[-1] = plain_turn("user", f"{messages[-1].content}\n{held}")
            continue
        texts = [held] if isinstance(held, str) else held
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts) and messages[-1].role == "user":
            if below := "\n".join(filter(None, texts)):
                messages[-1] = plain_turn("user", f"{messages[-1].content}\n{below}")
        elif held is not None:
            rest.extra[name] = held
            if fields.unread_text("", held, ()):
                rest.unread.append(fields.plain_name(name))


def preferred(
    value: dict[str, Any],
    turns: str,
    prompt: str,
    context: tuple[str, ...],
    chosen: str,
    rejected: str,
    rest: Rest,
) -> tuple[list[Message], str]:
    """The conversation that ends in the chosen answer, and the rejected answer as text."""
    good = _completion(value[chosen], chosen, rest)
    bad = _completion(value[rejected], rejected, rest)
    if len(good) > 1 and good[0].role != "assistant":  # it holds its prompt already
        messages = good
        _keep_others(value, (prompt, turns, *context), good, rest)
    else:
        messages = []
        if turns:
            messages = messages_of(value[turns], turns, rest)
            _keep_others(value, (prompt, *context), messages, rest)
        elif prompt:
            messages = _side(value[prompt], prompt, "user", rest)
            _put_under(messages, value, context, rest)
        messages = messages + good
    said = {message.content for message in messages}
    if any(message.content not in said for message in bad[:-1]):
        rest.unread.append(f"{fields.plain_name(rejected)} (turns before the last)")
    return messages, next((m.text for m in reversed(bad) if m.role == "assistant"), "")


def _keep_others(value: dict[str, Any], names: tuple[str, ...], messages: list[Message], rest: Rest) -> None:
    """Put into `extra` what another field says already, and name it where it says something else."""
    said = {message.content for message in messages}
    for name in names:
        held = value.get(name) if name else None
        if held is not None and held != messages[0].content:
            rest.extra[name] = held
            if fields.unread_text("", held, said):
                rest.unread.append(fields.plain_name(name))


def _completion(value: object, key: str, rest: Rest) -> list[Message]:
    if isinstance(value, str) and len(parts := _HH_TURN.split(value)) >= 5:  # a whole dialogue, as in HH-RLHF
        turns = zip(parts[1::2], parts[2::2], strict=True)
        return [Message("user" if who == "Human" else "assistant", text.strip()) for who, text in turns]
    return _side([value] if isinstance(value, dict) else value, key, "assistant", rest)


def _side(value: object, key: str, role: Any, rest: Rest) -> list[Message]:
    """Text as one message of `role`, a list of turns as they are, or the turns of an object that holds `messages`."""
    if isinstance(value, str):
        return [plain_turn(role, value)]
    if isinstance(value, list) and not (value and isinstance(value[0], str)):
        return messages_of(value, key, rest)
    if isinstance(value, dict) and isinstance(value.get("messages"), list):
        tools = value.get("tools")
        rest.tools += tools_of(tools) or []
        for name, held in value.items():
            if name not in ("messages", "tools"):
                rest.keep(key, key, name, held)
        return messages_of(value["messages"], f"{key}.messages", rest)
    raise Malformed("wrong-type", f"{shown(key)} is {kind(value)}; expected text or a list of turns.")


def _history(value: object, key: str, rest: Rest) -> list[Message]:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return messages_of(value, key, rest)
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise Malformed("wrong-type", f"{shown(key)} is not a list of pairs (question, answer), nor of turns.")
    turns = (
        (plain_turn("user", _text_of(ask, key)), plain_turn("assistant", _text_of(reply, key))) for ask, reply in value
    )
    return [message for pair in turns for message in pair]


def _text_of(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise Malformed("wrong-type", f"{shown(key)} is {kind(value)}; expected text.")
    return value
