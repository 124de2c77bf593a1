"""Checks of hosts and addresses that other hosts pass too (CWE-20, CWE-625, CWE-1333)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from offtarget.detect.code.facts import Facts, Hole, hole

LABEL = r"[a-z0-9-]{1,63}+"
"""At most 63 characters (RFC 1035, section 2.3.4)."""
DOMAINS = r"(?:com|org|net|edu|gov|io|co|uk|local|internal|corp|example|de|fr|ru|cn|ai|biz)"
CLASS = re.compile(r"\\[wdSWDs]|\[\^?\]?[^\]]{0,200}\]")
LOOSE_DOT = re.compile(rf"\.(?=(?:{LABEL}(?:\.|\x02)){{0,8}}{DOMAINS}(?![a-z0-9-]))(?![*+?{{])", re.I)
"""A dot before the rest of a host that matches any character; x02 stands for an escaped dot."""
HOSTLIKE = re.compile(rf"[a-z0-9-](?:\\)?\.{DOMAINS}(?![a-z])", re.I)
MATCHES = frozenset({"match", "search", "compile", "fullmatch", "findall", "sub", "re_path", "url", "finditer"})
HOST = re.compile(rf"^(?:https?://|wss?://|ftp://)?[\w*.-]*\.{DOMAINS}(?:[:/]\S*)?$", re.I)
NETLOC = re.compile(
    r"netloc|hostname|host\b|domain|url|referr?er|origin|link|href|redirect|address|email|next|path", re.I
)


def pattern(facts: Facts) -> Iterator[Hole]:
    """A regular expression for hosts with a dot that matches anything, or open at an end."""
    for node, text in _patterns(facts):
        if not HOSTLIKE.search(text):
            continue
        core = CLASS.sub("\x01", text.replace(r"\.", "\x02"))
        if LOOSE_DOT.search(core):
            yield hole("host-regex-dot", node, 0.9, "The dot in a host pattern matches any character (CWE-625)")
        elif _open(text):
            yield hole(
                "host-regex-open", node, 0.45, "A host pattern is not closed at its end: more may follow (CWE-625)"
            )


def substring(facts: Facts) -> Iterator[Hole]:
    """A host looked for anywhere in an address, or at its end without a dot."""
    for check in facts.compares:
        compare = check.node
        if isinstance(compare, ast.Compare) and isinstance(compare.ops[0], ast.In | ast.NotIn):
            text = _host_text(compare.left)
            if text and _about_hosts(compare.comparators[0]):
                yield hole("host-substring", compare, 0.9, f"{text!r} may stand anywhere in the address (CWE-20)")
    for call in facts.methods("startswith", "endswith", "find", "index", "count"):
        first = call.args[0].const if call.args else None
        if not isinstance(first, str) or not HOST.match(first):
            continue
        if (call.tail == "endswith" and not first.startswith((".", "@", "/", "http"))) or (
            (call.tail == "startswith" and not first.endswith("/")) or call.tail in {"find", "index", "count"}
        ):
            yield hole("host-affix", call.node, 0.6, f"{call.tail}({first!r}) also accepts other hosts (CWE-20)")


def _patterns(facts: Facts) -> Iterator[tuple[ast.AST, str]]:
    for call in facts.calls:
        compiled = "()" in call.name  # then the first argument is the text that is searched
        named = call.name.startswith("re.") or call.name in {"compile", "match"}
        if call.tail in MATCHES and named and not compiled and call.args:
            text = call.args[0].const
            if isinstance(text, str):
                yield call.node, text
    for assign in facts.assigns:
        if isinstance(assign.value.const, str) and re.search(r"regex|pattern|_re\b|_rx\b|^re_", assign.target, re.I):
            yield assign.node, assign.value.const


def _open(text: str) -> bool:
    end = re.search(rf"\.{DOMAINS}\)?(.*)$", text, re.I | re.S)
    rest = end.group(1) if end else ""
    return not rest.startswith(("$", r"\Z", "/", r"\/", "(/", "(?", "[/", ":", r"\b", "(:", ")$", "|"))


def _host_text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and HOST.match(node.value):
        return node.value
    return ""


def _about_hosts(where: ast.expr) -> bool:
    if isinstance(where, ast.List | ast.Tuple | ast.Set | ast.Dict):
        return False
    return bool(NETLOC.search(ast.unparse(where)))


RULES = (pattern, substring)
