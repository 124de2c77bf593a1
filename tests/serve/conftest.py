"""What tests of serving share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def at(tmp_path: Path) -> Iterator[object]:
    """A gateway's admin plane with its first rollouts begun."""
    pytest.importorskip("starlette", reason="needs the extra 'review'")
    from at_admin import At

    made = At(tmp_path)
    yield made.begun()
    made.close()
