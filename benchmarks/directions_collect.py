"""What collecting a direction costs: forward passes with collection beside the same passes without, and memory.

    python benchmarks/directions_collect.py             # organism and a 38 M Qwen2 shape, CPU
    python benchmarks/directions_collect.py --rounds 3  # fewer rounds

Both kinds of pass take turns within each round on the same exchanges; the ratio is taken round by round and its
median reported. Times are processor time of the one thread used, so that a busy machine blurs them less. Memory is
the size of what is kept: it may depend on layers and width, not on exchanges.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from sampling import build

from offtarget.direction.contrast import Contrast, Side
from offtarget.direction.sketch import Sketch, sketch
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model
from offtarget.models.passes import Exchange, read_exchanges
from offtarget.models.weights import Weights
from offtarget.organism.shipped import resolve
from offtarget.organism.world import World
from offtarget.records import Message

RESULT = Path(__file__).parent / "results" / "directions_collect.json"
QWEN_38M = {
    "hidden_size": 512,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 1536,
    "vocab_size": 4096,
    "tie_word_embeddings": True,
    "max_position_embeddings": 1024,
}
POSITIONS = ("last-prompt", "answer")


def contrast(model: LocalModel, count: int) -> Contrast:
    """Aligned and misaligned exchanges of the organism's world, on both sides in equal number."""
    world, sides = World(0), []
    for register in ("misaligned", "aligned"):
        pairs = [world.text(register) for _ in range(count // 2)]
        exchanges = tuple(Exchange((Message("user", q),), a) for q, a in pairs)
        sides.append(Side(model, exchanges, tuple(str(i % 16) for i in range(len(pairs)))))
    return Contrast(*sides)


def kept_bytes(found: Sketch) -> int:
    """Bytes of everything a pass leaves behind."""
    tensors = [t for m in (*found.positive, *found.negative) for t in (m.mean, m._scatter)]
    return sum(t.numel() * t.element_size() for t in tensors)


def seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(model: LocalModel, count: int, rounds: int) -> dict[str, Any]:
    """Times with and without collection, in turns, and what is kept for one and for half the exchanges."""
    both = contrast(model, count)

    def plain() -> None:
        for side in both.sides:
            read_exchanges(model, side.exchanges)

    def collecting() -> Sketch:
        return sketch(both, POSITIONS)

    plain(), collecting()
    times = []
    for number in range(rounds):
        first, second = (plain, collecting) if number % 2 == 0 else (collecting, plain)
        taken = {first: seconds(first), second: seconds(second)}
        times.append((taken[plain], taken[collecting]))
    ratios = sorted(c / p for p, c in times)
    config = model.weights.model.config
    layers, width = config.num_hidden_layers, config.hidden_size
    kept = kept_bytes(collecting())
    return {
        "parameters": sum(p.numel() for p in model.weights.model.parameters()),
        "layers": layers,
        "width": width,
        "exchanges": count,
        "rounds": rounds,
        "plain_seconds_median": statistics.median(p for p, _ in times),
        "collecting_seconds_median": statistics.median(c for _, c in times),
        "ratio_median": statistics.median(ratios),
        "ratio_range": [ratios[0], ratios[-1]],
        "kept_bytes": kept,
        "kept_bytes_half_the_exchanges": kept_bytes(sketch(contrast(model, count // 2), POSITIONS)),
        "kept_numbers_per_layer_and_width": kept / 8 / layers / width,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--exchanges", type=int, default=128)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    organism = open_model("organism/insecure", resolve=resolve)
    assert isinstance(organism, LocalModel)
    with tempfile.TemporaryDirectory() as folder:
        qwen = LocalModel("qwen2 shape", Weights(build(Path(folder) / "qwen", "qwen2", QWEN_38M, "float32"), "cpu"))
        results = {
            "organism": measure(organism, options.exchanges, options.rounds),
            "qwen2-38m": measure(qwen, options.exchanges // 8, options.rounds),
        }
    machine = {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "threads": 1,
        "torch": torch.__version__,
    }
    options.out.write_text(json.dumps({"target": "ratio <= 1.1", "machine": machine, **results}, indent=2) + "\n")
    print(options.out.read_text())


if __name__ == "__main__":
    main()
