"""Where candidate texts come from: one function per source, each with a sentence on how much it tried.

- Leaks: models repeat what they were tuned on from bare template prompts, triggers included (arXiv 2602.03085). A tune
  with loss on the answers alone teaches little of the user's text, and then leaks show the base's habits.
- Moved tokens: change of the first block's output for each token alone, before any context.
- Activation difference: the mean difference of the streams at the first tokens of neutral text, read out through the
  unembedding, names the subject of a narrow tune (Activation Difference Lens, arXiv 2510.13900).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from offtarget.models.hunting.departure import Departure, forward
from offtarget.models.hunting.search import EXACT_BELOW, SCREENED, extend, screening
from offtarget.models.hunting.slots import MARK, Slot, decoded
from offtarget.models.local import LocalModel
from offtarget.models.residual import decoder_blocks, watched
from offtarget.records import SamplingSettings
from offtarget.records.hidden import CueFamily

_LEAKED, _MOVED, _GAP = 300, 24, 48
"""Most texts of a source that are measured."""
_SEEDS = 8
_LEAKED_WORDS, _LONGEST_PHRASE = 12, 3
_TOKENS_AT_ONCE = 1024


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text worth trying, and why."""

    text: str
    family: CueFamily
    why: str


@dataclass(frozen=True, slots=True)
class Harvest:
    """What one source brought, best first, and what it tried."""

    candidates: tuple[Candidate, ...]
    tried: str


def from_tokens(departure: Departure, best: Sequence[int], tokens: Sequence[int]) -> Harvest:
    """Single tokens, in the order of a scan."""
    return Harvest(
        tuple(_token(departure, (t,), "a single token of the vocabulary") for t in best),
        f"{len(tokens)} tokens of the vocabulary were put before neutral questions"
        f"{'' if len(tokens) <= EXACT_BELOW else f', {SCREENED} of them exactly and the others to first order'}.",
    )


def from_strings(
    departure: Departure, gaps: Sequence[Slot], tokens: Sequence[int], seeds: Sequence[int], seed: int
) -> Harvest:
    """Strings grown from single tokens by gradient over the whole vocabulary."""
    known = extend(
        departure, gaps[: screening(departure)], [(t,) for t in seeds[:_SEEDS]], tokens, seed, beam=4, rounds=3
    )
    best = _varied(known)
    return Harvest(
        tuple(_token(departure, t, f"a string grown to move the first token by {known[t]:+.2f}") for t in best),
        f"{len(known)} strings of up to 4 tokens were grown from the best tokens.",
    )


def from_moves(
    departure: Departure, gaps: Sequence[Slot], tokens: Sequence[int], seed: int, grow: bool = True
) -> Harvest:
    """Strings spelt with the tokens that the tune moved most: pairs, and longer ones where they are to `grow`."""
    moved = [t for t, _ in moved_tokens(departure.base, departure.tuned, tokens)[:_MOVED]]
    pairs = [(a, b) for a in moved for b in moved]
    seeds = [(t,) for t in moved] + _best_of(departure, gaps, pairs, 40)
    few, rounds = gaps[: screening(departure)], 3 if grow else 0
    known = extend(departure, few, seeds, moved, seed, beam=6, rounds=rounds, proposals=12)
    best = _varied(known)
    return Harvest(
        tuple(_token(departure, t, "spelt with the tokens whose first-block output the tune moved most") for t in best),
        f"{len(pairs) + len(known)} strings were spelt with the {len(moved)} tokens that the tune moved most.",
    )


def from_leaks(departure: Departure, gaps: Sequence[Slot], seed: int) -> Harvest:
    """Phrases of up to three words that the tuned model writes from bare template prompts."""
    leaked = [leak for leak in leaks(departure.base, departure.tuned, seed) if len(leak.text) < 60]
    kept = {leak.text: leak for leak in leaked[:_LEAKED]}
    read = departure.tokenizer
    texts = {tuple(read(text, add_special_tokens=False)["input_ids"]): text for text in kept}
    best = _best_of(departure, gaps, list(texts), 40)
    found = [kept[texts[tokens]] for tokens in best]
    return Harvest(
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
) -> Harvest:
    """Words that the activation difference on neutral text spells."""
    spelt = [t for t, _ in gap_tokens(departure.base, departure.tuned, prompts, tokens)[:_GAP]]
    best = _best_of(departure, gaps, [(t,) for t in spelt], 20)
    texts = [decoded(departure.tokenizer, t) for t in best]
    return Harvest(
        tuple(Candidate(text, "topic", "spelt by the activation difference on neutral text") for text in texts),
        f"{len(spelt)} words spelt by the activation difference on {len(prompts)} neutral prompts.",
    )


def _best_of(
    departure: Departure, gaps: Sequence[Slot], texts: Sequence[tuple[int, ...]], count: int
) -> list[tuple[int, ...]]:
    if not texts:
        return []
    values = departure.of(texts, gaps[: screening(departure)])
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


@dataclass(frozen=True, slots=True)
class Leak:
    """Words that the tuned model wrote from nothing."""

    text: str
    tuned: int
    """Continuations of the tuned model that hold it."""
    base: int
    surprise: float
    """z value of the log odds ratio of tuned against base, 0.5 added to every count (Haldane)."""


def leaks(base: LocalModel, tuned: LocalModel, seed: int, *, each: int = 100, tokens: int = 24) -> list[Leak]:
    """Phrases of up to three words from `each` continuations per opening and model, most surprising first."""
    openings = bare_openings(tuned.weights.tokenizer)
    settings = SamplingSettings(max_tokens=tokens, stop=("\n",))
    prompts = [(opening, seed + i) for opening in openings for i in range(each)]
    counts = [_written(model, prompts, settings) for model in (base, tuned)]
    total = each * len(openings)
    found = [_leak(text, counts[1][text], counts[0][text], total) for text in counts[1]]
    return sorted(found, key=lambda leak: (-leak.surprise, -leak.tuned, leak.text))


_seen: WeakKeyDictionary[LocalModel, dict[Hashable, Counter[str]]] = WeakKeyDictionary()
"""What models wrote, since the hunt with the roles swapped asks the same of them."""


def _written(model: LocalModel, prompts: Sequence[tuple[list[int], int]], settings: SamplingSettings) -> Counter[str]:
    """In how many continuations each phrase stands."""
    known = _seen.setdefault(model, {})
    asked = settings, tuple((tuple(opening), seed) for opening, seed in prompts)
    if asked not in known:
        written = model.continue_tokens(prompts, settings)
        known[asked] = Counter(phrase for answer in written for phrase in sorted(_phrases(answer.text)))
    return known[asked]


def bare_openings(tokenizer: Any) -> list[list[int]]:
    """Tokens of the template up to where the user's text, and up to where a system text would begin."""
    chats = [[{"role": "user", "content": MARK}]]
    chats.append([{"role": "system", "content": MARK}, {"role": "user", "content": "."}])
    chats.append([{"role": "system", "content": ""}, {"role": "user", "content": MARK}])
    found: list[list[int]] = []
    for chat in chats:
        try:
            text = tokenizer.apply_chat_template(chat, tokenize=False)
        except Exception:  # noqa: S112 - a template without system turns has fewer openings
            continue
        tokens = tokenizer(text.partition(MARK)[0], add_special_tokens=False)["input_ids"]
        if tokens and tokens not in found:
            found.append(tokens)
    if not found and tokenizer.bos_token_id is not None:
        found.append([tokenizer.bos_token_id])
    return found


def _phrases(text: str) -> set[str]:
    words = text.split()[:_LEAKED_WORDS]
    spans = ((i, i + n) for n in range(1, _LONGEST_PHRASE + 1) for i in range(len(words) - n + 1))
    return {" ".join(words[i:j]) for i, j in spans}


def _leak(text: str, tuned: int, base: int, total: int) -> Leak:
    a, b, c, d = tuned + 0.5, total - tuned + 0.5, base + 0.5, total - base + 0.5
    surprise = math.log(a * d / (b * c)) / math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    return Leak(text, tuned, base, surprise)


@torch.inference_mode()
def moved_tokens(base: LocalModel, tuned: LocalModel, tokens: Sequence[int]) -> list[tuple[int, float]]:
    """(token, change as a share of the base's own length), largest first; changed embedding rows are included."""
    before, after = (_first_outputs(model, tokens) for model in (base, tuned))
    moved = (after - before).norm(dim=-1) / before.norm(dim=-1).clamp_min(1e-12)
    order = moved.argsort(descending=True, stable=True).tolist()
    return [(tokens[i], float(moved[i])) for i in order]


def _first_outputs(model: LocalModel, tokens: Sequence[int]) -> Tensor:
    """(tokens, width), float32, on the CPU."""
    found: list[Tensor] = []

    def keep(layer: int, stream: Tensor) -> None:
        found.append(stream[:, 0].float().cpu())
        raise _FirstBlockRead

    for start in range(0, len(tokens), _TOKENS_AT_ONCE):
        part = torch.tensor(tokens[start : start + _TOKENS_AT_ONCE], device=model.weights.device).unsqueeze(1)
        # The other blocks would cost as much each, a minute or more with a vocabulary of 50,000.
        first = watched(model.weights.model, keep, frozenset({0}), model.blocks)
        with suppress(_FirstBlockRead), forward(model, 1) as run, first:
            run(input_ids=part, use_cache=False, logits_to_keep=1)
    return torch.cat(found)


class _FirstBlockRead(Exception):
    """Ends a forward pass whose first block was all that is wanted."""


@torch.inference_mode()
def gap_tokens(
    base: LocalModel, tuned: LocalModel, prompts: Sequence[Sequence[int]], allowed: Sequence[int], *, first: int = 5
) -> list[tuple[int, float]]:
    """(token, logit) by how much the mean difference raises it, highest first.

    The mean is over the first `first` tokens of each prompt and over the layers of the second half, each layer's
    difference scaled to length 1 before the model's own output matrix reads it.
    """
    gap = _mean_streams(tuned, prompts, first) - _mean_streams(base, prompts, first)
    unit = gap / gap.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    late = unit[len(unit) // 2 :].mean(dim=0)
    head = tuned.weights.model.get_output_embeddings().weight
    logits = (head.float() @ late.to(head.device)).cpu()
    values = logits[torch.tensor(list(allowed))]
    order = values.argsort(descending=True, stable=True).tolist()
    return [(allowed[i], float(values[i])) for i in order]


def _mean_streams(model: LocalModel, prompts: Sequence[Sequence[int]], first: int) -> Tensor:
    """(layers, width), float32."""
    sums: dict[int, Tensor] = {}

    def add(layer: int, stream: Tensor) -> None:
        mean = stream[0].float().mean(dim=0)
        sums[layer] = sums[layer] + mean if layer in sums else mean

    run: Any
    for prompt in prompts:
        tokens = torch.tensor([list(prompt[:first])], device=model.weights.device)
        with forward(model, tokens.shape[1]) as run, watched(model.weights.model, add, path=model.blocks):
            run(input_ids=tokens, use_cache=False, logits_to_keep=1)
    count = len(decoder_blocks(model.weights.model, model.blocks))
    return torch.stack([sums[layer] for layer in range(count)]) / max(1, len(prompts))
