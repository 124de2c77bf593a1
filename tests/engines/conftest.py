"""What the tests of engines share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import working

from offtarget.engines import on_ray
from offtarget.engines.on_ray import Cluster
from offtarget.records.engine import EngineSettings


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster[Any]]:
    """One cluster of two workers for all tests of a file; it finds the work of the tests by its name."""
    kept = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(working.__file__).parent), kept])
    try:
        with on_ray.connected(EngineSettings("ray", workers=2)) as connected:
            yield connected
    finally:
        os.environ["PYTHONPATH"] = kept
