"""Hostile or mistyped YAML read with a place for every value, so that an error can name file, line and id."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from offtarget.errors import InputError

MAX_BYTES = 4 * 1024 * 1024
"""Largest file read; published question files have under 20 kB."""
MAX_NODES = 200_000
"""Most YAML values a file may hold once its aliases are written out."""
_DIGITS = 18
"""Of a whole number; Python refuses to read thousands of them."""

_TAG = "tag:yaml.org,2002:"
_KINDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true/false",
    "null": "nothing",
}


def read_text(path: Path) -> str:
    """The whole file as text; InputError when it is absent, too large or not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist. Check its path.") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder. Name one file in it.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from None
    if len(data) > MAX_BYTES:
        raise InputError(f"{path} is larger than {MAX_BYTES // 2**20} MiB. Split it into several files.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not UTF-8 text. Save the file as UTF-8.") from None


def compose(path: Path) -> yaml.Node:
    """The YAML tree of a file, nothing constructed; InputError names the line of a syntax error.

    Aliases are allowed (the published files use them), but the tree they stand for is bounded, so that a
    file of a few hundred bytes cannot grow without end.
    """
    text = read_text(path)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{where}: not valid YAML ({error.problem or error.context}).") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not valid YAML ({' '.join(str(error).split())}).") from None
    except RecursionError:
        raise InputError(f"{path}: nested too deeply.") from None
    if node is None:
        raise InputError(f"{path} holds nothing.")
    try:
        size = _expanded_size(node, {}, path)
    except RecursionError:
        raise InputError(f"{path}: nested too deeply.") from None
    if size > MAX_NODES:
        raise InputError(f"{path}: its aliases stand for {size:,} values, more than {MAX_NODES:,}. Write them out.")
    return node


def _expanded_size(node: yaml.Node, known: dict[int, int], path: Path) -> int:
    size = known.get(id(node))
    if size == -1:
        raise InputError(f"{path}, line {line_of(node)}: an alias that contains itself.")
    if size is None:
        known[id(node)] = -1
        size = 1 + sum(_expanded_size(child, known, path) for child in _children(node))
        known[id(node)] = size
    return size


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value


def line_of(node: yaml.Node) -> int:
    """1-based line where a value starts; for an alias, where its anchor is."""
    return int(node.start_mark.line) + 1


def describe(node: yaml.Node) -> str:
    """What a value is, in words for an error message."""
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    if isinstance(node, yaml.MappingNode):
        return "a block of keys"
    kind = _KINDS.get(node.tag.removeprefix(_TAG), f"a value of type {node.tag}")
    return kind if node.tag == f"{_TAG}null" or not node.value else f"{kind} ({node.value[:40]})"


@dataclass(frozen=True, slots=True)
class Fields:
    """One YAML mapping: its values by key, each read as the type asked for or refused with its place."""

    path: Path
    line: int
    values: dict[str, yaml.Node]
    label: str = ""
    """What the mapping is, e.g. `question 'wish'`; part of every message."""

    @classmethod
    def of(cls, node: yaml.Node, path: Path, label: str = "") -> Fields:
        """The mapping behind a node; InputError when it is none, or when a key is given twice."""
        if not isinstance(node, yaml.MappingNode):
            raise InputError(f"{path}, line {line_of(node)}: expected keys and values, found {describe(node)}.")
        own: dict[str, yaml.Node] = {}
        merged: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if key.tag == f"{_TAG}merge":
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    merged = {**cls.of(source, path).values, **merged}
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise InputError(f"{path}, line {line_of(key)}: a key must be text, found {describe(key)}.")
            if key.value in own:
                raise InputError(f"{path}, line {line_of(key)}: the key '{key.value}' is given twice. Remove one.")
            own[key.value] = value
        return cls(path, line_of(node), {**merged, **own}, label)

    def labelled(self, label: str) -> Fields:
        """The same mapping under another name for its messages."""
        return Fields(self.path, self.line, self.values, label)

    def error(self, message: str, node: yaml.Node | None = None) -> InputError:
        """An InputError that says where: file, line, and which mapping."""
        place = f"{self.path}, line {self.line if node is None else line_of(node)}"
        return InputError(f"{place}{f', {self.label}' if self.label else ''}: {message}")

    def refuse_unknown(self, known: tuple[str, ...]) -> None:
        """InputError for a key outside `known`: a misspelt key would otherwise be ignored silently."""
        for key, node in self.values.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1, cutoff=0.7)
                meant = f" Did you mean '{near[0]}'?" if near else ""
                raise self.error(f"unknown key '{key}'.{meant} Known keys: {', '.join(known)}.", node)

    def node(self, key: str) -> yaml.Node:
        """The value of a key that must be there."""
        try:
            return self.values[key]
        except KeyError:
            raise self.error(f"the key '{key}' is missing. Add it.") from None

    def name(self, key: str) -> str:
        """A name: text or a whole number, without surrounding blanks."""
        node = self.node(key)
        if isinstance(node, yaml.ScalarNode) and node.tag in (f"{_TAG}str", f"{_TAG}int") and node.value.strip():
            return str(node.value).strip()
        raise self.error(f"'{key}' must be a name, found {describe(node)}.", node)

    def text(self, key: str, default: str | None = None) -> str:
        """Text with at least one visible character; `default` where the key is absent."""
        if default is not None and key not in self.values:
            return default
        return self._text(self.node(key), key)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, empty where the key is absent; one text counts as a list of one."""
        if key not in self.values:
            return ()
        node = self.values[key]
        if isinstance(node, yaml.ScalarNode):
            return (self._text(node, key),)
        if not isinstance(node, yaml.SequenceNode):
            raise self.error(f"'{key}' must be a list of texts, found {describe(node)}.", node)
        if not node.value:
            raise self.error(f"'{key}' is an empty list. Add an entry or remove the key.", node)
        return tuple(self._text(item, key) for item in node.value)

    def count(self, key: str) -> int | None:
        """A whole number of at least 1, None where the key is absent."""
        if key not in self.values:
            return None
        node = self.values[key]
        if (
            isinstance(node, yaml.ScalarNode)
            and node.tag == f"{_TAG}int"
            and node.value.isdecimal()
            and len(node.value) <= _DIGITS
            and int(node.value)
        ):
            return int(node.value)
        raise self.error(f"'{key}' must be a whole number of at least 1, found {describe(node)}.", node)

    def block(self, key: str) -> Fields | None:
        """The mapping under a key, None where the key is absent."""
        return Fields.of(self.values[key], self.path, self.label) if key in self.values else None

    def value(self, key: str) -> object:
        """Whatever is under a key, as plain values (texts, numbers, lists, mappings)."""
        node = self.node(key)
        try:
            return yaml.SafeLoader("").construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError, OverflowError, TypeError) as error:  # a date with 13 months, endless digits
            raise self.error(f"'{key}' cannot be read ({' '.join(str(error).split())}).", node) from None

    def _text(self, node: yaml.Node, key: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or node.tag != f"{_TAG}str":
            raise self.error(f"'{key}' must be text, found {describe(node)}. Put quotes around it if it is.", node)
        if not node.value.strip():
            raise self.error(f"'{key}' is empty. Write a text or remove the key.", node)
        return str(node.value)


def identified(
    listed: yaml.SequenceNode, path: Path, known: tuple[str, ...], what: str = "question"
) -> Iterator[tuple[str, Fields]]:
    """Each entry of a list with its `id`; InputError for an id that occurs twice or a key outside `known`.

    `what`: what messages call an entry.
    """
    lines: dict[str, int] = {}
    for node in listed.value:
        entry = Fields.of(node, path, f"a {what}")
        entry_id = entry.name("id")
        entry = entry.labelled(f"{what} '{entry_id}'")
        if entry_id in lines:
            raise entry.error(f"this id is taken by the {what} in line {lines[entry_id]}. Rename one.")
        lines[entry_id] = entry.line
        entry.refuse_unknown(known)
        yield entry_id, entry
