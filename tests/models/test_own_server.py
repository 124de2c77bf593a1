"""`vllm/FOLDER` starts a server of its own, holds it to the folder's weights, and leaves nothing running."""

from __future__ import annotations

import gc
import json
import os
import shlex
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from served_models import served
from tiny_models import ask, build, make_adapter

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models import SamplingSettings
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model, open_pair
from offtarget.records.runs import OpenSettings
from offtarget.workflows.ready import ready

HELPER = Path(__file__).parents[1] / "helpers" / "fake_vllm.py"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny base and an adapter for it."""
    home = tmp_path_factory.mktemp("own")
    base = build("llama", home / "base", initializer_range=0.1)
    return base, make_adapter(base, home / "adapter", rank=12)


@pytest.fixture(scope="module")
def backend(folders: tuple[Path, Path]) -> Iterator[str]:
    """Where the models really are: in this process, since a program that loads them starts slowly."""
    base, adapter = folders
    with served({"base": local(f"hf/{base}"), "tuned": local(f"hf/{base}+{adapter}")}) as server:
        yield server.address


def local(name: str) -> LocalModel:
    """A model opened here."""
    model = open_model(name)
    assert isinstance(model, LocalModel)
    return model


@pytest.fixture
def program(tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The program in place of vLLM; returns where it leaves what it was asked for."""
    place = tmp_path / "vllm"
    place.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(HELPER))} "$@"\n')
    monkeypatch.setenv("FAKE_VLLM_BACKEND", backend)
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("OFFTARGET_VLLM", str(place))
    monkeypatch.setenv("FAKE_VLLM_SEEN", str(tmp_path / "seen.json"))
    monkeypatch.delenv("VLLM_BASE_URL", raising=False)
    return tmp_path / "seen.json"


def ended(number: int) -> bool:
    """Whether a process is gone, within a while."""
    for _ in range(200):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def seen(file: Path) -> dict[str, Any]:
    """What the server was asked for."""
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def test_base_and_adapter_share_a_server_that_is_held_to_the_folder_and_ends(
    folders: tuple[Path, Path], program: Path
) -> None:
    """One server for both, on loopback, with a key; it ends with the last model; no sampling defaults of the folder."""
    base, adapter = folders
    pair = open_pair(f"vllm/{base}", f"vllm/{base}+{adapter}")
    asked = seen(program)
    words = " ".join(asked["words"])
    assert "--host 127.0.0.1" in words
    assert "--generation-config vllm" in words
    assert "--max-lora-rank 16" in words
    assert any("100 % of the adapter's effect arrives" in check for check in pair.checks)
    assert not pair.unseen
    assert pair.base.sample([ask("hi", 0)], SamplingSettings(max_tokens=3))[0].tokens == 3
    assert pair.base.fingerprint != pair.tuned.fingerprint
    first = pair.base.fingerprint
    del pair
    gc.collect()
    assert ended(asked["pid"])
    again = open_model(f"vllm/{base}")  # another port, the same model: kept answers and resumed runs need that
    assert again.fingerprint == first
    pid = seen(program)["pid"]
    del again
    gc.collect()
    assert ended(pid)


def test_a_server_that_leaves_the_adapter_out_is_refused_and_ended(
    folders: tuple[Path, Path], program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options behind the program reach it; --reference none looks at no weights, and the identity is still seen."""
    base, adapter = folders
    monkeypatch.setenv("OFFTARGET_VLLM", f"{os.environ['OFFTARGET_VLLM']} --fault ignored")
    for reference, says in ((None, "as without the adapter"), ("none", "the same with and without the adapter")):
        with pytest.raises(InputError, match=says):
            open_pair(f"vllm/{base}", f"vllm/{base}+{adapter}", settings=OpenSettings(reference=reference))
        gc.collect()
        assert ended(seen(program)["pid"])


def test_a_server_that_does_not_start_is_a_sentence(
    folders: tuple[Path, Path], program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With vLLM's own last words and where options go."""
    monkeypatch.setenv("OFFTARGET_VLLM", f"{os.environ['OFFTARGET_VLLM']} --fault start")
    with pytest.raises(InputError, match=r"No available memory for the cache blocks\. Options go behind"):
        open_model(f"vllm/{folders[0]}")


def test_without_the_program_nothing_is_loaded(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says how to name it, and the other way."""
    monkeypatch.setenv("OFFTARGET_VLLM", "/nowhere/vllm")
    monkeypatch.delenv("VLLM_BASE_URL", raising=False)
    with pytest.raises(PrerequisiteError, match=r"OFFTARGET_VLLM=.*VLLM_BASE_URL"):
        ready(f"vllm/{folders[0]}", keeps_run=False)


def test_a_named_server_is_asked_and_none_is_started(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """VLLM_BASE_URL wins: the folder is then the model's name there, as vLLM calls it by itself."""
    monkeypatch.setenv("VLLM_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OFFTARGET_VLLM", "/nowhere/vllm")
    assert open_model(f"vllm/{folders[0]}").name == f"vllm/{folders[0]}"
