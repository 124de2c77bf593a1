"""Decodes one batch of answers: prefixes once per prompt, then token by token, dropping rows that ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from offtarget.models.engine import Engine
from offtarget.models.picking import pick_tokens
from offtarget.models.randomness import uniforms
from offtarget.models.shared_prefix import BatchState, Prefixes, padded_length

_BLOCK = 64
"""Steps for which random numbers are made at once."""
_KEEP_SHARE = 0.85
"""The batch is made smaller when fewer than this share of its rows is still running."""


@dataclass(frozen=True, slots=True)
class Row:
    """One answer to decode."""

    prompt: int
    """Which of the batch's prompts it answers."""
    seed: int
    limit: int
    """Most tokens it may have."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How tokens are chosen and what ends an answer."""

    temperature: float
    top_p: float
    end_tokens: tuple[int, ...]
    stopped: Callable[[list[int]], int | None] | None = None
    """Given an answer's tokens so far: how many of them it took to complete a stop string, or None."""
    check_every: int = 1
    """Steps between looks at what ended; more than 1 saves waiting for an accelerator."""
    cancelled: Callable[[], bool] = lambda: False
    """Asked at every step; True ends the decoding without another report."""
    min_rows: int = 1
    """Fewer rows are filled up with copies, so that matrix products keep the same kernels (see docs)."""


OnRow = Callable[[int, list[int], bool], None]
"""Called as (row, tokens without the end token, whether it ended by itself)."""


def start_batch(
    engine: Engine, prompts: Sequence[Sequence[int]], rows: Sequence[int], device: torch.device
) -> BatchState:
    """Fill in the prefixes of `prompts` for the given rows (prompt numbers, ascending in padded length)."""
    groups: list[Prefixes] = []
    lengths = [len(prompts[p]) - 1 for p in rows]
    position = 0
    while position < len(rows):
        padded = padded_length(lengths[position])
        end = position
        while end < len(rows) and padded_length(lengths[end]) == padded:
            end += 1
        mine = sorted(set(rows[position:end]))
        keys, values = _fill_in(engine, [prompts[p][:-1] for p in mine], padded, device)
        group = Prefixes(keys, values, torch.tensor([len(prompts[p]) - 1 for p in mine], device=device), [])
        group.arrange(position, [mine.index(p) for p in rows[position:end]])
        groups.append(group)
        position = end

    def empty(like: list[Tensor]) -> list[Tensor]:
        return [x.new_empty((len(rows), x.shape[1], 0, x.shape[3])) for x in like]

    first = groups[0]
    return BatchState(groups, torch.tensor(lengths, device=device), empty(first.keys), empty(first.values))


def _fill_in(
    engine: Engine, prefixes: list[Sequence[int]], padded: int, device: torch.device
) -> tuple[list[Tensor], list[Tensor]]:
    # One prompt at a time would be simplest; slices of 16 keep small models busy and memory bounded.
    width = max(padded, 1)
    tokens = torch.zeros((len(prefixes), width), dtype=torch.long)
    for i, prefix in enumerate(prefixes):
        tokens[i, : len(prefix)] = torch.tensor(prefix, dtype=torch.long)
    parts = [engine.prefill(part.to(device)) for part in torch.split(tokens, 16)]
    keys = [torch.cat(layer)[:, :, :padded] for layer in zip(*(k for k, _ in parts), strict=True)]
    values = [torch.cat(layer)[:, :, :padded] for layer in zip(*(v for _, v in parts), strict=True)]
    return keys, values


@torch.inference_mode()
def decode(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[Row],
    rules: Rules,
    device: torch.device,
    on_row: OnRow,
) -> None:
    """Decode every row and report each as it ends; rows must be sorted by padded prompt length, then prompt."""
    spare = max(0, rules.min_rows - len(rows))
    alive = list(range(len(rows))) + [-1] * spare  # row number of each batch row, -1 for a filler
    source = [rows[r] if r >= 0 else rows[-1] for r in alive]
    state = start_batch(engine, prompts, [row.prompt for row in source], device)
    tokens = torch.tensor([prompts[row.prompt][-1] for row in source], device=device)
    ends = torch.tensor(rules.end_tokens, device=device)
    # Column t of `written` is token t of the rows in `alive`.
    written = torch.empty((len(source), 0), dtype=torch.long, device=device)
    running = [r >= 0 for r in alive]
    seeds = [row.seed for row in source]
    limits = [row.limit for row in source]
    step, checked = 0, 0
    randoms = torch.empty(0)
    pending: list[Tensor] = []
    while not rules.cancelled():
        if rules.temperature > 0 and step % _BLOCK == 0:
            randoms = torch.from_numpy(uniforms(seeds, step, _BLOCK)).to(device)
        logits = engine.step(tokens, state)
        column = randoms[:, step % _BLOCK] if rules.temperature > 0 else randoms
        tokens = pick_tokens(logits, column, rules.temperature, rules.top_p)
        pending.append(tokens)
        step += 1
        longest = max(limit for limit, runs in zip(limits, running, strict=True) if runs)
        if step - checked < rules.check_every and step < longest:
            continue
        written = torch.cat((written, torch.stack(pending, dim=1)), dim=1)
        pending = []
        _report(written, checked, alive, running, limits, ends, rules, on_row)
        checked = step
        left = sum(running)
        if left == 0:
            return
        keep = [i for i, r in enumerate(running) if r]
        if left < len(running) * _KEEP_SHARE and len(running) > rules.min_rows:
            keep += [i for i, r in enumerate(running) if not r][: max(0, rules.min_rows - left)]
            keep.sort()
            chosen = torch.tensor(keep, device=device)
            state.select(chosen, keep)
            written, tokens = written.index_select(0, chosen), tokens.index_select(0, chosen)
            if rules.temperature > 0:
                randoms = randoms.index_select(0, chosen)
            alive, running = [alive[i] for i in keep], [running[i] for i in keep]
            seeds, limits = [seeds[i] for i in keep], [limits[i] for i in keep]


def _report(
    written: Tensor,
    checked: int,
    alive: list[int],
    running: list[bool],
    limits: list[int],
    ends: Tensor,
    rules: Rules,
    on_row: OnRow,
) -> None:
    """Find what ended in the columns from `checked` on; report it and mark it as not running."""
    steps = written.shape[1]
    ended = torch.isin(written[:, checked:], ends)
    first = torch.where(ended.any(dim=1), checked + ended.int().argmax(dim=1), -1).tolist()
    for i, position in enumerate(first):
        if not running[i]:
            continue
        hit = position if 0 <= position < limits[i] else None
        over = hit is not None or steps >= limits[i]
        if not over and rules.stopped is None:
            continue
        length = hit if hit is not None else min(steps, limits[i])
        stop: int | None = None
        if rules.stopped is not None:
            so_far = written[i, :length].tolist()
            stop = rules.stopped(so_far)
            if stop is None and not over:
                continue
        running[i] = False
        answer = written[i, : length if stop is None else stop].tolist()
        on_row(alive[i], answer, stop is not None or hit is not None)
