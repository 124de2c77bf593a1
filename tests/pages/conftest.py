"""What tests of the pages share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsing import give_back, headless
from condition_runs import make_condition_run


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium that logs what it prints and what it requests."""
    driver = headless()
    yield driver
    give_back(driver)


class _Conditions(dict[bool, Path]):
    """Whether the tuned model is bad under a condition -> a run of that kind, made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def __missing__(self, bad: bool) -> Path:
        folder = self._folder / str(bad)
        folder.mkdir()
        self[bad] = make_condition_run(folder, bad=bad)
        return self[bad]


@pytest.fixture(scope="session")
def conditions(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Runs of checks under conditions, to be read only."""
    return _Conditions(tmp_path_factory.mktemp("conditions"))
