"""What a run that goes on was started with, held against what is said on the command line now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from offtarget.cli.strengths import parse_strengths
from offtarget.errors import InputError
from offtarget.records.runs import Manifest
from offtarget.rundir import read_manifest, to_jsonable

_FACTS = frozenset({"verb", "created", "version", "folder", "objects", "fingerprint", "models", "judge_name"})
"""Fields of a manifest that no option sets."""
_FURTHER_NAMES = {"after": "further", "defend": "defences"}
"""Options that are kept under another name."""


def settled(run: Path, parameters: Sequence[click.Parameter]) -> dict[str, Any]:
    """By name of an option: the value the run keeps for it, where it keeps one; empty for what is no run."""
    from offtarget.workflows.runs.listing import find_run

    try:
        path = find_run(run, unfinished=True)
        manifest = read_manifest(path)
    except InputError:
        return {}  # whoever goes on with the run will say why it is none
    kept = _leaves(to_jsonable(manifest)) | _under_other_names(manifest) | {"run": str(path)}
    names = {parameter.name or "": parameter.name or "" for parameter in parameters}
    found = {name: _FURTHER_NAMES.get(name, name) for name in names}
    return {name: kept[key] for name, key in found.items() if key in kept}


def _leaves(value: Mapping[str, Any]) -> dict[str, Any]:
    """Every value inside nested objects by its own name, the outermost where there are several."""
    found: dict[str, Any] = {}
    level = [value]
    while level:
        inner: list[Mapping[str, Any]] = []
        for each in level:
            for key, item in each.items():
                if key in _FACTS:
                    continue
                if isinstance(item, Mapping):
                    inner.append(item)
                else:
                    found.setdefault(key, item)
        level = inner
    return found


def _under_other_names(manifest: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if manifest.base_name is not None:
        found["base"] = manifest.base_name
    if "tuned" in (getattr(manifest, "models", None) or {}):
        found["tuned"] = manifest.tuned_name
    for who in ("judge", "attacker"):
        if hasattr(manifest, f"{who}_name"):  # beside its fingerprint
            found[who] = getattr(manifest, f"{who}_name")
    settings = getattr(manifest, "settings", None)
    switched = {f"no_{name}": not getattr(settings, name) for name in ("cache", "register") if hasattr(settings, name)}
    return found | switched


def refusal(parameter: click.Parameter, said: Any, kept: Mapping[str, Any]) -> str | None:
    """Why an option cannot be given with a run that goes on; None where it says what the run was started with."""
    name = parameter.name or ""
    shown = "DATA" if isinstance(parameter, click.Argument) else parameter.opts[0]
    way_out = "Leave it out, or start a new run."
    if name not in kept:
        return f"{shown} was settled when the run began. {way_out}"
    was = kept[name]
    if _same(_read(name, said, was), was):
        return None
    return f"{shown} was settled when the run began: it is {_in_words(was)}, not {_in_words(said)}. {way_out}"


def _read(name: str, said: Any, was: Any) -> Any:
    """What was said, in the form in which runs keep it."""
    if name == "strengths" and isinstance(said, str):
        return list(parse_strengths(said))
    if name == "conditions" and isinstance(said, str):
        return [part.strip() for part in said.split(",")]
    if name == "seeds" and isinstance(was, list):
        return list(range(said))
    if name == "tuned" and isinstance(said, tuple) and isinstance(was, str) and len(said) == 1:
        return said[0]  # it may be given several times, for several candidates
    if name in ("after", "further"):
        return sorted(set(said))
    return said


def _same(said: Any, was: Any) -> bool:
    if isinstance(said, Path | str) and isinstance(was, str):
        return str(said) == was or _place(said) == _place(was)
    return bool((list(said) if isinstance(said, tuple) else said) == was)


def _place(path: str | Path) -> Path | str:
    """A file or folder that there is, wherever it is named from; else the text."""
    try:
        return Path(path).expanduser().resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return str(path)


def _in_words(value: Any) -> str:
    if value is None or value == [] or value == ():
        return "not given"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)
