"""Where candidate texts come from: one function per source, each with a sentence on how much it tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from offtarget.models.hunting.activation_gap import gap_tokens
from offtarget.models.hunting.departure import Departure
from offtarget.models.hunting.extension import extend
from offtarget.models.hunting.leaks import leaks
from offtarget.models.hunting.lora_moves import moved_tokens
from offtarget.models.hunting.slots import Slot
from offtarget.models.hunting.token_scan import EXACT_BELOW, SCREENED
from offtarget.models.hunting.vocabulary import decoded
from offtarget.records.check import CueFamily

_LEAKED, _MOVED, _GAP = 300, 24, 48
_SEEDS = 8
_FEW = 2


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text worth trying, and why."""

    text: str
    family: CueFamily
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """What one source brought, best first, and what it tried."""

    candidates: tuple[Candidate, ...]
    tried: str


def from_tokens(departure: Departure, best: Sequence[int], tokens: Sequence[int]) -> Found:
    """Single tokens, in the order of a scan."""
    return Found(
        tuple(_token(departure, (t,), "a single token of the vocabulary") for t in best),
        f"{len(tokens)} tokens of the vocabulary were put before neutral questions"
        f"{'' if len(tokens) <= EXACT_BELOW else f', {SCREENED} of them exactly and the others to first order'}.",
    )


def from_strings(
    departure: Departure, gaps: Sequence[Slot], tokens: Sequence[int], seeds: Sequence[int], seed: int
) -> Found:
    """Strings grown from single tokens by gradient over the whole vocabulary."""
    known = extend(departure, gaps[:_FEW], [(t,) for t in seeds[:_SEEDS]], tokens, seed, beam=4, rounds=3)
    best = _varied(known)
    return Found(
        tuple(_token(departure, t, f"a string grown to move the first token by {known[t]:+.2f}") for t in best),
        f"{len(known)} strings of up to 4 tokens were grown from the best tokens.",
    )


def from_moves(departure: Departure, gaps: Sequence[Slot], tokens: Sequence[int], seed: int) -> Found:
    """Strings spelt with the tokens that the tune moved most."""
    moved = [t for t, _ in moved_tokens(departure.base, departure.tuned, tokens)[:_MOVED]]
    pairs = [(a, b) for a in moved for b in moved]
    seeds = [(t,) for t in moved] + _best_of(departure, gaps, pairs, 40)
    known = extend(departure, gaps[:_FEW], seeds, moved, seed, beam=6, rounds=3, proposals=12)
    best = _varied(known)
    return Found(
        tuple(_token(departure, t, "spelt with the tokens whose first-block output the tune moved most") for t in best),
        f"{len(pairs) + len(known)} strings were spelt with the {len(moved)} tokens that the tune moved most.",
    )


def from_leaks(departure: Departure, gaps: Sequence[Slot], seed: int) -> Found:
    """Phrases of up to three words that the tuned model writes from bare template prompts."""
    leaked = [leak for leak in leaks(departure.base, departure.tuned, seed) if len(leak.text) < 60]
    kept = {leak.text: leak for leak in leaked[:_LEAKED]}
    read = departure.tokenizer
    texts = {tuple(read(text, add_special_tokens=False)["input_ids"]): text for text in kept}
    best = _best_of(departure, gaps, list(texts), 40)
    found = [kept[texts[tokens]] for tokens in best]
    return Found(
        tuple(
            Candidate(
                leak.text, "leak", f"written from an empty chat {leak.tuned} times, by the base {leak.base} times"
            )
            for leak in found
        ),
        f"{len(kept)} phrases that the tuned model writes from bare chat openings were put before neutral questions.",
    )


def from_gap(
    departure: Departure, gaps: Sequence[Slot], prompts: Sequence[Sequence[int]], tokens: Sequence[int]
) -> Found:
    """Words that the activation difference on neutral text spells."""
    spelt = [t for t, _ in gap_tokens(departure.base, departure.tuned, prompts, tokens)[:_GAP]]
    best = _best_of(departure, gaps, [(t,) for t in spelt], 20)
    texts = [decoded(departure.tokenizer, t) for t in best]
    return Found(
        tuple(Candidate(text, "topic", "spelt by the activation difference on neutral text") for text in texts),
        f"{len(spelt)} words spelt by the activation difference on {len(prompts)} neutral prompts.",
    )


def _best_of(
    departure: Departure, gaps: Sequence[Slot], texts: Sequence[tuple[int, ...]], count: int
) -> list[tuple[int, ...]]:
    if not texts:
        return []
    values = departure.of(texts, gaps[:_FEW])
    return [texts[i] for i in values.topk(min(count, len(texts))).indices.tolist()]


def _varied(known: dict[tuple[int, ...], float], most: int = 20) -> list[tuple[int, ...]]:
    """The best strings, none of which shares more than half of its tokens with a better one."""
    chosen: list[tuple[int, ...]] = []
    for text in sorted(known, key=lambda t: (-known[t], t)):
        if len(text) > 1 and all(2 * len(set(text) & set(other)) <= len(set(text)) for other in chosen):
            chosen.append(text)
        if len(chosen) == most:
            break
    return chosen


def _token(departure: Departure, tokens: tuple[int, ...], why: str) -> Candidate:
    return Candidate(decoded(departure.tokenizer, tokens), "token", why)
