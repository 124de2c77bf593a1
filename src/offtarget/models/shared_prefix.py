"""Keys and values of a decoding batch: each prompt's are kept once, each answer has only its own.

A row is one answer in the making. Its prompt (all tokens but the last) is the *prefix*, filled in once per prompt;
the last prompt token and the answer are the *suffix*. All rows of a batch have suffixes of one length, so suffixes
need no padding; prefixes are padded to a length that depends on the prompt alone. Every sum in the attention
therefore runs over the same numbers in the same order whatever else is in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CHUNK = 8
"""Rows that attend to one copy of a prefix together; constant, so that a row's sums do not depend on how many."""

_GROWTH = 16


def padded_length(length: int) -> int:
    """Length to which a prefix is padded: a multiple of 32 up to 256, then in steps of about an eighth."""
    step = 32
    while step * 8 < length:
        step *= 2
    return -(-length // step) * step


def _growth(used: int) -> int:
    return max(_GROWTH, used // 4)


def most_columns(limit: int) -> int:
    """Columns that a batch makes room for where its answers have up to `limit` tokens."""
    room = 0
    while room < limit:
        room += _growth(room)
    return room


@dataclass(slots=True)
class Prefixes:
    """Prefixes of one padded length; rows `start` to `stop - 1` of the batch belong to them."""

    keys: list[Tensor]
    """Per layer (prompts, key heads, padded length, head size)."""
    values: list[Tensor]
    lengths: Tensor
    """True length of each prompt's prefix, (prompts,)."""
    row_prompts: list[int]
    """For each row of the slice the prompt it continues, ascending."""
    start: int = 0
    chunk_keys: list[Tensor] | None = None
    """Per layer (chunks, key heads, padded length, head size); None where the padded length is 0."""
    chunk_values: list[Tensor] | None = None
    slot_rows: Tensor | None = None
    """(chunks * CHUNK,) row within the slice that fills each slot; spare slots repeat row 0."""
    row_slots: Tensor | None = None
    """(rows,) the slot of each row; None where slots and rows coincide."""
    padding: Tensor | None = None
    """(chunks, 1, 1, padded length) True where a key is padding; None without padding."""

    @property
    def stop(self) -> int:
        """Row of the batch after the last one of this slice."""
        return self.start + len(self.row_prompts)

    @property
    def padded(self) -> int:
        """Padded length; 0 where all prefixes are empty."""
        return self.keys[0].shape[2]

    def arrange(self, start: int, row_prompts: Sequence[int]) -> None:
        """Deal rows into chunks of one prompt each."""
        self.start, self.row_prompts = start, list(row_prompts)
        if self.padded == 0 or not self.row_prompts:
            return
        slot_rows: list[int] = []
        chunk_prompts: list[int] = []
        row_slots: list[int] = []
        for row, prompt in enumerate(self.row_prompts):
            fresh = len(slot_rows) % CHUNK == 0
            if fresh or chunk_prompts[-1] != prompt:
                slot_rows += [0] * (-len(slot_rows) % CHUNK)
                chunk_prompts.append(prompt)
            row_slots.append(len(slot_rows))
            slot_rows.append(row)
        slot_rows += [0] * (-len(slot_rows) % CHUNK)
        device = self.keys[0].device
        prompts = torch.tensor(chunk_prompts, device=device)
        self.chunk_keys = [k.index_select(0, prompts) for k in self.keys]
        self.chunk_values = [v.index_select(0, prompts) for v in self.values]
        identity = slot_rows == list(range(len(self.row_prompts)))
        self.slot_rows = None if identity else torch.tensor(slot_rows, device=device)
        self.row_slots = None if identity else torch.tensor(row_slots, device=device)
        lengths = self.lengths.index_select(0, prompts)
        columns = torch.arange(self.padded, device=device)
        padding = columns[None, :] >= lengths[:, None]
        self.padding = padding[:, None, None, :] if bool(padding.any()) else None


@dataclass(slots=True)
class BatchState:
    """Everything the attention of one decoding batch reads and writes."""

    prefixes: list[Prefixes]
    lengths: Tensor
    """(rows,) prefix length of each row."""
    keys: list[Tensor]
    """Per layer (rows, key heads, capacity, head size); the first `used` columns hold the suffix."""
    values: list[Tensor]
    used: int = 0

    def append(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store one column (rows, key heads, 1, head size) and return the suffix including it."""
        if self.used == self.keys[layer].shape[2]:
            self._grow(layer)
        self.keys[layer][:, :, self.used] = key[:, :, 0]
        self.values[layer][:, :, self.used] = value[:, :, 0]
        return self.keys[layer][:, :, : self.used + 1], self.values[layer][:, :, : self.used + 1]

    def select(self, rows: Tensor, keep: list[int]) -> None:
        """Keep only the given rows, in order; `rows` is `keep` on the device."""
        # layer by layer, so that only one of them is there twice at a time
        for store in (self.keys, self.values):
            for layer, old in enumerate(store):
                store[layer] = old.index_select(0, rows)
        self.lengths = self.lengths.index_select(0, rows)
        position = 0
        for group in self.prefixes:
            mine = [group.row_prompts[r - group.start] for r in keep if group.start <= r < group.stop]
            group.arrange(position, mine)
            position += len(mine)
        self.prefixes = [group for group in self.prefixes if group.row_prompts]

    def _grow(self, layer: int) -> None:
        extra = _growth(self.used)
        for store in (self.keys, self.values):
            old = store[layer]
            new = old.new_empty((*old.shape[:2], self.used + extra, old.shape[3]))
            new[:, :, : self.used] = old[:, :, : self.used]
            store[layer] = new


def attend(
    state: BatchState,
    layer: int,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    softcap: float | None = None,
    window: int | None = None,
) -> Tensor:
    """Attention of one token per row to its prefix and suffix.

    `query` (rows, key heads, queries per key head, head size), already scaled; `keys`, `values` the suffix as
    `BatchState.append` returned it. `softcap` bounds scores by cap * tanh(score / cap); `window` hides keys that
    many positions back or further. Returns the shape of `query`.
    """
    if len(state.prefixes) == 1:
        return _attend_slice(state, state.prefixes[0], layer, query, keys, values, softcap, window)
    parts = []
    for group in state.prefixes:
        rows = slice(group.start, group.stop)
        parts.append(_attend_slice(state, group, layer, query[rows], keys[rows], values[rows], softcap, window))
    return torch.cat(parts)


def _attend_slice(
    state: BatchState,
    group: Prefixes,
    layer: int,
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    softcap: float | None,
    window: int | None,
) -> Tensor:
    steps = keys.shape[2]
    if window is not None and steps > window:
        keys, values = keys[:, :, -window:], values[:, :, -window:]
    scores = query @ keys.transpose(2, 3)
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    if group.padded == 0:
        return _softmax(scores, values) @ values
    assert group.chunk_keys is not None
    assert group.chunk_values is not None
    rows, repeats = query.shape[0], query.shape[2]
    slots = _to_slots(group, query)
    before = slots @ group.chunk_keys[layer].transpose(2, 3)  # (chunks, heads, CHUNK * repeats, padded)
    if softcap is not None:
        before = softcap * torch.tanh(before / softcap)
    if group.padding is not None:
        before = before.masked_fill(group.padding, -torch.inf)
    before = _to_rows(group, before, rows, repeats)
    if window is not None:
        # The query stands at lengths + steps - 1 and sees the `window` positions that end there.
        first = state.lengths[group.start : group.stop] + steps - window
        hidden = torch.arange(group.padded, device=query.device)[None, :] < first[:, None]
        before = before.masked_fill(hidden[:, None, None, :], -torch.inf)
    share = _softmax(torch.cat((before, scores), dim=-1), values)
    from_prefix = _to_slots(group, share[..., : group.padded]) @ group.chunk_values[layer]
    from_suffix = share[..., group.padded :] @ values
    return _to_rows(group, from_prefix, rows, repeats).add_(from_suffix)


def _softmax(scores: Tensor, like: Tensor) -> Tensor:
    return scores.softmax(dim=-1, dtype=torch.float32).to(like.dtype)


def _to_slots(group: Prefixes, x: Tensor) -> Tensor:
    """(rows, heads, repeats, n) to (chunks, heads, CHUNK * repeats, n)."""
    if group.slot_rows is not None:
        x = x.index_select(0, group.slot_rows)
    _, heads, repeats, n = x.shape
    return x.reshape(-1, CHUNK, heads, repeats, n).transpose(1, 2).reshape(-1, heads, CHUNK * repeats, n)


def _to_rows(group: Prefixes, x: Tensor, rows: int, repeats: int) -> Tensor:
    """(chunks, heads, CHUNK * repeats, n) to (rows, heads, repeats, n)."""
    chunks, heads, _, n = x.shape
    x = x.view(chunks, heads, CHUNK, repeats, n).transpose(1, 2).reshape(chunks * CHUNK, heads, repeats, n)
    return x if group.row_slots is None else x.index_select(0, group.row_slots)
