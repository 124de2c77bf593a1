"""What gateway.py measures, each started on this machine before the same upstream, with a key, one worker each."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

from gateway_load import Place

KEY = "sk-benchmark-0123456789abcdef0123456789abcdef"
ALIAS = "canary"
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass
class Target:
    """Something that answers, and its processes."""

    name: str
    place: Place
    version: str = ""
    settings: str = ""
    """What is on, in one sentence."""
    root: int | None = None
    """The process that started the others; None: not a gateway."""
    started_seconds: float = 0.0
    """From its start to the first answer."""
    worker_words: tuple[str, ...] = field(default=())
    """Words on the command line that tell workers from the other processes; empty: all are workers."""

    def processes(self) -> dict[int, str]:
        """Its processes, by id, with their command lines."""
        return {} if self.root is None else {pid: _command(pid) for pid in _tree(self.root)}

    def workers(self) -> list[int]:
        """Those that answer requests."""
        found = self.processes()
        return [pid for pid, line in found.items() if all(word in line for word in self.worker_words)]

    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far, of those that ended too where their parent lives."""
        return sum(_cpu(pid) for pid in self.processes())

    def worker_cpu_seconds(self) -> float:
        """Processor time of its workers so far."""
        return sum(_cpu(pid) for pid in self.workers())

    def memory_mb(self) -> dict[str, float]:
        """Resident memory: of its largest worker, and of all processes together (shared pages counted once each)."""
        workers = self.workers()
        largest = max((_memory(pid, "Rss") for pid in workers), default=0.0)
        return {"worker_rss": largest, "all_pss": sum(_memory(pid, "Pss") for pid in self.processes())}


def _tree(root: int) -> list[int]:
    found, following = [], [root]
    while following:
        pid = following.pop()
        found.append(pid)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                following += [int(child) for child in (task / "children").read_text().split()]
    return found


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


def _cpu(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK
    return 0.0


def _memory(pid: int, what: str) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) / 1024
    return 0.0


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait(target: Target, process: subprocess.Popen[str], log: Path, patience: float) -> None:
    """Until it answers a chat request. RuntimeError with the end of its log where it does not."""
    began = time.monotonic()
    request = target.place.request(stream=False, user="first")
    body = request.partition(b"\r\n\r\n")[2]
    headers = {"authorization": f"Bearer {target.place.key}", "content-type": "application/json"}
    address = f"http://127.0.0.1:{target.place.port}/v1/chat/completions"
    while time.monotonic() - began < patience and process.poll() is None:
        try:
            with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=10) as reply:
                reply.read()
            target.started_seconds = round(time.monotonic() - began, 2)
            return
        except (OSError, urllib.error.URLError):
            time.sleep(0.05)
    raise RuntimeError(f"{target.name} does not answer:\n{log.read_text(errors='replace')[-2000:]}")


@contextlib.contextmanager
def _running(target: Target, words: list[str], folder: Path, env: dict[str, str], patience: float) -> Iterator[Target]:
    """A process that is ended with all its children."""
    log = folder / f"{target.name}.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            words, stdout=said, stderr=said, stdin=subprocess.DEVNULL, text=True, env=os.environ | env, cwd=folder,
            start_new_session=True,
        )  # fmt: skip
        target.root = process.pid
        try:
            _wait(target, process, log, patience)
            yield target
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextlib.contextmanager
def upstream(frames: int, every: float) -> Iterator[Target]:
    """The server behind all gateways, which is asked directly too."""
    script = Path(__file__).with_name("gateway_upstream.py")
    words = [sys.executable, str(script), "--frames", str(frames), "--every", str(every)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Target("direct", Place(int(process.stdout.readline()), "base", KEY), settings="no gateway")
        finally:
            process.stdin.close()
            process.terminate()


_NGINX = """\
daemon off; worker_processes 1; worker_rlimit_nofile 65536; pid {folder}/nginx.pid; error_log stderr crit;
events {{ worker_connections 16384; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder}; keepalive_requests 10000000; tcp_nodelay on;
  upstream models {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://models; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


@contextlib.contextmanager
def nginx(upstream_port: int, folder: Path) -> Iterator[Target]:
    """A bare pass-through: no key is read, nothing is routed or watched."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if program is None:
        raise FileNotFoundError("nginx is not installed (Debian: apt-get install nginx-light)")
    port = free_port()
    file = folder / "nginx.conf"
    file.write_text(_NGINX.format(folder=folder, upstream=upstream_port, port=port))
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr
    target = Target(
        "nginx", Place(port, "base", KEY), said.strip().rpartition("/")[2], "proxy_pass, kept-open connections",
        worker_words=("worker process",),
    )  # fmt: skip
    words = [program, "-e", "stderr", "-p", str(folder), "-c", str(file)]
    with _running(target, words, folder, {}, 10) as running:
        yield running


_LITELLM = """\
model_list:
  - model_name: {alias}
    litellm_params: {{model: openai/base, api_base: "http://127.0.0.1:{upstream}/v1", api_key: none, weight: 95}}
  - model_name: {alias}
    litellm_params: {{model: openai/tuned, api_base: "http://127.0.0.1:{upstream}/v1", api_key: none, weight: 5}}
router_settings: {{routing_strategy: simple-shuffle, num_retries: 0}}
litellm_settings: {{set_verbose: false, json_logs: false, turn_off_message_logging: true, request_timeout: 600}}
general_settings: {{master_key: {key}, disable_spend_logs: true}}
"""


@contextlib.contextmanager
def litellm(upstream_port: int, folder: Path, environment: Path) -> Iterator[Target]:
    """LiteLLM's proxy with a key and two weighted deployments; no database, no logging, no callbacks."""
    python = environment / "bin" / "python"
    ask = "import importlib.metadata as m; print(m.version('litellm'))"
    version = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True).stdout.strip()
    port = free_port()
    file = folder / "litellm.yaml"
    file.write_text(_LITELLM.format(alias=ALIAS, upstream=upstream_port, key=KEY))
    target = Target(
        "litellm", Place(port, ALIAS, KEY), version, "key, two weighted deployments; no database or logging",
    )  # fmt: skip
    env = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
        "LITELLM_TELEMETRY": "False",
    }
    words = [str(environment / "bin" / "litellm"), "--config", str(file), "--host", "127.0.0.1", "--port", str(port)]
    with _running(target, [*words, "--num_workers", "1", "--telemetry", "False"], folder, env, 120) as running:
        yield running


def litellm_environment(folder: Path) -> Path:
    """A virtual environment with LiteLLM's proxy, made where there is none."""
    if not (folder / "bin" / "litellm").exists():
        print(f"Installing litellm[proxy] into {folder} (once, about a minute) ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin" / "python", "-m", "pip", "-q", "install", "litellm[proxy]"], check=True)
    return folder


_OFFTARGET = """\
host: 127.0.0.1
port: {port}
admin: {{host: 127.0.0.1, port: {admin}}}
keys:
  - {{name: benchmark, sha256: {key}}}
state: {{url: "sqlite:{folder}/gateway.sqlite"}}
models:
  {alias}:
    base: {{url: "http://127.0.0.1:{upstream}/v1", model: base}}
    tuned: {{url: "http://127.0.0.1:{upstream}/v1", model: tuned}}
    canary: {{share: 5%, judge: "{judge}", probe_seconds: 0}}
"""


@contextlib.contextmanager
def offtarget(upstream_port: int, folder: Path) -> Iterator[Target]:
    """Our gateway: a key, 5 % of conversations to the tuned model, metrics, and a monitor that judges them."""
    port, admin = free_port(), free_port()
    file = folder / "gateway.yaml"
    key = hashlib.sha256(KEY.encode()).hexdigest()
    file.write_text(
        _OFFTARGET.format(
            port=port,
            admin=admin,
            key=key,
            folder=folder,
            alias=ALIAS,
            upstream=upstream_port,
            judge="openai-api/benchmark/judge",
        )
    )
    settings = "key, 5 % of conversations to the tuned model, metrics, monitor with a judge"
    target = Target("offtarget", Place(port, ALIAS, KEY), metadata.version("offtarget"), settings)
    target.worker_words = ("serve.gateway.worker",)
    words = [sys.executable, "-m", "offtarget", "serve", "--config", str(file)]
    env = {"BENCHMARK_BASE_URL": f"http://127.0.0.1:{upstream_port}/v1", "BENCHMARK_API_KEY": "none"}
    with _running(target, words, folder, env, 60) as running:
        yield running
