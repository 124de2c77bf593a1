"""SQL built from data instead of passed as parameters (CWE-89)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from offtarget.detect.code.facts import HOLE, SQL, Facts, Hole, Value, hole

STATEMENT = re.compile(
    r"^\s*\(?(?:select\b[\s\S]*\bfrom\b|insert\s+(?:or\s+\w+\s+)?into\b|replace\s+into\b|update\s+\S+\s+set\b|"
    r"delete\s+from\b|"
    r"drop\s+(?:table|database|user|index|view)\b|create\s+(?:table|user|database|role|index|view)\b|"
    r"alter\s+(?:table|user)\b|"
    r"truncate\s+table\b|grant\s+\w+\s+(?:on|to)\b|merge\s+into\b|with\s+\w+\s+as\s*\(\s*select\b)|"
    r"\bwhere\s+[\w.`\"]+\s*(?:=|like|in|<|>)\s*\(?['\"%]*\0",
    re.I,
)
STRENGTH = {"outside": 0.97, "param": 0.93, "unknown": 0.7}


def built_sql(facts: Facts) -> Iterator[Hole]:
    """A statement whose text holds data, whether or not this text executes it."""
    for built, danger in facts.built_with(STATEMENT, SQL):
        yield hole("sql-built", built.node, STRENGTH[danger], f"SQL is built from {_origin(built.value)} (CWE-89)")


def executed_raw(facts: Facts) -> Iterator[Hole]:
    """A whole statement that comes from outside."""
    for call in facts.methods("execute", "executescript", "executemany", "raw"):
        first = call.arg(0)
        if first is not None and first.text is None and first.outside & SQL and call.name not in {"request.execute"}:
            yield hole("sql-raw", call.node, 0.8, f"{_origin(first)} is executed as SQL (CWE-89)")


def nosql(facts: Facts) -> Iterator[Hole]:
    """Request data as a whole used as a document-database query, or in `$where`."""
    for built in facts.built:
        text = built.value.text
        if text and "this." in text and HOLE in text and re.search(r"this\.\w+\s*[=!<>]{1,3}\s*['\"]?\0", text):
            yield hole(
                "nosql-built", built.node, 0.85, f"A database script is built from {_origin(built.value)} (CWE-943)"
            )


def _origin(value: Value) -> str:
    return value.origin or "data"


RULES = (built_sql, executed_raw, nosql)
