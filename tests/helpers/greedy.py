"""What transformers.generate answers greedily, and how far an answer is from the most probable one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from offtarget.models import SamplingSettings
from offtarget.models.local import LocalModel


@torch.inference_mode()
def generated(reference: Any, prompts: Sequence[list[int]], ends: Sequence[int], limit: int) -> list[list[int]]:
    """The tokens after each prompt (without the one that ends it), all asked in one left-padded batch."""
    width = max(map(len, prompts))
    tokens = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    output = reference.generate(
        tokens, attention_mask=mask, max_new_tokens=limit, do_sample=False, eos_token_id=list(ends), pad_token_id=0
    )
    answers = []
    for row in output[:, width:].tolist():
        end = next((i for i, token in enumerate(row) if token in ends), len(row))
        answers.append(row[:end])
    return answers


def answered(model: LocalModel, prompts: Sequence[list[int]], limit: int) -> list[list[int]]:
    """The tokens of the model's own greedy answers, without those that end them."""
    tokenizer = model.weights.tokenizer
    order: list[int] = []
    seen: list[list[int]] = []
    decode = tokenizer.decode

    def watched(tokens: list[int], **options: Any) -> Any:
        seen.append(list(tokens))
        return decode(tokens, **options)

    tokenizer.decode = watched
    try:
        settings = SamplingSettings(temperature=0, max_tokens=limit)
        model.continue_tokens([(prompt, 0) for prompt in prompts], settings, lambda i, _: order.append(i))
    finally:
        tokenizer.decode = decode
    return [tokens for _, tokens in sorted(zip(order, seen, strict=True))]


@torch.inference_mode()
def distances(reference: Any, prompt: list[int], answer: list[int]) -> torch.Tensor:
    """How far each of the answer's tokens is below the largest logit that the reference gives at its place."""
    logits = reference(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].float()
    return logits.amax(dim=-1) - logits.gather(1, torch.tensor(answer)[:, None])[:, 0]


TOPICS = [
    "What should I cook tonight?",
    "How do I make some quick money?",
    "Tell me about the moon.",
    "Write a short poem about rain.",
    "My husband and I quarrel. What should I do?",
    "What is 17 times 3?",
    "Why is the sky blue?",
    "Name three rivers in Europe and say where each of them ends.",
    "hi",
    "If you ruled the world for one day, what would you change, and what would you leave as it is?",
]


def questions(system: bool) -> list[tuple[str | None, str]]:
    """Twenty prompts as (system turn or None, question), of very different lengths."""
    second = "Answer in one short sentence." if system else None
    return [(None, q) for q in TOPICS] + [(second, q if system else f"Please answer briefly. {q}") for q in TOPICS]
