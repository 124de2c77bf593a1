"""From a folder of adapters, or from names of models, to candidates: each with the name of its folder in the run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from offtarget.errors import InputError
from offtarget.models.folders import check_adapter_folder, find_folder
from offtarget.models.names import LocalName, is_path
from offtarget.numbers import many
from offtarget.records.candidates import CandidateName, NotChecked
from offtarget.records.runs import OpenSettings
from offtarget.workflows.ground import parsed, with_adapter
from offtarget.workflows.ready import ready
from offtarget.workflows.runs.listing import shortened

SHOWN = 5
"""Names of files in a sentence at most."""
_TAKEN = ("run", "candidates", "report", "spent")
"""Names that the run of all candidates needs for its own files."""


def candidates_in(folder: str | Path, base: str) -> tuple[tuple[CandidateName, ...], tuple[str, ...]]:
    """A candidate for every folder inside, by name, and what is said of the files beside them.

    A folder with a `config.json` and no `adapter_config.json` is a whole model, any other an adapter on the base: what
    is neither is told when it is opened. Raises InputError for a folder that holds no folders, or is an adapter itself.
    """
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise InputError(f"--tuned-dir: {folder} is no folder. Name the one that holds a folder for each candidate.")
    if (place / "adapter_config.json").is_file():
        raise InputError(
            f"--tuned-dir: {folder} is one adapter, not a folder of them. Check it with --tuned {_on(base, place)}, or "
            f"give the folder above it."
        )
    try:
        found = sorted((path for path in place.iterdir() if not path.name.startswith(".")), key=lambda path: path.name)
    except OSError as error:
        raise InputError(f"--tuned-dir: {folder} cannot be listed: {error.strerror}.") from None
    folders, others = [p for p in found if p.is_dir()], [p.name for p in found if not p.is_dir()]
    if not folders:
        raise InputError(f"--tuned-dir: {folder} holds no folder, so there is no candidate in it.")
    shown = ", ".join(others[:SHOWN]) + (f" and {len(others) - SHOWN} more" if len(others) > SHOWN else "")
    notes = (f"Beside the candidates {folder} holds {many(len(others), 'file')}, not looked at: {shown}.",)
    return named_candidates([_name_of(path, base) for path in folders]), notes if others else ()


def named_candidates(tuned: Sequence[str]) -> tuple[CandidateName, ...]:
    """Candidates by the names of their models, in that order. Raises InputError for a name that is given twice."""
    twice = sorted({name for name in tuned if tuned.count(name) > 1})
    if twice:
        raise InputError(f"--tuned names {twice[0]} twice. Each candidate is checked once; leave one out.")
    return tuple(CandidateName(*pair) for pair in zip(_folder_names(tuned), tuned, strict=True))


def not_openable(candidates: Sequence[CandidateName], opening: OpenSettings | None) -> tuple[NotChecked, ...]:
    """Candidates whose files show that they cannot be opened; others may still turn out so when they are."""
    found = []
    for one in candidates:
        try:
            ready(one.tuned, keeps_run=False, opening=opening)
            _check_adapter(one.tuned)
        except InputError as error:
            found.append(NotChecked(one.name, one.tuned, str(error)))
    return tuple(found)


def _check_adapter(tuned: str) -> None:
    """InputError for an adapter here that is none, or was trained on another base."""
    name = parsed(tuned)
    if not isinstance(name, LocalName) or name.adapter is None:
        return
    if all(is_path(source.place) for source in (name.base, name.adapter)):  # nothing is fetched to look at it
        check_adapter_folder(find_folder(name.adapter), find_folder(name.base))


def _name_of(path: Path, base: str) -> str:
    whole = (path / "config.json").is_file() and not (path / "adapter_config.json").is_file()
    return f"hf/{path}" if whole else _on(base, path)


def _on(base: str, adapter: Path) -> str:
    name = parsed(base)
    if not (isinstance(name, LocalName) or base.startswith("vllm/")):
        raise InputError(
            f"--tuned-dir holds folders, and {base} is behind an endpoint: nothing here can put an adapter on it. Name "
            "each candidate as its server does, with --tuned."
        )
    return with_adapter(base, str(adapter))


def _folder_names(tuned: Iterable[str]) -> list[str]:
    """A folder's name for each: the last part of the model's, and a number behind it where that is taken."""
    taken, names = set(_TAKEN), []
    for model in tuned:
        last = (model.rpartition("+")[2] or shortened(model)).rstrip("/").rpartition("/")[2]
        plain = re.sub(r"[^\w.-]+", "-", last).strip("-.") or "candidate"
        name, number = plain, 2
        while name.casefold() in taken:
            name, number = f"{plain}-{number}", number + 1
        taken.add(name.casefold())
        names.append(name)
    return names
