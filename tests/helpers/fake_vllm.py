"""A program in the place of `vllm serve`, quick to start: hands requests on to a server of the test's own process.

python fake_vllm.py serve FOLDER --port P ... [--fault start|ignored]
"""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WORDS = sys.argv[3:]
FAULT = WORDS[WORDS.index("--fault") + 1] if "--fault" in WORDS else ""


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200, {"version": "fake"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("Authorization") != f"Bearer {os.environ['VLLM_API_KEY']}":
            self._send(401, {"error": {"message": "wrong key"}})
            return
        body["model"] = "base" if body["model"] == "base" or FAULT == "ignored" else "tuned"
        request = urllib.request.Request(
            os.environ["FAKE_VLLM_BACKEND"] + "/chat/completions", json.dumps(body).encode()
        )
        with urllib.request.urlopen(request) as reply:
            self._send(200, json.loads(reply.read()))

    def _send(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


if __name__ == "__main__":
    if FAULT == "start":
        sys.exit("(EngineCore pid=1) INFO starting\nValueError: No available memory for the cache blocks.")
    seen = {"words": WORDS, "pid": os.getpid(), "folder": sys.argv[2]}
    Path(os.environ["FAKE_VLLM_SEEN"]).write_text(json.dumps(seen))
    port = int(WORDS[WORDS.index("--port") + 1])
    ThreadingHTTPServer(("127.0.0.1", port), _Handler).serve_forever(0.05)
