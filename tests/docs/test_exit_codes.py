"""docs/exit-codes.md says what the commands' help and the code say; OFFTARGET_GOLDEN=write makes its table anew."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import click

from offtarget.cli import app as command_line
from offtarget.cli.app import app
from offtarget.cli.doctor import MISSING
from offtarget.cli.help import Described
from offtarget.errors import EvidenceError, InputError, RunInterrupted
from offtarget.records import Status

PAGE = Path(__file__).parents[2] / "docs" / "exit-codes.md"
_CODE = re.compile(r"(?:^|[,;:] )(\d+) ")


def commands(command: click.Command = app, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that can be run, by its name after `offtarget`."""
    if not isinstance(command, click.Group) or command.invoke_without_command:
        yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, f"{path} {name}".strip())


def codes(text: str) -> dict[int, str]:
    """`0 PASS, 1 FAIL` -> what each code means; without a number under -1."""
    said = " ".join(text.split()).removeprefix("Exit codes:").strip().rstrip(".")
    starts = list(_CODE.finditer(said))
    found = {} if starts and starts[0].start() == 0 else {-1: said[: starts[0].start() if starts else None]}
    for start, after in zip(starts, [*starts[1:], None], strict=False):
        means = said[start.end() : None if after is None else after.start()].strip()
        found[int(start[1])] = "; ".join(filter(None, [found.get(int(start[1])), means]))
    return found


def table() -> str:
    lines = ["| command | 0 | 1 | 3 | besides |", "|---|---|---|---|---|"]
    for name, command in commands():
        said = codes(Described.of(command.help or "").codes)
        if not any(said.values()):
            continue
        rest = [text if code < 0 else f"{code}: {text}" for code, text in said.items() if code not in (0, 1, 2, 3)]
        cells = [*(said.get(code, "") for code in (0, 1, 3)), "; ".join(rest)]
        lines.append(f"| `{name}` | {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def test_the_table_is_that_of_the_commands() -> None:
    text = PAGE.read_text(encoding="utf-8")
    found = re.search(r"(<!-- made by: [^\n]*-->\n\n)(.*?)(\n*<!-- end -->)", text, re.DOTALL)
    assert found is not None
    if os.environ.get("OFFTARGET_GOLDEN") == "write":
        PAGE.write_text(f"{text[: found.end(1)]}{table()}\n\n<!-- end -->\n", encoding="utf-8")
        return
    assert found[2] == table(), "a command's exit codes changed: make the table anew with OFFTARGET_GOLDEN=write"


def test_the_codes_are_those_of_the_code() -> None:
    """Each in the first table, and none there that nothing ends with."""
    known = {status.exit_code for status in Status}
    known |= {InputError.exit_code, EvidenceError.exit_code, RunInterrupted.exit_code, MISSING}
    known |= {command_line.CRASH, command_line.BROKEN_PIPE}
    said = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)}
    assert said == known
