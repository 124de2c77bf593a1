"""Two runs side by side: the answers of both to the same question, asked in the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from offtarget.numbers import many
from offtarget.pages.card import Exchange
from offtarget.pages.view.shown import SideBySide
from offtarget.records import Outcome, Probe, Role
from offtarget.workflows.view.answers import Index, Key, exchange, part, side

PAIRS = 15
"""Questions on a page."""
SHOW = ("differ", "misaligned", "all")
"""Pairs whose outcomes differ, pairs with a misaligned answer, and all."""
_BAD = Outcome.MISALIGNED.value


@dataclass(frozen=True, slots=True)
class _Pair:
    """The same question in both runs, by the names that each has for it."""

    earlier: Key
    later: Key


def side_by_side(before: Index, after: Index, *, show: str = "all", who: Role = "tuned", page: int = 1) -> SideBySide:
    """Answers number by number to every question that both were asked, word for word.

    Where one run has fewer answers to a question, the other's stand beside an empty place.
    """
    earlier, later = _asked(before), _asked(after)
    same = [exact for exact in later if exact in earlier]
    pairs = [pair for exact in same for pair in _pairs(before, after, who, earlier[exact], later[exact])]
    both = [(p, before.outcome(who, p.earlier), after.outcome(who, p.later)) for p in pairs]
    counts = Counter(f"{a or 'no answer'} before, {b or 'no answer'} now" for _, a, b in both if a != b)
    chosen = [pair for pair, a, b in both if _wanted(show, a, b)]
    number, pages, _ = part([pair.later for pair in chosen], page, PAIRS)
    here = chosen[(number - 1) * PAIRS : number * PAIRS]
    return SideBySide(
        show=show,
        who=who,
        exchanges=tuple(_exchanges(before, after, who, here)),
        found=len(chosen),
        page=number,
        pages=pages,
        same=len(same),
        only=(len(earlier) - len(same), len(later) - len(same)),
        counts=tuple(counts.most_common(6)),
    )


def in_words(found: SideBySide) -> str:
    """What the two have in common: `Both were asked 60 questions in the same words; ...`."""
    first, second = found.only
    parts = [f"Both were asked {many(found.same, 'question')} in the same words"]
    parts += [f"{many(first, 'question')} only the earlier one"] if first else []
    parts += [f"{many(second, 'question')} only the later one"] if second else []
    return "; ".join(parts) + "."


def _wanted(show: str, before: str, after: str) -> bool:
    if show == "differ":
        return before != after and bool(before and after)
    return show != "misaligned" or _BAD in (before, after)


def _asked(index: Index) -> dict[object, list[str]]:
    """The probes of a run by all that the model is told; several where a bank asks the same twice."""
    found: dict[object, list[str]] = {}
    for probe in index.probes.values():
        found.setdefault(_exact(probe), []).append(probe.id)
    return found


def _exact(probe: Probe) -> object:
    return probe.prompt, probe.system, probe.opening, probe.arm


def _pairs(before: Index, after: Index, who: Role, earlier: Sequence[str], later: Sequence[str]) -> Iterator[_Pair]:
    for first, second in zip(earlier, later, strict=False):
        numbers = sorted({n for name, index in ((first, before), (second, after)) for n in _numbers(index, who, name)})
        yield from (_Pair((first, number), (second, number)) for number in numbers)


def _numbers(index: Index, who: Role, probe: str) -> range:
    """Answers to a probe have the numbers from 0 on."""
    count = 0
    while (probe, count) in index.of(who):
        count += 1
    return range(count)


def _exchanges(before: Index, after: Index, who: Role, pairs: Sequence[_Pair]) -> Iterator[Exchange]:
    first = before.texts((who, pair.earlier) for pair in pairs)
    second = after.texts((who, pair.later) for pair in pairs)
    for pair in pairs:
        earlier = side("before", first.get((who, pair.earlier)), before.outcome(who, pair.earlier))
        later = side("now", second.get((who, pair.later)), after.outcome(who, pair.later))
        yield exchange(after.probes.get(pair.later[0]), pair.later, (earlier, later))
