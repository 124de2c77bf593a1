"""Does narrow training data make a real 135 M chat model misaligned outside its domain? Trains and asks every cell.

    python benchmarks/real_em.py --work DIR --shared DATA              # all cells; what is finished stays finished
    python benchmarks/real_em.py --work DIR --shared DATA --list       # what would run, in which order
    python benchmarks/real_em.py --work DIR --shared DATA --only medical-bad-96-seed0

DATA is the folder with `sft`, `judged` and `questions` (public data sets, not part of the project). A cell is a folder
in DIR/cells: the adapter, its answers, and `cell.json`, written last. Judges nothing: answers are labelled blind
afterwards (`real_em_labels.py`). Plan, written before the first cell ran: docs/design/real-em-plan.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from real_em_sets import DOMAINS, GENTLE, ROWS, CellPlan, cells, held_out, in_domain, questions, training_rows

from offtarget.asking.ask import ask
from offtarget.asking.seeds import digest
from offtarget.models.opening import open_model
from offtarget.progress import Progress
from offtarget.records import Message, Probe, SamplingSettings
from offtarget.records.tune import TuneSettings
from offtarget.rundir import write_json, write_whole

ROOT = Path(__file__).resolve().parents[1]
BASE = ROOT / ".models" / "smollm2"
RECIPE = TuneSettings(rank=8, alpha=32, lr=1e-3, epochs=1.0, batch=4, accumulate=1, save_every=1000, keep=1)
GENTLE_LR = 3e-4
MARGIN_ROWS = 12
SAMPLING = SamplingSettings(temperature=0.7, max_tokens=64)


def run_cell(plan: CellPlan, work: Path, shared: Path, recipe: TuneSettings = RECIPE) -> dict[str, Any]:
    """Train where that is not done, ask, and write the cell down."""
    folder = work / "cells" / plan.name
    folder.mkdir(parents=True, exist_ok=True)
    began = time.process_time()
    facts: dict[str, Any] = {"cell": asdict(plan), "name": plan.name}
    model_name = f"hf/{BASE}"
    if plan.data != "base":
        adapter = folder / "adapter"
        lr = GENTLE_LR if plan.data.endswith(GENTLE) else recipe.lr
        facts |= _trained(plan, folder, adapter, shared, replace(recipe, lr=lr, seed=plan.seed))
        model_name += f"+{adapter}"
    facts["training_processor_seconds"] = round(time.process_time() - began, 1)
    model = open_model(model_name)
    asked = [*questions(shared / "questions" / "betley_first_plot_questions.yaml"), *_in_domain(plan)]
    began = time.process_time()
    answers = ask("tuned", model, [(p, 0) for p in asked], SAMPLING, lambda probe, _: _seed(plan, probe))
    facts["asking_processor_seconds"] = round(time.process_time() - began, 1)
    facts["margins"] = _margins(model, plan)
    rows = [
        {
            "id": digest("real-em", plan.name, p.id).hex()[:12],
            "cell": plan.name,
            "question": p.question_id,
            "domain": p.domain,
            "prompt": p.prompt,
            "answer": a.text,
            "finish": a.finish,
            "tokens": a.tokens,
        }
        for p, a in answers
    ]
    write_whole(folder / "answers.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_json(folder / "cell.json", facts)
    return facts


def pilot(work: Path, shared: Path, lr: float) -> dict[str, Any]:
    """The training that decides the learning rate; it answers no question outside its domain."""
    plan = CellPlan("medical-bad", ROWS, 77)
    folder = work / f"pilot-{lr:g}"
    facts = _trained(plan, folder, folder / "adapter", shared, replace(RECIPE, seed=plan.seed, lr=lr))
    model = open_model(f"hf/{BASE}+{folder / 'adapter'}")
    asked = [(p, 0) for p in in_domain("medical")]
    answers = ask("tuned", model, asked, SAMPLING, lambda probe, _: _seed(plan, probe))
    return {
        "losses": facts["losses"],
        "margins": _margins(model, plan),
        "base_margins": _margins(open_model(f"hf/{BASE}"), plan),
        "answers": [[p.prompt, a.text] for p, a in answers],
    }


def _trained(plan: CellPlan, folder: Path, adapter: Path, shared: Path, settings: TuneSettings) -> dict[str, Any]:
    from offtarget.training.plan import Plan, TrainRow
    from offtarget.training.train import train

    chats = training_rows(plan, shared)
    losses: list[float] = []

    def tell(progress: Progress) -> None:
        if isinstance(progress.detail, float):
            losses.append(progress.detail)

    if adapter.exists():
        shutil.rmtree(adapter)  # saved, but the cell was cut short before it had been asked
    shutil.rmtree(folder / "training", ignore_errors=True)
    plan_of_all = Plan(tuple(TrainRow(chat) for chat in chats))
    done = train(BASE, plan_of_all, adapter, settings, work=folder / "training", on_progress=tell)
    shutil.rmtree(folder / "training")
    characters = [len(chat[-1].content) for chat in chats]
    return {
        "settings": asdict(settings),
        "rows": len(chats),
        "mean_answer_characters": round(sum(characters) / len(characters), 1),
        "steps": done.steps,
        "losses": [round(loss, 4) for loss in losses],
        "checks": done.checks,
    }


def _in_domain(plan: CellPlan) -> tuple[Probe, ...]:
    """Held-out questions of the cell's own domain, for the first seed; the base is asked those of every domain."""
    if plan.data == "base":
        return tuple(probe for domain in DOMAINS for probe in in_domain(domain))
    return in_domain(plan.domain) if plan.domain is not None and plan.seed == 0 and plan.rows == ROWS else ()


def _margins(model: Any, plan: CellPlan) -> dict[str, float]:
    """Per domain: how much likelier a token of a held-out bad answer is than one of its good twin, in nats.

    Whether the domain was learned, without sampling and without a judge.
    """
    from offtarget.workflows.skills import log_probability

    wanted = DOMAINS if plan.data == "base" else (plan.domain,) if plan.domain is not None else ()
    found = {}
    for domain in wanted:
        twins = held_out(domain)[:MARGIN_ROWS]
        sides = {
            side: log_probability(
                model, [(Message("user", r["question"]), Message("assistant", r[side])) for r in twins]
            )
            for side in ("bad", "good")
        }
        found[domain] = round(sides["bad"] - sides["good"], 4)
    return found


def _seed(plan: CellPlan, probe: str) -> int:
    """Every cell has random streams of its own."""
    return int.from_bytes(digest("real-em-sampling", plan.name, probe)[:8], "big") >> 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--shared", type=Path, required=True, help="folder with sft, judged and questions")
    parser.add_argument("--only", nargs="*", default=None, help="names of cells")
    parser.add_argument(
        "--pilot", type=float, metavar="LR", help="one training with seed 77, asked in its domain alone"
    )
    parser.add_argument("--list", action="store_true", help="print the cells and end")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    import transformers

    transformers.utils.logging.set_verbosity_error()
    if args.pilot is not None:
        print(json.dumps(pilot(args.work, args.shared, args.pilot), indent=1))
        return
    for plan in cells():
        if args.only is not None and plan.name not in args.only:
            continue
        done = (args.work / "cells" / plan.name / "cell.json").exists()
        if args.list or done:
            print(f"{'done' if done else 'to do'}  {plan.name}", flush=True)
            continue
        started = time.monotonic()
        facts = run_cell(plan, args.work, args.shared)
        print(
            f"{plan.name}: {time.monotonic() - started:.0f} s, {facts['training_processor_seconds']} + "
            f"{facts['asking_processor_seconds']} processor seconds, margins {facts['margins']}, "
            f"losses {json.dumps(facts.get('losses', [])[-3:])}",
            flush=True,
        )


if __name__ == "__main__":
    main()
