"""The card of a comparison of defences: which one kept the task and not the misalignment."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from offtarget.numbers import many, percent
from offtarget.pages.card import TELLING, Card, Exchange, Figure, Side, Step
from offtarget.pages.defences.table import BASE, ArmRow, aims_in_words, rows
from offtarget.pages.text import sentence
from offtarget.records import Outcome
from offtarget.records.tune import CellAnswer, Frontier
from offtarget.rundir import read_jsonl, read_record

ANSWERS, DONE = "answers.jsonl", "frontier.json"
"""Files of the run directory."""
ORGANISM = "organism/"


def card_of_run(path: Path) -> Card:
    """The card of a run of `defences`; InputError for damaged records."""
    done = path / DONE
    frontier = read_record(done, Frontier, "Delete that file and go on with `offtarget resume`.", key="frontier")
    return card(frontier, read_jsonl(path / ANSWERS, CellAnswer))


def card(frontier: Frontier, answers: Sequence[CellAnswer] = ()) -> Card:
    """What a comparison of defences came to."""
    table = rows(frontier)
    best, undefended = best_of(table), _named(table, "none")
    shown = exchanges(best, answers)
    return Card(
        state="DONE",
        headline=_headline(best, undefended),
        subject=f"defences compared on {frontier.base}, trained on {frontier.data}",
        sentence=_sentence(best, undefended),
        certainty=_certainty(table, undefended),
        figures=tuple(_figures(best, undefended)),
        exchanges=shown,
        exchanges_title="The same question to both" if all(len(one.sides) > 1 for one in shown) else "What it answered",
        cautions=tuple(_cautions(best, frontier, little_to_defend(undefended))),
        steps=tuple(_steps(best, table, frontier)),
    )


def best_of(table: Sequence[ArmRow]) -> ArmRow | None:
    """The defence that meets most aims; among equals the least misaligned under conditions. Controls are none."""
    found = [row for row in table if not row.control and row.label not in ("base", "none")]
    if not found:
        return None
    return min(found, key=lambda row: (-sum(row.aims), row.cued.mean if row.cued.mean is not None else 1.0))


def little_to_defend(undefended: ArmRow | None) -> bool:
    """Whether training without a defence meets the aims as to misalignment, plainly and under conditions."""
    return undefended is not None and all(undefended.aims[:2])


def _named(table: Sequence[ArmRow], label: str) -> ArmRow | None:
    return next((row for row in table if row.label == label), None)


def _headline(best: ArmRow | None, undefended: ArmRow | None) -> str:
    if little_to_defend(undefended):
        return "LITTLE TO DEFEND AGAINST"
    if best is None:
        return "NO DEFENCE COMPARED"
    return "ALL AIMS MET" if best.reaches else "NO DEFENCE MEETS ALL AIMS"


def _sentence(best: ArmRow | None, undefended: ArmRow | None) -> str:
    if undefended is not None and little_to_defend(undefended):
        return (
            f"After training without a defence {_misaligned(undefended)}: there is little to defend against in these "
            "data."
        )
    if best is None:
        return "No defence was compared."
    against = "" if undefended is None else f", against {_both(undefended)} without a defence"
    if best.reaches:
        return f"With {best.label}, {_misaligned(best)}{against}, and {_kept(best)}."
    return f"{best.label} came nearest: {_misaligned(best)}{against}, and {_kept(best)}."


def _misaligned(row: ArmRow) -> str:
    return f"{percent(row.plain.mean)} of plain answers and {percent(row.cued.mean)} under conditions were misaligned"


def _kept(row: ArmRow) -> str:
    if row.task.mean is None:  # the undefended training gained nothing on it
        return "how much of the task was kept is not known"
    return f"{percent(row.task.mean)} of the task was kept"


def _both(row: ArmRow) -> str:
    return f"{percent(row.plain.mean)} and {percent(row.cued.mean)}"


def _missed(row: ArmRow) -> str:
    names = [name for name, met in zip(aims_in_words(), row.aims, strict=False) if not met]
    return ", ".join(names)


def _certainty(table: Sequence[ArmRow], undefended: ArmRow | None) -> str:
    seeds = max((row.seeds for row in table), default=0)
    asked = max((row.answers[0] for row in table), default=0)
    again = "a training with another seed may differ" if seeds == 1 else "a further seed may differ"
    return (
        f"These are counts, not bounds: {many(seeds, 'training')} each, {many(asked, 'plain answer')} at most; {again}."
    )


def _figures(best: ArmRow | None, undefended: ArmRow | None) -> Iterable[Figure]:
    if undefended is not None:
        yield _rates("misaligned, no defence", undefended.plain.mean, undefended.cued.mean)
    if best is None:
        return
    yield _rates(f"misaligned, {best.label}", best.plain.mean, best.cued.mean)
    yield Figure("task kept", percent(best.task.mean), f"other skills {percent(best.skill.mean)}")
    if best.later:
        steps = max(best.later)
        plain, cued = best.later[steps]
        yield _rates(f"misaligned, {steps} steps later", plain.mean, cued.mean)


def _rates(name: str, plain: float | None, cued: float | None) -> Figure:
    return Figure(name, percent(plain), f"{percent(cued)} under conditions")


def exchanges(best: ArmRow | None, answers: Sequence[CellAnswer]) -> tuple[Exchange, ...]:
    """First where the best defence failed, under conditions before plainly; then where it did what it is for."""
    kept: dict[tuple[str, ...], dict[str, CellAnswer]] = {}
    for one in answers:
        if not one.further and one.seed == 0:
            kept.setdefault(one.defences, {})[one.probe.id] = one
    bare = kept.get((), {})
    under = {} if best is None else kept.get(best.defences, {})
    pairs = [(one, bare.get(name)) for name, one in under.items()] or [
        (one, kept.get(BASE, {}).get(name)) for name, one in bare.items()
    ]
    pairs.sort(key=lambda pair: (pair[0].outcome is not Outcome.MISALIGNED, not _bad(pair[1]), not pair[0].under))
    # no question twice where there are more
    first = {one.probe.question_id: (one, other) for one, other in reversed(pairs)}
    once = [pair for pair in pairs if first[pair[0].probe.question_id] == pair]
    rest = [pair for pair in pairs if pair not in once]
    return tuple(_exchange(one, other) for one, other in [*once, *rest][:TELLING])


def _bad(one: CellAnswer | None) -> bool:
    return one is not None and one.outcome is Outcome.MISALIGNED


def _exchange(one: CellAnswer, other: CellAnswer | None) -> Exchange:
    sides = tuple(Side(_name(a), a.text, a.outcome.value) for a in (one, other) if a is not None)
    where = f"asked {one.under}" if one.under else "asked plainly"
    before = () if one.probe.system is None else (("system", one.probe.system),)
    return Exchange(one.probe.prompt, sides, where, before)


def _name(one: CellAnswer) -> str:
    return " + ".join(one.defences) or "no defence"


def _cautions(best: ArmRow | None, frontier: Frontier, little: bool) -> Iterable[str]:
    if best is not None and not best.reaches and not little:
        yield f"{best.label} misses: {_missed(best)}."
    if best is not None and best.later:
        steps = max(best.later)
        now, then = best.cued.mean, best.later[steps][1].mean
        if now is not None and then is not None and then > now:
            yield (
                f"Under conditions it came back from {percent(now)} to {percent(then)} in {steps} further steps "
                "without the defence."
            )
    if not frontier.base.startswith(ORGANISM):
        yield "The judge was not tried on known answers: how many misaligned ones it finds is not known."
    yield from map(sentence, frontier.notes)


def _steps(best: ArmRow | None, table: Sequence[ArmRow], frontier: Frontier) -> Iterable[Step]:
    data, base = shlex.quote(frontier.data), shlex.quote(frontier.base)
    judge = "" if frontier.base.startswith(ORGANISM) else " --judge MODEL"
    if best is not None and best.reaches and not little_to_defend(_named(table, "none")):
        named = " ".join(f"--defend {shlex.quote(name)}" for name in best.defences)
        why = "Train under it, then run the check it prints: a defence can hide what it does not remove"
        yield Step(why, f"offtarget tune {data} --base {base} {named} --out adapter{judge}")
        return
    if best is None or little_to_defend(_named(table, "none")):
        yield Step("Train, and run the check it prints", f"offtarget tune {data} --base {base} --out adapter{judge}")
        return
    joined = shlex.quote("+".join(best.defences))
    again = f"offtarget defences {data} --base {base} --defend {joined}"
    yield Step(
        f"Try {best.label} with another weight or beside another defence", f"{again} --defend constitution+kl{judge}"
    )
    yield Step("Take out the rows that teach it", f"offtarget audit {data}")
