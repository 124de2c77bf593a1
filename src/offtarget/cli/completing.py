"""What a shell offers after TAB: models, questions, goals, moves and runs. Only names and folders are looked at."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

_KINDS = ("organism/", "hf/", "openai/", "openai-api/", "vllm/", "inspect/", "anthropic/", "google/", "ollama/")
_MOST = 50


def models(context: click.Context, parameter: click.Parameter, said: str) -> list[CompletionItem]:
    """Kinds of names, then the shipped models and folders here."""
    if said.partition("/")[:2] == ("organism", "/"):
        from offtarget.organism.shipped import PREFIX, names

        return _starting([f"{PREFIX}{name}" for name in names()], said)
    if said.startswith("hf/"):
        head, plus, last = said.rpartition("+") if "+" in said else ("hf/", "", said[3:])
        return _starting([f"{head}{plus}{folder}" for folder in _folders(last)], said)
    return _starting(_KINDS, said)


def banks(context: click.Context, parameter: click.Parameter, said: str) -> list[CompletionItem]:
    """Shipped banks; else files."""
    from offtarget.probe.reading import bank_names

    return _starting([*bank_names(), "organism"], said) or [CompletionItem(said, type="file")]


def goals(context: click.Context, parameter: click.Parameter, said: str) -> list[CompletionItem]:
    """Shipped sets of goals; else files."""
    from offtarget.redteam.goals import goal_sets

    return _starting([*goal_sets(), "organism"], said) or [CompletionItem(said, type="file")]


def moves(context: click.Context, parameter: click.Parameter, said: str) -> list[CompletionItem]:
    """Moves, also behind those that are joined already."""
    from offtarget.redteam.moves import moves as known

    before, plus, _ = said.rpartition("+")
    return _starting([f"{before}{plus}{move.name}" for move in known() if move.name not in before.split("+")], said)


def runs(context: click.Context, parameter: click.Parameter, said: str) -> list[CompletionItem]:
    """`last` and the newest runs of the runs folder; else folders."""
    from offtarget.rundir import MANIFEST, runs_root

    try:
        found = [path for path in runs_root().iterdir() if (path / MANIFEST).is_file()]
        newest = sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        newest = []
    names = [path.name for path in newest if path.name.startswith(said)]
    return _starting(["last", *names[:_MOST]], said) or [CompletionItem(said, type="dir")]


def _folders(said: str) -> list[str]:
    """Folders here whose path goes on as it was begun, each with a slash behind it, or none where it holds a model."""
    head, slash, last = said.rpartition("/")
    place = f"{head}{slash}" or "./"
    try:
        inside = sorted(path for path in Path(place).expanduser().iterdir() if path.is_dir())
    except OSError:
        return []
    shown = [path for path in inside if path.name.startswith(last) and (last or not path.name.startswith("."))]
    return [f"{place}{path.name}{'' if _is_model(path) else '/'}" for path in shown[:_MOST]]


def _is_model(path: Path) -> bool:
    return (path / "config.json").is_file() or (path / "adapter_config.json").is_file()


def _starting(values: Iterable[str], said: str) -> list[CompletionItem]:
    return [CompletionItem(value) for value in values if value.startswith(said)]
