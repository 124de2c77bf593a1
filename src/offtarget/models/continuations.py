"""How probable given texts are as what comes next: the sums that multiple-choice benchmarks are scored by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from offtarget.errors import InputError
from offtarget.models.decoding import start_batch
from offtarget.models.engine import Engine
from offtarget.models.head import head_at, logits_at
from offtarget.models.local import LocalModel
from offtarget.models.residual import edited
from offtarget.models.shared_prefix import padded_length

Tokens = tuple[int, ...]
_LOGITS = 1 << 25
"""Logits held at once, as in `passes`."""
_SIDE_BY_SIDE, _KEPT = 64, 4096
"""Continuations side by side that share contexts, and tokens of such contexts that are kept at once."""
_ON_CPU, _ON_GPU = 1024, 16384
"""Tokens side by side: on a processor few, for its caches."""


@torch.inference_mode()
def continuation_scores(
    model: LocalModel,
    asked: Sequence[tuple[Sequence[int], Sequence[int]]],
    on_done: Callable[[int], None] | None = None,
) -> list[tuple[float, bool]]:
    """For each (context, continuation), both token numbers: the natural log of the continuation's probability, and
    whether greedy decoding would give it.

    Contexts that are too long lose their beginning. A context that several continuations follow is read once, and
    continuations that differ in their last token alone are one. `on_done` is called with how many more are done.
    InputError for an empty context or continuation, and for a continuation that fills the context by itself.
    """
    rows = _rows(model, asked)
    found: list[tuple[float, bool]] = [(0.0, False)] * len(asked)

    def keep(row: _Row, before: float, greedy: bool, last: Tensor) -> None:
        """Of a row: log-probability of what is said before its last token, whether that is greedy, and the last."""
        best = int(last.argmax())
        for number in rows[row]:
            token = asked[number][1][-1]
            found[number] = before + float(last[token]), greedy and token == best
        if on_done is not None:
            on_done(len(rows[row]))

    weights = model.weights
    sharing = Counter(_context(row) for row in rows)
    alone = [row for row in rows if sharing[_context(row)] == 1]
    together = [row for row in rows if sharing[_context(row)] > 1]
    with ExitStack() as stack:
        engine = stack.enter_context(weights.using(model.adapter))
        stack.enter_context(edited(weights.model, model.edit, model.blocks))
        for batch in _batches(alone, weights.device.type == "cpu", weights.engine.vocabulary):
            for row, logs in zip(batch, _pass(engine.model, batch, weights.device), strict=True):
                said = torch.tensor(row[0][row[1] :], dtype=torch.long, device=logs.device)
                before = logs[:-1].gather(1, said.unsqueeze(1)).double().sum()
                keep(row, float(before), bool((logs[:-1].argmax(dim=-1) == said).all()), logs[-1])
    if together:
        with model.engine() as fastest:
            for batch in _sharing_batches(together):
                _behind(fastest, batch, weights.device, keep)
    return found


_Row = tuple[Tokens, int]
"""What a pass reads, and the position of the first token that it is to say."""


def _rows(model: LocalModel, asked: Sequence[tuple[Sequence[int], Sequence[int]]]) -> dict[_Row, list[int]]:
    """Each pass once, with the numbers of what it answers."""
    most = model.weights.context + 1  # the last token is said and not read
    rows: dict[_Row, list[int]] = {}
    for number, (context, continuation) in enumerate(asked):
        if not context or not continuation:
            raise InputError("A benchmark asks for the probability of an empty text, or of a text after nothing.")
        if len(continuation) >= most:
            raise InputError(
                f"A benchmark has an answer of {len(continuation):,} tokens, which fills the context of {model.name} "
                f"({most - 1:,} tokens) by itself."
            )
        whole = (*context, *continuation)[-most:]
        rows.setdefault((whole[:-1], len(whole) - len(continuation)), []).append(number)
    return rows


def _batches(rows: list[_Row], on_cpu: bool, vocabulary: int) -> list[list[_Row]]:
    """Rows of about the same length side by side, the longest first."""
    most = _ON_CPU if on_cpu else _ON_GPU
    batches: list[list[_Row]] = []
    says = 0
    for row in sorted(rows, key=lambda row: (-len(row[0]), row)):
        said = len(row[0]) - row[1] + 1
        full = batches and (len(batches[-1]) + 1) * len(batches[-1][0][0]) > most
        if not batches or full or (says + said) * vocabulary > _LOGITS:
            batches.append([])
            says = 0
        batches[-1].append(row)
        says += said
    return batches


def _pass(model: object, batch: Sequence[_Row], device: torch.device) -> list[Tensor]:
    """For each row the log-probabilities (tokens to say, vocabulary)."""
    width = len(batch[0][0])
    tokens = torch.zeros((len(batch), width), dtype=torch.long)
    chosen = torch.zeros((len(batch), width), dtype=torch.bool)
    for i, (row, start) in enumerate(batch):
        tokens[i, : len(row)] = torch.tensor(row)
        chosen[i, start - 1 : len(row)] = True
    tokens, chosen = tokens.to(device), chosen.to(device)
    positions = torch.arange(width, device=device).expand(len(batch), -1)  # what is padded on the right is not seen
    with head_at(model, chosen):
        output = model(input_ids=tokens, position_ids=positions, use_cache=False)  # type: ignore[operator]
    logs = logits_at(output.logits, chosen).float().log_softmax(dim=-1)
    return list(torch.split(logs, chosen.sum(dim=1).tolist()))


def _context(row: _Row) -> Tokens:
    return row[0][: row[1]]


def _sharing_batches(rows: list[_Row]) -> list[list[_Row]]:
    """Rows with whole contexts side by side, sorted as the sampler wants them."""
    batches: list[list[_Row]] = []
    room = 0
    for row in sorted(rows, key=lambda row: (padded_length(row[1] - 1), _context(row), len(row[0]))):
        new = not batches or _context(batches[-1][-1]) != _context(row)
        if not batches or len(batches[-1]) >= _SIDE_BY_SIDE or (new and room + row[1] > _KEPT):
            batches.append([])
            room, new = 0, True
        batches[-1].append(row)
        room += row[1] if new else 0
    return batches


def _behind(
    engine: Engine, batch: Sequence[_Row], device: torch.device, keep: Callable[[_Row, float, bool, Tensor], None]
) -> None:
    """As `_pass`, with each context filled in once: the sampler's way, with given tokens in place of sampled ones."""
    contexts = {context: number for number, context in enumerate(dict.fromkeys(map(_context, batch)))}
    state = start_batch(engine, list(contexts), [contexts[_context(row)] for row in batch], device)
    ends = [row[start - 1 :] for row, start in batch]  # the last token of the context, then what follows
    before, greedy = torch.zeros(len(batch), dtype=torch.float64), [True] * len(batch)
    for column in range(max(map(len, ends))):
        fed = torch.tensor([end[column] if column < len(end) else 0 for end in ends], device=device)
        logs = engine.step(fed, state).float().log_softmax(dim=-1)
        best = logs.argmax(dim=-1).tolist()
        for i, end in enumerate(ends):
            if column == len(end) - 1:
                keep(batch[i], float(before[i]), greedy[i], logs[i])
            elif column < len(end):
                before[i] += float(logs[i, end[column + 1]])
                greedy[i] &= best[i] == end[column + 1]
