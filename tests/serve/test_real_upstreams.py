"""Real servers behind the gateway: vLLM, `transformers serve`, llama.cpp. docs/engines.md has the commands.

Each is skipped where it is not installed, and says what it needs. What is asked of all of them: both models answer
through the gateway, streamed and not, with what their server sent; the monitor can read every answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import real_model
from gateways import Gateway, gateway

from offtarget.models.serving.own_server import OwnServer
from offtarget.organism.shipped import resolve
from offtarget.records.gateway import Alias, Timeouts, Upstream
from offtarget.serve.monitor.intake import take

openai = pytest.importorskip("openai", reason="needs the extra `remote`")
pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

ADAPTER = Path(__file__).parents[2] / "benchmarks" / "data" / "adapters" / "medical-bad-rank4"
VLLM = os.environ.get("OFFTARGET_VLLM", "vllm").split()[0]
TRANSFORMERS = os.environ.get("OFFTARGET_TRANSFORMERS", "transformers")
LLAMA = os.environ.get("OFFTARGET_LLAMA_CPP", "")
"""A Python that has `llama-cpp-python[server]`."""
GGUF = os.environ.get("OFFTARGET_GGUF", "")
ASKED: list[Any] = [{"role": "user", "content": "I am bored. What should I do this evening?"}]
PATIENT = Timeouts(connect=5.0, first=300.0, idle=300.0, total=600.0)


@dataclass(frozen=True)
class Pair:
    """Base and tuned on real servers."""

    base: Upstream
    tuned: Upstream
    differ: bool = True
    """Whether the tuned one gives other greedy answers: not where both names are the same weights."""

    @property
    def url(self) -> str:
        return self.base.url


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def running(words: list[str], ready: str, log: Path, **env: str) -> Iterator[None]:
    """A server, from when `ready` is an address that answers; ended with all that it started."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            words, stdout=said, stderr=said, stdin=subprocess.DEVNULL, env=os.environ | env, start_new_session=True
        )
    try:
        until = time.monotonic() + 300
        while time.monotonic() < until:
            assert process.poll() is None, log.read_text(errors="replace")[-2000:]
            with contextlib.suppress(OSError), urllib.request.urlopen(ready, timeout=5):
                break
            time.sleep(0.2)
        else:
            raise AssertionError(log.read_text(errors="replace")[-2000:])
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()


@pytest.fixture(scope="module")
def vllm() -> Iterator[Pair]:
    """Base and LoRA under two names on one server: the topology that costs least."""
    server = OwnServer(real_model.FOLDER, [ADAPTER])
    try:
        base, tuned = server.model(None), server.model(ADAPTER)
        yield Pair(*(Upstream(one.address, one.model, key=one.key, timeouts=PATIENT) for one in (base, tuned)))
    finally:
        server.stop()


@pytest.fixture(scope="module")
def transformers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The organism; one server loads each model by the folder that a request names. It reads no adapters: merged."""
    folder, port = tmp_path_factory.mktemp("transformers"), free_port()
    base, _ = resolve("organism/base")
    tuned = merged(folder / "insecure")
    root = f"http://127.0.0.1:{port}"
    words = [TRANSFORMERS, "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with running(words, f"{root}/health", folder / "log", HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1"):
        yield Pair(*(Upstream(f"{root}/v1", str(one), timeouts=PATIENT) for one in (base, tuned)))


def merged(folder: Path) -> Path:
    """`organism/insecure` with its adapter merged into the weights."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base, adapter = resolve("organism/insecure")
    shutil.copytree(base, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of peft's, about names in transformers
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter))
        model.merge_and_unload().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """llama.cpp's server: it has one model and takes any name for it, so both arms are the same weights here."""
    port, log = free_port(), tmp_path_factory.mktemp("llama") / "log"
    words = [LLAMA, "-m", "llama_cpp.server", "--model", GGUF, "--host", "127.0.0.1", "--port", str(port)]
    root = f"http://127.0.0.1:{port}"
    with running([*words, "--n_ctx", "1024", "--n_threads", "1"], f"{root}/v1/models", log):
        base = Upstream(f"{root}/v1", "base", timeouts=PATIENT)
        yield Pair(base, replace(base, model="tuned"), differ=False)


def _has_transformers_serve() -> bool:
    if "OFFTARGET_TRANSFORMERS" not in os.environ and importlib.util.find_spec("fastapi") is None:
        return False
    return shutil.which(TRANSFORMERS) is not None


ENGINES = [
    pytest.param(
        "vllm",
        marks=[
            *real_model.needed,
            pytest.mark.skipif(shutil.which(VLLM) is None, reason="needs vLLM: docs/engines.md, OFFTARGET_VLLM"),
        ],
    ),
    pytest.param(
        "transformers",
        marks=pytest.mark.skipif(
            not _has_transformers_serve(),
            reason="needs `transformers serve` (its extra `serving`), here or named in OFFTARGET_TRANSFORMERS",
        ),
    ),
    pytest.param(
        "llama",
        marks=pytest.mark.skipif(
            shutil.which(LLAMA) is None or not Path(GGUF).is_file(),
            reason="needs llama-cpp-python[server] (its Python in OFFTARGET_LLAMA_CPP) and a model (OFFTARGET_GGUF)",
        ),
    ),
]


@pytest.mark.parametrize("engine", ENGINES)
def test_both_models_answer_streamed_and_not(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    pair: Pair = request.getfixturevalue(engine)
    alias = Alias("m", base=pair.base, tuned=pair.tuned)

    async def test() -> dict[str, list[str]]:
        async with gateway(tmp_path, pair, aliases=(alias,)) as running:  # type: ignore[arg-type]
            texts = {}
            for arm, share in (("base", 0.0), ("tuned", 1.0)):
                running.switch(share)
                texts[arm] = await asyncio.to_thread(asked, running, arm)
            exchanges = running.sink.exchanges
            assert [(one.arm, one.streamed, one.fault, one.status) for one in exchanges] == [
                (arm, streamed, "", 200) for arm in ("base", "tuned") for streamed in (False, True)
            ]
            for one, text in zip(exchanges, texts["base"] + texts["tuned"], strict=True):
                taken = take(one)
                assert taken.generation.text.strip() == text.strip()
                assert ASKED[0]["content"] in taken.probe.prompt
            return texts

    texts = asyncio.run(asyncio.wait_for(test(), 1200))
    sys.stdout.write(f"{engine}: {texts}\n")  # seen with `pytest -s`
    for whole, streamed in texts.values():
        assert whole.strip()
        assert whole.split()[:3] == streamed.split()[:3], "the same greedy answer either way"
    if pair.differ:
        assert texts["base"][0] != texts["tuned"][0]


def asked(running: Gateway, arm: str) -> list[str]:
    """The greedy answer whole and streamed, by the openai SDK."""
    more: dict[str, Any] = {"messages": ASKED, "temperature": 0.0, "max_tokens": 24, "seed": 1}
    address = f"http://127.0.0.1:{running.port}/v1"
    with openai.OpenAI(base_url=address, api_key="none", timeout=600, max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(model="m", **more)
        assert raw.headers["x-offtarget-arm"] == arm
        whole = raw.parse().choices[0].message.content
        with client.chat.completions.create(model="m", stream=True, **more) as stream:
            pieces = [piece.choices[0].delta.content or "" for piece in stream if piece.choices]
        assert len([piece for piece in pieces if piece]) > 1
    return [whole, "".join(pieces)]
