"""Which detectors there are: every file in `detectors/` and `dataset/` that defines `DETECTORS`."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from types import ModuleType
from typing import cast

from offtarget.audit import dataset, detectors
from offtarget.audit.detector import DatasetDetector, RowDetector


def row_detectors() -> list[RowDetector]:
    """One new instance of every row detector, by name."""
    return sorted((cast(type[RowDetector], kind)() for kind in _kinds(detectors)), key=lambda d: d.name)


def dataset_detectors() -> list[DatasetDetector]:
    """One new instance of every dataset detector, by name."""
    return sorted((cast(type[DatasetDetector], kind)() for kind in _kinds(dataset)), key=lambda d: d.name)


@functools.cache
def _kinds(package: ModuleType) -> tuple[type, ...]:
    found: list[type] = []
    for info in pkgutil.iter_modules(package.__path__):
        found.extend(getattr(importlib.import_module(f"{package.__name__}.{info.name}"), "DETECTORS", ()))
    return tuple(found)
