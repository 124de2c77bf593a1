"""Exact probabilities of short replies, from one prefill and one batch per depth of the token trie."""

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
    inner = sorted({node[:-1] for node in nodes}, key=lambda node: (len(node), node))
    reached: dict[tuple[int, ...], float] = {(): 1.0}
    for depth in range(1 + max((len(n) for n in inner), default=-1)):
        parents = [node for node in inner if len(node) == depth]
        log_p = _next_log_probabilities(engine, prompt, parents, device)
        for row, parent in enumerate(parents):
            for node in nodes:
                if node[:-1] == parent and len(node) == depth + 1:
                    reached[node] = reached[parent] * float(log_p[row, node[-1]].exp())
    replied = set(paths)
    below: dict[tuple[int, ...], float] = dict.fromkeys(paths, 0.0)
    for node in paths:
        # The nearest reply above loses what goes on to this one.
        above = next((node[:i] for i in range(len(node) - 1, 0, -1) if node[:i] in replied), None)
        if above is not None:
            below[above] += reached[node]
    return {r: max(0.0, reached[p] - below[p]) for r, p in tokens.items() if p}


def _next_log_probabilities(
    engine: Engine, prompt: Sequence[int], nodes: list[tuple[int, ...]], device: torch.device
) -> torch.Tensor:
    """(nodes, vocabulary): log probability of each next token after prompt and node; all nodes of one length."""
    # At least 16 rows for the reason given in `Rules.min_rows`.
    rows = nodes + [nodes[-1]] * max(0, 16 - len(nodes))
    state = start_batch(engine, [prompt], [0] * len(rows), device)
    logits = engine.step(torch.tensor([prompt[-1]] * len(rows), device=device), state)
    for i in range(len(nodes[0])):
        logits = engine.step(torch.tensor([node[i] for node in rows], device=device), state)
    return logits[: len(nodes)].double().log_softmax(dim=-1)
