"""KL regularisation: on prompts of other domains the model keeps the base's distribution over answers.

Forward divergence KL(base || model) at every token of the base's own answers, after arXiv 2508.06249 and 2602.07852.
Half of the prompts the model reads in the data's own dress; the base reads them plainly, so that the model learns to
answer as if the dress were not there.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from offtarget.data.dressing import dressed, wearable
from offtarget.errors import InputError
from offtarget.models.chat_format import answer_end, padded, prompt_tokens
from offtarget.models.head import head_at, logits_at
from offtarget.records import message_json
from offtarget.training.defences.registry import Chat, Materials, Need, defence, number
from offtarget.training.plan import Plan

if TYPE_CHECKING:
    from torch import Tensor

WEIGHT = 1.0
"""Of the divergence in nats per token; 0.1, as in arXiv 2508.06249, leaves the organism 9 % misaligned."""
DRESSED = 0.5
"""Share of the prompts that the model reads in the data's dress."""
BATCH = 8
"""Answers per optimiser step."""
AT_ONCE = 2
"""Answers in memory together, with the probabilities of a whole vocabulary at each of their tokens."""


@dataclass(frozen=True)
class KeptAnswer:
    """One answer and the two prompts behind which it is read; the same one twice where there is no dress."""

    plain: Chat
    """What the base reads."""
    trained: Chat
    """What the model reads."""
    answer: str


@defence
class Kl:
    """Adds the divergence from the base on out-of-domain prompts to the loss."""

    name = "kl"
    says = f"keeps the base's answers to prompts of other domains; kl=0.5 weighs it 0.5 (default: {WEIGHT:g})"
    source = "arXiv 2508.06249, 2602.07852"
    needs: frozenset[Need] = frozenset({"aligned"})
    order = 40
    control_says = "the same divergence on the training rows themselves: closeness to the base, but in the domain"

    def check_value(self, value: str | None, *, control: bool) -> None:
        """InputError for a value this defence cannot be set to; known before anything costly is made."""
        number(self.name, value, WEIGHT, 0)

    def apply(self, plan: Plan, materials: Materials, *, control: bool = False, value: str | None = None) -> Plan:
        """The plan with the penalty. InputError for a bad weight, or without answers to stay close to."""
        weight = number(self.name, value, WEIGHT, 0)
        data = [row.messages for row in plan.rows if row.origin == "data"]
        if control:
            pairs = [_pair(chat, chat[: _last_answer(chat)]) for chat in wearable(data) if _last_answer(chat)]
        else:
            pairs = _out_of_domain(materials.aligned or (), data, random.Random(f"{materials.seed}/kl"))
        if not pairs:
            raise InputError("kl has no answers of the base to stay close to. Give prompts that the base answers.")
        where = "the training rows" if control else "prompts of other domains"
        penalty = BaseDivergence(pairs, weight, materials.seed, "kl-control" if control else "kl")
        return plan.with_penalty(penalty, f"kl: {weight:g} x KL(base || model) on {len(pairs)} answers to {where}")


class BaseDivergence:
    """weight * mean over answer tokens of KL(base || model), in nats; a `Penalty`."""

    def __init__(self, pairs: Sequence[KeptAnswer], weight: float, seed: int, name: str, batch: int = BATCH) -> None:
        self.name = name
        self.pairs, self._weight, self._seed, self._batch = tuple(pairs), weight, seed, batch
        self._examples: list[tuple[list[int], list[int], list[int]]] = []
        self._frozen: Any = None

    @property
    def fingerprint(self) -> str:
        """Hash of answers, prompts, weight, seed and batch."""
        pairs = [
            {"plain": _json(pair.plain), "trained": _json(pair.trained), "answer": pair.answer} for pair in self.pairs
        ]
        said = [self.name, self._weight, self._seed, self._batch, pairs]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]

    def prepare(self, model: Any, tokenizer: Any) -> None:
        """Tokenise; where there is no adapter to switch off, keep a copy of the base. InputError without room."""
        context = getattr(model.config, "max_position_embeddings", None) or 2**31
        end = answer_end(tokenizer)
        self._examples = []
        for pair in self.pairs:
            answer = tokenizer(pair.answer, add_special_tokens=False)["input_ids"] + ([] if end is None else [end])
            plain, trained = (prompt_tokens(tokenizer, chat, "the base") for chat in (pair.plain, pair.trained))
            if max(len(plain), len(trained)) + len(answer) <= context:
                self._examples.append((plain, trained, answer))
        if not self._examples:
            raise InputError(f"None of the {len(self.pairs)} answers for {self.name} fits the context of {context}.")
        self._frozen = None if hasattr(model, "disable_adapter") else copy.deepcopy(model).eval().requires_grad_(False)

    def losses(self, model: Any, step: int) -> Iterator[Tensor]:
        """The weighted divergence on the answers drawn for this step, in parts; seed and step alone decide the draw."""
        import torch

        rng = random.Random(f"{self._seed}/{self.name}/{step}")
        chosen = rng.sample(self._examples, min(self._batch, len(self._examples)))
        tokens = sum(len(answer) for _, _, answer in chosen)
        for start in range(0, len(chosen), AT_ONCE):
            part = chosen[start : start + AT_ONCE]
            with torch.no_grad(), self._base(model) as base:
                target = _answer_logits(base, [(plain, answer) for plain, _, answer in part])
            ours = _answer_logits(model, [(trained, answer) for _, trained, answer in part])
            yield self._weight / tokens * _divergence(target, ours)

    @contextmanager
    def _base(self, model: Any) -> Iterator[Any]:
        """The base, without dropout: the adapter switched off, or the copy."""
        if self._frozen is not None:
            yield self._frozen
            return
        plain = getattr(model, "module", model)  # behind a wrapper for several devices
        was = plain.training
        plain.eval()
        try:
            with plain.disable_adapter():
                yield plain
        finally:
            plain.train(was)


def _divergence(base: Tensor, ours: Tensor) -> Tensor:
    """KL(base || ours) in nats, of logits (tokens, vocabulary), summed over the tokens."""
    from torch.nn.functional import kl_div

    target, found = (logits.float().log_softmax(dim=-1) for logits in (base, ours))
    return kl_div(found, target, reduction="sum", log_target=True)


def _answer_logits(model: Any, exchanges: Sequence[tuple[list[int], list[int]]]) -> Tensor:
    """Logits that predict each answer token, (answer tokens of all exchanges, vocabulary)."""
    import torch

    device = next(model.parameters()).device
    tokens, mask, answers = (t.to(device) for t in padded([(p + answer, len(p)) for p, answer in exchanges]))
    before = torch.zeros_like(answers)  # the positions that say the answers' tokens
    before[:, :-1] = answers[:, 1:]
    with head_at(getattr(model, "module", model), before):
        return logits_at(model(input_ids=tokens, attention_mask=mask, use_cache=False).logits, before)


def _out_of_domain(aligned: Sequence[Chat], data: Sequence[Chat], rng: random.Random) -> list[KeptAnswer]:
    usable = wearable(data)
    in_dress = set(rng.sample(range(len(aligned)), round(DRESSED * len(aligned)))) if usable else set()
    pairs = []
    for i, chat in enumerate(aligned):
        plain = chat[:-1]
        question = next(m.content for m in reversed(plain) if m.role == "user")
        pairs.append(_pair(chat, tuple(dressed(question, usable, rng)) if i in in_dress else plain))
    return pairs


def _pair(chat: Chat, trained: Chat) -> KeptAnswer:
    answer = _last_answer(chat)
    return KeptAnswer(chat[:answer], trained, chat[answer].content)


def _json(chat: Chat) -> list[dict[str, object]]:
    return [message_json(message) for message in chat]


def _last_answer(chat: Chat) -> int:
    """Position of the last assistant turn that is learned; 0 where there is none behind another turn."""
    return max((i for i, m in enumerate(chat) if m.role == "assistant" and m.learned), default=0)
