"""Output shown in docs is what the command prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from offtarget.cli.app import app

PAGE = Path(__file__).parents[2] / "docs" / "check.md"


@pytest.mark.slow
def test_the_example_of_check_is_what_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's first command, run: every line of the example stands in the output, whatever the line breaks."""
    text = PAGE.read_text(encoding="utf-8")
    command = re.search(r"^offtarget (check .*?) +#", text, re.MULTILINE)
    example = re.search(r"prints this.*?```\n(.*?)```", text, re.DOTALL)
    assert command is not None
    assert example is not None
    monkeypatch.setenv("COLUMNS", "200")
    result = CliRunner().invoke(app, [*command[1].split(), "--quiet", "--run", str(tmp_path / "run")])
    assert result.exit_code == 1, result.output
    printed = " ".join(result.output.split())
    missing = [line for line in example[1].splitlines() if " ".join(line.split()) not in printed]
    assert missing == []
