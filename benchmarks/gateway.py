"""The gateway beside LiteLLM's proxy, nginx and no gateway at all: the same upstream, the same requests, one run.

    python benchmarks/gateway.py                                   # all of it, about six minutes
    python benchmarks/gateway.py --litellm-venv FOLDER             # where LiteLLM is or is to be installed
    python benchmarks/gateway.py --only nginx,offtarget --quick    # a look, half a minute
    python benchmarks/gateway.py --soak 30                         # memory under load for so many minutes, ours alone
    python benchmarks/gateway.py --table                           # the page again, from the figures of the last run

Every gateway has one worker, reads a key and routes between two models (nginx: neither). Ours has its monitor and
metrics on and a judge that is asked. Everything runs on the same cores, so throughput on the clock says less than
requests per second of the gateway's own processor time, which is what "per core" means here.
Figures go to benchmarks/results/gateway.json, the page to docs/results/gateway.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import gateway_peers
from gateway_load import LoadError, Probe, closed_loop, quantile, streams
from gateway_peers import Target
from gateway_table import page

HERE = Path(__file__).resolve().parent
RESULT = HERE / "results" / "gateway.json"
PAGE = HERE.parent / "docs" / "results" / "gateway.md"
SLOW = {"litellm": 0.1}
"""Share of the usual number of single requests for a gateway that is so much slower."""
FEW = {"litellm": 0.02}
"""The same for streams: with a tenth of them most were cut off, and that is not what is compared."""


def machine() -> dict[str, Any]:
    """The machine without names: processor, cores, memory, versions."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    return {
        "processor": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(memory.split()[1]) / 2**20, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in ("uvicorn", "uvloop", "httptools")},
        "load_before": [round(value, 2) for value in os.getloadavg()],
        "generator": _wrk_version() or "own closed loop (wrk is not installed)",
    }


def _wrk_version() -> str:
    with contextlib.suppress(OSError):
        said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
        return " ".join(said.split()[:2])
    return ""


def latency(targets: list[Target], rounds: int, requests: int) -> dict[str, Any]:
    """One request at a time; in every round all are asked in turns of 25, so that a busy moment meets all of them.

    What a gateway adds is the difference to the direct answers of the same round; medians over rounds.
    """
    probes = {target.name: Probe(target.place) for target in targets}
    kept: dict[str, list[list[float]]] = {target.name: [] for target in targets}
    try:
        for probe in probes.values():
            for _ in range(30):
                probe.seconds()
        for number in range(rounds):
            times: dict[str, list[float]] = {name: [] for name in probes}
            while True:
                waiting = [
                    target.name for target in targets if len(times[target.name]) < requests * SLOW.get(target.name, 1)
                ]
                if not waiting:
                    break
                turn = number % len(waiting)
                for name in waiting[turn:] + waiting[:turn]:
                    times[name] += [probes[name].seconds() * 1e3 for _ in range(25)]
            for name, values in times.items():
                kept[name].append(values)
    finally:
        for probe in probes.values():
            probe.close()
    found: dict[str, Any] = {}
    for name, rows in kept.items():
        said: dict[str, Any] = {"requests": sum(map(len, rows))}
        for label, share in (("p50", 0.5), ("p99", 0.99)):
            each = [quantile(values, share) for values in rows]
            said[f"{label}_ms"] = round(median(each), 4)
            if name != "direct":
                pairs = zip(each, (quantile(values, share) for values in kept["direct"]), strict=True)
                added = [own - direct for own, direct in pairs]
                said[f"added_{label}_ms"] = round(median(added), 4)
                said[f"added_{label}_ms_of_rounds"] = [round(value, 4) for value in added]
        found[name] = said
    return found


def throughput(targets: list[Target], connections: list[int], rounds: int, seconds: float) -> dict[str, Any]:
    """A closed loop at each number of connections, gateways in turn within a round."""
    found: dict[str, Any] = {target.name: {} for target in targets}
    for count in connections:
        rows: dict[str, list[dict[str, float]]] = {target.name: [] for target in targets}
        for target in targets:
            closed_loop(target.place, count, 1)
        for _ in range(rounds):
            for target in targets:
                cpu, workers, began = target.cpu_seconds(), target.worker_cpu_seconds(), time.perf_counter()
                done = closed_loop(target.place, count, seconds)
                took = time.perf_counter() - began
                cpu, workers = target.cpu_seconds() - cpu, target.worker_cpu_seconds() - workers
                asked = max(1, done.requests)
                rows[target.name].append(
                    {
                        "per_second": done.requests / done.seconds,
                        "cpu_us": cpu / asked * 1e6,
                        "worker_cpu_us": workers / asked * 1e6,
                        "worker_busy": workers / took,
                        "p50_ms": done.p50_ms,
                        "p99_ms": done.p99_ms,
                        "failed": done.failed,
                        "requests": done.requests,
                    }
                )
        for name, each in rows.items():
            said = {key: round(median(row[key] for row in each), 2) for key in each[0]}
            said |= {key: int(sum(row[key] for row in each)) for key in ("failed", "requests")}
            found[name][str(count)] = said
            each_us = f"{said['cpu_us']:7.0f} us each"
            print(f"  {name:10} {count:4} connections: {said['per_second']:8.0f} a second, {each_us}", flush=True)
    return found


def streaming(targets: list[Target], count: int, frames: int, every: float, rounds: int) -> dict[str, Any]:
    """Streams side by side, all of them open at the same time; every event is counted."""
    found: dict[str, Any] = {}
    rate = count / (frames * every) * 2  # all are open in the second half
    rows: dict[str, list[dict[str, float]]] = {target.name: [] for target in targets}
    for _ in range(rounds):
        for target in targets:
            asked = max(10, int(count * FEW.get(target.name, 1)))
            cpu, workers = target.cpu_seconds(), target.worker_cpu_seconds()
            came = streams(target.place, asked, frames, rate, frames * every * 3 + 10)
            cpu, workers = target.cpu_seconds() - cpu, target.worker_cpu_seconds() - workers
            rows[target.name].append(
                {
                    "streams": asked,
                    "whole": came.whole,
                    "without_a_frame": came.refused,
                    "frames_lost": asked * frames - came.frames,
                    "most_at_once": came.most_at_once,
                    "cpu_us_per_frame": cpu / max(1, came.frames) * 1e6,
                    "worker_cpu_us_per_frame": workers / max(1, came.frames) * 1e6,
                    "first_p50_ms": quantile(came.first, 0.5) * 1e3,
                    "first_p99_ms": quantile(came.first, 0.99) * 1e3,
                    "seconds": came.seconds,
                }
            )
    for name, each in rows.items():
        said: dict[str, Any] = {key: round(median(row[key] for row in each), 3) for key in each[0]}
        sums = ("streams", "whole", "without_a_frame", "frames_lost")
        said |= {key: int(sum(row[key] for row in each)) for key in sums}
        said |= {"most_at_once": int(min(row["most_at_once"] for row in each)), "frames_each": frames, "rounds": rounds}
        if name != "direct":
            for label in ("first_p50_ms", "first_p99_ms"):
                added = [own[label] - direct[label] for own, direct in zip(each, rows["direct"], strict=True)]
                said[f"added_{label}"] = round(median(added), 3)
        found[name] = said
        print(f"  {name:10} {said['whole']} of {said['streams']} streams whole, {said['frames_lost']} frames lost")
    return found


def soak(target: Target, minutes: float) -> dict[str, Any]:
    """Requests and streams for a while; memory every ten seconds, and its growth over the second half."""
    print(f"Soak: {target.name}, {minutes:g} minutes ...", flush=True)
    until, began, points, requests, failed = time.monotonic() + minutes * 60, time.monotonic(), [], 0, 0
    while time.monotonic() < until:
        done = closed_loop(target.place, 32, min(8.0, max(1.0, until - time.monotonic())))
        came = streams(target.place, 20, 60, 1000, 30)
        requests, failed = requests + done.requests + 20, failed + done.failed + 20 - came.whole
        points.append([round(time.monotonic() - began, 1), *(round(v, 2) for v in target.memory_mb().values())])
    half = points[len(points) // 2 :]
    slopes = {}
    for column, name in ((1, "worker_rss"), (2, "all_pss")):
        hours = [(b[0] - a[0]) / 3600 for a, b in _pairs(half)]
        rises = [(b[column] - a[column]) / hour for (a, b), hour in zip(_pairs(half), hours, strict=True)]
        slopes[f"{name}_mb_an_hour"] = round(median(rises), 2) if rises else None
    return {"minutes": minutes, "requests": requests, "failed": failed, **slopes, "points": points}


def _pairs(points: list[Any]) -> list[tuple[Any, Any]]:
    """Points half of the list apart: the median of their slopes is steady against single jumps (Theil and Sen)."""
    apart = max(1, len(points) // 2)
    return list(zip(points, points[apart:], strict=False))


def measured(chosen: argparse.Namespace) -> dict[str, Any]:
    """The whole run."""
    quick, frames, every = chosen.quick, chosen.frames, 0.1
    result: dict[str, Any] = {"machine": machine(), "when": time.strftime("%Y-%m-%d"), "gateways": {}, "absent": {}}
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="offtarget-gateway-")))
        direct = stack.enter_context(gateway_peers.upstream(frames, every))
        targets = [direct]
        for name in chosen.only:
            try:
                if name == "litellm":
                    made = gateway_peers.litellm_environment(chosen.litellm_venv)
                    targets.append(stack.enter_context(gateway_peers.litellm(direct.place.port, folder, made)))
                else:
                    targets.append(stack.enter_context(getattr(gateway_peers, name)(direct.place.port, folder)))
            except (FileNotFoundError, RuntimeError, subprocess.CalledProcessError) as problem:
                print(f"{name} is left out: {problem}", file=sys.stderr)
                result["absent"][name] = str(problem).splitlines()[0].rstrip(":.")
        for target in targets:
            said = {"version": target.version, "settings": target.settings, "started_seconds": target.started_seconds}
            result["gateways"][target.name] = said | {"memory_before_mb": _rounded(target.memory_mb())}
        if chosen.soak:
            for target in targets:
                if target.name == "offtarget":
                    result["soak"] = soak(target, chosen.soak)
            return result
        print("Latency, one request at a time ...", flush=True)
        result["latency"] = latency(targets, 3 if quick else 12, 100 if quick else 500)
        print("Throughput ...", flush=True)
        connections = [32] if quick else [8, 32, 128]
        result["throughput"] = throughput(targets, connections, 1 if quick else 3, 2 if quick else 4)
        print("Streams ...", flush=True)
        result["streams"] = streaming(targets, chosen.streams, frames, every, 1 if quick else 2)
        for target in targets:
            result["gateways"][target.name]["memory_after_mb"] = _rounded(target.memory_mb())
    result["seconds"] = round(time.monotonic() - began, 1)
    return result


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in values.items()}


def main() -> int:
    """Measure, keep, and print the page."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    names = ["nginx", "litellm", "offtarget"]
    parser.add_argument("--only", type=lambda text: text.split(","), default=names, help="which gateways, with commas")
    parser.add_argument("--litellm-venv", type=Path, default=HERE.parent / ".venv-litellm", help="made where absent")
    parser.add_argument("--streams", type=int, default=2000, help="side by side")
    parser.add_argument("--frames", type=int, default=60, help="events of each stream, ten a second")
    parser.add_argument("--quick", action="store_true", help="few requests; only whether it works")
    parser.add_argument("--soak", type=float, default=0.0, help="minutes; nothing else is measured")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--table", action="store_true", help="write the page from --out again")
    chosen = parser.parse_args()
    if unknown := set(chosen.only) - set(names):
        parser.error(f"--only knows {', '.join(names)}, not {', '.join(sorted(unknown))}")
    if not chosen.table:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        try:
            result = measured(chosen)
        except (LoadError, ConnectionError) as problem:
            print(f"error: a gateway answered otherwise than expected: {problem}", file=sys.stderr)
            return 2
        before = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
        kept = before | {"soak": result["soak"]} if chosen.soak and "soak" in result else result
        if not chosen.soak and "soak" in before:
            kept["soak"] = before["soak"]
        chosen.out.write_text(json.dumps(kept, indent=1) + "\n")
    written = page(json.loads(chosen.out.read_text()))
    chosen.page.write_text(written)
    print(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
