"""What a run worked with, as a statement names it: models, data, questions, judge, by fingerprints and by files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from offtarget.errors import OfftargetError
from offtarget.evidence.digests import sha256_of
from offtarget.evidence.statements import FINGERPRINT, Thing
from offtarget.models.folders import answer_files, at_hand
from offtarget.models.names import LocalName, parse_name
from offtarget.records.audit import AuditManifest
from offtarget.records.benchmarks import SamplesManifest
from offtarget.records.check import CheckManifest
from offtarget.records.compare import CompareManifest
from offtarget.records.redteam import RedTeamManifest
from offtarget.records.runs import Manifest
from offtarget.records.serve import ServeManifest
from offtarget.rundir import MANIFEST
from offtarget.workflows.runs.verbs import verb_of

LARGEST = 4 * 1024**3
"""Bytes of the weights of a model that are read for a statement; those of larger models are named by fingerprint."""


def things_of(path: Path, manifest: Manifest, state: str) -> tuple[Thing, ...]:
    """Everything that a run of any verb says it worked with."""
    return (*named_things(path, manifest, state), *_files(manifest))


def named_things(path: Path, manifest: Manifest, state: str) -> tuple[Thing, ...]:
    """The same without the files of models and data: what the run itself says of them."""
    said = {"verb": verb_of(manifest).command, "created": manifest.created, "verdict": state}
    run = Thing(
        "run",
        {"sha256": sha256_of(path / MANIFEST)},
        annotations={**said, "name": path.resolve().name, "offtarget": manifest.version},
    )
    return (run, *_of_verb(manifest))


def _of_verb(manifest: Manifest) -> Iterator[Thing]:
    if isinstance(manifest, CheckManifest):
        for role, model in manifest.models.items():
            yield Thing(f"weights: {role}", {FINGERPRINT: model.fingerprint}, annotations={"model": model.name})
        yield Thing("questions", {FINGERPRINT: manifest.probes_fingerprint}, annotations={"bank": manifest.probes})
        yield judge_thing("judge", manifest.judge, manifest.judge_name)
        if manifest.rater is not None:
            yield judge_thing("judge of the judge", manifest.rater, manifest.confirm_with)
        return
    if isinstance(manifest, RedTeamManifest):
        for role, model in manifest.models.items():
            yield Thing(f"weights: {role}", {FINGERPRINT: model.fingerprint}, annotations={"model": model.name})
        yield Thing("goals", {FINGERPRINT: manifest.goals_fingerprint}, annotations={"set": manifest.goals})
        yield judge_thing("judge", manifest.judge, manifest.judge_name)
        if manifest.rater is not None:
            yield judge_thing("judge of the judge", manifest.rater, manifest.confirm_with)
        yield Thing("attacker", annotations={"name": manifest.attacker_name, "fingerprint": manifest.attacker})
        return
    if isinstance(manifest, CompareManifest):
        for role, table in manifest.files.items():
            yield Thing(f"table: {role}", {"sha256": table.sha256}, annotations={"file": table.name})
    if isinstance(manifest, SamplesManifest):
        for role, files in manifest.files.items():
            for file in files:
                yield Thing(f"samples: {role}: {file.task}", {"sha256": file.sha256}, annotations={"file": file.name})
    if isinstance(manifest, ServeManifest):
        yield judge_thing("judge", manifest.judge, None)
    named: Mapping[str, str | None] = {"base": manifest.base_name, "tuned": manifest.tuned_name}
    if not isinstance(manifest, CompareManifest):
        yield from (Thing(f"model: {role}", annotations={"model": name}) for role, name in named.items() if name)


def judge_thing(name: str, fingerprint: str, asked_for: str | None) -> Thing:
    """A judge by its fingerprint, which is no hash but a name with one in it."""
    told: dict[str, Any] = {"fingerprint": fingerprint, **({"judge": asked_for} if asked_for else {})}
    digest = {"sha256": hashlib.sha256(fingerprint.encode()).hexdigest()}
    return Thing(name, digest, f"urn:offtarget:judge:{quote(fingerprint, safe='')}", told)


def _files(manifest: Manifest) -> Iterator[Thing]:
    """The files of models and data that are at hand now, each with its SHA-256."""
    for name, file in files_at_hand(manifest).items():
        yield Thing(name, {"sha256": sha256_of(file)})


def files_at_hand(manifest: Manifest) -> dict[str, Path]:
    """Files of the models and of the data of a run that lie on this machine, under the names a statement gives them.

    Weights of more than 4 GiB are left out.
    """
    found: dict[str, Path] = {}
    for role, name in (("base", manifest.base_name), ("tuned", manifest.tuned_name)):
        if name is not None and isinstance(manifest, CheckManifest | RedTeamManifest):
            for folder in _own_folders(name, role, manifest):
                found |= {f"weights: {role}: {file.name}": file for file in _answer_files(folder)}
    for file in _data(manifest):
        if file.is_file():
            found[f"data: {file.name}"] = file
    return found


def adapter_of(manifest: Manifest) -> Path | None:
    """The folder of the tuned model's own weights, its adapter where it has one; None where that is not at hand."""
    name = manifest.tuned_name
    if name is None:
        return None
    folders = list(_own_folders(name, "tuned", manifest))
    return folders[0] if folders else None


def _own_folders(name: str, role: str, manifest: Manifest) -> Iterator[Path]:
    """The folder of an adapter; of a model without one its own."""
    try:
        parsed = parse_name(name)
    except OfftargetError:
        return
    if not isinstance(parsed, LocalName):
        return
    source = parsed.adapter or parsed.base
    for start in (Path.cwd(), Path(manifest.folder or ".")):
        folder = start / Path(source.place).expanduser()
        if folder.is_dir():
            yield folder
            return
    cached = at_hand(source)
    if cached is not None and cached.is_dir():
        yield cached


def _answer_files(folder: Path) -> list[Path]:
    files = answer_files(folder)
    return files if sum(file.stat().st_size for file in files) <= LARGEST else []


def _data(manifest: Manifest) -> list[Path]:
    names: tuple[str, ...] = ()
    if isinstance(manifest, AuditManifest):
        beside = Path(manifest.data)
        names = (manifest.data,) if beside.is_file() else tuple(str(beside / name) for name in manifest.source)
    elif isinstance(manifest, CheckManifest) and manifest.data is not None and "://" not in manifest.data:
        names = (manifest.data,)
    found = []
    for name in names:
        places = [Path.cwd() / name, Path(manifest.folder or ".") / name]
        found += [next((place for place in places if place.is_file()), Path(name))]
    return found
