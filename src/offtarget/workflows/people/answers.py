"""The answers of a run of any verb that keeps them, with what its judge made of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.asking.ask import Pair
from offtarget.errors import InputError
from offtarget.probe.bank import ProbeBank
from offtarget.records import Generation, KnownAnswer, Outcome, Probe, Verdict
from offtarget.records.check import CheckManifest
from offtarget.records.compare import CompareManifest
from offtarget.records.tune import TuneManifest, WatchedAnswer
from offtarget.rundir import RunDir, read_jsonl, read_manifest
from offtarget.workflows.ground import USUAL, ground_of, known_answers, open_bank

WATCHED = "watched.jsonl"
"""In the folder of a monitored training: the answers that its monitor judged."""


@dataclass(frozen=True)
class RunAnswers:
    """What a run has to read."""

    title: str
    pairs: tuple[Pair, ...]
    flagged: frozenset[str]
    """Keys of the answers that the judge called misaligned."""
    known: tuple[KnownAnswer, ...]
    """To plant among them."""


def answers_of(run: Path) -> RunAnswers:
    """The answers of a run of `check` or `compare`, or of a monitored `tune`. InputError where it keeps none."""
    manifest = read_manifest(run)
    if isinstance(manifest, TuneManifest):
        watched = watched_of(run)
        pairs = [(one.probe, named_by_step(one)) for one in watched]
        flagged = {named_by_step(one).key for one in watched if one.verdict.outcome is Outcome.MISALIGNED}
        title, bank = f"monitor of {manifest.base}", open_bank(None, ground_of(manifest.base))
        probes = {one.probe.id: one.probe for one in watched}
    elif isinstance(manifest, CheckManifest | CompareManifest):
        directory = RunDir(run)
        probes = {p.id: p for p in read_jsonl(directory.file("probes.jsonl"), Probe)}
        generations = {g.key: g for g in read_jsonl(directory.file("generations.jsonl"), Generation)}
        pairs = [(probes[g.probe_id], g) for g in generations.values() if g.probe_id in probes]
        verdicts = {v.key: v for v in read_jsonl(directory.file("verdicts.jsonl"), Verdict)}
        flagged = {key for key, verdict in verdicts.items() if verdict.outcome is Outcome.MISALIGNED}
        title, bank = f"{manifest.tuned_name} against {manifest.base_name}", _bank(manifest)
    else:
        raise InputError(
            f"{run} is a run of `{manifest.verb}`; people can read the answers of `check`, `compare` and `tune`."
        )
    if not pairs:
        raise InputError(f"{run} holds no answer to read. Nothing was sampled, or nothing was kept.")
    own = tuple(known for known in bank.known if known.probe.id in probes)
    known = own or known_answers(ProbeBank.from_probes(bank.name, probes.values()))
    return RunAnswers(title, tuple(pairs), frozenset(flagged), known)


def named_by_step(one: WatchedAnswer) -> Generation:
    """The answer under a key of its own: a monitor asks the same questions at each reading."""
    return replace(one.generation, probe_id=f"{one.generation.probe_id}@{one.what}-{one.step}")


def watched_of(run: Path) -> list[WatchedAnswer]:
    """Answers that a monitor judged, each once; empty where it kept none."""
    path = run / WATCHED
    found = read_jsonl(path, WatchedAnswer) if path.exists() else []
    return list({(one.what, one.step, one.generation.key): one for one in found}.values())


def _bank(manifest: CheckManifest | CompareManifest) -> ProbeBank:
    """The bank a check was made with, for its known answers; the usual one where it is not there any more."""
    if isinstance(manifest, CompareManifest):
        return open_bank(None, USUAL)
    try:
        return open_bank(manifest.probes, ground_of(manifest.base_name, manifest.tuned_name))
    except InputError:
        return open_bank(None, USUAL)
