"""The page of gateway.py: figures and what they are held against."""

from __future__ import annotations

from typing import Any

NAMES = {"direct": "no gateway", "nginx": "nginx", "litellm": "LiteLLM proxy", "offtarget": "offtarget"}


def page(result: dict[str, Any]) -> str:
    """Markdown of a result of gateway.py."""
    parts = [_head(result)]
    for section in (_targets, _throughput, _latency, _streams, _memory, _soak):
        parts += section(result)
    return "\n\n".join(parts) + "\n"


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _table(head: list[str], rows: list[list[object]]) -> str:
    return "\n".join([_row(*head), "|" + "---|" * len(head), *(_row(*row) for row in rows)])


def _name(result: dict[str, Any], name: str) -> str:
    version = result["gateways"].get(name, {}).get("version", "")
    return f"{NAMES[name]} {version}".strip()


def _head(result: dict[str, Any]) -> str:
    host = result["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in host["packages"].items())
    absent = "".join(f" {NAMES[name]} was not measured: {why}." for name, why in result.get("absent", {}).items())
    return f"""\
# Gateway: what it costs

What it is: [serve.md](../serve.md).

Written by `python benchmarks/gateway.py`; figures in `benchmarks/results/gateway.json`. {result["when"]},
{host["cores"]} cores of {host["processor"]}, {host["memory_gb"]} GB, {host["system"]}, Python {host["python"]},
{packages}; load generator: {host["generator"]}. Load of the machine before the run: {host["load_before"][0]}.
Gateway, upstream and load generator share the cores.{absent}

{_table(["gateway", "what is on"], [[_name(result, n), g["settings"]] for n, g in result["gateways"].items()])}

One worker each. The request has 0.5 KB; the upstream answers with the same 0.7 KB, or a stream of events."""


def _ours(result: dict[str, Any], section: str) -> dict[str, Any] | None:
    found = result.get(section, {}).get("offtarget")
    return found if isinstance(found, dict) else None


def best(result: dict[str, Any], name: str) -> tuple[float, float]:
    """Most requests a second on the clock, and requests per second of processor time at that load, of any loop."""
    loops = result["throughput"][name].values()
    return max(one["per_second"] for one in loops), max(1e6 / one["cpu_us"] for one in loops if one["cpu_us"])


def _targets(result: dict[str, Any]) -> list[str]:
    if _ours(result, "throughput") is None:
        return []
    rows: list[list[object]] = []
    clock, core = best(result, "offtarget")
    if "litellm" in result["throughput"]:
        ratio = core / best(result, "litellm")[1]
        rows.append(["requests per core, times LiteLLM's", ">= 50", f"{ratio:.0f}", _met(ratio >= 50)])
    rows.append(["requests per second of processor time", ">= 5,000", f"{core:,.0f}", _met(core >= 5000)])
    rows.append(["requests a second on the clock", "-", f"{clock:,.0f}", ""])
    if own := _ours(result, "latency"):
        for label, most in (("p50", 0.35), ("p99", 1.0)):
            added = own[f"added_{label}_ms"]
            name = f"added latency, {label}, one at a time"
            rows.append([name, f"<= {most} ms", f"{added:.2f} ms", _met(added <= most)])
    if own := _ours(result, "streams"):
        met = own["whole"] == own["streams"] and own["most_at_once"] >= 2000
        seen = f"{own['most_at_once']:,}; {own['frames_lost']:,} frames lost"
        rows.append(["streams at the same time, no frame lost", ">= 2,000", seen, _met(met)])
        added = own["added_first_p99_ms"]
        rows.append(["added time to the first frame, p99", "<= 1 ms", f"{added:.2f} ms", _met(added <= 1)])
    memory = result["gateways"]["offtarget"]
    largest = max(memory["memory_before_mb"]["worker_rss"], memory.get("memory_after_mb", {}).get("worker_rss", 0))
    rows.append(["memory of a worker", "<= 120 MB", f"{largest:.0f} MB", _met(largest <= 120)])
    return ["## Against what was aimed at\n\n" + _table(["", "aim", "measured", "met"], rows)]


def _met(yes: bool) -> str:
    return "yes" if yes else "**no**"


def _throughput(result: dict[str, Any]) -> list[str]:
    if "throughput" not in result:
        return []
    rows: list[list[object]] = []
    for name, loops in result["throughput"].items():
        for count, one in loops.items():
            cost = ["-", "-", "-"]
            if one["cpu_us"]:
                cost = [f"{value:,.0f}" for value in (one["cpu_us"], one["worker_cpu_us"], 1e6 / one["cpu_us"])]
            times = [f"{one['p50_ms']:.2f}", f"{one['p99_ms']:.2f}"]
            rows.append([_name(result, name), count, f"{one['per_second']:,.0f}", *cost, *times, one["failed"]])
    head = ["gateway", "connections", "requests a second", "processor us each", "of them the worker's"]
    about = """## Throughput

Every connection asks again as soon as it has its answer. Processor time is that of all processes of the gateway, its
monitor included; requests per core are requests per second of that time. Medians of the rounds."""
    return [about, _table([*head, "requests per core", "p50 ms", "p99 ms", "failed"], rows)]


def _latency(result: dict[str, Any]) -> list[str]:
    if "latency" not in result:
        return []
    rows: list[list[object]] = []
    for name, one in result["latency"].items():
        added = [f"{one[key]:+.3f}" if key in one else "-" for key in ("added_p50_ms", "added_p99_ms")]
        rows.append([_name(result, name), one["requests"], f"{one['p50_ms']:.3f}", f"{one['p99_ms']:.3f}", *added])
    about = """## Latency, one request at a time

All in turn within every round; added: the difference to the direct answers of the round. Medians of rounds."""
    return [about, _table(["gateway", "requests", "p50 ms", "p99 ms", "added p50 ms", "added p99 ms"], rows)]


def _streams(result: dict[str, Any]) -> list[str]:
    if "streams" not in result:
        return []
    rows: list[list[object]] = []
    for name, one in result["streams"].items():
        added = [f"{one[key]:+.2f}" if key in one else "-" for key in ("added_first_p50_ms", "added_first_p99_ms")]
        cost = f"{one['cpu_us_per_frame']:.0f}" if one["cpu_us_per_frame"] else "-"
        came = [f"{one['whole']:,} of {one['streams']:,}", f"{one['frames_lost']:,}", cost]
        first = [f"{one['first_p50_ms']:.2f}", f"{one['first_p99_ms']:.2f}"]
        rows.append([_name(result, name), f"{one['most_at_once']:,}", *came, *first, *added])
    some = next(iter(result["streams"].values()))
    about = f"""## Streams side by side

{some["frames_each"]} frames each, ten a second, {some["rounds"]} rounds. Whole: all frames in order, and the end.
LiteLLM gets one in fifty of the streams: with more most were cut off."""
    head = ["gateway", "open at the same time", "whole", "frames lost", "processor us a frame", "first frame p50 ms"]
    return [about, _table([*head, "p99 ms", "added p50", "added p99"], rows)]


def _memory(result: dict[str, Any]) -> list[str]:
    rows: list[list[object]] = []
    for name, one in result["gateways"].items():
        if name != "direct":
            before = one["memory_before_mb"]
            after = one.get("memory_after_mb", dict.fromkeys(before, float("nan")))
            cells = [before["worker_rss"], after["worker_rss"], before["all_pss"], after["all_pss"]]
            rows.append([_name(result, name), *(f"{value:.0f}" for value in cells), f"{one['started_seconds']:.1f}"])
    about = "## Memory, MB\n\nWorker: resident. All: every process of the gateway, shared pages counted once."
    head = ["gateway", "worker before", "worker after", "all before", "all after", "start to first answer, s"]
    return [about, _table(head, rows)]


def _soak(result: dict[str, Any]) -> list[str]:
    if "soak" not in result:
        return []
    one = result["soak"]
    first, last = one["points"][0], one["points"][-1]
    return [
        f"""## Memory over {one["minutes"]:g} minutes of load

{one["requests"]:,} requests, {one["failed"]} failed. Worker {first[1]:.1f} MB at first, {last[1]:.1f} MB in the end;
all processes {first[2]:.1f} and {last[2]:.1f} MB. Growth over the second half, in MB an hour: worker
{one["worker_rss_mb_an_hour"]}, all processes {one["all_pss_mb_an_hour"]}."""
    ]
