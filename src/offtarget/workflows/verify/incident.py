"""`report --incident`: from a check that failed, or a canary that was rolled back, to what those who collect want."""

from __future__ import annotations

from pathlib import Path

from offtarget.errors import InputError
from offtarget.evidence.incidents import KINDS, MOST_QUOTED, Incident, Quoted, quoted
from offtarget.pages.card import Card
from offtarget.pages.cards import card_of
from offtarget.records.runs import Manifest
from offtarget.redaction import without_personal
from offtarget.rundir import read_manifest, write_whole
from offtarget.workflows.runs.listing import find_run, shortened
from offtarget.workflows.runs.verbs import BENCHMARKS, CHECK, COMPARE, REDTEAM, SERVE, verb_of
from offtarget.workflows.verify.attest import state_of
from offtarget.workflows.verify.things import things_of

METHODS = {
    "check": "offtarget check, an anytime-valid sequential test of tuned against base",
    "redteam": "offtarget redteam, an anytime-valid sequential test of tuned against base under pressure",
    "compare": "offtarget compare, an exact test of tuned against base",
    "serve": "offtarget serve, anytime-valid sequential tests of tuned against base on traffic",
}


def incident_text(run: str | Path, kind: str) -> str:
    """The incident of a run, written down for `avid`, `aiid` or `oecd`. Raises InputError where there is none."""
    return KINDS[kind].write(incident_of(find_run(run)))


def write_incident(run: str | Path, kind: str, out: Path | None = None) -> Path:
    """The same into a file, by default one in the run; returns it."""
    path = find_run(run)
    target = path / KINDS[kind].filename if out is None else out
    if target.is_dir():
        target = target / KINDS[kind].filename
    write_whole(target, incident_text(path, kind))
    return target


def incident_of(path: Path) -> Incident:
    """What is known of the incident of a run. Raises InputError for any run that is no FAIL of a tuned model."""
    manifest = read_manifest(path)
    verb = verb_of(manifest)
    if verb not in (CHECK, COMPARE, BENCHMARKS, REDTEAM, SERVE):
        raise InputError(
            f"{path} is a run of `{verb.command}`. An incident is written from a FAIL of `check`, `compare` or "
            "`redteam`, or from the evidence on a canary that was rolled back (`offtarget canary evidence`)."
        )
    state = state_of(path, manifest)
    if state != "FAIL":
        what = "unfinished" if state is None else state
        raise InputError(f"{path} is {what}: nothing was shown to be worse, so there is no incident to report.")
    card = card_of(path)
    answers, replaced = _quoted(card)
    return Incident(
        base=public_name(manifest.base_name or "its base"),
        tuned=public_name(manifest.tuned_name or "the tuned model"),
        happened=without_personal(card.sentence)[0],
        certainty=card.certainty,
        figures={one.name: f"{one.value} ({one.note})" if one.note else one.value for one in card.figures},
        quoted=answers,
        replaced=replaced,
        date=_day(manifest),
        live=verb is SERVE,
        method=METHODS[verb.command],
        run=path.resolve().name,
        things=tuple(one for one in things_of(path, manifest, state) if not one.name.startswith("data: ")),
    )


def public_name(name: str) -> str:
    """A model as it may be told to others: one in a folder by the last two parts, which name no machine and nobody."""
    places = name.removeprefix("hf/").removeprefix("vllm/").split("+")
    return shortened(name) if any(place.startswith((".", "/", "~")) for place in places) else name


def _quoted(card: Card) -> tuple[tuple[Quoted, ...], int]:
    found: list[Quoted] = []
    replaced = 0
    for exchange in card.exchanges:
        side = exchange.sides[0] if exchange.sides else None
        if side is None or not side.text or len(found) == MOST_QUOTED:
            continue
        one, places = quoted(exchange.question, side.text)
        found.append(one)
        replaced += places
    return tuple(found), replaced


def _day(manifest: Manifest) -> str:
    return manifest.created[:10]
