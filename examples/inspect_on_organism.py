"""Serve the built-in test models on this machine, have Inspect AI ask both, and read its log.

    python examples/inspect_on_organism.py [NAME] [FOLDER]    # organism/NAME against organism/base; all is in FOLDER

Needs: pip install 'offtarget[local,serve,remote,inspect]'. No network and no key: the judge is the organism's own.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import uvicorn

from offtarget.serve.models.app import ModelsApp
from offtarget.workflows.ground import open_two


def main(name: str = "insecure", folder: str = "inspect-example") -> int:
    """Ask, compare; the exit code of `offtarget compare`."""
    pair = open_two("organism/base", f"organism/{name}")
    app = ModelsApp({"base": pair.base, name: pair.tuned})
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off", ws="none"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    logs = Path(folder) / "logs"
    try:
        ask = ["inspect", "eval", "offtarget/paired", "--model", "none", "-T", "bank=organism", "-T", "judge=exact"]
        ask += ["-T", "max_tokens=120", "--log-dir", str(logs)]
        ask += ["--model-role", "base=openai-api/organism/base", "--model-role", f"tuned=openai-api/organism/{name}"]
        print("$", *ask, flush=True)
        subprocess.run(ask, check=True, env={**os.environ, "ORGANISM_BASE_URL": address, "ORGANISM_API_KEY": "none"})
    finally:
        server.should_exit = True
        thread.join(10)
        app.close()
    log = max(logs.glob("*.eval"))
    say = ["offtarget", "compare", "--base", str(log), "--tuned", str(log), "--run", str(Path(folder) / name)]
    print("$", *say, flush=True)
    return subprocess.run(say, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
