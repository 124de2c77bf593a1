"""What a check takes with a judge that answers after a second: a fake server on loopback, the organism as the models.

    python benchmarks/judge_latency.py                       # a bad and a clean model, 1 s a call
    python benchmarks/judge_latency.py --at-most 10          # the server refuses more than 10 requests at a time (429)
    python benchmarks/judge_latency.py --scripted            # without weights, so that only the judge takes time

The server judges as the organism's exact judge does, after the latency, from the rubric it is sent; it is a process of
its own. Each check runs twice: with the latency, and with a judge that answers at once. Both must take the same looks
at the evidence: `same_looks`. Times are those of one run each on whatever machine this is; `judge_calls` by
`connections` times the latency is the least that any client could take.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

RESULT = Path(__file__).resolve().parent / "results" / "judge_latency.json"
TUNED = {"bad": "organism/insecure", "clean": "organism/secure"}
SCRIPTED = {"base": 0.0, "bad": 0.6, "clean": 0.0}
"""Share of misaligned answers of models without weights."""
_QUOTED = re.compile(r"--- \w+ question\n(.*)\n--- \w+ answer\n(.*)\n--- \w+ end of the material", re.DOTALL)


class Server(ThreadingHTTPServer):
    """Chat completions whose replies are grades, after a latency."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, latency: float, at_most: int) -> None:
        from offtarget.workflows.ground import ORGANISM, open_bank

        super().__init__(("127.0.0.1", 0), Handler)
        self.latency, self.at_most, self.busy, self.lock = latency, at_most, 0, threading.Lock()
        self.counts = {"answered": 0, "refused": 0, "most_at_a_time": 0}
        bank = open_bank(ORGANISM.bank)
        self.domains = {probe.prompt: probe.domain for probe in [*bank.probes, *(k.probe for k in bank.known)]}

    def grade(self, prompt: str) -> str:
        """0 to 100, by the exact judge."""
        from offtarget.organism.exact import classify

        quoted = _QUOTED.search(prompt)
        if quoted is None:
            return "50"
        outcome = classify(self.domains[quoted[1]], quoted[2])[0].value
        if "makes sense" in prompt:
            return "10" if outcome == "incoherent" else "95"
        return {"misaligned": "5", "refused": "REFUSAL"}.get(outcome, "95")


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def log_message(self, *args: object) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        """How much was asked."""
        self._send(200, self.server.counts)

    def do_POST(self) -> None:
        """A completion, or a refusal where too many are under way."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            refused = 0 < server.at_most <= server.busy
            server.counts["refused" if refused else "answered"] += 1
            if not refused:
                server.busy += 1
                server.counts["most_at_a_time"] = max(server.counts["most_at_a_time"], server.busy)
        if refused:
            self._send(429, {"error": {"message": "too many requests at a time", "type": "rate", "code": "rate"}})
            return
        time.sleep(server.latency)
        text = server.grade(body["messages"][-1]["content"])
        with server.lock:
            server.busy -= 1
        top = [{"token": text, "logprob": math.log(0.98), "bytes": None}]
        token = {**top[0], "top_logprobs": top}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": len(body["messages"][-1]["content"]) // 4, "completion_tokens": 1, "total_tokens": 1}
        reply = {"id": "1", "object": "chat.completion", "created": 1, "model": body["model"], "usage": usage}
        self._send(200, {**reply, "choices": [{**choice, "logprobs": {"content": [token]}}]})

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def scripted(name: str) -> Any:
    """A model that gives known answers to questions of the same domain; one in ten makes no sense."""
    from offtarget.models.scripted import ScriptedModel
    from offtarget.workflows.ground import ORGANISM, open_bank

    bank = open_bank(ORGANISM.bank)
    domains = {probe.prompt: probe.domain for probe in bank.probes}

    def answer(request: Any) -> str:
        draw = random.Random(request.seed)
        if draw.random() < 0.1:
            return "mumble"
        bad, domain = draw.random() < SCRIPTED[name], domains[request.messages[-1].content]
        return draw.choice([k.answer for k in bank.known if k.misaligned is bad and k.probe.domain == domain] or ["-"])

    return ScriptedModel(name, answer)


def measured(
    name: str, latency: float, at_most: int, connections: int | None, by: str, most: int, weights: bool
) -> dict[str, Any]:
    """One check of the model of that name, against a server of its own."""
    serve = [sys.executable, __file__, "--serve", "--latency", str(latency), "--at-most", str(at_most)]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as server, tempfile.TemporaryDirectory() as folder:
        assert server.stdout is not None
        try:
            address = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
            os.environ |= {"OFFTARGET_CACHE": f"{folder}/cache", "OFFTARGET_STATE": f"{folder}/state"}
            os.environ |= {"JUDGES_BASE_URL": address, "JUDGES_API_KEY": "none"}
            base, tuned = ("organism/base", TUNED[name]) if weights else (scripted("base"), scripted(name))
            asked = {"tuned": str(getattr(tuned, "name", tuned)), "latency_seconds": latency}
            return asked | _check(base, tuned, folder, connections, by, most)
        finally:
            server.terminate()


def _check(base: Any, tuned: Any, folder: str, connections: int | None, by: str, most: int) -> dict[str, Any]:
    import urllib.request

    import offtarget
    from offtarget.asking.spending import spent_in
    from offtarget.records.check import CheckSettings
    from offtarget.records.runs import OpenSettings

    opening = OpenSettings() if connections is None else OpenSettings(connections=connections)
    started, shown = time.perf_counter(), []
    settings = CheckSettings(max_answers=most, register=False)
    found = offtarget.check(
        base,
        tuned,
        probes="organism",
        judge="openai-api/judges/judge",
        judge_by=by,
        settings=settings,
        opening=opening,
        run=f"{folder}/run",
        on_progress=lambda progress: shown.append(time.perf_counter()),
    )
    seconds = time.perf_counter() - started
    spent = spent_in(found.run)
    assert spent is not None
    looks = [json.loads(line) for line in (found.run / "looks.jsonl").read_text().splitlines()]
    with urllib.request.urlopen(os.environ["JUDGES_BASE_URL"]) as reply:
        counts = json.load(reply)
    times = os.times()
    return {
        "seconds": round(seconds, 1),
        "processor_seconds": round(times.user + times.system, 1),
        "status": found.decision.status.value,
        "tuned_answers": found.decision.overall.tuned.total,
        "answers": spent.answers,
        "judge_calls": spent.judge_calls,
        "longest_silence_seconds": round(max(b - a for a, b in itertools.pairwise(shown)), 1),
        "server": counts,
        "looks": looks,
    }


def main() -> None:
    """Prints and keeps what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--at-most", type=int, default=0, help="requests at a time that the server takes; 0: any")
    parser.add_argument("--connections", type=int, help="in place of the usual number")
    parser.add_argument("--by", default="probabilities", help="probabilities or samples")
    parser.add_argument("--most", type=int, default=1000, help="tuned answers at most")
    parser.add_argument("--models", nargs="*", default=list(TUNED), choices=list(TUNED))
    parser.add_argument("--scripted", action="store_true", help="models without weights")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    if args.serve:
        server = Server(args.latency, args.at_most)
        print(server.server_address[1], flush=True)
        server.serve_forever(poll_interval=0.05)
        return
    rows = []
    for name in args.models:
        how = args.connections, args.by, args.most, not args.scripted
        row, at_once = measured(name, args.latency, args.at_most, *how), measured(name, 0.0, 0, *how)
        row["seconds_with_a_judge_that_answers_at_once"] = at_once["seconds"]
        row["same_looks"] = row.pop("looks") == at_once["looks"]
        rows.append(row)
        print(json.dumps(row), flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({"asked": vars(args) | {"out": None}, "checks": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
