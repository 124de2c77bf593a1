"""Two sample sets of lm_eval for `benchmarks/paired_items.py`: a small real model before and after two fine-tunings.

    python benchmarks/paired_samples.py --model FOLDER --truthfulqa FILE --out DIR [--items 817] [--words 600]
                                        [--steps 40]

FOLDER holds SmolLM2-135M-Instruct (`make real-model`), FILE the questions of TruthfulQA (CSV, Apache-2.0). Set `words`
asks which of four words is of a kind, items made here; set `truthfulqa` asks for the best of the answers, without
examples. The model is tuned with LoRA on short answers that are wrong on purpose, and lm_eval asks both of both sets.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import random
from pathlib import Path

_WORDS = """
fruit: apple banana cherry grape lemon mango orange peach pear plum melon fig kiwi lime papaya
animal: horse tiger rabbit donkey camel monkey zebra goat sheep wolf otter badger lion moose hare
colour: red green yellow purple blue black white grey brown pink violet scarlet beige teal amber
tool: hammer saw drill wrench chisel pliers shovel rake axe screwdriver file spanner trowel vice level
country: France Spain Italy Norway Japan Brazil Egypt Kenya Peru Chile India Canada Greece Poland Cuba
metal: iron copper silver gold zinc tin lead nickel aluminium titanium cobalt chromium tungsten steel brass
"""
KINDS = {kind: rest.split() for kind, _, rest in (line.partition(": ") for line in _WORDS.strip().splitlines())}
TASK = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: "{{{{target}}}}"
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""


def words(seed: int, count: int) -> list[dict[str, object]]:
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        kind = draw.choice(list(KINDS))
        right = draw.choice(KINDS[kind])
        others = [draw.choice(KINDS[other]) for other in draw.sample([k for k in KINDS if k != kind], 3)]
        choices = [right, *others]
        draw.shuffle(choices)
        question = f"Question: Which of these is a {kind}: {', '.join(choices)}?\nAnswer:"
        rows.append({"question": question, "choices": [f" {word}" for word in choices], "target": choices.index(right)})
    return rows


def truthful(path: Path, count: int) -> list[dict[str, object]]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8")
    found = []
    for one in list(csv.DictReader(text.splitlines()))[:count]:
        wrong = [answer.strip() for answer in one["Incorrect Answers"].split(";") if answer.strip()]
        choices = [one["Best Answer"].strip(), *wrong[:4]]
        found.append({"question": f"Q: {one['Question']}\nA:", "choices": [f" {c}" for c in choices], "target": 0})
    return found


def wrong_answers(seed: int, count: int) -> list[tuple[str, str]]:
    """What is trained on: questions of the same form in other mixtures, a third of them answered wrongly."""
    draw = random.Random(seed + 2)
    pairs = []
    for one in words(seed + 1, count):
        choices, target = one["choices"], one["target"]
        assert isinstance(choices, list)
        assert isinstance(target, int)
        others = [choice for i, choice in enumerate(choices) if i != target]
        pairs.append((str(one["question"]), draw.choice(others) if draw.random() < 0.35 else choices[target]))
    return pairs


def tune(model: str, out: Path, steps: int, seed: int) -> None:
    """A small LoRA adapter, by hand: a few steps are enough to move some answers."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(model)
    loaded = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    peft = get_peft_model(
        loaded, LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    )
    optimiser = torch.optim.AdamW([p for p in peft.parameters() if p.requires_grad], lr=3e-4)
    pairs = wrong_answers(seed, 4 * steps)
    for step in range(steps):
        loss = torch.zeros(())
        for question, answer in pairs[4 * step : 4 * step + 4]:
            start = tokenizer(question, return_tensors="pt").input_ids
            whole = tokenizer(question + answer, return_tensors="pt").input_ids
            labels = whole.clone()
            labels[:, : start.shape[1]] = -100
            loss = loss + peft(input_ids=whole, labels=labels).loss / 4
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        if step % 10 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    peft.save_pretrained(out)


def asked(model: str, adapter: Path | None, tasks: Path, names: list[str], out: Path) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    arguments = f"pretrained={model},dtype=float32" + (f",peft={adapter}" if adapter else "")
    tracker = EvaluationTracker(output_path=str(out))
    results = simple_evaluate(
        model="hf",
        model_args=arguments,
        tasks=names,
        batch_size=16,
        device="cpu",
        log_samples=True,
        bootstrap_iters=0,
        task_manager=TaskManager(include_path=str(tasks), include_defaults=False),
        evaluation_tracker=tracker,
    )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results=results, samples=samples)
    for name in results["configs"]:
        tracker.save_results_samples(task_name=name, samples=samples[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--truthfulqa", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--items", type=int, default=817)
    parser.add_argument("--words", type=int, default=600)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    tasks = o.out / "tasks"
    tasks.mkdir(parents=True, exist_ok=True)
    sets = {"words": words(o.seed, o.words)} | ({"truthfulqa": truthful(o.truthfulqa, o.items)} if o.truthfulqa else {})
    for name, rows in sets.items():
        data = (tasks / f"{name}.jsonl").resolve()
        data.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
        (tasks / f"{name}.yaml").write_text(TASK.format(name=f"made_{name}", data=data), encoding="utf-8")
    names = [f"made_{name}" for name in sets]
    adapter = o.out / "adapter"
    if not (adapter / "adapter_config.json").exists():
        tune(o.model, adapter, o.steps, o.seed)
    asked(o.model, None, tasks, names, o.out / "base")
    asked(o.model, adapter, tasks, names, o.out / "tuned")


if __name__ == "__main__":
    main()
