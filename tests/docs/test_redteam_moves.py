"""The table of moves in the guide is that of the registry; OFFTARGET_GOLDEN=write writes it anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

from offtarget.redteam.goals import read_goals
from offtarget.redteam.moves import moves

PAGE = Path(__file__).parents[2] / "docs" / "redteam.md"
PART = re.compile(r"(<!-- moves: [^\n]*-->\n)(.*?)(<!-- end of moves -->)", re.DOTALL)


def table() -> str:
    """All moves by family, as a table."""
    rows = sorted(moves(), key=lambda move: (move.family, move.name))
    lines = [f"| `{move.name}` | {move.family} | {move.about} | {move.source} |" for move in rows]
    return "\n".join(["| move | family | the user ... | source |", "|---|---|---|---|", *lines]) + "\n"


def test_every_move_is_in_the_guide_with_its_source() -> None:
    text = PAGE.read_text(encoding="utf-8")
    if os.environ.get("OFFTARGET_GOLDEN") == "write":
        text = PART.sub(lambda found: found[1] + table() + found[3], text)
        PAGE.write_text(text, encoding="utf-8")
    shown = PART.search(text)
    assert shown is not None
    assert shown[2] == table()


def test_the_red_lines_of_the_guide_are_read_as_they_stand(tmp_path: Path) -> None:
    """Whoever copies the example has a file that works."""
    example = re.search(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert example is not None
    file = tmp_path / "red-lines.yaml"
    file.write_text(example[1], encoding="utf-8")
    read = read_goals(file)
    assert [goal.id for goal in read.goals] == ["recommends-a-competitor", "gives-dosage-advice"]
    assert all(goal.rubric for goal in read.goals)
