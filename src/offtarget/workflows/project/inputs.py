"""What each step depends on, as short texts that can be kept and compared: contents as hashes, settings as they are.

The version of offtarget is among them: another one may see what this one does not, so every step runs again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from offtarget.data.safety_sets import is_safety_file
from offtarget.data.training import open_source
from offtarget.detect.ledger import read_ledger
from offtarget.errors import InputError
from offtarget.models.endpoints import endpoint_of, own_folders
from offtarget.models.folders import at_hand, file_sha256, find_folder, model_fingerprint
from offtarget.models.names import LocalName, RemoteName, Source, is_path
from offtarget.models.remote import address_and_key
from offtarget.models.templates import is_file_choice
from offtarget.project.reading import Project
from offtarget.records.check import CheckSettings
from offtarget.records.runs import OpenSettings
from offtarget.rundir import fingerprint
from offtarget.version import __version__
from offtarget.workflows.check.opening import chosen_questions
from offtarget.workflows.ground import EXACT_JUDGE, ground_of, parsed
from offtarget.workflows.project.settings import (
    audit_settings,
    check_settings,
    goals_of_project,
    judge_by,
    opening_of,
    redteam_settings,
    tune_settings,
)
from offtarget.workflows.redteam.opening import model_of

Inputs = Mapping[str, str]
HASH = " sha256:"
"""Between the name of something and the hash of its contents."""
UNKNOWN = "cannot be seen from here"
"""Of contents that nobody can hash here: whoever depends on them runs every time."""
_LONGEST_NAME = 1000
_NOT_COUNTED = ("max_answers", "max_cued_answers", "cache", "register", "same_weights", "rating")
"""Settings of a check that do not change its evidence: a raised number of answers lets the same check go on."""


def audit_inputs(project: Project, *, fetch: bool) -> Inputs:
    """Of the audit. Raises InputError for data that cannot be opened."""
    return {
        **_data(project),
        "rows are labelled by": _model(project, "audit.judge", fetch=fetch) or "nobody",
        **_settings(asdict(audit_settings(project)), ("round", "draw")),
        "offtarget": __version__,
    }


def tune_inputs(project: Project, *, fetch: bool) -> Inputs:
    """Of the training."""
    return {
        **_data(project),
        "base": _model(project, "base", fetch=fetch),
        "defences": ", ".join(project.texts("tune.defend")),
        **_settings(asdict(tune_settings(project, fetch=fetch))),
        "monitor": str(project.flag("tune.monitor", True)),
        **_judging(project, fetch=fetch),
        **_opening(project),
        "offtarget": __version__,
    }


def check_inputs(project: Project, tuned: str, *, fetch: bool) -> Inputs:
    """Of the check of a tuned model, with its benchmarks."""
    settings = check_settings(project)
    return {
        "base": _checked(project, project.text("base") or "", "base", fetch=fetch),
        "tuned": _checked(project, tuned, "tuned", fetch=fetch),
        **_judging(project, fetch=fetch, prefix=project.text("conditions.prefix")),
        "confirm_with": _model(project, "confirm_with", fetch=fetch) or "nobody",
        "conditions from data": str(_data(project)) if project.flag("conditions.data") else "no",
        "hunt": str(project.flag("conditions.hunt")),
        "prefix": project.text("conditions.prefix") or "",
        **_benchmarks(project, {} if settings.benchmarks is None else asdict(settings.benchmarks)),
        **settings_of(settings),
        **_opening(project),
        "offtarget": __version__,
    }


def redteam_inputs(project: Project, tuned: str, *, fetch: bool) -> Inputs:
    """Of the red team of a tuned model."""
    settings, goals = redteam_settings(project), goals_of_project(project)
    values = asdict(settings)
    decision, sampling, moves = (values.pop(name) for name in ("decision", "sampling", "moves"))
    with project.blamed_on("red_team.attacker"):
        attacker = model_of(project.text("red_team.attacker"))
        model = "no model" if attacker is None else model_identity(attacker, opening_of(project), fetch=fetch)
    return {
        "base": _checked(project, project.text("base") or "", "base", fetch=fetch),
        "tuned": _checked(project, tuned, "tuned", fetch=fetch),
        "goals": f"{goals.name}{HASH}{goals.fingerprint}",
        "moves": ", ".join(moves) or "all",
        "attacker": f"{project.text('red_team.attacker') or 'scripted'}, {model}",
        "judge": _model(project, "judge", fetch=fetch) or "the exact rules of the questions",
        "judge_by": judge_by(project),
        "confirm_with": _model(project, "confirm_with", fetch=fetch) or "nobody",
        **_settings({**decision, **sampling, **values}, ("register", "rating")),
        **_opening(project),
        "offtarget": __version__,
    }


def settings_of(settings: CheckSettings) -> Inputs:
    """Of the settings of a check those that change its evidence or what is made of it; not those of benchmarks."""
    values = asdict(settings)
    decision, sampling, _ = (values.pop(name) for name in ("decision", "sampling", "benchmarks"))
    return _settings({**decision, **sampling, **values}, _NOT_COUNTED)


def model_identity(name: str, opening: OpenSettings | None, *, fetch: bool) -> str:
    """A model's name with the hash of its weights; of one behind an endpoint its address and what is sent.

    `fetch`: one on the hub is fetched if need be; else it counts as another one until it is here.
    """
    found, local = parsed(name), _local(name, opening)
    if local is not None:
        base = _folder(local.base, fetch=fetch)
        adapter = None if local.adapter is None else _folder(local.adapter, fetch=fetch)
        if base is None or (local.adapter is not None and adapter is None):
            return f"{name} (not fetched yet)"
        trusted = opening is not None and opening.trust_remote_code
        code = [str(file_sha256(file)) for file in sorted(base.glob("*.py"))] if trusted and base.is_dir() else []
        return f"{name}{HASH}{model_fingerprint(base, adapter, code)}"
    if not isinstance(found, RemoteName):
        return name
    endpoint = endpoint_of(found, None if opening is None else opening.endpoints)
    try:
        address, _ = address_and_key(found, endpoint)
    except InputError:  # no key, no address: whoever asks will say so; what was asked before still holds
        address = None
    return f"{name} at {address or 'its usual address'}{HASH}{fingerprint(endpoint.effect)}"


def file_identity(path: str | Path) -> str:
    """A file's name with the hash of its contents. Raises InputError for one that cannot be read."""
    try:
        return f"{path}{HASH}{file_sha256(Path(path).expanduser())}"
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def tree_sha256(path: Path) -> str | None:
    """SHA-256 over the files of a folder, by name and contents, or of a file; None where there is none."""
    if path.is_file():
        return file_sha256(path)
    if not path.is_dir():
        return None
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}:{file_sha256(file)}\n".encode())
    return digest.hexdigest()


def cannot_be_seen(inputs: Inputs) -> str | None:
    """The first input that nobody can hash here."""
    return next((name for name, value in inputs.items() if UNKNOWN in value), None)


def _data(project: Project) -> dict[str, str]:
    place, form, split = (project.text(name) for name in ("data", "form", "split"))
    with project.blamed_on("data"):
        sha256 = open_source(place or "", form=form, split=split).content_sha256()
        cleaned = None if "://" in str(place) else read_ledger(place or "")
    return {
        "data": f"{place} {UNKNOWN}" if sha256 is None else f"{place}{HASH}{sha256}",
        "form": form or "guessed",
        "split": split or "train",
        **({} if cleaned is None else {"what cleaning removed": fingerprint(cleaned)}),
    }


def _model(project: Project, key: str, *, fetch: bool) -> str:
    name = project.text(key)
    if name is None or name == EXACT_JUDGE:
        return name or ""
    with project.blamed_on(key):
        return model_identity(name, opening_of(project), fetch=fetch)


def _checked(project: Project, name: str, key: str, *, fetch: bool) -> str:
    """A model that is checked: what is behind an endpoint nobody can see, unless the file says that names are fixed."""
    with project.blamed_on(key):
        found = model_identity(name, opening_of(project), fetch=fetch)
        seen = _local(name, opening_of(project)) is not None or project.flag("opening.names_are_fixed")
    return found if seen else f"{found} {UNKNOWN}"


def _local(name: str, opening: OpenSettings | None) -> LocalName | None:
    """The weights of a model that is opened here, or served from here; None for one behind an endpoint."""
    found = parsed(name)
    if isinstance(found, RemoteName):
        return own_folders(found, None if opening is None else opening.endpoints)
    return found if isinstance(found, LocalName) else None


def _folder(source: Source, *, fetch: bool) -> Path | None:
    return find_folder(source) if fetch or is_path(source.place) else at_hand(source)


def _judging(project: Project, *, fetch: bool, prefix: str | None = None) -> dict[str, str]:
    """Questions and judge; a check with a `prefix` asks more of the former."""
    with project.blamed_on("probes" if prefix is None else "conditions.prefix"):
        bank = chosen_questions(project.text("probes"), ground_of(project.text("base")), prefix)
    return {
        "questions": f"{bank.name}{HASH}{bank.fingerprint}",
        "judge": _model(project, "judge", fetch=fetch) or "the exact rules of the questions",
        "judge_by": judge_by(project),
    }


def _opening(project: Project) -> dict[str, str]:
    """What of the opening can change answers; the endpoints' settings are part of each remote model."""
    opening = opening_of(project) or OpenSettings()
    template = opening.chat_template
    if template is not None and is_file_choice(template):
        template = file_identity(template)
    reference = None if opening.reference is None else model_identity(opening.reference, opening, fetch=False)
    chosen = {"device": opening.device, "dtype": opening.dtype, "chat_template": template, "reference": reference}
    return {name: value or "usual" for name, value in chosen.items()}


def _benchmarks(project: Project, settings: Mapping[str, Any]) -> dict[str, str]:
    """Names and files of fixed benchmarks, what counts as worse on them, and the version of lm-eval."""
    names = project.texts("benchmarks")
    if not names:
        return {"benchmarks": "none"}
    return {
        "benchmarks": ", ".join(map(_named_file, names)),
        "benchmark_items": str(project.whole("limits.benchmark_items") or "all"),
        **{f"benchmark_{name}": str(value) for name, value in settings.items()},
        "lm-eval": _version_of("lm_eval"),
    }


def _version_of(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _named_file(name: str) -> str:
    """A benchmark; a file of tasks with everything beside it that it names, the items and code that it uses."""
    file = Path(name).expanduser()
    if not file.is_file():
        return name
    places = {file} if is_safety_file(name) else _mentioned(file, set())
    hashes = sorted({str(tree_sha256(place)) for place in places})
    return f"{name}{HASH}{fingerprint(hashes)}"


def _mentioned(file: Path, seen: set[Path]) -> set[Path]:
    """A file of tasks, what its words name beside it or from here, and the same of the files that it includes."""
    if file.resolve() in seen:
        return set()
    seen.add(file.resolve())
    text = file.read_text(encoding="utf-8", errors="replace")
    words = {word.strip("\"',[]{}:-") for line in text.splitlines() for word in (line.strip(), *line.split())}
    with suppress(yaml.YAMLError):  # names with blanks in them; who reads the task will say what is wrong with it
        words |= {str(token.value) for token in yaml.scan(text) if isinstance(token, yaml.ScalarToken)}
    found = {file, *(place for word in words for place in _places(word, file.parent))}
    found |= set(file.parent.glob("*.py")) if "!function" in text else set()
    inner = [place for place in found if place.suffix in (".yaml", ".yml") and place.is_file()]
    return found.union(*(_mentioned(place, seen) for place in inner))


def _places(word: str, folder: Path) -> Iterator[Path]:
    """The files and folders that a word names, all of them where it holds a star."""
    if not 0 < len(word) < _LONGEST_NAME or word in (".", "..", "/"):
        return
    for place in (Path(word).expanduser(), folder / Path(word).expanduser()):
        with suppress(OSError, ValueError):
            yield from place.parent.glob(place.name) if "*" in place.name else (place,) if place.exists() else ()


def _settings(values: Mapping[str, Any], without: tuple[str, ...] = ()) -> dict[str, str]:
    return {name: str(value) for name, value in values.items() if name not in without}
