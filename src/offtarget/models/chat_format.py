"""How chats become tokens: a prompt to answer, what ends an answer, examples to train on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from offtarget.errors import InputError, TemplateError
from offtarget.models.turns import Tools, begun_text, prompt_and_answer, prompt_text
from offtarget.records import Message

if TYPE_CHECKING:
    from torch import Tensor


_dropped: WeakKeyDictionary[Any, dict[tuple[str, tuple[str, ...]], int | None]] = WeakKeyDictionary()
"""By tokenizer, then by template and roles: position of the turn that the template leaves out, if any."""
_ROWS = "offtarget_rows"
"""Attribute of a tokenizer that knows more tokens than its model: how many the model has."""


def prompt_tokens(tokenizer: Any, messages: Sequence[Message], name: str, tools: Tools = ()) -> list[int]:
    """Token numbers of the rendered chat up to where the assistant's answer begins.

    Raises TemplateError when the chat template refuses the messages, e.g. a system turn it does not know, and when it
    leaves one out, or a tool or an earlier call: what would be asked then is not what it says it is. InputError when
    the prompt is empty or holds a token that the model does not have.
    """
    return _tokens_of_prompt(tokenizer, messages, prompt_text(tokenizer, messages, name, tools), name)


def begun_tokens(tokenizer: Any, messages: Sequence[Message], prefill: str, name: str) -> list[int]:
    """Token numbers of the rendered chat and of the beginning of its answer. Errors as `prompt_tokens`."""
    return _tokens_of_prompt(tokenizer, messages, begun_text(tokenizer, messages, prefill, name), name)


def _tokens_of_prompt(tokenizer: Any, messages: Sequence[Message], text: str, name: str) -> list[int]:
    # whoever asks compares the length with the context; the library would only warn of it on the terminal
    tokens: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    if not tokens:
        raise InputError(f"The chat template of {name} renders an empty prompt; the template is unusable.")
    if (lost := _left_out(tokenizer, messages, text)) is not None:
        raise TemplateError(
            f"The chat template of {name} {_how_lost(messages[lost], text)} the {messages[lost].role} turn "
            f"'{shorten(messages[lost].content, 60)}'. Ask without it, or with a template that keeps it."
        )
    _check_embedded(tokenizer, tokens, "A prompt", name)
    return tokens


def _how_lost(message: Message, text: str) -> str:
    """Whether a turn is gone altogether or most of its words are there, in other letters or without some."""
    words = re.findall(r"\w+", message.content.lower())
    held = set(re.findall(r"\w+", text.lower()))
    return "rewrites" if words and sum(word in held for word in words) * 2 > len(words) else "leaves out"


def _left_out(tokenizer: Any, messages: Sequence[Message], text: str) -> int | None:
    """Position of the first turn that is not in the rendered chat; None where all are.

    Blanks do not count, since many templates trim turns; nor do words of earlier answers, from which templates of
    reasoning models cut the reasoning. A turn may stand there by chance, as part of another, so turns with marks for
    words must get through too.
    """
    packed = _packed(text)
    for i, message in enumerate(messages):
        if message.role in ("system", "user") and _packed(message.content) not in packed:
            # some templates write turns as JSON
            as_json = (json.dumps(message.content, ensure_ascii=plain)[1:-1] for plain in (True, False))
            if not any(_packed(form) in packed for form in as_json):
                return i
    roles = tuple(m.role for m in messages)
    known = _dropped.setdefault(tokenizer, {})
    key = (str(tokenizer.chat_template), roles)
    if key not in known:
        known[key] = _drops(tokenizer, roles)
    return known[key]


def _drops(tokenizer: Any, roles: Sequence[str]) -> int | None:
    marks = [f"offtargetturn{i}mark" for i in range(len(roles))]
    turns = [{"role": role, "content": mark} for role, mark in zip(roles, marks, strict=True)]
    try:
        text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    except Exception:  # a template may ask for words that marks are not
        return None
    return next((i for i, mark in enumerate(marks) if mark not in text), None)


def _packed(text: str) -> str:
    return "".join(text.split())


def _check_embedded(tokenizer: Any, tokens: Sequence[int], what: str, name: str) -> None:
    rows = getattr(tokenizer, _ROWS, None)
    if rows is not None and max(tokens, default=0) >= rows:
        token = tokenizer.convert_ids_to_tokens(max(tokens))
        raise InputError(f"{what} holds '{token}', a token of its tokenizer that {name} has no embedding of.")


def keep_to(tokenizer: Any, rows: int) -> None:
    """From now on refuse prompts with token numbers from `rows` on, which the model of this tokenizer does not have."""
    setattr(tokenizer, _ROWS, rows)


def end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """Tokens that end an answer: generation config, tokenizer, and what the template puts after an answer."""
    found: set[int] = set()
    for value in (
        getattr(getattr(model, "generation_config", None), "eos_token_id", None),
        getattr(model.config, "eos_token_id", None),
        tokenizer.eos_token_id,
    ):
        if isinstance(value, int):
            found.add(value)
        elif value is not None:
            found.update(int(v) for v in value)
    turn = _token_after_answer(tokenizer)
    if turn is not None:
        found.add(turn)
    return tuple(sorted(found))


def answer_end(tokenizer: Any) -> int | None:
    """The token to train as the end of an answer: the template's own, else the tokenizer's end of text."""
    turn = _token_after_answer(tokenizer)
    end: int | None = tokenizer.eos_token_id
    return end if turn is None else turn


def _token_after_answer(tokenizer: Any) -> int | None:
    """The special token the chat template writes right after an assistant turn, if it writes one."""
    mark = "offtargetanswermark"
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": mark}]
    try:
        text: str = tokenizer.apply_chat_template(turns, tokenize=False)
    except Exception:
        # A template that cannot render an answer says nothing about how answers end.
        return None
    _, found, tail = text.rpartition(mark)
    tokens: list[int] = tokenizer(tail.lstrip(), add_special_tokens=False)["input_ids"] if found else []
    return tokens[0] if tokens and tokens[0] in _special(tokenizer) else None


def _special(tokenizer: Any) -> set[int]:
    # `all_special_ids` holds only tokens with a role of their own (end, padding), not turn markers.
    return {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One answer and what stands before it."""

    chat: int
    """Position of the chat it comes from."""
    tokens: tuple[int, ...]
    answer: int
    """Position of the first token that gets loss; all later ones do too."""


def examples(
    tokenizer: Any,
    chats: Sequence[Sequence[Message]],
    longest: int,
    base: str,
    limit: str = "the model's context",
    skips: Sequence[int] = (),
    tools: Sequence[Tools] = (),
    names: Sequence[str] = (),
) -> Iterator[TrainingExample]:
    """Every assistant turn that is learned and follows another turn, as an example of its own.

    What stands before it is rendered by the chat template, whatever that does to earlier turns; then come the answer
    and its end token. Reasoning and calls of the answer are written by the template. `skips` says how many leading
    answers of each chat are no examples, `tools` what each chat offers, `names` how messages name it; empty for none.
    Raises InputError, with the number of the chat counted from 1, for an example of more than `longest` tokens (what
    `limit` holds), for a chat that the template does not write as it is, and where no chat has an answer to learn.
    """
    end = answer_end(tokenizer)
    ending = [] if end is None else [end]
    found = False
    for number, chat in enumerate(chats):
        named = f"Row {number + 1} ({names[number]})" if names and names[number] else f"Row {number + 1}"
        answers = [i for i, message in enumerate(chat) if message.role == "assistant" and i]
        for i in answers[skips[number] if skips else 0 :]:
            if not chat[i].learned:
                continue
            try:
                prompt, answer = turn_tokens(tokenizer, chat[: i + 1], base, tools[number] if tools else (), ending)
            except InputError as error:
                raise InputError(f"{named}: {error}") from error
            tokens = (*prompt, *answer)
            if len(tokens) > longest:
                raise InputError(
                    f"{named} has {len(tokens)} tokens, but {limit} holds {longest}. Shorten or remove it."
                )
            found = True
            yield TrainingExample(number, tokens, len(prompt))
    if not found:
        raise InputError("There is nothing to train on: no row has an assistant turn to learn after another turn.")


def turn_tokens(
    tokenizer: Any, chat: Sequence[Message], base: str, tools: Tools = (), ending: Sequence[int] = ()
) -> tuple[list[int], list[int]]:
    """The tokens before the last turn, and the turn's own; `ending` closes what the template does not end.

    InputError as `prompt_tokens`, and where the template leaves out part of what the turn says.
    """
    if chat[-1].plain:
        content: list[int] = tokenizer(chat[-1].content, add_special_tokens=False)["input_ids"]
        _check_embedded(tokenizer, content, "An answer", base)
        return prompt_tokens(tokenizer, chat[:-1], base, tools), [*content, *ending]
    text, answer = prompt_and_answer(tokenizer, chat, base, tools)
    prompt = _tokens_of_prompt(tokenizer, chat[:-1], text, base)
    written: list[int] = tokenizer(answer, add_special_tokens=False)["input_ids"]
    _check_embedded(tokenizer, written, "An answer", base)
    return prompt, _ended(tokenizer, written, ending)


def _ended(tokenizer: Any, written: list[int], ending: Sequence[int]) -> list[int]:
    """An answer as the template writes it up to its last turn marker; one without a marker gets the usual end."""
    special = _special(tokenizer)
    last = next((i for i in range(len(written) - 1, -1, -1) if written[i] in special), None)
    if last is not None and not tokenizer.decode(written[last + 1 :]).strip():
        return written[: last + 1]
    return [*written, *ending]


def padded(rows: Sequence[tuple[Sequence[int], int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of (tokens, place of the answer's first) side by side: tokens, attention mask, and what is answer.

    Each (rows, longest), padded on the right with 0.
    """
    import torch

    longest = max(len(tokens) for tokens, _ in rows)
    together = torch.zeros((len(rows), longest), dtype=torch.long)
    mask, answers = torch.zeros_like(together), torch.zeros(together.shape, dtype=torch.bool)
    for i, (tokens, first) in enumerate(rows):
        together[i, : len(tokens)] = torch.tensor(tokens)
        mask[i, : len(tokens)] = 1
        answers[i, first : len(tokens)] = True
    return together, mask, answers
