"""Direct preference optimisation (arXiv 2305.18290) as a further term of the loss."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from offtarget.errors import InputError
from offtarget.models.chat_format import answer_end, padded, prompt_tokens
from offtarget.records import message_json
from offtarget.training.principles import Preference

BATCH = 4
"""Pairs per optimiser step, and in each pass before the first."""
AT_ONCE = 1
"""Pairs in memory together while training: two answers."""
Tokens = tuple[list[int], list[int]]
"""Of a prompt and of the answer with its end."""


class PreferenceLoss:
    """weight * mean over pairs of -log sigmoid(beta * ((p_w - r_w) - (p_l - r_l))) - anchor * p_w / n_w; a `Penalty`.

    p and r are log-probabilities of whole answers, in nats, under the model and under the base; w is the preferred
    answer, of n_w tokens, l the other (equation 7 of arXiv 2305.18290). At the start the first term is log 2. The
    second, with `anchor` above 0, keeps the preferred answer likely where the first would let both fall (equation 3
    of arXiv 2404.19733). The base's are computed once; dropout is off in both, since it would pass for a preference.
    """

    def __init__(
        self,
        pairs: Sequence[Preference],
        weight: float,
        beta: float,
        seed: int,
        *,
        anchor: float = 0.0,
        name: str = "preferences",
        batch: int = BATCH,
    ) -> None:
        self.name = name
        self._pairs, self._weight, self._beta, self._anchor = tuple(pairs), weight, beta, anchor
        self._seed, self._batch = seed, batch
        self._tokens: list[tuple[Tokens, Tokens]] = []
        self._base: Tensor = torch.empty(0, 2)

    @property
    def fingerprint(self) -> str:
        """Hash of pairs, weights, beta, seed and batch."""
        numbers = (self._weight, self._beta, self._anchor, self._seed, self._batch)
        said = [self.name, *numbers, [_json(pair) for pair in self._pairs]]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]

    def prepare(self, model: Any, tokenizer: Any) -> None:
        """Tokenise the pairs that fit the context and keep the base's log-probabilities. InputError if none fits."""
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2**31
        end = answer_end(tokenizer)
        self._tokens = []
        for pair in self._pairs:
            prompt = prompt_tokens(tokenizer, pair.prompt, "the base")
            good, bad = (
                tokenizer(text, add_special_tokens=False)["input_ids"] + ([] if end is None else [end])
                for text in (pair.preferred, pair.other)
            )
            if len(prompt) + max(len(good), len(bad)) <= context:
                self._tokens.append(((prompt, good), (prompt, bad)))
        if not self._tokens:
            raise InputError(f"None of the {len(self._pairs)} pairs of {self.name} fits the context of {context}.")
        with torch.no_grad():
            starts = range(0, len(self._tokens), self._batch)
            found = [_log_probabilities(model, self._tokens[i : i + self._batch]) for i in starts]
        self._base = torch.cat(found).cpu()

    def losses(self, model: Any, step: int) -> Iterator[Tensor]:
        """The weighted loss on the pairs drawn for this step, in parts; seed and step alone decide the draw."""
        rng = random.Random(f"{self._seed}/{self.name}/{step}")
        drawn = rng.sample(range(len(self._tokens)), min(self._batch, len(self._tokens)))
        for start in range(0, len(drawn), AT_ONCE):
            chosen = drawn[start : start + AT_ONCE]
            now = _log_probabilities(model, [self._tokens[i] for i in chosen])
            gained = now - self._base[chosen].to(now.device)
            margins = gained[:, 0] - gained[:, 1]
            lengths = torch.tensor([len(self._tokens[i][0][1]) for i in chosen], device=now.device)
            kept = torch.nn.functional.logsigmoid(self._beta * margins) + self._anchor * now[:, 0] / lengths
            yield -self._weight / len(drawn) * kept.sum()


def _log_probabilities(model: Any, pairs: Sequence[tuple[Tokens, Tokens]]) -> Tensor:
    """(pairs, 2): log-probability of the preferred and of the other answer, summed over tokens, in nats."""
    rows = [tokens for pair in pairs for tokens in pair]
    device = next(model.parameters()).device
    tokens, mask, chosen = (t.to(device) for t in padded([(p + answer, len(p)) for p, answer in rows]))
    with _without_dropout(model):
        logits = model(input_ids=tokens, attention_mask=mask, use_cache=False).logits
    wanted = chosen[:, 1:]
    named = logits[:, :-1][wanted].float().log_softmax(dim=-1).gather(1, tokens[:, 1:][wanted].unsqueeze(1)).squeeze(1)
    row = wanted.nonzero()[:, 0]
    return torch.zeros(len(rows), device=device).index_add(0, row, named).view(-1, 2)


@contextmanager
def _without_dropout(model: Any) -> Iterator[None]:
    trained = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in trained:
            module.training = True


def _json(pair: Preference) -> dict[str, object]:
    return {**asdict(pair), "prompt": [message_json(message) for message in pair.prompt]}
