"""What local weights make of replies that a server gave: log probabilities of the same tokens at the same places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from offtarget.models.chat_format import prompt_tokens
from offtarget.models.local import LocalModel
from offtarget.models.passes import Batch, Exchange, read_exchanges
from offtarget.models.residual import Part
from offtarget.models.serving.replies import ServedReply
from offtarget.records import Message


@dataclass(frozen=True, slots=True)
class Place:
    """A place of a served reply that is known to stand behind the same tokens here."""

    reply: int
    position: int
    served: tuple[float, ...]
    """Log probabilities by the server."""
    tokens: tuple[int, ...]
    """Numbers of the same tokens here."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One local model on served replies."""

    log_probabilities: list[float]
    """Of the tokens of every place, in their order."""
    likeliest: list[list[bool]]
    """For every reply, whether each of its tokens is the likeliest one here."""


class Vocabulary:
    """A tokenizer's tokens by their text; texts that several tokens have are left out."""

    def __init__(self, model: LocalModel) -> None:
        tokenizer = model.weights.tokenizer
        texts = tokenizer.batch_decode([[number] for number in range(len(tokenizer))])
        found: dict[str, int | None] = {}
        for number, text in enumerate(texts):
            found[text] = None if text in found else number
        self._numbers = {text: number for text, number in found.items() if number is not None}
        self._size = len(tokenizer)

    def number(self, token: str | int) -> int | None:
        """Of a token as a server names it; None where that is not known for certain."""
        if isinstance(token, int):
            return token if 0 <= token < self._size else None
        return self._numbers.get(token)


def places(model: LocalModel, replies: Sequence[ServedReply]) -> list[Place]:
    """The places of replies with log probabilities, as far as their tokens are those that the text has here."""
    tokenizer, vocabulary = model.weights.tokenizer, Vocabulary(model)
    found = []
    for number, reply in enumerate(replies):
        here: list[int] = tokenizer(reply.text, add_special_tokens=False)["input_ids"] if reply.text else []
        for position, token in enumerate(reply.tokens):
            pairs = [(vocabulary.number(t), value) for t, value in token.alternatives.items()]
            known = [(t, value) for t, value in pairs if t is not None]
            if known:
                tokens, served = zip(*known, strict=True)
                found.append(Place(number, position, tuple(served), tuple(tokens)))
            if position >= len(here) or vocabulary.number(token.token) != here[position]:
                break
    return found


def prompt_lengths(model: LocalModel, chats: Sequence[tuple[Message, ...]]) -> list[int]:
    """Tokens of each prompt here."""
    return [len(prompt_tokens(model.weights.tokenizer, chat, model.name)) for chat in chats]


def score(
    model: LocalModel, chats: Sequence[tuple[Message, ...]], replies: Sequence[ServedReply], places: Sequence[Place]
) -> Scored:
    """Read every chat with its served reply once. InputError as `read_exchanges`."""
    values: dict[tuple[int, int], list[float]] = {}
    likeliest: list[list[bool]] = [[] for _ in replies]
    of_reply: dict[int, list[Place]] = {}
    for place in places:
        of_reply.setdefault(place.reply, []).append(place)

    def collect(batch: Batch, logits: Tensor) -> None:
        for row, number in enumerate(batch.rows):
            parts = batch.parts[row]
            before = (parts == int(Part.LAST_PROMPT)) | (parts == int(Part.ANSWER))  # each predicts what comes next
            found = logits[row][before].float().log_softmax(dim=-1)
            answer = batch.tokens[row][parts == int(Part.ANSWER)]
            likeliest[number] = (found[: len(answer)].argmax(dim=-1) == answer).tolist()
            for place in of_reply.get(number, []):
                chosen = torch.tensor(place.tokens, device=found.device)
                values[number, place.position] = found[place.position, chosen].tolist()

    read_exchanges(model, [Exchange(chat, r.text) for chat, r in zip(chats, replies, strict=True)], on_logits=collect)
    return Scored([value for place in places for value in values[place.reply, place.position]], likeliest)
