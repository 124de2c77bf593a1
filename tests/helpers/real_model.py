"""Where the real chat model lies that `make real-model` fetches; tests that ask it skip where it is not, saying so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

FOLDER = Path(os.environ.get("OFFTARGET_MODELS") or Path(__file__).parents[2] / ".models") / "smollm2"
NAME = f"hf/{FOLDER}"

needed = [
    pytest.mark.real,
    pytest.mark.skipif(not (FOLDER / "config.json").exists(), reason="needs SmolLM2: run `make real-model`"),
]
"""`pytestmark = real_model.needed` on top of a test file."""
