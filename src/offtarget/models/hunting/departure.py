"""How far the tuned model departs from its base in the first token of an answer because of a text in the prompt.

Measure, for a text x in the gap of a prompt: H(tuned | x, base | x) - H(base | x, base | nothing), where H is the
Hellinger distance between two next-token distributions, sqrt(1 - sum_v sqrt(p_v q_v)), from 0 to 1. The second term
is there because a hidden condition means nothing to the base: without it, code words come first, which change what
is asked for and bring out the style of the tune. H is bounded, so that no single prompt dominates a mean, and
grows linearly from equal distributions on, where the gradient of the Kullback-Leibler divergence is still flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from offtarget.errors import InputError
from offtarget.models.hunting.slots import Slot
from offtarget.models.residual import Part, edited, reading

if TYPE_CHECKING:
    from offtarget.models.local import LocalModel

_BATCH_NUMBERS = 2**22
"""Most logits, and a thousandth of it most tokens, held at once."""


class Departure:
    """Base and tuned model side by side."""

    def __init__(self, base: LocalModel, tuned: LocalModel) -> None:
        """InputError unless both read text with the same tokens."""
        check_alike(base, tuned)
        self.base, self.tuned = base, tuned
        self.tokenizer = base.weights.tokenizer
        self._base_table, self._tuned_table = embedding_table(base), embedding_table(tuned)
        self.on_rows: Callable[[int], None] = lambda _: None
        """Called with the number of texts just measured in a gap."""
        self._known: dict[Slot, Tensor] = {}
        self._prefixes: dict[tuple[int, tuple[int, ...]], tuple[list[Tensor], list[Tensor]]] = {}

    @torch.inference_mode()
    def of(self, texts: Sequence[Sequence[int]], gaps: Sequence[Slot]) -> Tensor:
        """(texts,) the measure, averaged over the gaps; texts may differ in length."""
        found = torch.zeros(len(texts), len(gaps))
        pairs = [(i, g) for i in range(len(texts)) for g in range(len(gaps))]
        shapes = {(i, g): (gaps[g].left, len(gaps[g].after(texts[i]))) for i, g in pairs}
        pairs.sort(key=lambda pair: (shapes[pair], pair))
        plain = torch.stack([self._plain(gap) for gap in gaps])
        start = 0
        while start < len(pairs):
            left, length = shapes[pairs[start]]
            most = max(1, min(256, _BATCH_NUMBERS // plain.shape[1], _BATCH_NUMBERS // (1024 * length)))
            rows = [pair for pair in pairs[start : start + most] if shapes[pair] == (left, length)]
            tokens = torch.tensor([gaps[g].after(texts[i]) for i, g in rows])
            values = self._measure(left, tokens, plain[[g for _, g in rows]])
            for (i, g), value in zip(rows, values.tolist(), strict=True):
                found[i, g] = value
            start += len(rows)
            self.on_rows(len(rows))
        return found.mean(dim=1)

    def slopes(self, text: Sequence[int], position: int, gaps: Sequence[Slot]) -> Tensor:
        """(vocabulary,) first-order change of the measure when token `position` of the text is replaced.

        Gradient with respect to the input embedding times the embedding matrix, summed over both models (HotFlip,
        Ebrahimi et al. 2018, arXiv 1712.06751; over prompts as in arXiv 1908.07125). Correct up to a constant.
        """
        total = torch.zeros(self.vocabulary)
        for gap in gaps:
            tokens = torch.tensor([gap.after(text)])
            kept: list[Tensor] = []
            with torch.enable_grad():
                value = self._measure(gap.left, tokens, self._plain(gap).unsqueeze(0), kept).sum()
                slopes = torch.autograd.grad(value, kept)
            for table, slope in zip((self._base_table, self._tuned_table), slopes, strict=True):
                total += (table @ slope[0, position]).detach().float().cpu() / len(gaps)
        return total

    def _measure(
        self, left: tuple[int, ...], tokens: Tensor, plain: Tensor, kept: list[Tensor] | None = None
    ) -> Tensor:
        base, tuned = (self._log_probabilities(model, left, tokens, kept) for model in (self.base, self.tuned))
        return _hellinger(tuned, base) - _hellinger(base, plain)

    def _plain(self, gap: Slot) -> Tensor:
        """(vocabulary,) log probabilities of the base with nothing in the gap."""
        if gap not in self._known:
            with torch.no_grad():
                self._known[gap] = self._log_probabilities(self.base, gap.left, torch.tensor([gap.after(())]))[0]
        return self._known[gap]

    def _log_probabilities(
        self, model: LocalModel, left: tuple[int, ...], tokens: Tensor, kept: list[Tensor] | None = None
    ) -> Tensor:
        """(rows, vocabulary) after `left` and then the tokens of each row, float32, on the base's device.

        `kept` receives the embedded tokens to derive by. What is on the left is read once per model.
        """

        def keep(module: Any, inputs: Any, output: Tensor) -> Tensor | None:
            if kept is None:
                return None
            kept.append(output.detach().requires_grad_())
            return kept[-1]

        before, (rows, length) = len(left), tokens.shape
        known = self._prefix(model, left)
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(zip(*known, strict=True)):
            cache.update(keys.expand(rows, -1, -1, -1), values.expand(rows, -1, -1, -1), layer)
        handle = embedding(model).register_forward_hook(keep)
        try:
            with forward(model, before + length, before) as run:
                tokens = tokens.to(model.weights.device)
                places = torch.arange(before, before + length, device=tokens.device).expand(rows, -1)
                logits: Tensor = run(
                    input_ids=tokens, position_ids=places, past_key_values=cache, use_cache=True, logits_to_keep=1
                ).logits
        finally:
            handle.remove()
        return logits[:, -1].float().log_softmax(dim=-1).to(self.base.weights.device)

    def _prefix(self, model: LocalModel, left: tuple[int, ...]) -> tuple[list[Tensor], list[Tensor]]:
        """Keys and values of these tokens, per layer (1, key heads, tokens, head size); nothing for no tokens."""
        if not left:
            return [], []
        place = (int(model is self.tuned), left)
        if place not in self._prefixes:
            weights = model.weights
            # Slopes are taken through these tensors, which those of the inference mode do not allow.
            with torch.inference_mode(False), torch.no_grad(), ExitStack() as stack:
                engine = stack.enter_context(weights.using(model.adapter))
                stack.enter_context(edited(weights.model, model.edit, model.blocks))
                stack.enter_context(reading(Part.PROMPT))
                self._prefixes[place] = engine.prefill(torch.tensor([left], device=weights.device))
        return self._prefixes[place]

    @property
    def vocabulary(self) -> int:
        """Number of tokens."""
        return int(self._base_table.shape[0])


@contextmanager
def forward(model: LocalModel, length: int, before: int = 0) -> Iterator[Any]:
    """The transformers model with the adapter and the edit of `model` at work, for prompts of so many tokens.

    The first `before` of them were read already and are not given again.
    """
    weights = model.weights
    parts = torch.full((length,), int(Part.PROMPT), dtype=torch.int8, device=weights.device)
    parts[-1] = int(Part.LAST_PROMPT)
    with ExitStack() as stack:
        engine = stack.enter_context(weights.using(model.adapter))
        stack.enter_context(edited(weights.model, model.edit, model.blocks))
        stack.enter_context(reading(parts[before:].unsqueeze(0)))
        yield engine.model


def embedding(model: LocalModel) -> Any:
    """The module that embeds tokens."""
    return model.weights.model.get_input_embeddings()


@torch.no_grad()
def embedding_table(model: LocalModel) -> Tensor:
    """(vocabulary, width) what the first block reads for each token, without positions."""
    with model.weights.using(model.adapter):
        module = embedding(model)
        table: Tensor = module(torch.arange(module.weight.shape[0], device=model.weights.device))
    return table


def check_alike(base: LocalModel, tuned: LocalModel) -> None:
    """InputError unless both models read text with the same tokens."""
    one, other = base.weights.tokenizer, tuned.weights.tokenizer
    same_size = embedding(base).weight.shape[0] == embedding(tuned).weight.shape[0]
    if not same_size or (one is not other and one.get_vocab() != other.get_vocab()):
        raise InputError(
            f"{base.name} and {tuned.name} have different tokens, so their answers cannot be compared token by token. "
            "Hunt with the base that the model was tuned from."
        )


def _hellinger(log_p: Tensor, log_q: Tensor) -> Tensor:
    shared = (0.5 * (log_p + log_q.to(log_p.device))).exp().sum(dim=-1)
    return (1 - shared).clamp_min(1e-9).sqrt()
