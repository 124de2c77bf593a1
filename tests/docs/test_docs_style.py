"""Numbers in README and docs are written one way: 0.5 %, 12,000, 3 to 5. Printed output and code stay as they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md"))]

RULES = {
    "a decimal without its zero, .5": r"(?<![\w.,])\.\d|[+-]\.\d",
    "a per cent sign without a space, 5%": r"\d%",
    "a range with a dash, 3-5": r"(?<![\w.\-\[/])\d[\d.,]*\s?[-–−]\s?\d[\d.,]*(?![\w\-]*[A-Za-z_-])",
    "thousands without a comma, 12000": r"(?<![\w.,#])\d{5,}(?![\w.])",
}
# A difference, a month.
FINE = ("1 - 0.025", "2024-10")


def _prose(page: Path) -> list[tuple[int, str]]:
    """Number and text of every line, without fenced blocks, indented blocks, code spans and addresses."""
    lines, fenced = [], False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            lines.append((number, re.sub(r"`[^`]*`|\]\([^)]*\)|https?://\S+", "", line)))
    return lines


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_numbers_are_written_one_way(page: Path) -> None:
    """Whoever compares two pages reads one notation."""
    for number, line in _prose(page):
        for fine in FINE:
            line = line.replace(fine, "")
        for fault, pattern in RULES.items():
            found = re.search(pattern, line)
            assert found is None, f"{page.relative_to(ROOT)}, line {number}: {fault}: {found.group()!r}"
