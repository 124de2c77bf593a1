"""Texts kept as files, so that every change of what people see is read by somebody: `tests/golden/NAME.txt`.

After a change on purpose: OFFTARGET_GOLDEN=write python -m pytest TEST, then read the difference line by line.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from click.testing import CliRunner, Result

FOLDER = Path(__file__).parents[1] / "golden"
WIDTHS = (60, 80, 120, None)
"""Columns of a terminal; None is a pipe."""


def printed(command: list[str], width: int | None, **environment: str) -> Result:
    """What a command line prints on a screen of that width."""
    from offtarget.cli.app import app

    columns = {} if width is None else {"COLUMNS": str(width)}
    return CliRunner().invoke(app, command, env={"TERM": "dumb", "NO_COLOR": "1", **columns, **environment})


def golden(name: str, text: str, *places: Path) -> None:
    """Compare a text with the kept one; `places` are folders of this test run, which become `DIR`."""
    for number, place in enumerate(places):
        text = text.replace(str(place), "DIR" if len(places) == 1 else f"DIR{number + 1}")
    text = re.sub(r"(?<=Took )([^.]*?)[\d.,]+ (s|min|h)\b", r"\g<1>N s", text)
    text = "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    file = FOLDER / f"{name}.txt"
    if os.environ.get("OFFTARGET_GOLDEN") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
        return
    assert file.exists(), f"{file} is not there yet; see tests/helpers/golden.py"
    assert text == file.read_text(encoding="utf-8")


def longest(text: str) -> int:
    """Columns of the longest line that is no command, or file under a next step, to be pasted."""
    from rich.cells import cell_len

    lines = (line for line in text.splitlines() if not re.match(r"\s*(offtarget|python|OFFTARGET_)\b|  /\S+$", line))
    return max(map(cell_len, lines), default=0)
