"""Values of expressions: what reaches them and what their text is. Records every call, check and built text."""

from __future__ import annotations

import ast
import re
import stat
from collections.abc import Callable

from offtarget.detect.code.facts import (
    EVERYTHING,
    HOLE,
    NOTHING,
    Built,
    Call,
    Check,
    Facts,
    Function,
    Value,
    combine,
    constant,
    piece,
    query_object,
    words,
)
from offtarget.detect.code.sanitisers import cleans
from offtarget.detect.code.sources import LOCAL_NAMES, attribute_source, called_source

PERCENT = re.compile(r"%(?:\(\w++\))?[-+ #0]*+(?:\*|\d++)?(?:\.\d++)?[sdrifgxXcaeGuo]")
BRACES = re.compile(r"\{(?![{])[^{}]*\}(?!\})")
GROWING = frozenset({"append", "extend", "add", "insert", "update", "write", "appendleft", "push", "setdefault"})
FETCHING = words(
    "execute scalars scalar scalar_one scalar_one_or_none all first one one_or_none fetchall fetchone fetch_all "
    "fetch_one get_or_404 first_or_404 paginate count"
)
"""What a query object finds comes from the database, not from what was asked for."""
PASSING = words(
    "strip lstrip rstrip lower upper title capitalize replace encode decode split rsplit splitlines partition get pop "
    "items keys values copy format_map casefold swapcase zfill ljust rjust center expandtabs removeprefix removesuffix "
    "getlist read readline readlines getvalue"
)
COPYING = words("str unicode bytes repr list tuple sorted set reversed dict next iter")
SERVER_PARTS = frozenset({"self.path", "self.headers", "self.rfile", "self.requestline"})
MODE_NAME = re.compile(r"mode|perm", re.I)
STAT_BITS = {f"stat.{name}": getattr(stat, name) for name in dir(stat) if name.startswith("S_I") and name.isupper()}


class Expressions:
    """Evaluates expressions in one scope."""

    def __init__(
        self, facts: Facts, shared: dict[str, Value], local: dict[str, Function], imports: dict[str, str]
    ) -> None:
        self.facts = facts
        self.shared = shared
        """Module-level names, and `self.x` of all classes."""
        self.local = local
        """Functions of this text by name."""
        self.imports = imports
        self.scope: dict[str, Value] = shared
        self.function: Function | None = None
        self._kinds: dict[type[ast.expr], Callable[..., Value]] = {
            ast.Constant: lambda node: constant(node.value),
            ast.Name: self._name,
            ast.Attribute: self._attribute,
            ast.Call: self._call,
            ast.JoinedStr: self._joined,
            ast.BinOp: self._binary,
            ast.Subscript: self._subscript,
            ast.Compare: self._compare,
            ast.Dict: self._dict,
            ast.List: self._sequence,
            ast.Tuple: self._sequence,
            ast.Set: self._sequence,
            ast.ListComp: self._comprehension,
            ast.SetComp: self._comprehension,
            ast.GeneratorExp: self._comprehension,
            ast.DictComp: self._comprehension,
            ast.IfExp: self._either,
            ast.BoolOp: lambda node: self._any(node.values),
            ast.Await: lambda node: self.value(node.value),
            ast.Starred: lambda node: self.value(node.value),
            ast.NamedExpr: self._named,
            ast.Lambda: lambda node: combine([self.value(node.body)]),
            ast.UnaryOp: self._unary,
            ast.FormattedValue: lambda node: self.value(node.value),
            ast.Yield: lambda node: self.value(node.value) if node.value else NOTHING,
            ast.YieldFrom: lambda node: self.value(node.value),
        }

    def value(self, node: ast.expr) -> Value:
        """The value of an expression in the current scope."""
        kind = self._kinds.get(type(node))
        return kind(node) if kind is not None else NOTHING

    def dotted(self, node: ast.expr) -> str:
        """The dotted name of an expression with imports resolved; `x().y` for methods of what a call made."""
        if isinstance(node, ast.Name):
            known = self.lookup(node.id)
            if known is not None and known.made:
                return known.made + "()"
            return self.imports.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                known = self.shared.get(f"self.{node.attr}")
                return known.made + "()" if known is not None and known.made else f"self.{node.attr}"
            return f"{self.dotted(node.value)}.{node.attr}"
        if isinstance(node, ast.Call):
            return self.dotted(node.func) + "()"
        if isinstance(node, ast.Subscript):
            return self.dotted(node.value) + "[]"
        return ""

    def lookup(self, name: str) -> Value | None:
        """The value of a name, from this scope or the module's."""
        found = self.scope.get(name)
        return found if found is not None else self.shared.get(name)

    def bind(self, target: ast.expr, value: Value) -> None:
        """Give a target of an assignment its value."""
        if isinstance(target, ast.Name):
            self.scope[target.id] = value
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
            self.shared[f"self.{target.attr}"] = value
        elif isinstance(target, ast.Tuple | ast.List):
            for element in target.elts:
                self.bind(element, value.part())
        elif isinstance(target, ast.Starred):
            self.bind(target.value, value)
        elif isinstance(target, ast.Subscript):
            name = target.value
            if isinstance(name, ast.Name):
                old = self.lookup(name.id) or NOTHING
                self.scope[name.id] = combine([old, value], old.text, old.made)

    def _any(self, nodes: list[ast.expr]) -> Value:
        values = [self.value(node) for node in nodes]
        texts = [v.text for v in values if v.text]
        return combine(values, texts[0] if texts else None, next((v.made for v in values if v.made), ""))

    def _name(self, node: ast.Name) -> Value:
        known = self.lookup(node.id)
        if known is not None:
            return known
        full = self.imports.get(node.id, node.id)
        if full in STAT_BITS:
            return constant(STAT_BITS[full])
        if full in LOCAL_NAMES:
            return Value(param=EVERYTHING, origin=full)
        return Value(unknown=EVERYTHING, origin=f"`{node.id}`") if node.id not in self.imports else NOTHING

    def _attribute(self, node: ast.Attribute) -> Value:
        dotted = self.dotted(node)
        if attribute_source(dotted):
            return Value(outside=EVERYTHING, origin=dotted.removeprefix("flask."))
        if dotted in LOCAL_NAMES:
            return Value(param=EVERYTHING, origin=dotted)
        if dotted in SERVER_PARTS and self.facts.modules & {"http", "BaseHTTPServer", "socketserver", "SocketServer"}:
            return Value(outside=EVERYTHING, origin=dotted)
        if dotted.startswith("self.") and dotted.count(".") == 1:
            return self.shared.get(dotted) or Value(unknown=EVERYTHING, origin=f"`{dotted}`")
        owner = self.value(node.value)
        if owner.made == "request" and node.attr not in {"user", "app", "method", "session"}:
            return Value(outside=EVERYTHING, origin=f"request.{node.attr}")
        if node.attr == "filename" and owner.outside:
            return Value(outside=EVERYTHING, origin="the name of an uploaded file")
        if dotted in STAT_BITS:
            return constant(STAT_BITS[dotted])
        if isinstance(node.value, ast.Name) and node.value.id in self.imports and self.lookup(node.value.id) is None:
            return NOTHING
        return owner.part()

    def _subscript(self, node: ast.Subscript) -> Value:
        owner = self.value(node.value)
        if not isinstance(node.slice, ast.Slice):
            self.value(node.slice)
        return owner.part()

    def _joined(self, node: ast.JoinedStr) -> Value:
        values = [self.value(part) for part in node.values]
        result = combine(values, "".join(map(piece, values)))
        return self.built(node, result)

    def built(self, node: ast.expr, value: Value) -> Value:
        """Record a text that data were put into."""
        if value.outside or value.param or value.unknown or (value.text and HOLE in value.text):
            self.facts.built.append(Built(node, value, self.function))
        return value

    def _binary(self, node: ast.BinOp) -> Value:
        if isinstance(node.op, ast.Add):
            return self._sum(node)
        left, right = self.value(node.left), self.value(node.right)
        if isinstance(node.op, ast.Mod) and left.text is not None:
            return self.built(node, combine([left, right], self._filled(PERCENT, left.text, right)))
        if isinstance(node.op, ast.Mult) and (isinstance(left.const, str) or left.made == "list"):
            return combine([left], left.text, left.made)
        if isinstance(node.op, ast.BitOr) and isinstance(left.const, int) and isinstance(right.const, int):
            return constant(left.const | right.const)
        text = None
        if isinstance(node.op, ast.Div):
            text = f"{piece(left)}/{piece(right)}"
        return combine([left, right], text, left.made)

    def _sum(self, node: ast.BinOp) -> Value:
        parts: list[ast.expr] = []
        current: ast.expr = node
        while isinstance(current, ast.BinOp) and isinstance(current.op, ast.Add):
            parts.append(current.right)
            current = current.left
        parts.append(current)
        values = [self.value(part) for part in reversed(parts)]
        if any(v.text is not None for v in values):
            return self.built(node, combine(values, "".join(map(piece, values))))
        return combine(values)

    @staticmethod
    def _filled(holes: re.Pattern[str], text: str, value: Value) -> str:
        filling = piece(value) if value.text is not None else HOLE
        return holes.sub(lambda _: filling, text)

    def _compare(self, node: ast.Compare) -> Value:
        left = self.value(node.left)
        for other in node.comparators:
            self.value(other)
        self.facts.compares.append(Check(node, left, self.function))
        return NOTHING

    def _unary(self, node: ast.UnaryOp) -> Value:
        inner = self.value(node.operand)
        return NOTHING if isinstance(node.op, ast.Not) else inner

    def _dict(self, node: ast.Dict) -> Value:
        for key in node.keys:
            if key is not None:
                self.value(key)
        return combine([self.value(v) for v in node.values], None, "dict")

    def _sequence(self, node: ast.List | ast.Tuple | ast.Set) -> Value:
        values = [self.value(v) for v in node.elts]
        first = values[0].text if values else None
        return combine(
            values, first if isinstance(node, ast.Tuple) else None, "list" if isinstance(node, ast.List) else ""
        )

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Value:
        for generator in node.generators:
            source = self.value(generator.iter)
            self.bind(generator.target, source.part())
            for condition in generator.ifs:
                self.value(condition)
        if isinstance(node, ast.DictComp):
            return combine([self.value(node.key), self.value(node.value)], None, "dict")
        inner = self.value(node.elt)
        return combine([inner], inner.text)

    def _either(self, node: ast.IfExp) -> Value:
        self.value(node.test)
        return self._any([node.body, node.orelse])

    def _named(self, node: ast.NamedExpr) -> Value:
        result = self.value(node.value)
        self.bind(node.target, result)
        return result

    def _call(self, node: ast.Call) -> Value:
        func = node.func
        receiver = self.value(func.value) if isinstance(func, ast.Attribute) else NOTHING
        name = self.dotted(func)
        args = [self.value(argument) for argument in node.args]
        keywords = {k.arg or "**": self.value(k.value) for k in node.keywords}
        call = Call(node, name, receiver, args, keywords, self.function)
        self.facts.calls.append(call)
        call.result = self._result(node, call)
        return call.result

    def _result(self, node: ast.Call, call: Call) -> Value:
        name, tail, receiver = call.name, call.tail, call.receiver
        source = called_source(name)
        if source is not None:
            return source
        given = [*call.args, *call.keywords.values()]
        called = self.local.get(name.removeprefix("self.")) if name.count(".") == name.startswith("self.") else None
        if called is not None:
            return self._local_result(called, call)
        text_of = receiver.text
        if tail == "format" and text_of is not None:
            text = BRACES.sub(lambda _: HOLE, text_of)
            return self.built(node, combine([receiver, *given], text))
        if tail == "join" and receiver.text is not None and call.args:
            inner = call.args[0]
            text = (
                (inner.text or HOLE) + receiver.text + (inner.text or HOLE) if inner.text or not inner.is_const else ""
            )
            return self.built(node, combine([receiver, inner], text if inner.dangerous(EVERYTHING) else inner.text))
        if tail in GROWING and isinstance(node.func, ast.Attribute):
            self._grow(node.func.value, receiver, given)
        uses = cleans(tail)
        if name in {"int", "float"} and node.args and isinstance(node.args[0], ast.Name):
            self.scope[node.args[0].id] = call.args[0].safe_for(EVERYTHING)
        if uses:
            kept = combine([receiver, *given] if isinstance(node.func, ast.Attribute) else given, made=name).safe_for(
                uses
            )
            first = call.args[0].text if call.args else None
            kept.text = first if tail in {"escape", "clean"} else None
            return kept
        if tail in PASSING and isinstance(node.func, ast.Attribute):
            if tail in {"get", "pop"} and receiver.made == "dict":
                given = given[1:]  # the key chooses among the values and is none of them
            return combine(
                [receiver, *given],
                self._passed_text(tail, receiver),
                receiver.made if tail == "copy" or query_object(receiver.made) else "",
            )
        if name in COPYING:
            return combine(given, call.args[0].text if call.args else None)
        if name == "re.compile":
            return Value(text=call.args[0].text if call.args else None, made=name)
        if name in {"os.path.join", "textwrap.dedent", "os.path.normpath", "os.path.abspath", "os.path.realpath"}:
            return combine(given, "/".join(map(piece, call.args)))
        return self._unknown_result(node, call, given)

    @staticmethod
    def _passed_text(tail: str, receiver: Value) -> str | None:
        return receiver.text if tail not in {"get", "pop", "read", "readline", "readlines", "items", "values"} else None

    def _unknown_result(self, node: ast.Call, call: Call, given: list[Value]) -> Value:
        """An unknown function may pass on what it is given, and adds something of its own."""
        if call.tail in FETCHING and any(query_object(made) for made in (call.name, *(value.made for value in given))):
            return Value(unknown=EVERYTHING, origin=f"`{call.tail}()`", made=call.name)
        result = combine([call.receiver, *given], made=call.name)
        if not (result.outside or result.param or result.unknown):
            result.unknown = EVERYTHING
        result.origin = result.origin or f"`{call.tail}()`"
        return result

    def _grow(self, owner: ast.expr, receiver: Value, given: list[Value]) -> None:
        if isinstance(owner, ast.Name):
            texts = [v.text for v in (receiver, *given) if v.text]
            grown = combine([receiver, *given], "".join(texts) if texts else None, receiver.made)
            self.scope[owner.id] = grown

    def _local_result(self, called: Function, call: Call) -> Value:
        arguments = called.node.args
        names = [a.arg for a in arguments.posonlyargs + arguments.args]
        if names[:1] == ["self"]:
            names = names[1:]
        for name, value in [*zip(names, call.args, strict=False), *call.keywords.items()]:
            if value.outside:
                old = called.incoming.get(name)
                called.incoming[name] = combine([old, value]) if old is not None else value
            elif isinstance(value.const, int) and MODE_NAME.search(name):
                called.incoming[name] = value
        given = combine([*call.args, *call.keywords.values()])
        result = called.result
        return Value(
            result.outside | (given.outside & result.param),
            given.param & result.param,
            result.unknown | (given.unknown & result.param),
            given.origin or result.origin,
            result.text,
            result.made,
        )
