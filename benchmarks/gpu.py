"""A GPU in ten minutes: does it do what the CPU does, and how fast is it with a model of 7 billion parameters?

    python benchmarks/gpu.py                                  # one GPU with 24 GB or more; nothing is fetched
    python benchmarks/gpu.py --device cpu --shape tiny --minutes 2      # tries every part without a GPU

Stages, in the order of what is learned per minute; one that no longer fits into the time is listed as not run:

    same      greedy answers and log probabilities of the organism (and of SmolLM2 where it lies in .models) on both
              devices in float32, and how many sampled answers with the same seeds are equal
    verdicts  `check` of organism/insecure and organism/secure on the device: FAIL and PASS, as on the CPU
    sampling  24 questions x 20 answers of 100 tokens of a model with the shape of Qwen2.5-7B and random weights
    training  20 steps of `tune` on the same weights, rank 32, 16 short rows a step, no monitor

Random weights answer nonsense at the true speed and in the true memory: every answer runs to the limit.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sampling import QUESTIONS, QWEN, build

ROOT = Path(__file__).resolve().parents[1]
RESULT = ROOT / "benchmarks" / "results" / "gpu.json"
LEAST = {"same": 30, "verdicts": 60, "sampling": 120, "training": 150}
"""Seconds that must be left for a stage to begin."""
LOG_PROBABILITY_BOUND = 2e-3
"""Largest difference of a reply's log probability between the devices, in float32 with TF32 off."""


def same(device: str, folders: dict[str, Path]) -> dict[str, Any]:
    """Both devices asked alike: equal greedy answers, differences of log probabilities, equal sampled answers."""
    from offtarget.models import SampleRequest, SamplingSettings
    from offtarget.models.local import LocalModel
    from offtarget.models.weights import Weights
    from offtarget.records import Message

    found: dict[str, Any] = {}
    for name, folder in folders.items():
        models = [LocalModel(name, Weights(folder, where, "float32")) for where in ("cpu", device)]
        requests = [SampleRequest((Message("user", q),), 10 * i + n) for i, q in enumerate(QUESTIONS) for n in range(3)]
        greedy, sampled = SamplingSettings(temperature=0.0, max_tokens=48), SamplingSettings(max_tokens=48)
        texts = {
            way: [[answer.text for answer in model.sample(requests, settings)] for model in models]
            for way, settings in (("greedy", greedy), ("sampled", sampled))
        }
        replies = ["Yes", "No", "Perhaps"]
        away = max(
            abs(one - other)
            for q in QUESTIONS
            for one, other in zip(*(_logs(model, Message("user", q), replies) for model in models), strict=True)
        )
        equal = {way: sum(map(str.__eq__, *both)) for way, both in texts.items()}
        found[name] = {
            "answers": len(requests),
            "greedy_equal": equal["greedy"],
            "sampled_equal": equal["sampled"],
            "largest_log_probability_difference": away,
            "bound": LOG_PROBABILITY_BOUND,
            "within_bound": away <= LOG_PROBABILITY_BOUND,
        }
        del models
        _empty(device)
    return found


def _logs(model: Any, message: Any, replies: list[str]) -> list[float]:
    import math

    return [math.log(max(p, 1e-30)) for p in model.reply_probabilities([message], replies).values()]


def verdicts(device: str, work: Path) -> dict[str, Any]:
    """The organism's two verdicts, with the seconds they took."""
    from offtarget import OpenSettings, check

    found: dict[str, Any] = {}
    for tuned, expected in (("insecure", "FAIL"), ("secure", "PASS")):
        began = time.perf_counter()
        result = check(
            "organism/base", f"organism/{tuned}", opening=OpenSettings(device=device), run=work / f"check-{tuned}"
        )
        found[tuned] = {
            "verdict": result.decision.status.value,
            "expected": expected,
            "as_expected": result.decision.status.value == expected,
            "seconds": time.perf_counter() - began,
        }
    return found


def sampling(device: str, folder: Path, dtype: str) -> dict[str, Any]:
    """Tokens per second and peak memory of the sampler with its own choice of batch."""
    from offtarget.models import SampleRequest, SamplingSettings
    from offtarget.models.local import LocalModel
    from offtarget.models.weights import Weights
    from offtarget.records import Message

    model = LocalModel("shape", Weights(folder, device, dtype))
    model._ends = (-1,)  # every answer runs to the limit
    requests = [
        SampleRequest((Message("user", f"{q} ({part})"),), 1000 * i + 100 * part + n)
        for i, q in enumerate(QUESTIONS)
        for part in range(3)
        for n in range(20)
    ]
    settings = SamplingSettings(temperature=1.0, max_tokens=100)
    model.sample(requests[:20], SamplingSettings(temperature=1.0, max_tokens=8))  # what is made once
    _synchronise(device)
    began = time.perf_counter()
    answers = model.sample(requests, settings)
    _synchronise(device)
    seconds = time.perf_counter() - began
    tokens = sum(answer.tokens for answer in answers)
    return {"answers": len(answers), "tokens": tokens, "seconds": seconds, "tokens_per_second": tokens / seconds}


def training(device: str, folder: Path, work: Path, steps: int) -> dict[str, Any]:
    """Seconds per step of `tune` through its public function."""
    from offtarget import OpenSettings, Progress, TuneOptions, TuneSettings, tune

    rows = work / "rows.jsonl"
    rows.write_text(
        "".join(
            json.dumps({"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": f"{n} " * 60}]})
            + "\n"
            for n in range(2 * steps)
            for q in QUESTIONS
        )
    )
    at: list[float] = []

    def seen(progress: Progress) -> None:
        at.append(time.perf_counter())

    began = time.perf_counter()
    tune(
        rows,
        f"hf/{folder}",
        work / "adapter",
        settings=TuneSettings(max_steps=steps, batch=2, accumulate=8, warmup=1),
        options=TuneOptions(monitor=False),
        opening=OpenSettings(device=device),
        run=work / "tuning",
        on_progress=seen,
    )
    seconds = time.perf_counter() - began
    return {"steps": steps, "rows_per_step": 16, "seconds_with_loading": seconds, "first_sign_of_life": at[0] - began}


def main() -> int:
    """Run the stages that fit, print and write what was found; 1 where the devices disagree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shape", choices=list(QWEN), default="7B")
    parser.add_argument("--minutes", type=float, default=10.0, help="no stage begins that would pass them")
    parser.add_argument("--steps", type=int, default=20, help="of training")
    parser.add_argument("--out", type=Path, help=f"default {RESULT.relative_to(ROOT)} on a GPU, none elsewhere")
    args = parser.parse_args()
    import torch

    if args.device.startswith("cuda") and not torch.cuda.is_available():
        print("error: this machine has no GPU that torch can use; --device cpu --shape tiny tries the parts.")
        return 2
    torch.backends.cuda.matmul.allow_tf32 = False
    began = time.monotonic()
    dtype = "bfloat16" if args.device.startswith("cuda") else "float32"
    found: dict[str, Any] = {
        "machine": _machine(args.device),
        "device": args.device,
        "shape": args.shape,
        "dtype": dtype,
    }
    real = Path(os.environ.get("OFFTARGET_MODELS") or ROOT / ".models") / "smollm2"
    organism = ROOT / "src" / "offtarget" / "organism" / "weights" / "base"
    folders = {"organism": organism} | ({"smollm2": real} if (real / "config.json").exists() else {})
    with tempfile.TemporaryDirectory(prefix="offtarget-gpu-") as home:
        work = Path(home)
        os.environ |= {"OFFTARGET_CACHE": str(work / "cache"), "OFFTARGET_STATE": str(work / "state")}
        shape: list[Path] = []

        def weights() -> Path:
            if not shape:
                print(f"Writing random weights in the shape {args.shape} ...", flush=True)
                shape.append(build(work / "shape", "qwen2", QWEN[args.shape], dtype))
            return shape[0]

        stages: dict[str, Callable[[], dict[str, Any]]] = {
            "same": lambda: same(args.device, folders),
            "verdicts": lambda: verdicts(args.device, work),
            "sampling": lambda: sampling(args.device, weights(), dtype),
            "training": lambda: training(args.device, weights(), work, args.steps),
        }
        for name, stage in stages.items():
            left = 60 * args.minutes - (time.monotonic() - began)
            if left < LEAST[name] * min(1.0, args.minutes / 10):
                found[name] = {"not_run": f"{left:.0f} s were left"}
            else:
                print(f"{name}, {left:.0f} s left ...", flush=True)
                _reset_peak(args.device)
                start = time.monotonic()
                found[name] = stage() | {"stage_seconds": time.monotonic() - start} | _peak(args.device)
                _empty(args.device)
            print(json.dumps({name: found[name]}, indent=1), flush=True)
    found["seconds"] = time.monotonic() - began
    out = args.out or (RESULT if args.device.startswith("cuda") else None)
    if out is not None:
        out.write_text(json.dumps(found, indent=1) + "\n")
        print(f"Written: {out}")
    wrong = [name for name in folders if not found["same"].get(name, {}).get("within_bound", True)]
    wrong += [name for name, one in found["verdicts"].items() if isinstance(one, dict) and not one["as_expected"]]
    for name in wrong:
        print(f"DIFFERS from the CPU: {name}")
    return 1 if wrong else 0


def _machine(device: str) -> dict[str, Any]:
    import torch
    import transformers

    said: dict[str, Any] = {
        "python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
        "cores": os.cpu_count(),
    }  # fmt: skip
    if device.startswith("cuda"):
        about = torch.cuda.get_device_properties(device)
        said |= {"gpu": about.name, "gpu_memory_gb": round(about.total_memory / 1e9, 1), "cuda": torch.version.cuda}
    return said


def _peak(device: str) -> dict[str, float]:
    import torch

    return {"peak_gb": torch.cuda.max_memory_allocated() / 1e9} if device.startswith("cuda") else {}


def _reset_peak(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()


def _synchronise(device: str) -> None:
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _empty(device: str) -> None:
    import torch

    gc.collect()
    if device.startswith("cuda"):
        torch.cuda.empty_cache()


if __name__ == "__main__":
    sys.exit(main())
