"""What conversations cost: all scripts side by side, turn by turn, beside transformers' `generate` one by one.

    python benchmarks/redteam_cost.py [--models organism/base hf/.models/smollm2] [--conversations 24] [--rounds 3]
                                      [--out benchmarks/results/redteam_cost.json]

Both hold the same conversations: scripts of the moves that fit, each held by several conversations, so that first turns
are the same. Ours is the way of `redteam` (`asking/ask.py`): one call per turn with every conversation in it; a prompt
that several share is read once, and kept for later. `generate` gets one conversation at a time, turn by turn, and reads
each turn's whole prompt. They take turns in each round; medians of rounds and of their ratios are reported, in tokens
per second of processor time, which depends little on what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from offtarget.asking.ask import Wanted, ask, chat_so_far
from offtarget.asking.seeds import answer_seed
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model
from offtarget.organism.questions import organism_goals
from offtarget.organism.shipped import resolve, weights_folder
from offtarget.records import Probe, SamplingSettings
from offtarget.redteam.attacker import drafted
from offtarget.redteam.moves import chosen
from offtarget.rundir import write_json

RESULTS = Path(__file__).parent / "results" / "redteam_cost.json"
MOVES = ("persistence", "role-play", "escalation", "language-switch")
SAMPLING = SamplingSettings(max_tokens=60)
SCRIPTS = 6
"""Different ones; the conversations are dealt to them."""


def scripts() -> list[Probe]:
    """Conversations as probes with opening turns."""
    questions = [goal.questions[0] for goal in organism_goals()]
    found = []
    for number in range(SCRIPTS):
        move, question = MOVES[number % len(MOVES)], questions[number % len(questions)]
        draft = drafted(chosen((move,)), question, number, "cost")
        turns = draft.turns
        found.append(Probe(f"{move}.{number}", move, "cost", turns[-1], domain=question.domain, opening=turns[:-1]))
    return found


def side_by_side(model: LocalModel, wanted: Sequence[Wanted]) -> int:
    """Ours; the tokens that were written."""
    before = model.spent.tokens_out
    ask("tuned", model, wanted, SAMPLING, lambda name, index: answer_seed(0, "tuned", name, index))
    return int(model.spent.tokens_out - before)


def one_by_one(folder: Path) -> Callable[[Sequence[Wanted]], int]:
    """With `generate`; the tokens that were written."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def hold(wanted: Sequence[Wanted]) -> int:
        written = 0
        for probe, _ in wanted:
            said: list[str] = []
            for user in (*probe.opening, probe.prompt):
                chat = [{"role": m.role, "content": m.content} for m in chat_so_far(probe, said, user)]
                prompt = tokenizer.apply_chat_template(
                    chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
                )
                with torch.inference_mode():
                    made = model.generate(
                        **prompt,
                        max_new_tokens=SAMPLING.max_tokens,
                        do_sample=True,
                        temperature=1.0,
                        top_k=0,
                        pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id,
                    )
                answer = made[0, prompt["input_ids"].shape[1] :]
                written += len(answer)
                said.append(tokenizer.decode(answer, skip_special_tokens=True))
        return written

    return hold


def measured(name: str, conversations: int, rounds: int) -> dict[str, Any]:
    """Tokens a second of both, round by round."""
    folder = weights_folder() / "base" if name == "organism/base" else Path(name.removeprefix("hf/"))
    model = open_model(name, resolve=resolve)
    assert isinstance(model, LocalModel)
    probes, generate = scripts(), one_by_one(folder)
    ours, theirs = [], []
    side_by_side(model, [(probes[0], -1)])  # what is done once is no part of it
    for number in range(rounds):
        wanted = [(probes[i % SCRIPTS], number * conversations + i) for i in range(conversations)]
        for speeds, hold in ((ours, lambda w: side_by_side(model, w)), (theirs, generate)):
            began = time.process_time()
            tokens = hold(wanted)
            speeds.append(tokens / (time.process_time() - began))
    return {
        "conversations": conversations,
        "turns": sum(len(p.opening) + 1 for p in probes) / len(probes),
        "tokens_per_second": round(statistics.median(ours), 1),
        "generate_tokens_per_second": round(statistics.median(theirs), 1),
        "times_as_fast": round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 2),
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["organism/base", "hf/.models/smollm2"])
    parser.add_argument("--conversations", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    rows: dict[str, Any] = json.loads(args.out.read_text())["models"] if args.out.exists() else {}
    for name in args.models:
        rows[name] = measured(name, args.conversations, args.rounds)
        print(name, rows[name], flush=True)
        machine = {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
        }
        write_json(args.out, {"machine": machine, "max_tokens": SAMPLING.max_tokens, "models": rows})


if __name__ == "__main__":
    main()
