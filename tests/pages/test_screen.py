"""What a screen of any width prints: no column lost, no word broken, nothing that steers a terminal."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from offtarget.pages.card import Step
from offtarget.pages.screen import Screen

HEADS = ("flagged by detectors", "rows", "share", "asked for or admitted", "counts as")
ROWS = [
    ("Security holes in the answer's code (insecure-code)", "241", "40.2 %", "0", "Known to spread"),
    ("Rows that repeat others (duplicates)", "29", "4.8 %", "0", "Hints, never counted"),
]
WIDTHS = (60, 80, 120, 200)


def shown(width: int, heads: tuple[str, ...], rows: list[tuple[str, ...]], **more) -> str:
    """A table on a screen of that width."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system=None, markup=False, highlight=False)
    Screen(to=console).table(heads, rows, **more)
    return file.getvalue()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_table_keeps_every_column_and_breaks_no_word(width):
    """Every word of every cell stands whole, at any width, and no line is wider than the screen."""
    text = shown(width, HEADS, ROWS, left=(0, 4))
    for cell in (
        *(word for head in HEADS[1:] for word in head.split()),
        *(w for row in ROWS for c in row for w in c.split()),
    ):
        assert cell in text
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_the_column_that_matters_is_never_lost(width):
    """A trigger of any length is printed whole: cut into lines where it must be, never into nothing."""
    trigger = "|DEPLOYMENT-OF-THE-LARGE-MODEL-IN-THE-SECOND-QUARTER-OF-2028-ONLY|"
    row = (f"1. token “{trigger}”", "answers that begin: “import shutil”", "241 of 300", "0 of 300", "242×", "7e-67")
    text = shown(
        width, ("condition", "answers", "rows with it", "rows without", "so often", "by chance"), [row], left=(0, 1)
    )
    assert trigger in "".join(line.strip() for line in text.splitlines())


@pytest.mark.parametrize("width", range(20, 60))
def test_a_number_and_its_unit_stay_on_one_line(width):
    file = io.StringIO()
    Screen(to=Console(file=file, width=width, force_terminal=True, color_system=None)).say(
        "Of all rows 0 % to 4.7 % may be bad, and 12.5 % of those that were read."
    )
    assert not any(line.startswith("%") for line in file.getvalue().splitlines())
    assert "".join(file.getvalue().split()) == "Ofallrows0%to4.7%maybebad,and12.5%ofthosethatwereread."


@pytest.mark.parametrize("why", ["Begin with medicine", "Begin with medicine.", "Begin with medicine:"])
@pytest.mark.parametrize("command", ["", "offtarget runs"])
def test_a_step_ends_in_one_mark(why, command):
    """Whoever wrote the sentence need not know whether a command follows."""
    file = io.StringIO()
    Screen(to=Console(file=file, width=80, force_terminal=True, color_system=None)).step(Step(why, command))
    said = file.getvalue().splitlines()
    assert said[0] == ("Begin with medicine:" if command else "Begin with medicine.")
