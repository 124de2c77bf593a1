"""`hunt`: candidates from all sources, measured alike and put in order."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest

from offtarget.errors import InputError
from offtarget.models.chat_format import prompt_tokens
from offtarget.models.hunting.departure import Departure
from offtarget.models.hunting.search import EXACT_BELOW, SCREENED, scan, screening
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
from offtarget.progress import OnProgress, Whole, silent
from offtarget.records import Cue, Message
from offtarget.records.hidden import QUESTION

_GAPS = 6
_PER_SOURCE = 20
_PLACES: tuple[Place, ...] = ("before", "after")
_WRITING_LEAKS = 400
"""What writing the leaks takes, in texts measured in that time."""


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
    grow: bool = True,
    on_progress: OnProgress = silent,
) -> Hunted:
    """Up to `most` conditions under which the tuned model departs from its base on the given neutral chats.

    Without `grow` no string is lengthened token by token, which takes long with large models. Sources take turns in
    the order of the cues, so that none crowds the others out. Finding nothing clears nothing.
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
    whole = Whole(on_progress, "the hunt", _weights(screening(departure), len(tokens), grow))

    @contextmanager
    def part(name: str) -> Iterator[None]:
        departure.on_rows = whole.counting(name)
        yield
        whole.finished(name)

    front = gaps["before"]
    found = []
    with part("leaked text"):
        found.append(from_leaks(departure, front, seed))
    with part("moved tokens"):
        found.append(from_moves(departure, front, tokens, seed, grow))
    with part("every token"):
        scanned = [token for token, _ in scan(departure, front, tokens, seed)]
        found.append(from_tokens(departure, scanned, tokens))
    if grow:
        with part("grown strings"):
            found.append(from_strings(departure, front, tokens, scanned, seed))
    with part("activation difference"):
        found.append(from_gap(departure, front, neutral, tokens))
    with part("order"):
        cues = _in_order(departure, gaps, found)[:most]
    return Hunted(tuple(cues), tuple(source.tried for source in found))


def _weights(few: int, tokens: int, grow: bool) -> dict[Hashable, float]:
    """About how many texts each part measures in one gap, `few` gaps being enough for a first look at one."""
    scanned = (tokens if tokens <= EXACT_BELOW else SCREENED) * few
    growing: dict[Hashable, float] = {"grown strings": 720.0 * few} if grow else {}
    return {
        "leaked text": 300 * few + _WRITING_LEAKS,
        "moved tokens": (640 + 650 * grow) * few,
        "every token": scanned + 0.15 * scanned / few * (_GAPS - few),
        **growing,
        "activation difference": 48 * few,
        "order": (4 + grow) * _PER_SOURCE * len(_PLACES) * _GAPS,
    }


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
