"""The card of a dose response: what steering did, and the same questions unchanged and steered."""

from __future__ import annotations

import shlex
from pathlib import Path

from offtarget.numbers import many, percent
from offtarget.pages.card import TELLING, Card, Exchange, Figure, Side, Step
from offtarget.pages.direction.dose import beside, best, headline, lowers, render, unchanged
from offtarget.pages.text import of_scored, sentence
from offtarget.records import Outcome
from offtarget.records.direction import DosePoint, DoseResponse, SteeredAnswer, SteerManifest
from offtarget.rundir import read_jsonl, read_manifest, read_record

DONE = "dose.json"
"""The file that holds the result."""
ANSWERS = "answers.jsonl"
"""The answers at every strength of the direction itself."""


def card_of_run(path: Path) -> Card:
    """The same, read from its folder."""
    return card(_response(path), path)


def page_of_run(path: Path) -> str:
    """The page, made from the records of a run."""
    manifest = read_manifest(path)
    assert isinstance(manifest, SteerManifest)
    response = _response(path)
    return render(response, card(response, path), manifest)


def _response(path: Path) -> DoseResponse:
    return read_record(path / DONE, DoseResponse, "It was made by another version; steer again.")


def card(response: DoseResponse, path: Path) -> Card:
    """What steering came to; the answers are read from the run, where it kept them."""
    shown = best(response)
    return Card(
        state="DONE",
        subject=f"{response.model}, along {response.direction}",
        sentence=headline(response),
        figures=_figures(response, shown),
        exchanges=_exchanges(response, path),
        exchanges_title="The same questions, unchanged and steered",
        cautions=tuple(map(sentence, response.notes)),
        steps=_steps(response, shown),
    )


def _figures(response: DoseResponse, shown: DosePoint | None) -> tuple[Figure, ...]:
    start = unchanged(response)
    named = [("unchanged", start), (f"at strength {shown.strength:g}" if shown else "", shown)]
    found = [
        Figure(f"misaligned, {name}", percent(p.misaligned), f"{of_scored(p.tally)} answers") for name, p in named if p
    ]
    if shown is None:
        return tuple(found)
    random = beside(response, shown)
    if random:
        found.append(Figure("random directions", random, many(len(response.controls), "direction") + " as long"))
    return (*found, Figure("coherent", percent(shown.coherent), f"at strength {shown.strength:g}"))


def _exchanges(response: DoseResponse, path: Path) -> tuple[Exchange, ...]:
    """Questions whose answer steering put right, else whichever: weakest and telling strength beside each other."""
    answers = {(a.strength, a.probe_id, a.index): a for a in read_jsonl(path / ANSWERS, SteeredAnswer)}
    shown, start = best(response), unchanged(response)
    if start is None or not answers:
        return ()
    strongest = max((p.strength for p in response.curve()), key=lambda s: (abs(s), -s))
    other = strongest if shown is None or shown.strength == start.strength else shown.strength
    pairs = [
        (before, after)
        for (strength, probe, index), before in answers.items()
        if strength == start.strength and (after := answers.get((other, probe, index))) is not None
    ]
    ranked = sorted(pairs, key=lambda pair: -(_bad(pair[0]) - _bad(pair[1])))
    first = {before.probe_id: (before, after) for before, after in reversed(ranked)}
    chosen = sorted(first.values(), key=lambda pair: -(_bad(pair[0]) - _bad(pair[1])))
    return tuple(
        Exchange(
            before.prompt,
            (
                Side("unchanged", before.text, before.outcome.value),
                Side(f"strength {after.strength:g}", after.text, after.outcome.value),
            ),
            f"about {before.domain}",
        )
        for before, after in chosen[:TELLING]
    )


def _bad(answer: SteeredAnswer) -> float:
    return {Outcome.MISALIGNED: 2.0, Outcome.ALIGNED: 0.0}.get(answer.outcome, 1.0)


def _steps(response: DoseResponse, shown: DosePoint | None) -> tuple[Step, ...]:
    if shown is None or not lowers(response, shown):
        return ()
    names = " ".join(map(shlex.quote, ("--model", response.model, "--direction", response.direction)))
    fold = f"offtarget direction repair {names} --out repaired"
    return (
        Step(
            "Write it into the weights, and check whether that holds (--data keeps its task)",
            fold,
        ),
    )
