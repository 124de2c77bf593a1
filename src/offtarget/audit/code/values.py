"""What is known of a value while code is read: which untrusted data reach it, and what its text looks like."""

from __future__ import annotations

from collections.abc import Iterable

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

    def safe_for(self, uses: int) -> Value:
        """The same value after it was made safe for `uses`."""
        keep = ~uses
        return Value(
            self.outside & keep, self.param & keep, self.unknown & keep, self.origin, self.text, self.made, self.const
        )


NOTHING = Value()


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
