from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import build, make_adapter

from offtarget.models.weights import Weights


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Folder of a tiny model by architecture, built once."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            made[kind] = build(kind, tmp_path_factory.mktemp(kind) / "model")
        return made[kind]

    return get


@pytest.fixture(scope="session")
def loaded(folders: Callable[[str], Path]) -> Callable[[str], Weights]:
    """Weights of a tiny model by architecture, loaded once, without adapters."""
    made: dict[str, Weights] = {}

    def get(kind: str) -> Weights:
        if kind not in made:
            made[kind] = Weights(folders(kind), device="cpu")
        return made[kind]

    return get


@pytest.fixture(scope="session")
def adapter(folders: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An rsLoRA adapter for the tiny Llama."""
    return make_adapter(folders("llama"), tmp_path_factory.mktemp("adapter") / "adapter")
