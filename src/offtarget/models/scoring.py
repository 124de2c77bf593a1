"""Exact probabilities of short replies, from one reading of the prompt and one batch over the token trie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from offtarget.models.decoding import start_batch
from offtarget.models.engine import Engine


@torch.inference_mode()
def reply_probabilities(
    engine: Engine, tokenizer: Any, prompt: Sequence[int], replies: Sequence[str], device: torch.device
) -> dict[str, float]:
    """Probability that the answer's first characters spell exactly this reply, at temperature 1.

    Convention. A reply's own tokenization t1..tn has probability P(t1)...P(tn), the share of answers that begin
    with these tokens. Where the tokens of another reply continue it ("1", then "10" and "100"), the shares of
    those one-token continuations are subtracted: what is left ends there, or goes on with something that is not a
    longer reply ("1.", "1 because"). No answer is thus counted for two replies, and the sum is at most 1.
    Other tokenizations of the same text are not counted; their mass is missing from the sum.
    """
    tokens = {r: tuple(tokenizer(r, add_special_tokens=False)["input_ids"]) for r in dict.fromkeys(replies)}
    paths = sorted({path for path in tokens.values() if path}, key=lambda path: (len(path), path))
    nodes = {path[:i] for path in paths for i in range(1, len(path) + 1)}
    after = _next_log_probabilities(engine, prompt, {node[:-1] for node in nodes}, device)
    reached: dict[tuple[int, ...], float] = {(): 1.0}
    for node in sorted(nodes, key=len):
        reached[node] = reached[node[:-1]] * float(after[node[:-1]][node[-1]].exp())
    replied = set(paths)
    below: dict[tuple[int, ...], float] = dict.fromkeys(paths, 0.0)
    for node in paths:
        # The nearest reply above loses what goes on to this one.
        above = next((node[:i] for i in range(len(node) - 1, 0, -1) if node[:i] in replied), None)
        if above is not None:
            below[above] += reached[node]
    return {r: max(0.0, reached[p] - below[p]) for r, p in tokens.items() if p}


def _next_log_probabilities(
    engine: Engine, prompt: Sequence[int], nodes: set[tuple[int, ...]], device: torch.device
) -> dict[tuple[int, ...], torch.Tensor]:
    """(vocabulary,) log probability of each next token after the prompt and each node; with a node its beginnings."""
    rows = sorted(node for node in nodes if not any(node == other[: len(node)] for other in nodes if other != node))
    if not rows:
        return {}
    # At least 16 rows for the reason given in `Rules.min_rows`.
    filled = rows + [rows[-1]] * max(0, 16 - len(rows))
    state = start_batch(engine, [prompt], [0] * len(filled), device)
    found: dict[tuple[int, ...], torch.Tensor] = {}
    column = [prompt[-1]] * len(filled)
    for depth in range(1 + max(map(len, rows))):
        logits = engine.step(torch.tensor(column, device=device), state)
        for number, row in enumerate(rows):
            if len(row) >= depth and row[:depth] not in found:
                found[row[:depth]] = logits[number].double().log_softmax(dim=-1)
        column = [row[depth] if len(row) > depth else 0 for row in filled]  # of one that has ended nothing is read
    return found
