"""A project file read: every value by its type, every mistake with file, line and key."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import cast

import yaml

from offtarget.errors import InputError
from offtarget.located import Fields, compose, describe, line_of, read_text
from offtarget.project.keys import BY_NAME, Key, within

Value = str | int | float | bool | tuple[str, ...]
_NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?")
_LONGEST = 40
"""Characters of a number; no setting needs more, and endless ones take long to read."""


@dataclass(frozen=True, slots=True)
class Project:
    """What a project file says. A key that it does not hold is None, or empty where it is a list."""

    path: Path
    values: Mapping[str, Value]
    """By the name of the key: `limits.alpha`."""
    lines: Mapping[str, int]
    """Of each value, and of each block; 1-based."""

    def text(self, name: str) -> str | None:
        """A text, or a choice."""
        return cast("str | None", self.values.get(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts."""
        return cast("tuple[str, ...]", self.values.get(name, ()))

    def whole(self, name: str) -> int | None:
        """A whole number."""
        return cast("int | None", self.values.get(name))

    def number(self, name: str) -> float | None:
        """A number, a share or a sum of money."""
        return cast("float | None", self.values.get(name))

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        return cast(bool, self.values.get(name, default))

    def has(self, name: str) -> bool:
        """Whether the file holds that key or block."""
        return name in self.lines

    def error(self, name: str, message: str) -> InputError:
        """An InputError that says where: file, line and key."""
        return InputError(f"{self.place(name)}: {message}")

    def place(self, name: str) -> str:
        """Where a key stands; for one that is not there, the file and the key."""
        line = self.lines.get(name)
        return f"{self.path}, {'' if line is None else f'line {line}, '}'{name}'"

    @contextmanager
    def blamed_on(self, *names: str) -> Iterator[None]:
        """InputErrors inside say the first of these keys that the file holds, and name options as keys."""
        try:
            yield
        except InputError as error:
            name = next((name for name in names if self.has(name)), names[0])
            error.args = (f"{self.place(name)}: {_OPTION.sub(_as_key, str(error))}",)
            raise


_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")


def _as_key(option: re.Match[str]) -> str:
    """`--max-answers` -> `max_answers`, where the file has a key of that name."""
    name = option[1].replace("-", "_")
    return name if any(key.short == name for key in BY_NAME.values()) else option[0]


def read_project(path: str | Path) -> Project:
    """The project file. Raises InputError with file, line and key; nothing but the file is looked at."""
    file = Path(path)
    values: dict[str, Value] = {}
    lines: dict[str, int] = {}
    if not any(line.strip() and not line.lstrip().startswith("#") for line in read_text(file).splitlines()):
        raise InputError(
            f"{file} holds nothing: every key in it is behind a `#`. Take it away before base and tuned, "
            "or before data, and put yours in; or: offtarget init --overwrite --base MODEL --tuned MODEL"
        )
    _read(Fields.of(compose(file), file), "", values, lines)
    project = Project(file, values, lines)
    _together(project)
    return project


def _read(fields: Fields, block: str, values: dict[str, Value], lines: dict[str, int]) -> None:
    keys = within(block)
    fields.refuse_unknown(tuple(key.short for key in keys))
    for key in keys:
        node = fields.values.get(key.short)
        if node is None:
            continue
        lines[key.name] = line_of(node)
        if key.kind == "block":
            if not _empty(node):  # `tune:` alone asks for a training with the usual settings
                inner = Fields.of(node, fields.path, f"'{key.name}'").labelled(f"'{key.name}'")
                _read(inner, key.name, values, lines)
            continue
        if _empty(node):
            raise fields.error(f"'{key.name}' has no value. Write one, or remove the key.", node)
        values[key.name] = _READERS[key.kind](fields, key, node)


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _together(project: Project) -> None:
    """InputError for keys that say nothing together."""
    if not any(project.has(name) for name in ("data", "base", "tuned")):
        raise InputError(
            f"{project.path} names neither `data` nor models, so there is nothing to do. Add `data` for an audit, "
            "`base` and `tuned` for a check."
        )
    if project.has("tuned") and project.has("tune"):
        raise project.error("tune", "`tune` makes the tuned model and `tuned` names one. Remove one of them.")
    for name, needed in (("tuned", "base"), ("tune", "base"), ("tune", "data"), ("split", "data"), ("audit", "data")):
        if project.has(name) and not project.has(needed):
            raise project.error(name, f"it needs `{needed}`, which is missing. Add it.")
    if project.flag("conditions.data") and not project.has("data"):
        raise project.error("conditions.data", "it needs `data`, which is missing. Add it.")
    if project.has("base") and not (project.has("tuned") or project.has("tune")):
        raise project.error("base", "there is no tuned model to hold it against. Add `tuned`, or `tune` to train one.")
    for name in ("conditions", "benchmarks", "limits", "probes", "judge", "confirm_with"):
        if project.has(name) and not project.has("base"):
            raise project.error(name, "it is for the check, which needs `base`. Add it.")
    if project.has("red_team") and not project.has("base"):
        raise project.error("red_team", "it presses a model and its base, and needs `base`. Add it.")
    of_benchmarks = (
        key.name for key in within("limits") if key.short.startswith("benchmark_") or key.short == "red_flag"
    )
    for name in of_benchmarks:
        if project.has(name) and not project.has("benchmarks"):
            raise project.error(name, "it is for `benchmarks`, which is missing. Add it.")
    for name in ("limits.margin", "limits.average_margin"):
        if project.flag("limits.strict") and project.has(name):
            raise project.error(name, "`strict` sets both margins. Remove one of them.")


def _text(fields: Fields, key: Key, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or node.tag != "tag:yaml.org,2002:str":
        raise fields.error(f"'{key.name}' must be text, found {describe(node)}. Put quotes around it if it is.", node)
    text = str(node.value)
    if not text.strip():
        raise fields.error(f"'{key.name}' is empty. Write a text or remove the key.", node)
    if any(sign in text for sign in "\r\n\x00"):
        raise fields.error(f"'{key.name}' holds a line break. Write it on one line.", node)
    return text


def _texts(fields: Fields, key: Key, node: yaml.Node) -> tuple[str, ...]:
    if isinstance(node, yaml.ScalarNode):
        return (_text(fields, key, node),)
    if not isinstance(node, yaml.SequenceNode):
        raise fields.error(f"'{key.name}' must be a list of texts, found {describe(node)}.", node)
    if not node.value:
        raise fields.error(f"'{key.name}' is an empty list. Add an entry or remove the key.", node)
    found = tuple(_text(fields, key, item) for item in node.value)
    twice = next((item for number, item in enumerate(found) if item in found[:number]), None)
    if twice is not None:
        raise fields.error(f"'{key.name}' names '{twice}' twice. Remove one.", node)
    return found


def _choice(fields: Fields, key: Key, node: yaml.Node) -> str:
    text = _text(fields, key, node)
    if text not in key.choices:
        raise fields.error(f"'{key.name}' must be one of {', '.join(key.choices)}, not '{text[:60]}'.", node)
    return text


def _flag(fields: Fields, key: Key, node: yaml.Node) -> bool:
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:bool":
        return node.value.lower() in ("true", "yes", "on")
    raise fields.error(f"'{key.name}' must be true or false, found {describe(node)}.", node)


def _written(node: yaml.Node) -> str:
    """A number as it stands in the file; empty for what is none, and for a text in quotes."""
    if not isinstance(node, yaml.ScalarNode) or node.style is not None or len(node.value) > _LONGEST:
        return ""
    return str(node.value)


def _whole(least: int, fields: Fields, key: Key, node: yaml.Node) -> int:
    text = _written(node)
    if re.fullmatch(r"\d+", text, re.ASCII) and int(text) >= least:
        return int(text)
    raise fields.error(f"'{key.name}' must be a whole number of at least {least}, found {describe(node)}.", node)


def _number(fields: Fields, key: Key, node: yaml.Node) -> float:
    text = _written(node)
    if _NUMBER.fullmatch(text) and math.isfinite(float(text)):  # also 1e-5, which YAML 1.1 takes for text
        return float(text)
    raise fields.error(f"'{key.name}' must be a number, found {describe(node)}.", node)


def _share(fields: Fields, key: Key, node: yaml.Node) -> float:
    text = _written(node)
    number = text.removesuffix("%").rstrip()
    if _NUMBER.fullmatch(number):
        return float(Decimal(number) / (100 if text.endswith("%") else 1))
    raise fields.error(f"'{key.name}' must be a share such as 0.05 or 5%, found {describe(node)}.", node)


def _money(fields: Fields, key: Key, node: yaml.Node) -> float:
    found = _number(fields, key, node)
    if found <= 0:
        raise fields.error(f"'{key.name}' must be a number above 0, found {describe(node)}.", node)
    return found


_READERS: Mapping[str, Callable[[Fields, Key, yaml.Node], Value]] = {
    "text": _text,
    "texts": _texts,
    "choice": _choice,
    "flag": _flag,
    "count": lambda fields, key, node: _whole(1, fields, key, node),
    "whole": lambda fields, key, node: _whole(0, fields, key, node),
    "number": _number,
    "share": _share,
    "money": _money,
}
