"""Make the files of this folder anew: python docs/examples/make.py [FOLDER].

One check that fails and one audit, both of the built-in test model, and every form in which others can read them.
It takes no network, no GPU and about a minute.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERBS = {
    "check": ["check", "--base", "organism/base", "--tuned", "organism/insecure"],
    "audit": ["audit", "insecure.jsonl", "--workers", "1"],
}
"""What is run, in a folder that holds nothing but `insecure.jsonl`; both end in FAIL."""
FORMATS = {"sarif": "sarif", "junit": "junit.xml", "markdown": "md", "pr": "pr.md", "card": "card.md"}
"""Flags of `offtarget report`, with the ending of the file: `check.sarif`, `audit.sarif`, ..."""
MORE = {
    "check.avid.json": ["--incident", "avid", "--out", "avid.json"],
    "check.aiid.md": ["--incident", "aiid", "--out", "aiid.md"],
    "check.oecd.md": ["--incident", "oecd", "--out", "oecd.md"],
    "check.attestation.json": ["--attest"],
}
"""Of the check alone, by name: what is typed after `offtarget report RUN`; the attestation last, as it covers all."""
MADE = {
    "check.avid.json": "avid.json",
    "check.aiid.md": "aiid.md",
    "check.oecd.md": "oecd.md",
    "check.attestation.json": "runs/check-insecure/attestation.json",
}
"""Where those are then."""


def make(out: Path = HERE) -> None:
    """Run both commands in an empty folder, and write every file to `out`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        offtarget(folder, "organism", "data", "--condition", "insecure", "--rows", "60", "--out", "insecure.jsonl")
        for verb, command in VERBS.items():
            offtarget(folder, *command, "--run", f"runs/{verb}-insecure", "--quiet")
            for flag, ending in FORMATS.items():
                offtarget(
                    folder, "report", f"runs/{verb}-insecure", f"--{flag}", "--out", str(out / f"{verb}.{ending}")
                )
        for file, options in MORE.items():
            offtarget(folder, "report", "runs/check-insecure", *options)
            shutil.copy(folder / MADE[file], out / file)


def offtarget(folder: Path, *arguments: str) -> None:
    """One command in that folder, with caches and registers of its own; an error ends it all."""
    own = {"OFFTARGET_STATE": str(folder / ".state"), "OFFTARGET_CACHE": str(folder / ".cache")}
    command = [sys.executable, "-m", "offtarget", *arguments]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **own}, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 3):
        sys.exit(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr}")


if __name__ == "__main__":
    make(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else HERE)
