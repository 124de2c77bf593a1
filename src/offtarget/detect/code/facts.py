"""What is known of a piece of code: its values and which untrusted data reach them, its calls, returns and checks.

The data flow collects it, rules ask for it and answer with holes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

HTML, SQL, PATH, SHELL, URL, CODE, MARKUP = 1, 2, 4, 8, 16, 32, 64
"""Uses for which data can be made safe, as bits: a value escaped for HTML keeps every bit but HTML."""
EVERYTHING = 127
HOLE = "\0"
"""Stands in a known text where something unknown is put in."""
MAX_TEXT = 4000

MISSING = object()
"""The constant of a value that is none."""


class Value:
    """One value: three masks of uses it is still dangerous for, by where the data come from.

    `outside`: a request, a socket, an upload. `param`: a parameter of a plain function, the keyboard, the command
    line. `unknown`: anything else that is not a constant of this text.
    """

    __slots__ = ("const", "made", "origin", "outside", "param", "text", "unknown")

    def __init__(
        self,
        outside: int = 0,
        param: int = 0,
        unknown: int = 0,
        origin: str = "",
        text: str | None = None,
        made: str = "",
        const: object = MISSING,
    ) -> None:
        self.outside = outside
        self.param = param
        self.unknown = unknown
        self.origin = origin
        """The untrusted expression as a reviewer sees it, e.g. `request.args`."""
        self.text = text
        """Known text with HOLE where values go in; None when nothing is known."""
        self.made = made
        """Dotted name of the call that made it, e.g. `jinja2.Environment`."""
        self.const = const

    @property
    def is_const(self) -> bool:
        """Whether the value is a constant of the text."""
        return self.const is not MISSING

    def dangerous(self, use: int) -> str:
        """Where data that are dangerous for `use` come from: `outside`, `param`, `unknown` or the empty string."""
        if self.outside & use:
            return "outside"
        if self.param & use:
            return "param"
        return "unknown" if self.unknown & use else ""

    def part(self) -> Value:
        """Something taken out of it: as dangerous, and nothing known of its text."""
        return Value(self.outside, self.param, self.unknown, self.origin)

    def safe_for(self, uses: int) -> Value:
        """The same value after it was made safe for `uses`."""
        keep = ~uses
        return Value(
            self.outside & keep, self.param & keep, self.unknown & keep, self.origin, self.text, self.made, self.const
        )


NOTHING = Value()


def query_object(made: str) -> bool:
    """Whether a call of this name makes a query object (SQLAlchemy, Django, peewee, PyPika).

    Such an object passes every value to the database as a parameter; it is no text that was built.
    """
    *owners, _ = parts = made.split(".")
    return "query" in owners or any(part.removesuffix("()") in _BUILDERS for part in parts)


def constant(value: object) -> Value:
    """A literal of the text."""
    if isinstance(value, bytes):
        return Value(text=value[:MAX_TEXT].decode("latin-1"), const=value)
    return Value(text=value[:MAX_TEXT] if isinstance(value, str) else None, const=value)


def combine(values: Iterable[Value], text: str | None = None, made: str = "") -> Value:
    """A value made of several: every danger of its parts, and the origin of the worst of them."""
    outside = param = unknown = worst = 0
    origin = ""
    for value in values:
        outside |= value.outside
        param |= value.param
        unknown |= value.unknown
        rank = 3 if value.outside else 2 if value.param else 1 if value.unknown else 0
        if rank > worst:
            worst, origin = rank, value.origin
    return Value(outside, param, unknown, origin, text[:MAX_TEXT] if text is not None else None, made)


def piece(value: Value) -> str:
    """The text a value contributes where it is put into a larger text."""
    if value.text is not None:
        return value.text
    return str(value.const) if value.is_const else HOLE


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
    tail: str = field(init=False)
    """The last part of the name."""

    def __post_init__(self) -> None:
        self.tail = self.name.rpartition(".")[2]

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

    def built_with(self, text: re.Pattern[str], use: int) -> Iterator[tuple[Built, str]]:
        """Texts like this that hold data dangerous for a use, and where these come from; one text per line."""
        seen: set[int] = set()
        for built in self.built:
            if built.value.text is None or HOLE not in built.value.text or not text.search(built.value.text):
                continue
            danger = built.value.dangerous(use)
            if danger and built.node.lineno not in seen:
                seen.add(built.node.lineno)
                yield built, danger


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


def words(text: str) -> frozenset[str]:
    """The words of a text, split at white space."""
    return frozenset(text.split())


_BUILDERS = words(
    "select insert update delete where filter filter_by exclude values order_by group_by having join returning from_ "
    "objects find find_one aggregate Q"
)
