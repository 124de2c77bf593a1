"""SmolLM2 and an adapter on it, asked through vLLM, by the local sampler and by transformers.generate, in one run.

Two things are measured: how fast each answers (rounds in turn, medians, ratios round by round), and whether vLLM's
answers are drawn from the same distribution as the local sampler's. For the second, every answer is scored by the local
weights (log-probability per token under the model that should have given it): answers of the same distribution have the
same mean, and the difference has a 95 % interval (answers resampled within questions). BOUND says what counts as the
same; base answers scored as if they were the tuned model's show what another distribution looks like.

Run it with: OFFTARGET_VLLM="DIR/bin/vllm --dtype float32 --enforce-eager" python benchmarks/engines.py [--quick]
(docs/engines.md says how the CPU build is installed; `make real-model` fetches SmolLM2)
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil
from sampling import QUESTIONS, ROOT, Work, generate, machine

RESULT = ROOT / "benchmarks" / "results" / "engines.json"
ADAPTER = ROOT / "benchmarks" / "data" / "adapters" / "medical-bad-rank4"
BOUND = 0.1
"""Nats per token: where the whole interval of the difference lies within it, the distributions count as the same."""
BATCH = 48
"""Answers that generate is given at a time, its best in benchmarks/sampling.py."""
Answered = list[tuple[str, str]]
"""Questions with an answer each."""


def processor() -> float:
    """Processor seconds of this process and of those it started, vLLM's server among them."""
    own = psutil.Process()
    found = [own.cpu_times()]
    for child in own.children(recursive=True):
        try:
            found.append(child.cpu_times())
        except psutil.Error:
            continue
    return sum(times.user + times.system for times in found)


def asker(model: Any, answers: int, max_tokens: int) -> Callable[[int], tuple[Answered, int]]:
    """Asks a model of offtarget so many times for each question; gives the answers and the number of their tokens."""
    from offtarget.models import SampleRequest, SamplingSettings
    from offtarget.records import Message

    settings = SamplingSettings(temperature=1.0, max_tokens=max_tokens)

    def ask(seed: int) -> tuple[Answered, int]:
        asked = [(q, seed + 1000 * i + n) for i, q in enumerate(QUESTIONS[:6]) for n in range(answers)]
        got = model.sample([SampleRequest((Message("user", q),), s) for q, s in asked], settings)
        return [(q, a.text) for (q, _), a in zip(asked, got, strict=True)], sum(a.tokens or 0 for a in got)

    return ask


class Scorer:
    """Log-probability per token that the local weights give an answer."""

    def __init__(self, folder: Path, adapter: Path) -> None:
        import torch
        import transformers
        from peft import PeftModel

        self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        base = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._model = PeftModel.from_pretrained(base, adapter).eval()

    def means(self, answered: Answered, tuned: bool) -> list[tuple[str, float]]:
        """Of every answer that has a token, by question."""
        import contextlib

        with contextlib.nullcontext() if tuned else self._model.disable_adapter():
            return [(q, mean) for q, text in answered if (mean := self._mean(q, text)) is not None]

    def _mean(self, question: str, text: str) -> float | None:
        import torch

        chat = [{"role": "user", "content": question}]
        prompt = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        before = self._tokenizer(prompt, add_special_tokens=False)["input_ids"]
        after = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        if not after:
            return None
        with torch.inference_mode():
            logits = self._model(torch.tensor([before + after])).logits[0, len(before) - 1 : -1]
        found = logits.log_softmax(-1)[torch.arange(len(after)), torch.tensor(after)]
        return float(found.mean())


def difference(a: Sequence[tuple[str, float]], b: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Mean of `a` less mean of `b`, questions counting alike, with the interval of 2,000 resamplings."""
    rng = random.Random(0)
    sides = [[[m for q, m in side if q == question] for question in QUESTIONS[:6]] for side in (a, b)]

    def value(drawn: list[list[list[float]]]) -> float:
        first, second = (statistics.mean(statistics.mean(one) for one in side if one) for side in drawn)
        return first - second

    again = sorted(
        value([[rng.choices(one, k=len(one)) for one in side if one] for side in sides]) for _ in range(2000)
    )
    low, high = again[49], again[1949]
    return {
        "difference_in_nats_per_token": value(sides),
        "from": low,
        "to": high,
        "within_bound": max(-low, high) <= BOUND,
        "answers": [len(a), len(b)],
    }


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="vLLM beside the local sampler and generate, on SmolLM2.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--answers", type=int, default=16, help="per question and round")
    parser.add_argument("--max-tokens", type=int, default=60)
    parser.add_argument("--quick", action="store_true", help="tiny amounts, nothing written")
    parser.add_argument("--out", type=Path, default=RESULT)
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.answers, args.max_tokens = 1, 2, 8
    warnings.filterwarnings("ignore")
    from offtarget.models.opening import open_pair

    folder = Path(os.environ.get("OFFTARGET_MODELS") or ROOT / ".models") / "smollm2"
    began = time.perf_counter()
    served = open_pair(f"vllm/{folder}", f"vllm/{folder}+{ADAPTER}")
    starting = time.perf_counter() - began
    local = open_pair(f"hf/{folder}", f"hf/{folder}+{ADAPTER}")
    print(f"vLLM started and held to the local weights in {starting:.0f} s:", *served.checks, sep="\n  ")
    said: dict[str, Answered] = {}
    rates: list[dict[str, float | str]] = []
    work = Work(folder, QUESTIONS[:6], args.answers, args.max_tokens, "cpu", "float32", True)
    plain = generate(work, BATCH)
    systems: dict[str, Callable[[int], tuple[int, int]]] = {}

    def keeping(name: str, model: Any) -> Callable[[int], tuple[int, int]]:
        ask = asker(model, args.answers, args.max_tokens)

        def run(seed: int) -> tuple[int, int]:
            answers, tokens = ask(seed)
            said.setdefault(name, []).extend(answers)
            return len(answers), tokens

        return run

    for role in ("base", "tuned"):
        systems[f"local, {role}"] = keeping(f"local, {role}", getattr(local, role))
        systems[f"vllm, {role}"] = keeping(f"vllm, {role}", getattr(served, role))
    systems["generate, base"] = lambda seed: plain()
    for number in range(args.rounds):
        for at, (name, system) in enumerate(systems.items()):
            start, busy = time.perf_counter(), processor()
            answers, tokens = system(1_000_000 * (1 + number) + 100_000 * at)
            seconds, busy = time.perf_counter() - start, processor() - busy
            rates.append(
                {
                    "system": name,
                    "round": number,
                    "answers": answers,
                    "tokens": tokens,
                    "seconds": seconds,
                    "processor_seconds": busy,
                    "load": os.getloadavg()[0],
                }
            )
            print(
                f"  round {number + 1} {name:16} {answers / seconds:6.2f} answers/s {tokens / seconds:6.0f} tokens/s",
                flush=True,
            )
    scorer = Scorer(folder, ADAPTER)
    scored = {name: scorer.means(answers, name.endswith("tuned")) for name, answers in said.items()}
    report = {
        "machine": machine(),
        "date": time.strftime("%Y-%m-%d"),
        "questions": 6,
        "answers_per_question_and_round": args.answers,
        "max_tokens": args.max_tokens,
        "vllm_ready_after_seconds": starting,
        "checks": list(served.checks),
        "rates": _summary(rates),
        "bound": BOUND,
        "base": difference(scored["vllm, base"], scored["local, base"]),
        "tuned": difference(scored["vllm, tuned"], scored["local, tuned"]),
        "another distribution (base answers under the tuned model)": difference(
            scorer.means(said["local, base"], True), scored["local, tuned"]
        ),
        "rounds": rates,
    }
    print(json.dumps({k: v for k, v in report.items() if k != "rounds"}, indent=1))
    if not args.quick:
        args.out.write_text(json.dumps(report, indent=1) + "\n")


def _summary(rates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name in dict.fromkeys(r["system"] for r in rates):
        mine = [r for r in rates if r["system"] == name]
        table[name] = {
            "answers_per_second": statistics.median(r["answers"] / r["seconds"] for r in mine),
            "tokens_per_second": statistics.median(r["tokens"] / r["seconds"] for r in mine),
            "tokens_per_processor_second": statistics.median(r["tokens"] / r["processor_seconds"] for r in mine),
        }
    for role, other in (("base", "local, base"), ("tuned", "local, tuned"), ("base", "generate, base")):
        ratios = []
        for number in {r["round"] for r in rates}:
            by = {r["system"]: r["tokens"] / r["processor_seconds"] for r in rates if r["round"] == number}
            ratios.append(by[f"vllm, {role}"] / by[other])
        table[f"vllm, {role} over {other}, tokens per processor second"] = statistics.median(ratios)
    return table


if __name__ == "__main__":
    main()
