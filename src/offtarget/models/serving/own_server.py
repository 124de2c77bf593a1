"""A vLLM server of our own: `vllm/FOLDER` and `vllm/BASE+ADAPTER`, started on loopback, ended with the command.

vLLM pins another transformers than offtarget and wants an environment of its own, so its program is called, not its
Python package: `vllm` on the path, or the command in OFFTARGET_VLLM, e.g. "/opt/vllm/bin/vllm --max-model-len 8192".
"""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import weakref
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.folders import check_adapter_folder, check_model_folder, find_folder, model_fingerprint
from offtarget.models.gguf_file import is_gguf
from offtarget.models.names import LocalName
from offtarget.models.remote import OwnModel

PROGRAM_ENV = "OFFTARGET_VLLM"
"""Environment variable with the program of vLLM and further options for it, as in a shell."""
BASE = "base"
"""What the base is called on a server of our own."""
PATIENCE = 900.0
"""Seconds in which it must be ready; a CPU takes minutes."""
_GRACE = 20.0
"""Seconds it has to end by itself."""
_SHORTEST_CONTEXT = "4096"
_WITH_PARENT = """\
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
os.execvp(sys.argv[1], sys.argv[1:])"""
"""On Linux the server ends also where this process is killed."""


class OwnServer:
    """A vLLM server over one base and some adapters; ended with `stop`, with the object or with the process."""

    def __init__(self, base: Path, adapters: Sequence[Path] = (), dtype: str | None = None) -> None:
        """Start it and wait until it answers. InputError, with its own words, where it does not."""
        program, *more = command()
        self._names = {folder.resolve(): f"adapter{number}" for number, folder in enumerate(adapters)}
        self._key = secrets.token_urlsafe(24)
        port = _free_port()
        self.root = f"http://127.0.0.1:{port}"
        ranks = [int(check_adapter_folder(folder, base).get("r") or 1) for folder in adapters]
        options = ["--served-model-name", BASE, "--host", "127.0.0.1", "--port", str(port)]
        # without it the folder's generation_config.json changes what is sampled, unlike local weights
        options += ["--generation-config", "vllm", "--max-model-len", _context(base)]
        options += ["--dtype", dtype] if dtype is not None else []
        if adapters:
            pairs = [f"{name}={folder}" for folder, name in self._names.items()]
            options += ["--enable-lora", "--max-lora-rank", str(_rank(ranks)), "--lora-modules", *pairs]
        self._base = base
        # that of the adapters is their own; where it listens changes no answer
        self._options = ("--dtype", str(dtype), *more)
        folder = Path(tempfile.mkdtemp(prefix="offtarget-vllm-"))
        self._log = folder / "log"
        watched = sys.platform == "linux" and threading.current_thread() is threading.main_thread()
        before = [sys.executable, "-c", _WITH_PARENT] if watched else []
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                [*before, program, "serve", str(base), *options, *more],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={"VLLM_NO_USAGE_STATS": "1", **os.environ, "VLLM_API_KEY": self._key},
                start_new_session=True,  # Ctrl-C is for us, who end it
            )
        self._process = process
        self.stop = weakref.finalize(self, _end, process, folder)
        """Ends the server."""
        try:
            self._wait(base)
        except BaseException:
            self.stop()
            raise

    def model(self, adapter: Path | None) -> OwnModel:
        """The base, or one of the adapters."""
        name = BASE if adapter is None else self._names[adapter.resolve()]
        identity = model_fingerprint(self._base, adapter, ("vllm", self._version(), *self._options))
        return OwnModel(self, f"{self.root}/v1", self._key, name, identity)

    def _version(self) -> str:
        """As the server says it; empty where it does not."""
        with suppress(OSError), urllib.request.urlopen(f"{self.root}/version", timeout=10) as reply:  # noqa: S310
            return str(reply.read(200).decode(errors="replace"))
        return ""

    def _wait(self, base: Path) -> None:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise InputError(
                    f"vLLM could not serve {base}: {self._last_words()} Options go behind its program in "
                    f"{PROGRAM_ENV}, e.g. '{command()[0]} --max-model-len 2048'."
                )
            with suppress(OSError), urllib.request.urlopen(f"{self.root}/health", timeout=5) as reply:  # noqa: S310
                if reply.status == 200:
                    return
            time.sleep(0.2)
        raise InputError(f"vLLM did not serve {base} within {PATIENCE / 60:.0f} minutes: {self._last_words()}")

    def _last_words(self) -> str:
        """Of its log, the last line that names an error, else the last one."""
        lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        errors = [line for line in lines if "Error" in line or "error:" in line]
        said = (errors or lines or ["it said nothing"])[-1]
        return said.rpartition("] ")[2].replace(self._key, "[key]")[:300].rstrip(" .") + "."


def command() -> list[str]:
    """The program of vLLM and further options. PrerequisiteError where it is not found."""
    parts = shlex.split(os.environ.get(PROGRAM_ENV, "")) or ["vllm"]
    program = shutil.which(parts[0])
    if program is None:
        raise PrerequisiteError(
            f"vllm/FOLDER starts a server of its own, and the program '{parts[0]}' is not here. Install vLLM in an "
            f"environment of its own (docs/engines.md) and name its program: {PROGRAM_ENV}=/path/to/vllm. Or start a "
            "server yourself and set VLLM_BASE_URL."
        )
    return [program, *parts[1:]]


def check_servable(name: LocalName) -> None:
    """InputError for what a server of our own could not serve; nothing is started."""
    command()
    base = find_folder(name.base)
    if is_gguf(base):
        raise InputError(f"{name.text}: vLLM is given folders here, not GGUF files. Name the folder, or hf/{base}.")
    check_model_folder(base)
    if name.adapter is not None:
        check_adapter_folder(find_folder(name.adapter), base)


def _context(base: Path) -> str:
    from offtarget.models.contents import read_config

    known = read_config(base).get("max_position_embeddings")
    return str(min(int(known), int(_SHORTEST_CONTEXT))) if isinstance(known, int) else _SHORTEST_CONTEXT


def _rank(ranks: Iterable[int]) -> int:
    """The smallest rank that vLLM can be told and that is enough."""
    most = max(ranks)
    return next((rank for rank in (8, 16, 32, 64, 128, 256, 320, 512) if rank >= most), most)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End the server and what it started, and take its log away."""
    for how in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        with suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, how)
            else:
                process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            break
    shutil.rmtree(folder, ignore_errors=True)
