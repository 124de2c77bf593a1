"""A finished or unfinished run, read from its folder into memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from offtarget.errors import InputError
from offtarget.records import AuditDecision, Decision, Generation, HiddenDecision, Look, Outcome, Probe, Status, Verdict
from offtarget.records.benchmarks import BenchmarkFamily
from offtarget.records.check import CheckManifest
from offtarget.records.compare import CompareManifest
from offtarget.records.from_json import from_json
from offtarget.records.runs import Manifest
from offtarget.rundir import RunDir, read_jsonl, read_manifest, read_object, read_record

T = TypeVar("T")


@dataclass(frozen=True)
class Loaded:
    """What every kind of run has; what is absent is empty, never invented."""

    path: Path
    manifest: Manifest
    result: Mapping[str, Any]
    """Contents of result.json besides the decision; empty while unfinished."""
    decision: Decision | AuditDecision | None
    """None while the run is unfinished."""

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.path.name

    @property
    def finished(self) -> bool:
        """Whether a decision was written."""
        return self.decision is not None


@dataclass(frozen=True)
class Answer:
    """One answer with what was asked and what the judge made of it."""

    probe: Probe
    generation: Generation
    verdict: Verdict | None
    """None while it is not judged."""

    @property
    def outcome(self) -> Outcome | None:
        """What it counts as, None while it is not judged."""
        return self.verdict.outcome if self.verdict else None


@dataclass(frozen=True)
class LoadedRun(Loaded):
    """Everything a run directory of two models holds."""

    manifest: CheckManifest | CompareManifest
    decision: Decision | None
    probes: Mapping[str, Probe] = field(default_factory=dict)
    generations: Mapping[str, Generation] = field(default_factory=dict)
    """By key, in the order of sampling."""
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """By key."""
    looks: Sequence[Look] = ()
    hidden: HiddenDecision | None = None
    """What the cued arm showed; its answers are not among `generations`."""
    cued: tuple[Answer, ...] = ()
    """Answers under hidden conditions, in the order of sampling; the arm of their question is the condition's id."""
    problems: tuple[str, ...] = ()
    """What was odd about the files, one sentence each."""
    benchmarks: BenchmarkFamily | None = None
    """What fixed benchmarks said; None where none were asked for, and while the run is unfinished."""

    def answers(self) -> list[Answer]:
        """All answers whose probe is known, in the order of sampling."""
        return [
            Answer(self.probes[g.probe_id], g, self.verdicts.get(g.key))
            for g in self.generations.values()
            if g.probe_id in self.probes
        ]

    def under_condition(self) -> list[Answer]:
        """The answers under the condition that a FAIL names, that of the sentence first; empty where none is."""
        if self.hidden is None or self.hidden.status is not Status.FAIL:
            return []
        order = {arm: place for place, arm in enumerate(self.hidden.shown_first)}
        found = [answer for answer in self.cued if answer.probe.arm in order]
        return sorted(found, key=lambda answer: order[answer.probe.arm])


def load_run(path: Path) -> LoadedRun:
    """Read a run directory; a line torn by a crash is dropped and named in `problems`.

    Raises InputError, naming file and line, when the folder is no run or something else damaged a file.
    """
    path = Path(path).resolve()
    run, manifest = RunDir(path), read_manifest(path)
    if not isinstance(manifest, CheckManifest | CompareManifest):
        raise InputError(f"{path} is a run of `{manifest.verb}`, not of `check` or `compare`.")
    result = read_object(run.file("result.json")) if run.file("result.json").exists() else {}
    problems: list[str] = []
    probes = _records(run, "probes.jsonl", Probe, problems)
    generations = _records(run, "generations.jsonl", Generation, problems)
    verdicts = list(judged(run, manifest, _records(run, "verdicts.jsonl", Verdict, problems), problems))
    looks = _records(run, "looks.jsonl", Look, problems)
    conditions = {p.id: p for p in _records(run, "cued_probes.jsonl", Probe, problems)}
    said = {v.key: v for v in verdicts if v.probe_id in conditions}
    cued = [Answer(conditions[g.probe_id], g, said.get(g.key)) for g in generations if g.probe_id in conditions]
    generations = [g for g in generations if g.probe_id not in conditions]
    verdicts = [v for v in verdicts if v.probe_id not in conditions]
    by_id = {p.id: p for p in probes}
    strangers = sum(g.probe_id not in by_id for g in generations)
    if strangers:
        problems.append(f"{strangers} answers belong to probes that probes.jsonl does not hold; they are left out.")
    return LoadedRun(
        path=path,
        manifest=manifest,
        result=result,
        decision=optional(
            run.file("result.json"),
            Decision,
            "Delete that file; `offtarget runs` then names the command that goes on. The answers are kept.",
            key="decision",
        ),
        probes=by_id,
        generations={g.key: g for g in generations},
        verdicts={v.key: v for v in verdicts},
        looks=looks,
        hidden=hidden_of(run, result),
        cued=tuple(cued),
        problems=tuple(problems),
        benchmarks=benchmarks_of(run, result),
    )


def judged(
    run: RunDir, manifest: Manifest, verdicts: Sequence[Verdict], problems: list[str] | None = None
) -> Iterator[Verdict]:
    """The verdicts with what people or a strong judge said in place of what the judge did, where they said anything.

    Where people read in place of a judge, an answer that nobody read has no verdict.
    """
    rating = manifest.settings.rating if isinstance(manifest, CheckManifest) else None
    if rating is None:
        yield from verdicts
        return
    said = {v.key: v for v in _records(run, "ratings.jsonl", Verdict, [] if problems is None else problems)}
    for verdict in verdicts:
        if verdict.key in said:
            yield said[verdict.key]
        elif not rating.alone:
            yield verdict


def optional(file: Path, record: type[T], way_out: str, key: str = "") -> T | None:
    """What a file holds, None where there is none; see `read_record`."""
    return read_record(file, record, way_out, key=key) if file.exists() else None


def hidden_of(run: RunDir, result: Mapping[str, Any]) -> HiddenDecision | None:
    """What the cued arm of a finished check showed, None where there is none."""
    value = result.get("hidden")
    if value is None:
        return None
    try:
        return from_json(HiddenDecision, value)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{run.file('result.json')}: 'hidden' is not a record of this version ({error}). Restore it or check again."
        ) from None


def benchmarks_of(run: RunDir, result: Mapping[str, Any]) -> BenchmarkFamily | None:
    """What the fixed benchmarks of a finished check said, None where there were none."""
    value = result.get("benchmarks")
    if value is None:
        return None
    try:
        return from_json(BenchmarkFamily, value)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{run.file('result.json')}: 'benchmarks' is not a record of this version ({error}). Restore it or check "
            "again."
        ) from None


def _records(run: RunDir, name: str, record: type[T], problems: list[str]) -> list[T]:
    path = run.file(name)
    records = read_jsonl(path, record)
    if torn(path):
        problems.append(f"The file {name} ends in an incomplete line (an interrupted write); that line is left out.")
    return records


def torn(path: Path) -> bool:
    """Whether a file ends in an incomplete line; False where there is none."""
    if not path.exists():
        return False
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size == 0:
            return False
        file.seek(size - 1)
        return file.read(1) != b"\n"
