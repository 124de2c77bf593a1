"""What makes data safe, and for which use: conversions, escapes, and checks before use."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping

from offtarget.detect.code.facts import CODE, EVERYTHING, HTML, MARKUP, PATH, SHELL, SQL, URL, words

_TEXT = HTML | SQL | SHELL | CODE | MARKUP

CLEAN_CALLS: dict[str, int] = {
    **dict.fromkeys(
        words(
            "int float bool len hash ord abs round sum hex oct id isinstance range enumerate_count hexdigest "
            "uuid4 uuid1 "
            "token_hex token_urlsafe time now today utcnow strftime isoformat count find index timestamp getpid"
        ),
        EVERYTHING,
    ),
    **dict.fromkeys(
        words("UUID Decimal generate_password_hash hashpw check_password_hash hexdigest randint"), EVERYTHING
    ),
    **dict.fromkeys(
        words(
            "escape escape_html html_escape conditional_escape format_html clean bleach sanitize_html striptags "
            "strip_tags "
            "escape_markdown nl2br_escaped linkify_safe xhtml_escape jsonify dumps JsonResponse JSONResponse"
        ),
        HTML | MARKUP,
    ),
    **dict.fromkeys(words("secure_filename get_valid_filename"), PATH | SHELL | HTML),
    **dict.fromkeys(words("basename safe_join"), PATH),
    "quote": SHELL | URL | HTML | PATH,
    **dict.fromkeys(words("quote_plus urlencode quoteattr"), URL | HTML | MARKUP),
    **dict.fromkeys(words("escape_string mogrify quote_ident Identifier literal bindparam"), SQL),
    **dict.fromkeys(words("b64encode urlsafe_b64encode hexlify sha256 sha512 blake2b"), EVERYTHING),
    **dict.fromkeys(words("escape_filter_chars escape_dn_chars"), CODE),
}
"""Last part of a call's name to the uses its result is safe for."""

_SAYS_CLEAN = re.compile(r"(^|_)(sanitiz?s?e?|sanitised?|sanitized?|escaped?|clean(ed|se)?|purify)(_|$)", re.I)
_SAYS_VALID = re.compile(r"(^|_)(valid|validate|validated|is_safe|safe|allowed|check|verify|authorized)", re.I)


def cleans(tail: str) -> int:
    """Uses for which the result of a call with this last name part is safe."""
    known = CLEAN_CALLS.get(tail)
    if known is not None:
        return known
    return EVERYTHING & ~URL if _SAYS_CLEAN.search(tail) else 0


def checked_names(
    test: ast.AST, patterns: dict[str, str], local: Mapping[str, int] | None = None
) -> list[tuple[str, int]]:
    """Names a condition checks well enough, each with the uses it is then safe for.

    `patterns`: regular expressions by name; `local`: uses that a function of this text checks its argument for.
    """
    found: list[tuple[str, int]] = []
    for node in ast.walk(test):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = node.left, node.comparators[0]
            if isinstance(node.ops[0], ast.In | ast.NotIn):
                if isinstance(left, ast.Constant):
                    if left.value in ("..", "/", "\\") and isinstance(right, ast.Name):
                        found.append((right.id, PATH))
                elif not (isinstance(right, ast.Constant) and isinstance(right.value, str)):
                    found.extend(_members(left))
        elif isinstance(node, ast.Call):
            found.extend(_checked_by_call(node, patterns, local or {}))
    return found


def _checked_by_call(node: ast.Call, patterns: dict[str, str], local: Mapping[str, int]) -> list[tuple[str, int]]:
    func = node.func
    arguments = [name for argument in node.args for name in _names(argument)]
    if isinstance(func, ast.Name):
        if func.id in local:
            return [(name, local[func.id]) for name in arguments]
        return [(name, _by_name(func.id)) for name in arguments]
    if not isinstance(func, ast.Attribute):
        return []
    owner = func.value
    if func.attr in {"isdigit", "isalnum", "isnumeric", "isdecimal", "isalpha", "isidentifier"}:
        return [(name, EVERYTHING) for name in _names(owner)]
    if func.attr == "startswith":
        return [(name, PATH) for name in _names(owner)]
    if func.attr == "is_relative_to":
        return [(name, PATH) for name in _names(owner)]
    if func.attr in {"match", "fullmatch", "search"}:
        pattern, subject = None, arguments
        if isinstance(owner, ast.Name) and owner.id == "re" and node.args:
            first = node.args[0]
            pattern = first.value if isinstance(first, ast.Constant) else patterns.get(getattr(first, "id", ""))
            subject = [name for argument in node.args[1:] for name in _names(argument)]
        elif isinstance(owner, ast.Name | ast.Attribute):
            pattern = patterns.get(owner.id if isinstance(owner, ast.Name) else f"self.{owner.attr}")
        return [(name, EVERYTHING) for name in subject] if strict(pattern, func.attr) else []
    if isinstance(owner, ast.Name) and owner.id == "self" and func.attr in local:
        return [(name, local[func.attr]) for name in arguments]
    return [(name, _by_name(func.attr)) for name in arguments]


def _by_name(function: str) -> int:
    """What an unseen function checks, by its name: `allowed_file` looks at the ending of a name only."""
    if not _SAYS_VALID.search(function):
        return 0
    return 0 if re.search(r"file|ext|image|type|password", function, re.I) else EVERYTHING


def strict(pattern: object, how: str) -> bool:
    """Whether a text that matches this pattern is one of a narrow set of characters from end to end."""
    if not isinstance(pattern, str):
        return False
    start = pattern.startswith(("^", r"\A")) or how in {"match", "fullmatch"}
    end = pattern.endswith(("$", r"\Z")) or how == "fullmatch"
    return start and end and not re.search(r"\.[*+]|\[\^|\\S[*+]", pattern)


def _members(node: ast.expr) -> list[tuple[str, int]]:
    """What is checked when this is looked up in a list: all of a name, or the host of an address; no other part."""
    if isinstance(node, ast.Name):
        return [(node.id, EVERYTHING)]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
        return _members(node.func.value) if node.func.attr in {"lower", "upper", "strip", "casefold"} else []
    if isinstance(node, ast.Attribute):
        return [(name, URL) for name in _names(node)] if node.attr in {"hostname", "netloc"} else []
    return [(name, EVERYTHING) for name in _names(node)] if isinstance(node, ast.Tuple) else []


def _names(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute):
        return _names(node.value)
    if isinstance(node, ast.Call):
        inner = [name for argument in node.args for name in _names(argument)]
        return inner + (_names(node.func.value) if isinstance(node.func, ast.Attribute) else [])
    if isinstance(node, ast.Subscript):
        return _names(node.value)
    return []
