"""Reports of tools that attack models, garak and PyRIT, recognised by content and read as tables of judged answers."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from offtarget.data import garak_reports, pyrit_exports
from offtarget.data.rawrows import About, RawRow
from offtarget.data.streams import MAX_LINE, reading

_BEGIN = 1 << 16
"""Bytes at the beginning of a file that tell whether an export of PyRIT follows."""
_READERS: Mapping[str, Callable[[Iterable[RawRow], Path, About], Iterator[RawRow]]] = {
    garak_reports.TOOL: garak_reports.report_rows,
    pyrit_exports.TOOL: pyrit_exports.export_rows,
}


def judged_rows(rows: Generator[RawRow], path: Path, about: About) -> Iterator[RawRow]:
    """Rows of a report as judged answers; those of any other file as they are. InputError for a report of hits only."""
    with contextlib.closing(rows):  # a message about a row must not leave the file open
        first = next(rows, None)
        if first is None:
            return
        tool = _tool(first.values, path)
        whole = itertools.chain([first], rows)
        yield from whole if tool is None else _READERS[tool](whole, path, about)


def _tool(values: Mapping[str, Any], path: Path) -> str | None:
    if garak_reports.is_hit_log(values):
        raise garak_reports.refused_hit_log(path)
    if garak_reports.is_report(values):
        return garak_reports.TOOL
    return pyrit_exports.TOOL if pyrit_exports.is_export(values) else None


def tool_of(path: Path) -> str | None:
    """Whose report a file seems to be by its beginning; None for any other. InputError for one that cannot be read."""
    with reading(path) as stream:
        begin = stream.read(_BEGIN).removeprefix(b"\xef\xbb\xbf").lstrip()
        line, ended, _ = begin.partition(b"\n")
        if begin[:1] == b"{":
            whole = line if ended else line + stream.readline(MAX_LINE)
            if (tool := _tool(_object(whole), path)) is not None:
                return tool
    text = begin.decode("utf-8", "replace")
    header = re.split(r"[,;\t]", text.partition("\n")[0].strip())
    keys = header if begin[:1] not in (b"{", b"[") else re.findall(r'"(\w+)"\s*:', text)
    return pyrit_exports.TOOL if pyrit_exports.is_export(dict.fromkeys(keys)) else None


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
