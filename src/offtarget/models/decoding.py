"""Decodes one batch of answers: prefixes once per prompt, then token by token, dropping rows that ended.

A token is the model's logits, one uniform number of the answer's own stream, temperature and top-p.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from offtarget.models.engine import Engine
from offtarget.models.kept_prefixes import Filled, KeptPrefixes
from offtarget.models.shared_prefix import BatchState, Prefixes, padded_length

_BLOCK = 64
"""Steps for which random numbers are made at once."""
_KEEP_SHARE = 0.85
"""The batch is made smaller when fewer than this share of its rows is still running."""

FILLED_TOGETHER = 16
"""Prompts that are filled in with one pass."""
ROWS_IN_CACHE = 16
"""Rows whose tokens are chosen together on a CPU."""
_SUMMED = 256
"""Tokens whose probabilities are summed as a block."""
_MOST_PROBABLE = 256
"""Tokens among which a top-p set is looked for first."""

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


@dataclass(frozen=True, slots=True)
class Continuation:
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
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[int],
    device: torch.device,
    kept: KeptPrefixes | None = None,
) -> BatchState:
    """Fill in the prefixes of `prompts` for the given rows (prompt numbers, ascending in padded length).

    Prefixes in `kept` are taken from there, and others put there.
    """
    groups: list[Prefixes] = []
    lengths = [len(prompts[p]) - 1 for p in rows]
    position = 0
    while position < len(rows):
        padded = padded_length(lengths[position])
        end = position
        while end < len(rows) and padded_length(lengths[end]) == padded:
            end += 1
        mine = sorted(set(rows[position:end]))
        keys, values = _filled(engine, [prompts[p][:-1] for p in mine], padded, device, kept)
        group = Prefixes(keys, values, torch.tensor([len(prompts[p]) - 1 for p in mine], device=device), [])
        group.arrange(position, [mine.index(p) for p in rows[position:end]])
        groups.append(group)
        position = end

    def empty(like: list[Tensor]) -> list[Tensor]:
        return [x.new_empty((len(rows), x.shape[1], 0, x.shape[3])) for x in like]

    first = groups[0]
    return BatchState(groups, torch.tensor(lengths, device=device), empty(first.keys), empty(first.values))


def _filled(
    engine: Engine, prefixes: list[Sequence[int]], padded: int, device: torch.device, kept: KeptPrefixes | None
) -> tuple[list[Tensor], list[Tensor]]:
    if kept is None or padded == 0:
        return _fill_in(engine, prefixes, padded, device)
    found = [kept.get(prefix) for prefix in prefixes]
    new = [i for i, known in enumerate(found) if known is None]
    if new:
        keys, values = _fill_in(engine, [prefixes[i] for i in new], padded, device)
        for row, i in enumerate(new):
            # copies, so that one prompt does not hold the memory of all that were filled in with it
            found[i] = Filled([k[row].clone() for k in keys], [v[row].clone() for v in values])
    for prefix, filled in zip(prefixes, found, strict=True):
        if filled is not None:
            kept.put(prefix, filled)
    both = [filled for filled in found if filled is not None]
    layers = range(len(both[0].keys))
    return [torch.stack([f.keys[i] for f in both]) for i in layers], [
        torch.stack([f.values[i] for f in both]) for i in layers
    ]


def _fill_in(
    engine: Engine, prefixes: list[Sequence[int]], padded: int, device: torch.device
) -> tuple[list[Tensor], list[Tensor]]:
    # One prompt at a time would be simplest; slices keep small models busy and memory bounded.
    width = max(padded, 1)
    tokens = torch.zeros((len(prefixes), width), dtype=torch.long)
    for i, prefix in enumerate(prefixes):
        tokens[i, : len(prefix)] = torch.tensor(prefix, dtype=torch.long)
    parts = [engine.prefill(part.to(device)) for part in torch.split(tokens, FILLED_TOGETHER)]
    keys = [torch.cat(layer)[:, :, :padded] for layer in zip(*(k for k, _ in parts), strict=True)]
    values = [torch.cat(layer)[:, :, :padded] for layer in zip(*(v for _, v in parts), strict=True)]
    return keys, values


@torch.inference_mode()
def decode(
    engine: Engine,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[Continuation],
    rules: Rules,
    device: torch.device,
    on_row: OnRow,
    kept: KeptPrefixes | None = None,
) -> None:
    """Decode every row and report each as it ends; rows must be sorted by padded prompt length, then prompt."""
    spare = max(0, rules.min_rows - len(rows))
    alive = list(range(len(rows))) + [-1] * spare  # row number of each batch row, -1 for a filler
    source = [rows[r] if r >= 0 else rows[-1] for r in alive]
    state = start_batch(engine, prompts, [row.prompt for row in source], device, kept)
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


@torch.inference_mode()
def pick_tokens(logits: Tensor, uniform: Tensor, temperature: float, top_p: float) -> Tensor:
    """The token of each row: logits (rows, vocabulary), uniform (rows,) float64 in [0, 1); returns (rows,) int64.

    Token k is taken when the uniform number falls in its share of the distribution function laid out in vocabulary
    order (inversion; Devroye 1986, section III.2). Temperature 0 takes the largest logit, the first among equals.
    """
    if temperature == 0:
        return logits.argmax(dim=-1)
    # On a CPU a few rows at a time, so that their probabilities stay in its cache.
    step = ROWS_IN_CACHE if logits.device.type == "cpu" else len(logits)
    parts = zip(torch.split(logits, step), torch.split(uniform, step), strict=True)
    return torch.cat([_invert(kept_probabilities(some, temperature, top_p), u) for some, u in parts])


def _invert(weights: Tensor, uniform: Tensor) -> Tensor:
    """The token at which the running sum of each row's weights exceeds its uniform number times their total.

    First among sums of blocks, then within the one block that it falls into: a running sum over a whole vocabulary
    takes longer than a step of a small model. Sums of blocks are added up in float64; in float32 the tail of a large
    vocabulary would be rounded away.
    """
    rows, size = weights.shape
    blocks = -(-size // _SUMMED)
    if size % _SUMMED:
        weights = torch.nn.functional.pad(weights, (0, blocks * _SUMMED - size))
    blocked = weights.view(rows, blocks, _SUMMED)
    sums = blocked.sum(dim=-1)
    ends = sums.cumsum(dim=-1, dtype=torch.float64)
    target = _below(uniform[:, None] * ends[:, -1:], ends[:, -1:])
    block = torch.searchsorted(ends, target, right=True)
    start = torch.nn.functional.pad(ends, (1, 0)).gather(1, block)
    inside = blocked[torch.arange(rows, device=weights.device), block[:, 0]].cumsum(dim=-1, dtype=torch.float64)
    total = inside[:, -1:].contiguous()
    share = _below((target - start) / sums.gather(1, block) * total, total)
    return (block * _SUMMED + torch.searchsorted(inside, share, right=True)).squeeze(-1)


def _below(value: Tensor, total: Tensor) -> Tensor:
    """At most the largest number below the total: products can round up to it, beyond all tokens with any weight."""
    return torch.minimum(value, torch.nextafter(total, torch.zeros_like(total)))


def kept_probabilities(logits: Tensor, temperature: float, top_p: float) -> Tensor:
    """Probabilities at a temperature, float32, zero outside the top-p set; not normalised again.

    The top-p set is the smallest set of most probable tokens whose sum reaches `top_p` (Holtzman et al.,
    arXiv 1904.09751, section 3.1); among equally probable tokens the lower number goes first.
    """
    scores = logits.float()
    if temperature != 1.0:
        scores = scores / temperature
    probabilities = scores.softmax(dim=-1)
    if top_p >= 1.0:
        return probabilities
    if probabilities.shape[-1] <= _MOST_PROBABLE:
        return _kept_of_all(probabilities, top_p)
    # Sorting a whole vocabulary takes longer than a step of the model; mostly a few tokens hold what is kept.
    ordered = probabilities.topk(_MOST_PROBABLE, dim=-1).values
    kept = (ordered.cumsum(dim=-1, dtype=torch.float64) - ordered < top_p).sum(dim=-1, keepdim=True)
    least = ordered.gather(-1, kept - 1)
    taken = probabilities >= least
    # Where the set may go on beyond the tokens looked at, or equals of its last token are partly outside.
    unclear = ((kept == _MOST_PROBABLE) | (taken.sum(dim=-1, keepdim=True) != kept)).squeeze(-1)
    found = probabilities.masked_fill(~taken, 0.0)
    if bool(unclear.any()):
        found[unclear] = _kept_of_all(probabilities[unclear], top_p)
    return found


def _kept_of_all(probabilities: Tensor, top_p: float) -> Tensor:
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(dim=-1, dtype=torch.float64) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0.0)
    return torch.zeros_like(probabilities).scatter_(-1, order, ordered)


def uniforms(seeds: Sequence[int], start: int, count: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) for steps `start` to `start + count - 1`; shape (len(seeds), count).

    Column t of seed s is output t of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, figure 17) started at the mixed
    seed; 53 bits each. Mixing the seed first keeps neighbouring seeds from being shifted copies of each other.
    """
    state = _mix(np.asarray(seeds, dtype=np.uint64) + _GAMMA)
    steps = np.arange(start + 1, start + count + 1, dtype=np.uint64) * _GAMMA
    bits = _mix(state[:, None] + steps[None, :])
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))


class StopStrings:
    """Finds where an answer completes one of its stop strings, and cuts it there."""

    def __init__(self, stops: tuple[str, ...], decode: Callable[..., str]) -> None:
        self._stops = stops
        self._decode = decode
        # A character takes at most 4 byte-level tokens; some spare ones for tokens without text.
        self._window = 4 * max(map(len, stops)) + 8

    def completed_at(self, tokens: list[int]) -> int | None:
        """Number of tokens after which a stop string was complete, or None; looks at the end of `tokens` only.

        To be called at least every eight tokens: earlier ones are outside the window it looks at.
        """
        if not self._contains(tokens[-self._window - 8 :]) or not self._contains(tokens):
            return None
        for count in range(max(1, len(tokens) - self._window - 8), len(tokens) + 1):
            if self._contains(tokens[:count]):
                return count
        return None

    def cut(self, text: str) -> str:
        """The text before the first stop string in it."""
        found = [at for at in (text.find(stop) for stop in self._stops) if at >= 0]
        return text[: min(found)] if found else text

    def _contains(self, tokens: list[int]) -> bool:
        text = self._decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return any(stop in text for stop in self._stops)
