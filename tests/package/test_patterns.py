"""No regular expression of the package runs away: none needs more than linear time on any text.

A row of a data set is written by anyone. One expression that backtracks, met by a text made for it, would let a row of
a few characters stop an audit for good. Every expression is attacked with texts made from itself.
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import signal
from collections.abc import Iterator, Set
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pattern_attacks import END, attacks, seconds

import offtarget
from offtarget.detect import steps
from offtarget.detect.code import other_languages
from offtarget.detect.detector import row_detectors
from offtarget.detect.lexicon import rules
from offtarget.probe.cues.families import framed

pytestmark = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
SOURCE = Path(offtarget.__file__).parent
LONG, LONGER = 2_000, 16
"""Characters of an attack, and how many times as long it becomes where it takes half a millisecond."""
PER_CHARACTER = 5e-6
"""Seconds: a row of 100,000 hostile characters is through an expression in half a second, one of a million in five."""
BOUNDED = {
    "detector": rules._BEFORE + rules._BLOCK + rules._AFTER,
    "offtarget.detect.code.other_languages._COMPILED": other_languages.MAX_LINE,
    "offtarget.detect.steps._LEFT": steps._REACH,
    "offtarget.probe.cues.families.framed._REQUEST": framed._LONGEST,
}
"""Expressions whose caller cuts the text: by the start of their name, the longest text they are tried on."""
FROM_DATA = {
    "models/lora.py": "the modules an adapter names in its own configuration",
    "prompting/metrics.py": "the pattern a user gives with --metric",
    "serve/gateway/faults.py": "what is cut out of kept bodies, in a gateway's own settings; tried on an empty text",
}
"""Expressions that come from outside, and where from: the user's own files and options, no row of a data set."""
EXAMPLES = {"detect/detectors/loaded_numbers.py": r"(?<![\d.])666(?![\d.]*\w)"}
"""Expressions put together of parts that are not known before: one of each."""
HELD = {"detect/lexicon/rules.py", "data/training/csv_records.py"}
"""Files whose functions build expressions that detectors hold, and are found there, or that run on bytes of a file."""


def test_no_expression_takes_more_than_linear_time() -> None:
    """Every expression takes at most 5 microseconds per character of hostile texts of 32,000 characters."""
    slow = [said for name, pattern in sorted(_patterns().items()) if (said := _slow(name, pattern)) is not None]
    assert not slow, "\n".join(slow)


@pytest.mark.parametrize(
    "pattern",
    [r"\s+$", r"(a+)+b", pytest.param(r"\w+@\w+", marks=pytest.mark.long), r"(?:a|ab)*(?:b|ab)*c", r"x.*y.*z.*w"],
)
def test_the_attacks_find_expressions_that_run_away(pattern: str) -> None:
    """Known examples of quadratic and exponential backtracking are caught."""
    assert _slow("example", re.compile(pattern)) is not None


def test_an_expression_built_while_running_is_known() -> None:
    """Expressions inside functions are made of constants and attacked too, of escaped words, or named above."""
    unknown = [
        where
        for where, _, argument in _inline()
        if _constant(where, argument) is None
        and where.rsplit(":", 1)[0] not in {*FROM_DATA, *HELD, *EXAMPLES}
        and "re.escape" not in _around(where)
    ]
    assert not unknown, unknown


class _TooSlow(BaseException):
    pass


def _slow(name: str, pattern: re.Pattern[str]) -> str | None:
    length = next((most for start, most in BOUNDED.items() if name.startswith(start)), None)
    uses = _uses(name)
    old = signal.signal(signal.SIGVTALRM, _stop)
    try:
        for text in attacks(pattern, length or LONG):
            spent = _timed(pattern, text, uses)
            if spent > 0.5e-3 and _runs_away(pattern, text, uses, cut=length is not None):
                return f"{name}: {pattern.pattern[:90]!r} on {text[:20]!r}...{text[-5:]!r}: {spent:.4f} s"
    finally:
        signal.signal(signal.SIGVTALRM, old)
    return None


def _runs_away(pattern: re.Pattern[str], text: str, uses: Set[str], *, cut: bool) -> bool:
    """Whether a suspicious text, much longer, takes too long; again and again, since a busy machine slows any one."""
    longer = text if cut else text.removesuffix(END) * LONGER + END  # the head comes often, its pump in between
    return all(_timed(pattern, longer, uses) > PER_CHARACTER * len(longer) for _ in range(3))


def _timed(pattern: re.Pattern[str], text: str, uses: Set[str]) -> float:
    """Seconds; endless ones are cut off, since the matcher looks for signals as it goes."""
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.2)
    try:
        return seconds(pattern, text, uses)
    except _TooSlow:
        return float("inf")
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _stop(*_: object) -> None:
    raise _TooSlow


def _patterns() -> dict[str, re.Pattern[str]]:
    """Every expression that modules or detectors hold, and every literal one inside a function, by where it is."""
    found: dict[str, re.Pattern[str]] = {}
    seen: set[int] = set()
    for info in pkgutil.walk_packages(offtarget.__path__, "offtarget."):
        if not info.name.endswith("__main__"):
            module = importlib.import_module(info.name)
            for name, value in list(vars(module).items()):
                for pattern in _held(value, seen):
                    found.setdefault(f"{info.name}.{name}{'' if value is pattern else f'[{len(found)}]'}", pattern)
    for detector in row_detectors():
        for pattern in _held(detector, seen):
            found[f"detector {detector.name}[{len(found)}]"] = pattern
    for where, method, argument in _inline():
        if (text := _constant(where, argument)) is not None:
            found[f"{where} {method} {text!r}"] = re.compile(text)
    found.update({where: re.compile(example) for where, example in EXAMPLES.items()})
    return {name: pattern for name, pattern in found.items() if isinstance(pattern.pattern, str)}


def _held(value: Any, seen: set[int], depth: int = 0) -> Iterator[re.Pattern[str]]:
    """Expressions in a value: itself, in containers, in objects of the package."""
    if id(value) in seen or depth > 8 or isinstance(value, (type, ModuleType, str, bytes, int, float)):
        return
    inner: list[Any] = []
    if isinstance(value, re.Pattern):
        seen.add(id(value))
        yield value
    elif isinstance(value, dict):
        inner = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        inner = list(value)
    elif type(value).__module__.startswith("offtarget"):
        seen.add(id(value))
        names = [n for kind in type(value).__mro__ for n in getattr(kind, "__slots__", ())]
        inner = [getattr(value, n, None) for n in names] + list(getattr(value, "__dict__", {}).values())
    for part in inner:
        yield from _held(part, seen, depth + 1)


def _inline() -> Iterator[tuple[str, str, Any]]:
    """(file:line, method, first argument) of every call of `re` inside a function."""
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text("utf-8")
        if "import re\n" not in text:
            continue
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, (ast.FunctionDef, ast.Lambda)):
                for node in ast.walk(function):
                    if isinstance(node, ast.Call) and ast.unparse(node.func) in _CALLS and node.args:
                        method = ast.unparse(node.func).removeprefix("re.")
                        yield f"{path.relative_to(SOURCE)}:{node.lineno}", method, node.args[0]


_CALLS = {
    f"re.{name}" for name in ["compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"]
}


def _constant(where: str, argument: ast.expr) -> str | None:
    """The expression a call names, where it is made of literals and constants of its module; None for any other."""
    module = importlib.import_module("offtarget." + where.rsplit(".py:", 1)[0].replace("/", "."))
    try:
        value = eval(compile(ast.Expression(argument), f"<{where}>", "eval"), dict(vars(module)))
    except NameError:
        return None
    return value if isinstance(value, str) else None


def _around(where: str) -> str:
    """The lines around a call."""
    name, line = where.rsplit(":", 1)
    return "\n".join((SOURCE / name).read_text("utf-8").splitlines()[max(0, int(line) - 4) : int(line) + 2])


_USES: dict[str, set[str]] = {}


def _uses(name: str) -> set[str]:
    """Methods called on the expression of this name, in its own file where the name is private; {"search"} for none."""
    if not _USES:
        for path in SOURCE.rglob("*.py"):
            module = ".".join(("offtarget", *path.relative_to(SOURCE).with_suffix("").parts))
            for called in re.finditer(r"\b([A-Z_]{2,64})\.([a-z]+)\b", path.read_text("utf-8")):
                _USES.setdefault(f"{module}.{called[1]}" if called[1][0] == "_" else called[1], set()).add(called[2])
    if ".py:" in name:
        return {name.split(" ")[1].replace("compile", "search")} if " " in name else {"search"}
    last = name.rsplit(".", 1)[-1]
    return _USES.get(name if last.startswith("_") else last) or {"search"}
