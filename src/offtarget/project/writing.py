"""The project file that `offtarget init` writes: what was said, and every other key as a comment that explains it."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Mapping
from pathlib import Path

import yaml

from offtarget.errors import InputError
from offtarget.project.keys import KEYS, Key
from offtarget.rundir import write_whole

WIDTH = 100
HEAD = """\
# What `offtarget run` does: audit the data, train, check the tuned model, press it, write reports.
# A step runs again only when something that it depends on has changed.
# Keys behind a `#` are left out; the value shown is the default, or an example. For a key in a block, take the `#` away
# before the block, too. Paths begin at the folder of this file.
"""


def project_text(said: Mapping[str, str], blocks: Collection[str] = ()) -> str:
    """The file, with the keys of `said` and the named blocks in force; a comment above every key explains it."""
    lines = [HEAD.rstrip("\n")]
    blocks = {*blocks, *(key.block for key in KEYS if key.name in said)}
    for key in KEYS:
        if not key.block:
            lines.append("")
        lines.extend(_explained(key))
        lines.append(_line(key, said, blocks))
    return "\n".join(lines) + "\n"


def write_project(
    path: str | Path, said: Mapping[str, str], blocks: Collection[str] = (), *, overwrite: bool = False
) -> Path:
    """Write the file. InputError where one is there already, unless `overwrite`, and where it cannot be written."""
    file = Path(path)
    if file.is_dir():
        raise InputError(f"{file} is a folder. Name the file, e.g. {file / 'offtarget.yaml'}.")
    if file.exists() and not overwrite:
        raise InputError(f"{file} already exists. Edit it, or write it anew with --overwrite.")
    if not file.absolute().parent.is_dir():
        raise InputError(f"{file.absolute().parent} does not exist. Make the folder first.")
    write_whole(file, project_text(said, blocks))
    return file


def _explained(key: Key) -> list[str]:
    says = key.says + (f" One of: {', '.join(key.choices)}." if key.choices else "")
    return textwrap.wrap(says, WIDTH, initial_indent=f"{_indent(key)}# ", subsequent_indent=f"{_indent(key)}# ")


def _line(key: Key, said: Mapping[str, str], blocks: Collection[str]) -> str:
    if key.kind == "block":
        return f"{key.name}:" if key.name in blocks else f"# {key.name}:"
    if key.name in said:
        return f"{_indent(key)}{key.short}: {_scalar(said[key.name])}"
    return f"{_indent(key)}# {key.short}: {key.example}"


def _indent(key: Key) -> str:
    return "  " if key.block else ""


def _scalar(text: str) -> str:
    """A text as YAML reads it back: in quotes where it needs them."""
    written = yaml.safe_dump(text, default_flow_style=True, allow_unicode=True, width=10**6)
    return str(written).removesuffix("\n").removesuffix("...").removesuffix("\n")
