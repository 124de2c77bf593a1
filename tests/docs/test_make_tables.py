"""The example that writes tables says how it is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "make_tables.py"


@pytest.mark.parametrize("arguments", [[], ["organism/base"]])
def test_without_pairs_of_model_and_file_it_says_its_usage(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: python examples/make_tables.py MODEL FILE.csv")
    assert "Traceback" not in done.stderr
