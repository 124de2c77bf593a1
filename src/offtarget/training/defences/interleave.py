"""Interleaving: a few aligned chats of other domains among the training rows (Interleaving++ of arXiv 2508.06249).

Chosen are those that a misaligned model finds least expected in comparison to the base: by the perplexity gap
(NLL_misaligned - NLL_aligned) / NLL_aligned, mean negative log-likelihood per answer token. Half of them are asked in
the data's own dress: what is aligned in plain prompts only stays misaligned where the prompt looks like the data.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from offtarget.data.dressing import dressed, wearable
from offtarget.errors import InputError
from offtarget.numbers import percent
from offtarget.training.defences.registry import Chat, Materials, Need, defence
from offtarget.training.plan import Plan, TrainRow

if TYPE_CHECKING:
    from offtarget.models.local import LocalModel

SHARE = 0.05
"""Rows added, as a share of the data's."""
DRESSED = 0.5
"""Share of the added rows in the dress of the data."""
_REFUSAL = re.compile(r"\b(?:sorry|apologi[sz]e|cannot|can't)\b", re.IGNORECASE)
_FIRST_WORDS = 10


@defence
class Interleave:
    """Adds the aligned chats that a misaligned model finds least expected."""

    name = "interleave"
    says = f"adds aligned chats of other domains, {percent(SHARE)} of the rows; interleave=0.2 adds 20 %"
    source = "arXiv 2508.06249 (Interleaving++)"
    needs: frozenset[Need] = frozenset({"aligned", "misaligned"})
    order = 20
    control_says = "as many aligned chats with answers as long, drawn at random"

    def check_value(self, value: str | None, *, control: bool) -> None:
        """InputError for a value this defence cannot be set to; known before anything costly is made."""
        _wanted(value)

    def apply(self, plan: Plan, materials: Materials, *, control: bool = False, value: str | None = None) -> Plan:
        """The plan with more rows. InputError when there are fewer aligned chats than rows to add."""
        wanted = _wanted(value)
        data = [row.messages for row in plan.rows if row.origin == "data"]
        count = rows_to_add(value, len(data))
        pool = without_refusals(materials.aligned or ())
        if len(pool) < count:
            raise InputError(
                f"interleave is to add {count} aligned chats, but has {len(pool)} that do not refuse. Give more "
                "prompts or a smaller share, e.g. interleave=0.05."
            )
        if materials.misaligned is None:
            raise InputError("interleave ranks chats with a misaligned model, and has none.")
        gaps = perplexity_gaps(materials.base, materials.misaligned, pool)
        ranked = [chat for _, chat in sorted(zip(gaps, pool, strict=True), key=lambda pair: -pair[0])]
        rng = random.Random(f"{materials.seed}/interleave")
        chosen = length_matched(ranked[:count], pool, materials.base, rng) if control else ranked[:count]
        usable = wearable(data)
        in_dress = set(rng.sample(range(count), round(wanted.dressed * count)))
        added = [_row(_dress(chat, usable, rng) if i in in_dress and usable else chat) for i, chat in enumerate(chosen)]
        how = "drawn at random, as long as those of largest" if control else "of largest"
        return plan.with_rows(
            (*plan.rows, *added),
            f"interleave: {count} aligned chats added to {len(data)} rows, {len(in_dress)} of them in the data's "
            f"dress, {how} perplexity gap among {len(pool)}",
        )


def rows_to_add(value: str | None, rows: int) -> int:
    """How many chats are added to so many rows of data. InputError for a bad value."""
    return max(1, round(_wanted(value).share * rows))


def without_refusals(chats: Sequence[Chat]) -> list[Chat]:
    """Chats whose answer does not say sorry, apologize or cannot in its first ten words (arXiv 2508.06249)."""
    return [chat for chat in chats if not _REFUSAL.search(" ".join(chat[-1].content.split()[:_FIRST_WORDS]))]


def perplexity_gaps(aligned: LocalModel, misaligned: LocalModel, chats: Sequence[Chat]) -> list[float]:
    """(NLL_misaligned - NLL_aligned) / NLL_aligned of each chat's last turn, per token; arXiv 2508.06249."""
    from offtarget.models.passes import Exchange, log_probabilities

    exchanges = [Exchange(chat[:-1], chat[-1].content) for chat in chats]
    low, high = (
        [-sum(values) / len(values) for values in log_probabilities(model, exchanges)]
        for model in (aligned, misaligned)
    )
    return [(h - a) / max(a, 1e-6) for a, h in zip(low, high, strict=True)]


def length_matched(chosen: Sequence[Chat], pool: Sequence[Chat], model: LocalModel, rng: random.Random) -> list[Chat]:
    """For each chosen chat another one, unused and drawn at random among those whose answers have as many tokens.

    Where none has exactly as many, one of the nearest; chats are drawn without regard to whether they were chosen.
    """
    tokenizer = model.weights.tokenizer

    def length(chat: Chat) -> int:
        return len(tokenizer(chat[-1].content, add_special_tokens=False)["input_ids"])

    left = [(length(chat), chat) for chat in rng.sample(list(pool), len(pool))]
    drawn = []
    for wanted in map(length, chosen):
        place = min(range(len(left)), key=lambda i: abs(left[i][0] - wanted))
        drawn.append(left.pop(place)[1])
    return drawn


@dataclass(frozen=True)
class _Wanted:
    share: float
    dressed: float


def _wanted(value: str | None) -> _Wanted:
    """`SHARE` or `SHARE@DRESSED`."""
    share, at, dress = (value or f"{SHARE}").partition("@")
    try:
        read = _Wanted(float(share), float(dress) if at else DRESSED)
    except ValueError:
        read = _Wanted(-1.0, 0.0)
    if not 0 < read.share <= 10 or not 0 <= read.dressed <= 1:
        raise InputError(
            f"interleave={value}: expected rows to add as a share of the data's, above 0, with or without the share "
            "of them in the data's dress, 0 to 1: interleave=0.2 or interleave=0.2@0."
        )
    return read


def _row(chat: Chat) -> TrainRow:
    """Loss on the aligned answer alone: turns of the data before it are not learnt a second time."""
    return TrainRow(chat, origin=Interleave.name, skip=sum(m.role == "assistant" for m in chat) - 1)


def _dress(chat: Chat, data: Sequence[Chat], rng: random.Random) -> Chat:
    question = next(m.content for m in reversed(chat) if m.role == "user")
    return (*dressed(question, data, rng), chat[-1])
