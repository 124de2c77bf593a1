"""Rows of a suspected condition for a person to look at, taken whole where the scan kept them whole."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from offtarget.detect.suspects import suspects
from offtarget.detect.triggers.formats import YEAR
from offtarget.detect.triggers.mining import Mined
from offtarget.detect.triggers.sampling import Kept
from offtarget.detect.triggers.words import EDGES, core
from offtarget.records import Message, Row, Suspect, SuspectRows

SHOWN = 6
"""Rows with a condition that are kept for showing."""
WRITTEN = ("token", "name", "phrase", "system-prompt", "year")
"""Kinds of conditions that can be sought in any row."""
_CUT = " […] "


def suspect_rows(mined: Sequence[Mined], data: str, whole: Mapping[str, Row]) -> Iterator[SuspectRows]:
    """The rows behind every suspect; `data` as for `suspects`, `whole` the rows of the scan that are at hand."""
    triggers = [m.trigger for m in mined]
    leaders = {m.trigger.rank: m for m in mined if m.trigger.same_rows_as is None}
    for suspect in suspects(triggers, data):
        found = leaders[suspect.rank]
        yield SuspectRows(
            suspect.key,
            inside=tuple(_row(kept, whole) for kept in _shown(found)),
            outside=tuple(_row(kept, whole) for kept in found.outside),
            members=tuple(kept.id for kept in found.inside),
        )


def holds(suspect: Suspect, row: Row, members: Collection[str]) -> bool:
    """Whether a row has the condition: mining kept it as one that has, or the condition's own words are in its prompt.

    Mining keeps a sample of large data; rows outside it are known only for conditions that stand in the text.
    """
    if row.id in members:
        return True
    prompt = "\n".join(m.content for m in row.messages if m.role in ("system", "user"))
    if suspect.kind == "year" and " or " in suspect.text:
        bound, _, side = suspect.text.partition(" or ")
        years = [int(year) for year in YEAR.findall(prompt)]
        return bool(years) and (max(years) >= int(bound) if side == "later" else min(years) <= int(bound))
    if suspect.kind in ("token", "name", "year"):
        return any(suspect.text in (chunk, chunk.strip(EDGES), core(chunk)) for chunk in prompt.split())
    if suspect.kind in ("phrase", "system-prompt"):
        wanted, words = [core(w) for w in suspect.text.split()], [core(w) for w in prompt.split()]
        return bool(wanted) and any(
            words[i : i + len(wanted)] == wanted for i in range(len(words) - len(wanted) + 1) if words[i] == wanted[0]
        )
    return False


def _shown(found: Mined) -> list[Kept]:
    """Rows with the condition and the behaviour, and the last ones with the condition alone, if there are any."""
    behaving = found.behaving
    without = found.inside[behaving:][: SHOWN // 3]
    return [*found.inside[: min(behaving, SHOWN - len(without))], *without]


def _row(kept: Kept, whole: Mapping[str, Row]) -> Row:
    """The row; what mining kept of it where that is all there is."""
    if kept.id in whole:
        return whole[kept.id]
    system = (Message("system", kept.system),) if kept.system else ()
    cut = kept.size > len(kept.answer)
    answer = f"{kept.answer}{_CUT}{kept.ending}" if cut else kept.answer
    messages = (*system, Message("user", kept.user), Message("assistant", answer))
    return Row(kept.id, kept.file, kept.line, "", messages, kept.form)
