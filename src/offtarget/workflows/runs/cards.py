"""The card of any run: its verb's own where it has come to its end, else what there is so far and how it goes on."""

from __future__ import annotations

from pathlib import Path

from offtarget.pages.card import Card, Step
from offtarget.pages.cards import card_of
from offtarget.records.runs import Manifest
from offtarget.records.tune import Reading
from offtarget.rundir import in_use, read_jsonl, read_manifest
from offtarget.workflows.runs.begin import finished
from offtarget.workflows.runs.listing import UNFINISHED
from offtarget.workflows.runs.so_far import so_far
from offtarget.workflows.runs.verbs import BENCHMARKS, CHECK, COMPARE, TUNE, verb_of


def card(path: Path, *, live: bool | None = None) -> Card:
    """What a run came to, or how far it is. Raises InputError for what is no run, and for damaged records.

    `live`: whether a process is at work on it; None where that has to be found out by its lock.
    """
    manifest = read_manifest(path)
    verb = verb_of(manifest)
    if finished(verb, path) is not None:
        return card_of(path)
    if verb is TUNE and any(reading.alarm for reading in read_jsonl(path / "readings.jsonl", Reading)):
        return card_of(path)  # an alarm is not to wait until the training has ended
    return _unfinished(path, manifest, in_use(path) if live is None else live)


def _unfinished(path: Path, manifest: Manifest, live: bool) -> Card:
    verb = verb_of(manifest)
    sentence = f"This run of `{verb.command}` has not come to its end. So far: {so_far(path)}."
    exchanges = card_of(path).exchanges if verb in (CHECK, COMPARE) else ()
    return Card(
        state=UNFINISHED,
        subject=about(manifest),
        sentence=sentence,
        certainty="Nothing is claimed, so there is nothing to be wrong about yet.",
        exchanges=exchanges,
        exchanges_title="Misaligned answers so far; they are no verdict",
        steps=(_next(path, manifest, live),),
    )


def _next(path: Path, manifest: Manifest, live: bool) -> Step:
    if live:
        return Step("Wait: another process is at work on it")
    obstacle = verb_of(manifest).obstacle(path, manifest)
    if obstacle is None:
        command = manifest.resume_command(path)
        return Step("Go on where it stopped", command)
    said, _, command = obstacle.rpartition(" with: ")
    return Step(f"It cannot go on: {said}", command) if said else Step(f"It cannot go on: {obstacle.rstrip('.')}")


def about(manifest: Manifest) -> str:
    """What a run is about: models and data by name."""
    tuned, base, data = manifest.tuned_name, manifest.base_name, manifest.data_name
    joined = "held against" if verb_of(manifest) in (BENCHMARKS, CHECK, COMPARE) else "from"
    models = f"{tuned}, {joined} {base}" if tuned and base else tuned or base or ""
    return ", on ".join(filter(None, (models, data))) or "models of the caller"
