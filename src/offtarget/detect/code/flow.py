"""Walks one parsed text in the order it runs and collects the facts the rules ask about."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from offtarget.detect.code.expressions import Expressions
from offtarget.detect.code.facts import EVERYTHING, NOTHING, Assign, Facts, Function, Return, Value, combine, piece
from offtarget.detect.code.sanitisers import checked_names
from offtarget.detect.code.sources import handler_kind, number_converters, parameter

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
REFUSING = frozenset({"abort", "exit", "_exit", "fail", "error"})


def read_facts(tree: ast.Module, text: str) -> Facts:
    """Facts about a parsed text. Plain functions are read first, so that their results are known to handlers."""
    imports = _imports(tree)
    modules = frozenset(name.split(".")[0] for name in imports.values())
    facts = Facts(tree, text, imports, modules, text.split("\n"))
    _Flow(facts, imports).run()
    return facts


class _Flow:
    def __init__(self, facts: Facts, imports: dict[str, str]) -> None:
        self.facts = facts
        self.shared: dict[str, Value] = {}
        self.by_name: dict[str, Function] = {}
        self.expressions = Expressions(facts, self.shared, self.by_name, imports)
        self.patterns: dict[str, str] = {}
        self.checkers: Mapping[str, int] = {}
        """Functions of this text to the uses they check their argument for."""

    def run(self) -> None:
        self._declare(self.facts.tree.body, "", ())
        functions = self.facts.functions
        for function in functions:
            self.by_name.setdefault(function.node.name, function)
        self._block([s for s in self.facts.tree.body if isinstance(s, ast.Assign | ast.AnnAssign)], record=False)
        self.checkers = _Checkers(functions, dict(self.patterns))
        for function in [*(f for f in functions if not f.handler), *(f for f in functions if f.handler)]:
            self._function(function)
        self._block(self.facts.tree.body)
        for function in functions:
            if function.incoming and not function.handler:
                self._forget(function)
                self._function(function)

    def _declare(self, body: list[ast.stmt], owner: str, bases: tuple[str, ...]) -> None:
        for statement in body:
            if isinstance(statement, FunctionNode):
                kind = handler_kind(statement, bases, self.facts.modules)
                self.facts.functions.append(Function(statement, owner, kind))
                self._declare(statement.body, owner, ())
            elif isinstance(statement, ast.ClassDef):
                names = tuple(self.expressions.dotted(base) for base in statement.bases)
                self._declare(statement.body, statement.name, names)
            else:
                for field in ("body", "orelse", "finalbody", "handlers"):
                    for inner in getattr(statement, field, ()):
                        if isinstance(inner, ast.ExceptHandler):
                            self._declare(inner.body, owner, bases)
                        elif isinstance(inner, FunctionNode | ast.ClassDef):
                            self._declare([inner], owner, bases)

    def _forget(self, function: Function) -> None:
        facts = self.facts
        facts.calls = [c for c in facts.calls if c.function is not function]
        facts.returns = [r for r in facts.returns if r.function is not function]
        facts.compares = [c for c in facts.compares if c.function is not function]
        facts.assigns = [a for a in facts.assigns if a.function is not function]
        facts.built = [b for b in facts.built if b.function is not function]

    def _function(self, function: Function) -> None:
        node = function.node
        scope: dict[str, Value] = {}
        numbers = number_converters(node) if function.handler else frozenset()
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for argument in [*every, *(a for a in (arguments.vararg, arguments.kwarg) if a is not None)]:
            scope[argument.arg] = function.incoming.get(argument.arg) or parameter(argument, function.handler, numbers)
        self._defaults(arguments, scope)
        self.expressions.scope, self.expressions.function = scope, function
        self._block(node.body)
        function.result = self._result(function)
        self.expressions.scope, self.expressions.function = self.shared, None

    def _defaults(self, arguments: ast.arguments, scope: dict[str, Value]) -> None:
        """A number a parameter has by default is taken as its value."""
        positional = [*arguments.posonlyargs, *arguments.args]
        given = zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True)
        for argument, default in [*given, *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]:
            if (
                isinstance(default, ast.Constant)
                and isinstance(default.value, int)
                and not scope[argument.arg].is_const
            ):
                known = scope[argument.arg]
                scope[argument.arg] = Value(
                    known.outside, known.param, known.unknown, known.origin, const=default.value
                )

    def _result(self, function: Function) -> Value:
        values = [r.value for r in self.facts.returns if r.function is function]
        text = next((v.text for v in values if v.text), None)
        return combine(values, text, next((v.made for v in values if v.made), ""))

    def _block(self, body: list[ast.stmt], record: bool = True) -> None:
        for statement in body:
            self._statement(statement, record)

    def _statement(self, node: ast.stmt, record: bool = True) -> None:
        value = self.expressions.value
        if isinstance(node, ast.Expr):
            value(node.value)
        elif isinstance(node, ast.Assign):
            self._assign(node, node.targets, value(node.value), record)
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self._assign(node, [node.target], value(node.value), record)
        elif isinstance(node, ast.AugAssign):
            self._augment(node)
        elif isinstance(node, ast.Return):
            result = value(node.value) if node.value is not None else NOTHING
            if self.expressions.function is not None:
                self.facts.returns.append(Return(node, result, self.expressions.function))
        elif isinstance(node, ast.If):
            self._if(node)
        elif isinstance(node, ast.For | ast.AsyncFor):
            source = value(node.iter)
            self.expressions.bind(node.target, source.part())
            self._block(node.body)
            self._block(node.orelse)
        elif isinstance(node, ast.While):
            value(node.test)
            self._block(node.body)
            self._block(node.orelse)
        elif isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                opened = value(item.context_expr)
                if item.optional_vars is not None:
                    self.expressions.bind(item.optional_vars, opened)
            self._block(node.body)
        elif isinstance(node, ast.Try):
            self._block(node.body)
            for handler in node.handlers:
                if handler.name:
                    self.expressions.scope[handler.name] = Value(
                        unknown=EVERYTHING, origin="the exception", made="Exception"
                    )
                self._block(handler.body)
            self._block(node.orelse)
            self._block(node.finalbody)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        elif isinstance(node, ast.Assert):
            self._cleared(node.test)
            value(node.test)
        elif isinstance(node, ast.Raise) and node.exc is not None:
            value(node.exc)
        elif isinstance(node, ast.Match):
            value(node.subject)
            for case in node.cases:
                self._block(case.body)
        elif isinstance(node, FunctionNode):
            for decorator in node.decorator_list:
                value(decorator)

    def _class(self, node: ast.ClassDef) -> None:
        for inner in node.body:
            if not isinstance(inner, FunctionNode | ast.ClassDef):
                self._statement(inner)

    def _assign(self, node: ast.stmt, targets: list[ast.expr], value: Value, record: bool) -> None:
        for target in targets:
            name = self._target(target)
            if value.made == "re.compile" and isinstance(value.text, str):
                self.patterns[name] = value.text
            elif isinstance(value.const, str):
                self.patterns[name] = value.const
            self.expressions.bind(target, value)
            if record:
                self.facts.assigns.append(Assign(node, name, value, self.expressions.function))

    def _target(self, target: ast.expr) -> str:
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            return f"{self._target(target.value)}[{target.slice.value!r}]"
        if isinstance(target, ast.Attribute):
            return f"{self._target(target.value)}.{target.attr}"
        return target.id if isinstance(target, ast.Name) else ""

    def _augment(self, node: ast.AugAssign) -> None:
        added = self.expressions.value(node.value)
        name = self._target(node.target)
        old = self.expressions.lookup(name) or NOTHING
        text = piece(old) + piece(added) if old.text is not None or added.text is not None else None
        grown = combine([old, added], text, old.made)
        if text is not None:
            self.expressions.built(node.value, grown)
        self.expressions.bind(node.target, grown)
        self.facts.assigns.append(Assign(node, name, grown, self.expressions.function))

    def _if(self, node: ast.If) -> None:
        self.expressions.value(node.test)
        before = dict(self.expressions.scope)
        self._cleared(node.test)
        self._block(node.body)
        leaves = bool(node.body) and isinstance(node.body[-1], ast.Return | ast.Raise | ast.Continue | ast.Break)
        after = self.expressions.scope
        if node.orelse:
            self.expressions.scope.update({k: v for k, v in before.items() if k not in after})
            self._block(node.orelse)
        elif not leaves and not self._refuses(node.body):
            for name, value in before.items():
                now = after.get(name)
                if now is not None and now is not value:
                    after[name] = combine([value, now], now.text if now.text else value.text, now.made or value.made)

    def _refuses(self, body: list[ast.stmt]) -> bool:
        """Whether a branch ends in abort() or exit()."""
        last = body[-1] if body else None
        if not isinstance(last, ast.Expr) or not isinstance(last.value, ast.Call):
            return False
        return self.expressions.dotted(last.value.func).rpartition(".")[2] in REFUSING

    def _cleared(self, test: ast.expr) -> None:
        for name, uses in checked_names(test, self.patterns, self.checkers):
            known = self.expressions.lookup(name)
            if known is not None and uses:
                self.expressions.scope[name] = known.safe_for(uses)


class _Checkers(Mapping[str, int]):
    """Functions by name, each with the uses it checks its argument for; worked out for those that are asked about."""

    def __init__(self, functions: Sequence[Function], patterns: dict[str, str]) -> None:
        self._functions = {function.node.name: function for function in functions}
        self._patterns = patterns
        self._known: dict[str, int] = {}

    def __getitem__(self, name: str) -> int:
        if name not in self._known:
            self._known[name] = self._checks(self._functions[name])
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        return name in self._functions

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def _checks(self, function: Function) -> int:
        names = {a.arg for a in function.node.args.args}
        found = 0
        for statement in function.node.body:
            for name, uses in checked_names(statement, self._patterns):
                found |= uses if name in names else 0
        return found


def _imports(tree: ast.Module) -> dict[str, str]:
    found: dict[str, str] = {}
    blocks: list[ast.AST] = [tree]
    for block in blocks:  # grows; only statements are looked into, since imports are no expressions
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(block, field, ())
            for node in inner if isinstance(inner, list) else ():
                if isinstance(node, ast.Import):
                    for alias in node.names:
                        top = alias.name.split(".")[0]
                        found[alias.asname or top] = alias.name if alias.asname else top
                elif isinstance(node, ast.ImportFrom) and node.module:
                    for alias in node.names:
                        found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                else:
                    blocks.append(node)
    return found
