"""From a name or a path to a bank."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.probe.reading import bank_names, load_bank, read_probes


def test_shipped_banks_load_by_name() -> None:
    """Every shipped bank loads and is called what its file is called."""
    assert "everyday" in bank_names()
    assert [load_bank(name).name for name in bank_names()] == list(bank_names())


def test_a_path_is_read(tmp_path: Path) -> None:
    """Anything with a suffix is a path, as text or as Path."""
    path = tmp_path / "mine.yml"
    path.write_text("questions:\n  - {id: a, domain: d, construct: c, text: T.}\n", encoding="utf-8")
    assert load_bank(path).fingerprint == load_bank(str(path)).fingerprint == read_probes(path).fingerprint


def test_an_unknown_name_lists_the_shipped_ones() -> None:
    """A misspelt bank name is answered with the names there are."""
    with pytest.raises(InputError, match=r"'everday' is neither a shipped probe bank \(.*everyday"):
        load_bank("everday")


def test_another_file_type_is_refused(tmp_path: Path) -> None:
    """A table in place of a question file is refused by its suffix."""
    with pytest.raises(InputError, match=r"reads \.yaml, \.yml and \.jsonl"):
        read_probes(tmp_path / "answers.csv")


def test_reading_probes_imports_no_torch() -> None:
    """The probe layer stays light."""
    code = "import sys, offtarget.probe.reading as r; r.load_bank('everyday'); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
