"""Parsing Python that was written by a model or is cut off: repairs keep line numbers, nothing ever raises."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from dataclasses import dataclass

MAX_CHARS = 60_000
"""Of one piece of code; the rest is not read."""
MAX_ATTEMPTS = 12

_PRINT = re.compile(r"^([^\S\n]*+)print[ \t]++(?![=(])(?:>>\s*+[\w.]++\s*+,\s*+)?((?:.*[^ \t\n])?)[ \t]*+$", re.M)
_EXCEPT = re.compile(r"^([^\S\n]*+except[^\S\n]++[\w., ()]*[\w.()])\s*+,\s*+(\w++)\s*+:", re.M)
_OCTAL = re.compile(r"(?<![\w.])0([0-7]{2,6})(?=[lL]?\b)")
_RAISE = re.compile(r"^([^\S\n]*+raise[^\S\n]++[\w.]++)[^\S\n]*+,[^\S\n]*+(.+)$", re.M)
_EXEC = re.compile(r"^([^\S\n]*+)exec[ \t]++(?![=(])(.*)$", re.M)
_PREFIX = re.compile(r"\b[uU][rR](?=['\"])")
_PROMPT = re.compile(r"^(>>>|\.\.\.) ?", re.M)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A tree and how much of the text it covers."""

    tree: ast.Module
    text: str
    """The text as parsed; line n is line n of the original."""
    complete: bool


def parse(text: str) -> Parsed | None:
    """The tree of the text, of its repaired form, or of its largest parsable prefix; None when there is none."""
    text = text[:MAX_CHARS].replace("\r\n", "\n").replace("\r", "\n").replace("\0", " ").replace("\f", " ")
    tree = _tree(text)
    if isinstance(tree, ast.Module):
        return Parsed(tree, text, True)
    for repaired in _repairs(text):
        tree = _tree(repaired)
        if isinstance(tree, ast.Module):
            return Parsed(tree, repaired, True)
        text = repaired
    return _largest_part(text, tree)


def _repairs(text: str) -> list[str]:
    """Ever stronger rewrites that keep lines: indentation, then Python 2."""
    text = text.replace("\t", "    ").replace("“", '"').replace("”", '"').replace("\u00a0", " ").replace("\ufeff", "")
    dedented = textwrap.dedent(text)
    if _PROMPT.search(dedented):
        dedented = _PROMPT.sub("", dedented)
    modern = _PRINT.sub(r"\1print(\2)", dedented)
    modern = _EXCEPT.sub(r"\1 as \2:", modern)
    modern = _OCTAL.sub(r"0o\1", modern)
    modern = _RAISE.sub(r"\1(\2)", modern)
    modern = _EXEC.sub(r"\1exec(\2)", modern)
    modern = _PREFIX.sub("r", modern).replace("<>", "!=").replace("`", "")
    return [dedented, modern, _level_first_lines(modern)]


def _level_first_lines(text: str) -> str:
    """An answer whose first line lost its indentation, or whose rest has too much of it."""
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        return text
    rest = [len(line) - len(line.lstrip()) for line in lines[first + 1 :] if line.strip()]
    own = len(lines[first]) - len(lines[first].lstrip())
    if not rest or min(rest) <= own or lines[first].rstrip().endswith(":"):
        return text
    lines[first] = " " * min(rest) + lines[first].lstrip()
    return textwrap.dedent("\n".join(lines))


def _largest_part(text: str, error: ast.Module | SyntaxError | None) -> Parsed | None:
    """Blank out the lines that do not parse, one error at a time; give up after a few."""
    closed = _closed(text, error)
    if closed is not None:
        return closed
    lines = text.split("\n")
    for _ in range(MAX_ATTEMPTS):
        if not isinstance(error, SyntaxError) or not error.lineno:
            return None
        _blank(lines, error)
        if not any(line.strip() for line in lines):
            return None
        candidate = "\n".join(lines)
        tree = _tree(candidate)
        if isinstance(tree, ast.Module):
            return Parsed(tree, candidate, False) if tree.body else None
        error = tree
    return None


def _closed(text: str, error: ast.Module | SyntaxError | None) -> Parsed | None:
    """A text that was cut off inside quotes or brackets, with these closed."""
    for _ in range(6):
        if not isinstance(error, SyntaxError):
            return Parsed(error, text, False) if error is not None else None
        message = error.msg or ""
        if "unterminated triple" in message:
            line = text.split("\n")[(error.lineno or 1) - 1]
            text += '"""' if line.rfind('"""') > line.rfind("'''") else "'''"
        elif "unterminated" in message and (error.lineno or 0) >= text.count("\n"):
            line = text.rstrip("\n").rpartition("\n")[2]
            text = text.rstrip("\n") + line[max((error.offset or 1) - 1, 0) :].lstrip("fFrRbBuU")[:1]
        elif message.endswith("was never closed"):
            text += {"(": ")", "[": "]", "{": "}"}.get(message[1:2], ")")
        else:
            return None
        error = _tree(text)
    return None


def _blank(lines: list[str], error: SyntaxError) -> None:
    at = min(error.lineno or 1, len(lines)) - 1
    message = error.msg or ""
    if "unterminated triple" in message or "was never closed" in message or "EOF" in message:
        del lines[at:]
        while lines and lines[-1].rstrip().endswith(":"):
            lines.pop()
        if not lines:
            lines.append("")
    elif "expected an indented block" in message:
        above = at - 1
        while above >= 0 and not lines[above].strip():
            above -= 1
        if above >= 0:
            lines[above] = lines[above].rstrip() + " pass" if lines[above].rstrip().endswith(":") else ""
    elif "unexpected indent" in message or "unindent" in message:
        lines[at] = _indent_like(lines, at)
    elif lines[at].strip():
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        lines[at] = "" if "pass" in lines[at] else f"{indent}pass"
    else:
        del lines[at:]


def _indent_like(lines: list[str], at: int) -> str:
    """The line with the indentation of the nearest line above."""
    for above in range(at - 1, -1, -1):
        if lines[above].strip():
            indent = len(lines[above]) - len(lines[above].lstrip())
            own = len(lines[at]) - len(lines[at].lstrip())
            return " " * indent + lines[at].lstrip() if own != indent else ""
    return lines[at].lstrip()


def _tree(text: str) -> ast.Module | SyntaxError | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except SyntaxError as error:
        return error
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return None
