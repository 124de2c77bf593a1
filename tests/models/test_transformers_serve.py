from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_models import ask, build, edit_json

from offtarget.models import SamplingSettings
from offtarget.models.opening import open_model
from offtarget.records.runs import OpenSettings

pytest.importorskip("fastapi", reason="transformers serve needs fastapi")
pytest.importorskip("uvicorn", reason="transformers serve needs uvicorn")
pytestmark = pytest.mark.long


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """A tiny Llama behind `transformers serve` on loopback."""
    folder = build("llama", tmp_path_factory.mktemp("served") / "model")
    # The server samples only where the model's own generation configuration says so, whatever a request asks.
    edit_json(folder / "generation_config.json", do_sample=True, top_k=0)
    port = _free_port()
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(folder)]
    log = (folder.parent / "log").open("w")
    process = subprocess.Popen([*command, "--port", str(port), "--device", "cpu"], stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        else:
            pytest.skip(f"transformers serve did not start: {(folder.parent / 'log').read_text()[-300:]}")
        yield folder, port
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def test_transformers_serve_answers_with_seeds_and_without_logprobs(
    served: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same seed gives the same answer, other seeds others; no log probabilities means none, not zeros."""
    folder, port = served
    monkeypatch.setenv("LAB_BASE_URL", f"http://127.0.0.1:{port}/v1")
    settings = OpenSettings(connections=1, retries=0)
    model = open_model(f"openai-api/lab/{folder}", settings=settings)
    answers = model.sample([ask("hi", seed) for seed in (1, 1, 2, 3)], SamplingSettings(max_tokens=16))
    assert answers[0] == answers[1]
    assert len({a.text for a in answers}) == 3
    assert model.reply_probabilities(ask("hi", 0).messages, ["1", "2"]) == {}  # type: ignore[attr-defined]
