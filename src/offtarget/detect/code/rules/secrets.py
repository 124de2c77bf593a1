"""Passwords and keys in the code, in logs, or stored as they are (CWE-798, CWE-532, CWE-256)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from offtarget.detect.code.facts import Facts, Hole, hole

SECRET = re.compile(
    r"(?:^|[_.\[' ])(?:passw(?:or)?d|passwd|pwd|secret(?:_?key)?|api_?key|access_?key|auth_?token|private_?key|"
    r"token)(?:$|[_\]' ])",
    re.I,
)
DUMMY = re.compile(
    r"^$|your|xxx|example|change|placeholder|<[^<>\n]*>|\{[^{}\n]*\}|^\*+$|\.\.\.|none|null|environ", re.I
)
LOGS = re.compile(
    r"^(?:logging|logger|log|self\.logger|LOG|_logger|logging\.getLogger\(\))\.(?:debug|info|warning|warn|error|"
    r"critical|exception|log)$|^print$"
)


def in_code(facts: Facts) -> Iterator[Hole]:
    """A password or key as a literal."""
    for assign in facts.assigns:
        value = assign.value.const
        if isinstance(value, str) and SECRET.search(assign.target) and not DUMMY.search(value) and " " not in value:
            yield hole("secret-in-code", assign.node, 0.45, f"{assign.target} is a literal (CWE-798)")
    for call in facts.calls:
        for key, given in call.keywords.items():
            if isinstance(given.const, str) and SECRET.search(key) and not DUMMY.search(given.const):
                yield hole("secret-argument", call.node, 0.3, f"{key} is a literal (CWE-798)")


def logged(facts: Facts) -> Iterator[Hole]:
    """A secret written to a log or printed."""
    for call in facts.calls:
        if not LOGS.search(call.name):
            continue
        names = _names(call.node)
        if any(SECRET.search(name) for name in names):
            yield hole("secret-logged", call.node, 0.65, "A secret is written to a log (CWE-532)")


def compared(facts: Facts) -> Iterator[Hole]:
    """A password compared as it was typed, or with a literal."""
    for check in facts.compares:
        node = check.node
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
            sides = [_tail(node.left), _tail(node.comparators[0])]
            if all(re.search(r"passw|pwd", side, re.I) for side in sides) and not any(
                re.search(r"hash|confirm|again|2|repeat|retype", s, re.I) for s in sides
            ):
                yield hole("plain-password", node, 0.8, "Passwords are compared as plain text (CWE-256)")
            literal = next((c.value for c in (node.left, node.comparators[0]) if isinstance(c, ast.Constant)), None)
            if isinstance(literal, str) and literal and any(re.search(r"passw|pwd$", side, re.I) for side in sides):
                yield hole("literal-password", node, 0.6, "A password is compared with a literal (CWE-798)")


def sent_back(facts: Facts) -> Iterator[Hole]:
    """A password in an answer to the client."""
    dicts = {a.target: a.node.value for a in facts.assigns if isinstance(a.node, ast.Assign)}
    for call in facts.methods("jsonify", "JsonResponse", "JSONResponse"):
        for argument in call.node.args:
            shown = dicts.get(argument.id) if isinstance(argument, ast.Name) else argument
            if not isinstance(shown, ast.Dict):
                continue
            keys = [key.value for key in shown.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
            if any(re.fullmatch(r"passw(?:or)?d|pwd|passwd", key, re.I) for key in keys) and call.result.outside:
                yield hole("secret-sent-back", call.node, 0.65, "A password is sent back to the client (CWE-200)")


def _tail(node: object) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return ""


def _names(node: object) -> list[str]:
    assert isinstance(node, ast.Call)
    found = []
    for argument in node.args:
        for part in ast.walk(argument):
            if isinstance(part, ast.Name | ast.Attribute):
                found.append(_tail(part))
    return found


RULES = (in_code, logged, compared, sent_back)
