"""What the data flow hands to the rules: calls, returns, checks and assignments of one piece of code."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from offtarget.audit.code.values import NOTHING, Value


@dataclass(slots=True)
class Function:
    """A function of the text."""

    node: ast.FunctionDef | ast.AsyncFunctionDef
    owner: str
    """Name of its class, empty outside classes."""
    handler: str
    """`flask`, `django`, `fastapi`, ... when a web framework calls it; empty otherwise."""
    incoming: dict[str, Value] = field(default_factory=dict)
    """What calls in this text pass for each parameter."""
    result: Value = NOTHING


@dataclass(slots=True)
class Call:
    """One call with everything known of its arguments."""

    node: ast.Call
    name: str
    """Dotted, imports resolved; a method of an object made by a known call reads `jinja2.Environment().render`."""
    receiver: Value
    args: list[Value]
    keywords: dict[str, Value]
    function: Function | None
    result: Value = NOTHING

    @property
    def tail(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(".")[2]

    def arg(self, position: int, keyword: str = "") -> Value | None:
        """An argument by position or by keyword."""
        if position < len(self.args):
            return self.args[position]
        return self.keywords.get(keyword)


@dataclass(slots=True)
class Return:
    """One `return` with its value."""

    node: ast.Return
    value: Value
    function: Function


@dataclass(slots=True)
class Check:
    """A condition that compares or matches: `node` is the Compare or Call inside a test."""

    node: ast.expr
    left: Value
    function: Function | None


@dataclass(slots=True)
class Assign:
    """A name or attribute that is given a value."""

    node: ast.stmt
    target: str
    value: Value
    function: Function | None


@dataclass(slots=True)
class Built:
    """A text put together from constant parts and other values."""

    node: ast.expr
    value: Value
    function: Function | None


@dataclass(slots=True)
class Facts:
    """Everything rules may ask about one piece of code."""

    tree: ast.Module
    text: str
    imports: Mapping[str, str]
    """Local name to dotted name."""
    modules: frozenset[str]
    """Top-level packages imported."""
    lines: list[str] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    returns: list[Return] = field(default_factory=list)
    compares: list[Check] = field(default_factory=list)
    assigns: list[Assign] = field(default_factory=list)
    built: list[Built] = field(default_factory=list)

    def line(self, number: int) -> str:
        """One line of the text, 1-based; empty outside of it."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def called(self, *names: str) -> Iterator[Call]:
        """Calls of any of these dotted names."""
        wanted = frozenset(names)
        return (call for call in self.calls if call.name in wanted)

    def methods(self, *tails: str) -> Iterator[Call]:
        """Calls whose name ends in one of these parts."""
        wanted = frozenset(tails)
        return (call for call in self.calls if call.tail in wanted)


@dataclass(frozen=True, slots=True)
class Hole:
    """A suspected vulnerability in one piece of code."""

    rule: str
    reason: str
    line: int
    """1-based in the parsed text."""
    end_line: int
    strength: float


def hole(rule: str, node: ast.AST, strength: float, reason: str) -> Hole:
    """A hole at a node of the tree."""
    line = getattr(node, "lineno", 1)
    return Hole(rule, reason, line, getattr(node, "end_lineno", None) or line, strength)
