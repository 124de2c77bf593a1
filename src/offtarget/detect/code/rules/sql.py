"""SQL built from data instead of passed as parameters (CWE-89)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from offtarget.detect.code.facts import HOLE, SQL, Facts, Hole, Value, hole, query_object

STATEMENT = re.compile(
    r"^\s*\(?(?:select\b[\s\S]*\bfrom\b|insert\s+(?:or\s+\w+\s+)?into\b|replace\s+into\b|update\s+\S+\s+set\b|"
    r"delete\s+from\b|"
    r"drop\s+(?:table|database|user|index|view)\b|create\s+(?:table|user|database|role|index|view)\b|"
    r"alter\s+(?:table|user)\b|"
    r"truncate\s+table\b|grant\s+\w+\s+(?:on|to)\b|merge\s+into\b|with\s+\w+\s+as\s*\(\s*select\b)|"
    r"\bwhere\s+[\w.`\"]+\s*(?:=|like|in|<|>)\s*\(?['\"%]*\0",
    re.I,
)
COMPARED = re.compile(r"[\w`\"] *(?:=|<|>|\blike\b|\bin\b|\bbetween\b)", re.I)
OWNERS = frozenset(
    {"", "sqlalchemy", "sqlalchemy.sql", "sqlalchemy.sql.expression", "sa", "db", "django.db.models.expressions"}
)
"""Where functions that declare text as SQL come from; the empty name where the text shows no import."""
STRENGTH = {"outside": 0.97, "param": 0.93, "unknown": 0.7}


def built_sql(facts: Facts) -> Iterator[Hole]:
    """A statement whose text holds data, whether or not this text executes it."""
    for built, danger in facts.built_with(STATEMENT, SQL):
        yield hole("sql-built", built.node, STRENGTH[danger], f"SQL is built from {_origin(built.value)} (CWE-89)")


def fragments(facts: Facts) -> Iterator[Hole]:
    """A piece of a statement with data in it, declared as SQL within a query object."""
    for call in facts.methods("text", "literal_column", "RawSQL"):
        first = call.arg(0)
        if first is None or first.text is None or HOLE not in first.text or not COMPARED.search(first.text):
            continue
        danger = first.dangerous(SQL)
        if danger in {"outside", "param"} and call.name.rpartition(".")[0] in OWNERS:
            yield hole("sql-built", call.node, STRENGTH[danger], f"SQL is built from {_origin(first)} (CWE-89)")


def executed_raw(facts: Facts) -> Iterator[Hole]:
    """A whole statement that comes from outside."""
    for call in facts.methods("execute", "executescript", "executemany", "raw"):
        first = call.arg(0)
        if first is None or query_object(first.made):
            continue
        if first.text is None and first.outside & SQL and call.name not in {"request.execute"}:
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


RULES = (built_sql, fragments, executed_raw, nosql)
