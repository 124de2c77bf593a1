"""The snippet in docs/monitor.md runs."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "monitor.md"


@pytest.mark.long
def test_the_snippet_of_the_documentation_runs(tmp_path: Path) -> None:
    """Copied as it stands, with folders and a few steps filled in: there are readings, a page, and no crash."""
    snippet = re.search(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert snippet is not None
    names = {"RUN": tmp_path / "run", "OUT": str(tmp_path / "out"), "STEPS": 6}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trl, peft and accelerate about defaults
        exec(snippet.group(1), names)
    assert names["monitor"].readings  # type: ignore[attr-defined]
    assert (tmp_path / "run" / "monitor.html").is_file()
