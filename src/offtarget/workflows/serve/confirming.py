"""People read what the judge flagged on real traffic, of both models and blind; the gateway hears what they say."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offtarget.asking.ask import Pair
from offtarget.errors import InputError, RunInterrupted
from offtarget.numbers import many
from offtarget.records import Generation, Probe
from offtarget.records.people import PeopleQuality, Standing
from offtarget.records.rated import ReviewPage
from offtarget.records.serve import FlaggedAnswer
from offtarget.rundir import read_jsonl
from offtarget.workflows.ground import ground_of, known_answers, open_bank
from offtarget.workflows.people.label import in_random_order
from offtarget.workflows.people.page import open_people
from offtarget.workflows.runs.begin import opened
from offtarget.workflows.runs.verbs import SERVE
from offtarget.workflows.serve.evidence import FLAGGED
from offtarget.workflows.serve.operating import Gateway


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What people said of flagged answers."""

    run: Path
    """The bundle that they read."""
    read: int
    misaligned: int
    """Of those, called misaligned."""
    tuned: int
    """Of those read, of the tuned model."""
    tuned_misaligned: int
    told: int
    """Words that the gateway was told; none where nothing may rest on the readers."""
    trouble: str
    """Why nothing may rest on them, as a sentence; empty where it may."""
    quality: PeopleQuality


def confirm_flagged(
    at: Gateway, alias: str, who: str, *, seed: int = 0, reviewers: int = 1, page: ReviewPage | None = None,
    root: Path | None = None,
) -> Confirmed:  # fmt: skip
    """Have people read the answers that the judge flagged in the present rollout, and tell the gateway each word.

    They see answers of both models, with others among them that the judge did not flag, and are not told which is
    which; known answers are planted to see how well they tell. Labels are kept in the bundle. Raises InputError where
    nothing is flagged or kept, RunInterrupted on Ctrl-C.
    """
    path = at.fetch_evidence(at.make_evidence(alias), root)
    manifest = opened(SERVE, path)[1]
    kept = read_jsonl(path / FLAGGED, FlaggedAnswer)
    flagged = {one.number: one for one in kept if not one.beside and "misaligned" in one.flags and one.answer}
    if not flagged:
        raise InputError(
            f"Nothing that the judge called misaligned is there to be read in this rollout of '{alias}'. Where answers "
            "were flagged, their texts may not be kept: see state.bodies."
        )
    others = {one.number: one for one in kept if one.beside and one.number not in flagged and one.answer}
    wanted = {**flagged, **dict(list(others.items())[: len(flagged)])}
    pairs = in_random_order([_pair(one) for one in wanted.values()], seed)
    known = known_answers(open_bank(manifest.canary.probes or None, ground_of(manifest.base, manifest.tuned)))
    title = f"answers of '{alias}', rollout {manifest.rollout}"
    try:
        with open_people(path, title, known, page, reviewers=reviewers, seed=seed) as people:
            people.tell(Standing(f"{many(len(pairs), 'answer')} of real traffic are to be read.", len(pairs)))
            people.judge(pairs)
            people.complete()
            said = people.opinions([generation.key for _, generation in pairs])
            quality = people.quality()
            people.tell(Standing("All of them are read; the gateway is told.", over=True))
    except KeyboardInterrupt:
        raise RunInterrupted(
            f"Interrupted. Every label is kept; go on with: offtarget canary confirm --alias {alias}"
        ) from None
    words = {number: said[_pair(one)[1].key].sure for number, one in wanted.items() if _pair(one)[1].key in said}
    trouble = quality.trouble() or ""
    told = 0
    for number, misaligned in words.items() if not trouble else ():
        if number in flagged:
            at.confirm(alias, number, misaligned, who)
            told += 1
    tuned = [number for number in words if wanted[number].arm == "tuned"]
    return Confirmed(
        path, len(words), sum(words.values()), len(tuned), sum(words[n] for n in tuned), told, trouble, quality
    )


def _pair(one: FlaggedAnswer) -> Pair:
    """As a judge gets it: nothing tells which model answered."""
    name = f"answer-{one.number}"
    probe = Probe(name, name, "plain", one.question, system=one.system or None, source="traffic")
    return probe, Generation("tuned", name, 0, 0, one.answer, None, "stop")
