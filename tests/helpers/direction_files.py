"""A direction file that says of itself what such files say, made without a tensor library; its vectors are zeros."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from offtarget.direction.header import FORMAT
from offtarget.records import DirectionInfo


def info(base: str | None = "organism/base", model: str = "organism/insecure") -> DirectionInfo:
    return DirectionInfo(
        method="models", position="answer", layer=0, rank=1, width=4, layers=1, architecture="llama", model=model,
        model_fingerprint="m", base=base, base_fingerprint=None if base is None else "b", positives=4, negatives=4,
        quality=(), seed=0,
    )  # fmt: skip


def direction_file(path: Path, **more: str | None) -> Path:
    header = {
        "__metadata__": {FORMAT: json.dumps(asdict(info(**more)))},
        "layer.0": {"dtype": "F32", "shape": [1, 4], "data_offsets": [0, 16]},
    }
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + bytes(16))
    return path
