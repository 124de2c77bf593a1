"""The verdict of a run worked out again from its records, in a copy of them: no model, no judge, no network."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

from offtarget.errors import InputError, OfftargetError
from offtarget.evidence.findings import Finding
from offtarget.pages.check.loading import benchmarks_of
from offtarget.records import DecisionSettings, Probe, Role, Tally, Verdict
from offtarget.records.audit import AuditManifest
from offtarget.records.benchmarks import BenchmarkItems, ItemPair, SamplesManifest
from offtarget.records.candidates import CandidatesManifest
from offtarget.records.check import CheckManifest
from offtarget.records.compare import CompareManifest
from offtarget.records.rated import PEOPLE
from offtarget.records.redteam import RedTeamManifest, RedTeamRecord
from offtarget.records.runs import Manifest
from offtarget.records.serve import ServeManifest
from offtarget.rundir import RunDir, iterate_jsonl, read_jsonl, read_manifest, read_object
from offtarget.stats.paired_items import decide_benchmarks
from offtarget.stats.tables import decide_tables
from offtarget.version import __version__
from offtarget.workflows.audit.run import AuditRun
from offtarget.workflows.check.pressed_arm import FOLDER as BESIDE
from offtarget.workflows.check.replay import contradictions, differences, replay
from offtarget.workflows.compare.benchmarks import ITEMS
from offtarget.workflows.redteam.recount import contradictions as redteam_contradictions
from offtarget.workflows.redteam.recount import recounted
from offtarget.workflows.runs.begin import finished
from offtarget.workflows.runs.verbs import AUDIT, BENCHMARKS, CHECK, COMPARE, REDTEAM, SERVE
from offtarget.workflows.serve.evidence import replayed

SHOWN = 4
"""Fields that are named where a verdict is another one."""


def worked_out(path: Path, names: Iterable[str]) -> list[Finding]:
    """Findings about the verdict of a run; `names` are the files that may be read, copied first."""
    with tempfile.TemporaryDirectory(prefix="offtarget-verify-") as folder:
        copy = Path(folder) / path.resolve().name
        copy.mkdir()
        for name in names:
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path / name, copy / name)
        try:
            manifest = read_manifest(copy)
            worker = _WAYS.get(type(manifest))
            if isinstance(manifest, CandidatesManifest):
                one = path / manifest.candidates[0].name
                return [
                    _claimed(f"Each candidate has a check of its own, whose verdict can be worked out: verify {one}")
                ]
            if worker is None:
                return [_claimed(f"The verdict of `{manifest.verb}` cannot be worked out again from records alone.")]
            return [*worker(copy, manifest), *_versions(manifest)]
        except OfftargetError as error:
            said = str(error).replace(f"{copy}/", "").replace(str(copy), path.name)
            return [Finding("verdict", "wrong", f"The verdict does not follow from the records: {said}")]
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            said = f"{type(error).__name__}: {str(error)[:120]}"
            return [Finding("verdict", "wrong", f"The records do not fit together ({said}).")]


def _check(copy: Path, manifest: Manifest) -> list[Finding]:
    assert isinstance(manifest, CheckManifest)
    odd = contradictions(copy, manifest)
    found = [Finding("records", "wrong", said) for said in odd[:SHOWN]]
    if not odd:
        questions = (
            f"The questions are those of the run ({manifest.probes}, fingerprint {manifest.probes_fingerprint})."
        )
        found += [Finding("questions", "proved", questions)]
        found += [Finding("judge", "claimed", f"That {manifest.judge} gave the recorded verdicts is not checked.")]
    result = read_object(copy / CHECK.done)
    recorded = result["decision"]
    family = benchmarks_of(RunDir(copy), result)
    inside = copy / BESIDE
    pressed = None
    if manifest.settings.redteam_budget and inside.is_dir():
        more, pressed = _pressed(inside, manifest)
        found += more
    again = replay(copy, recorded, family, pressed)
    decision = finished(CHECK, copy)
    assert decision is not None
    off = [*differences(recorded, again.decision), *differences(result.get("hidden"), again.hidden, "hidden")]
    off += differences(family, again.benchmarks, "benchmarks")
    off += [] if result.get("grade") == decision.grade else ["grade"]
    # what pages show of the run beside its decision: whose answers these are, and which of them counted
    off += differences(result.get("models"), manifest.models, "models")
    off += [] if result.get("judge") == manifest.judge else ["judge"]
    off += differences(result["counted"], again.counted, "counted") if "counted" in result else []
    rating = manifest.settings.rating
    if rating is not None and rating.by == PEOPLE:
        found.append(_claimed("How well the people read whose ratings count is not worked out again."))
        if decision.withheld is not None and again.decision.withheld is None:
            return [*found, _claimed(f"The verdict is withheld, which rests on how people read: {decision.withheld}.")]
    if family is not None and family.not_run:
        found.append(_claimed("Why some fixed benchmarks were not run is not checked."))
    return [*found, _compared(off, decision.status.value)]


def _pressed(inside: Path, check: CheckManifest) -> tuple[list[Finding], RedTeamRecord]:
    """What is wrong with the conversations under pressure in a check, and what they come to again."""
    manifest = read_manifest(inside)
    if not isinstance(manifest, RedTeamManifest):
        raise InputError(f"{inside.name} in it is a run of `{manifest.verb}`, not of `redteam`.")
    odd = redteam_contradictions(inside, manifest)
    if (manifest.models, manifest.judge) != (check.models, check.judge):
        odd.append("The conversations under pressure are of other models, or by another judge.")
    recorded = read_object(inside / REDTEAM.done)["record"]
    record, changed = recounted(inside)
    odd += [f"{BESIDE}/{name} is not what the records come to." for name in changed]
    if off := differences(recorded, record):
        odd.append(f"Worked out again, {BESIDE}/{REDTEAM.done} is another one, in: {', '.join(off[:SHOWN])}.")
    return [Finding("records", "wrong", said) for said in odd[:SHOWN]], record


def _redteam(copy: Path, manifest: Manifest) -> list[Finding]:
    assert isinstance(manifest, RedTeamManifest)
    if manifest.settings.rating is not None:
        return [_claimed("A verdict that others than the judge confirmed is not worked out again from the records.")]
    odd = redteam_contradictions(copy, manifest)
    result = read_object(copy / REDTEAM.done)
    record, changed = recounted(copy)
    odd += [f"{name} is not what the records come to." for name in changed]
    found = [Finding("records", "wrong", said) for said in odd[:SHOWN]]
    if not odd:
        said = f"The goals are those of the run ({manifest.goals}, fingerprint {manifest.goals_fingerprint})."
        found += [Finding("questions", "proved", said)]
        found += [Finding("judge", "claimed", f"That {manifest.judge} gave the recorded verdicts is not checked.")]
        found += [_claimed("The search is no evidence; that it was held as recorded is not checked.")]
    off = differences(result["record"], record) + differences(result.get("models"), manifest.models, "models")
    return [*found, _compared(off, record.status.value)]


def _samples(copy: Path, manifest: Manifest) -> list[Finding]:
    assert isinstance(manifest, SamplesManifest)
    family = finished(BENCHMARKS, copy)
    assert family is not None
    pairs: dict[str, list[ItemPair]] = {result.name: [] for result in family.results}
    for pair in read_jsonl(copy / ITEMS, ItemPair):
        pairs.setdefault(pair.benchmark, []).append(pair)
    told = {result.name: result for result in family.results}
    items = [
        BenchmarkItems(
            name,
            told[name].metric,
            tuple(some),
            why_not=told[name].why_not,
            base_fingerprint=told[name].base_fingerprint,
            tuned_fingerprint=told[name].tuned_fingerprint,
        )
        for name, some in pairs.items()
    ]
    again = decide_benchmarks(items, manifest.settings)
    found = [_claimed("That the scores are those in lm_eval's files is not worked out again; their digests are named.")]
    return [*found, _compared(differences(family, again), BENCHMARKS.state(family))]


def _compare(copy: Path, manifest: Manifest) -> list[Finding]:
    assert isinstance(manifest, CompareManifest)
    decision = finished(COMPARE, copy)
    assert decision is not None
    probes = read_jsonl(copy / "probes.jsonl", Probe)
    tallies: dict[Role, dict[str, Tally]] = {
        "base": {probe.id: Tally() for probe in probes},
        "tuned": {probe.id: Tally() for probe in probes},
    }
    for verdict in iterate_jsonl(copy / "verdicts.jsonl", Verdict):
        of_role = tallies[verdict.role]
        of_role[verdict.probe_id] = of_role[verdict.probe_id].plus(verdict.outcome)
    arms: dict[str, list[str]] = {}
    for probe in probes:
        arms.setdefault(probe.arm, []).append(probe.id)
    again = decide_tables(
        tallies["base"],
        tallies["tuned"],
        arms,
        {probe.id: probe.domain for probe in probes},
        {probe.id: probe.question_id for probe in probes},
        DecisionSettings(**{one.name: getattr(manifest.settings, one.name) for one in fields(DecisionSettings)}),
        (),
    )
    off = differences(read_object(copy / COMPARE.done)["decision"], again)
    doubts = "Whether the tables are copies, by one judge and on one scale is not worked out again."
    found = [_claimed(doubts)]
    if decision.withheld is not None:
        off = [name for name in off if name not in ("status", "reason", "withheld", "answers_to_go")]
    return [*found, _compared(off, decision.status.value)]


def _audit(copy: Path, manifest: Manifest) -> list[Finding]:
    run = AuditRun.open(copy)
    recorded = read_object(copy / AUDIT.done)["decision"]
    again = run.decide(run.labels())
    found = [
        _claimed("What the detectors found in each row is taken from the records; the data were not scanned again.")
    ]
    return [*found, _compared(differences(recorded, again), again.status.value)]


def _serve(copy: Path, manifest: Manifest) -> list[Finding]:
    replayed(copy)
    evidence = finished(SERVE, copy)
    assert evidence is not None
    return [_compared([], SERVE.state(evidence))]


_WAYS: dict[type[Manifest], Callable[[Path, Manifest], list[Finding]]] = {
    CheckManifest: _check,
    RedTeamManifest: _redteam,
    CompareManifest: _compare,
    SamplesManifest: _samples,
    AuditManifest: _audit,
    ServeManifest: _serve,
}


def _compared(off: list[str], verdict: str) -> Finding:
    if not off:
        return Finding(
            "verdict", "proved", f"Worked out again from the recorded answers and verdicts, the result is {verdict}."
        )
    named = ", ".join(off[:SHOWN]) + (f" and {len(off) - SHOWN} more" if len(off) > SHOWN else "")
    return Finding("verdict", "wrong", f"Worked out again from the records, the result is another one, in: {named}.")


def _versions(manifest: Manifest) -> list[Finding]:
    """That another version decided, which need not come to the same."""
    if manifest.version == __version__:
        return []
    return [
        _claimed(f"The run was made by version {manifest.version}; this is {__version__}, which may decide otherwise.")
    ]


def _claimed(said: str) -> Finding:
    return Finding("verdict", "claimed", said)
