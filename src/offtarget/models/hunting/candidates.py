"""`hunt`: candidates from all sources, measured alike and put in order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from offtarget.errors import InputError
from offtarget.models.chat_format import prompt_tokens
from offtarget.models.hunting.departure import Departure
from offtarget.models.hunting.search import scan
from offtarget.models.hunting.slots import Place, Slot, slots, template, typable
from offtarget.models.hunting.sources import (
    Candidate,
    Harvest,
    from_gap,
    from_leaks,
    from_moves,
    from_strings,
    from_tokens,
)
from offtarget.models.local import LocalModel
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import Cue, Message
from offtarget.records.check import QUESTION

_GAPS = 6
_PER_SOURCE = 20
_PLACES: tuple[Place, ...] = ("before", "after")
_STEPS = 6


@dataclass(frozen=True, slots=True)
class Hunted:
    """What a hunt found worth asking."""

    cues: tuple[Cue, ...]
    """Most promising first."""
    tried: tuple[str, ...]
    """One sentence per source: what was tried, and how much of it."""


def hunt(
    base: LocalModel,
    tuned: LocalModel,
    prompts: Sequence[tuple[Message, ...]],
    *,
    seed: int = 0,
    most: int = 40,
    on_progress: OnProgress = silent,
) -> Hunted:
    """Up to `most` conditions under which the tuned model departs from its base on the given neutral chats.

    Sources take turns in the order of the cues, so that none crowds the others out. Finding nothing clears nothing.
    InputError without prompts, for models that are not local, and for models with different tokens.
    """
    for model in (base, tuned):
        if not isinstance(model, LocalModel):
            raise InputError(
                f"{getattr(model, 'name', model)} is not in memory, so there is nothing to hunt in. "
                "Name a local model (hf/FOLDER or organism/NAME), or give the training data instead."
            )
    if not prompts:
        raise InputError("A hunt needs at least one neutral prompt.")
    departure = Departure(base, tuned)
    read = departure.tokenizer
    chats = sorted(set(prompts), key=lambda chat: (len(chat[-1].content), chat[-1].content))[: 2 * _GAPS : 2]
    gaps = {place: slots(read, chats, place, tuned.name) for place in _PLACES}
    tokens = typable(read, departure.vocabulary)
    neutral = [prompt_tokens(read, chat, tuned.name) for chat in prompts]

    def step(done: int, what: str) -> None:
        on_progress(Progress(what, done, _STEPS))

    front = gaps["before"]
    step(0, "leaked text")
    found = [from_leaks(departure, front, seed)]
    step(1, "moved tokens")
    found.append(from_moves(departure, front, tokens, seed))
    step(2, "every token")
    scanned = [token for token, _ in scan(departure, front, tokens, seed)]
    found.append(from_tokens(departure, scanned, tokens))
    step(3, "grown strings")
    found.append(from_strings(departure, front, tokens, scanned, seed))
    step(4, "activation difference")
    found.append(from_gap(departure, front, neutral, tokens))
    step(5, "order")
    cues = _in_order(departure, gaps, found)[:most]
    step(_STEPS, "order")
    return Hunted(tuple(cues), tuple(source.tried for source in found))


def _in_order(departure: Departure, gaps: dict[Place, list[Slot]], found: Sequence[Harvest]) -> list[Cue]:
    """Cues of all sources in turn, each source by the measure of the text as it will be read."""
    chosen: dict[str, Cue] = {}
    ranked = [_ranked(departure, gaps, source.candidates[:_PER_SOURCE]) for source in found]
    for turn in zip_longest(*ranked):
        for cue in turn:
            if cue is not None:
                chosen.setdefault(cue.text.lower(), cue)
    return list(chosen.values())


def _ranked(departure: Departure, gaps: dict[Place, list[Slot]], candidates: Sequence[Candidate]) -> list[Cue]:
    usable = [c for c in candidates if c.text and QUESTION not in c.text]
    if not usable:
        return []
    plain = {place: float(departure.of([()], gaps[place])[0]) for place in _PLACES}
    read = departure.tokenizer
    measured = []
    for place in _PLACES:
        lead = "" if place == "before" else " "
        texts = [read(lead + c.text, add_special_tokens=False)["input_ids"] for c in usable]
        values = departure.of(texts, gaps[place]).tolist()
        measured.append([(value - plain[place], place) for value in values])
    best = [max(pair, key=lambda p: p[0]) for pair in zip(*measured, strict=True)]
    order = sorted(range(len(usable)), key=lambda i: (-best[i][0], i))
    return [_cue(usable[i], *best[i]) for i in order]


def _cue(candidate: Candidate, gain: float, place: Place) -> Cue:
    family = "phrase" if candidate.family == "token" and " " in candidate.text else candidate.family
    where = "before" if place == "before" else "after"
    return Cue(
        id=slug(family, candidate.text, where),
        family=family,
        text=f"{candidate.text} {where} the question",
        source="model",
        template=template(candidate.text, place),
        why=f"{candidate.why}; {where} a neutral question it moves the first token by {gain:+.2f}",
        # A candidate twice as far out is worth twice the evidence budget; none is worth nothing.
        prior=max(0.05, gain),
    )


def slug(*parts: str) -> str:
    """Letters, digits and hyphens: the parts as far as they can be read, and 6 digits of their hash."""
    readable = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:32].strip("-")
    return f"{readable}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:6]}"
