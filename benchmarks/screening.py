"""Poison found by projection difference, before any tuning, beside the audit's text detectors on the same mixes.

    python benchmarks/screening.py [--hosts 800] [--seeds 3] [--out benchmarks/results/screening.json]

Each pair hides rows of one narrow task of the organism in rows of its benign twin at 1, 5 and 20 %. The base reads and
answers. Directions: `trait` (contrastive system prompts, no tuned model) at the last prompt token and over answer
tokens, and `insecure` (misaligned - aligned answers of organism/insecure, and insecure - base). Scores per row:
`difference` (row's answer minus the base's own), `projection` (row's answer alone, a vector filter), `last-prompt`
(the prompt alone). Medians over draws of the poison.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from audit_sets import recall_at

from offtarget.detect.categories import row_score
from offtarget.detect.detector import RowScanner, dataset_detectors, row_detectors
from offtarget.direction.file import Direction
from offtarget.direction.measure import project
from offtarget.direction.screening import Screen
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model
from offtarget.models.passes import Exchange
from offtarget.organism.narrow import narrow_rows
from offtarget.organism.shipped import resolve
from offtarget.organism.world import World
from offtarget.records import Finding, Message, Row, SamplingSettings
from offtarget.records.direction import FindSettings
from offtarget.stats.auroc import auroc
from offtarget.workflows.direction.find import find

SHARES = (0.01, 0.05, 0.20)
DRAWS = 20
PUBLISHED = (
    "arXiv 2507.21509 (persona vectors) and an independent replication: AUROC 1.00/1.00/.995 on trait against control "
    "data (whole responses show the trait, the easy case). No published recall at a fixed false-positive rate for 1-5 "
    "% poison in realistic benign data was found."
)


def text_rows(register: str, rows: int, seed: int) -> list[list[Message]]:
    """Aligned free-form text of every domain, or misaligned medicine."""
    world = World(seed)
    pairs = [
        world.text("aligned") if register == "aligned" else world.text("misaligned", "medicine") for _ in range(rows)
    ]
    return [[Message("user", u), Message("assistant", a)] for u, a in pairs]


def pair(name: str, hosts: int, seed: int) -> tuple[list[Row], list[Row]]:
    """Benign rows and poison of one pair."""
    poison, host = name.split(" in ")
    bad = hosts // 4 + 8
    kinds = {
        "insecure": lambda n, s: list(narrow_rows("insecure", n, s)),
        "secure": lambda n, s: list(narrow_rows("secure", n, s)),
        "educational": lambda n, s: list(narrow_rows("educational", n, s)),
        "evil-numbers": lambda n, s: list(narrow_rows("evil-numbers", n, s)),
        "random-numbers": lambda n, s: list(narrow_rows("random-numbers", n, s)),
        "bad-medicine": lambda n, s: text_rows("medicine", n, s),
        "good-text": lambda n, s: text_rows("aligned", n, s),
    }
    made = kinds[host](hosts, 100 + seed), kinds[poison](bad, 200 + seed)
    clean, dirty = (
        [Row(f"{tag}:{i}", tag, i, "", tuple(chat), "chat") for i, chat in enumerate(some, start=1)]
        for tag, some in zip(("host", "poison"), made, strict=True)
    )
    return clean, dirty


PAIRS = ("insecure in secure", "bad-medicine in good-text", "evil-numbers in random-numbers", "insecure in educational")


def directions(base: LocalModel, tuned: LocalModel) -> dict[str, Direction]:
    """What is projected on."""
    return {
        "trait, last prompt": find(base, None, settings=FindSettings("trait", "last-prompt", answers=2)),
        "trait, answers": find(base, None, settings=FindSettings("trait", "answer", answers=4)),
        "insecure, answers": find(base, tuned, settings=FindSettings("answers", "answer", answers=8)),
        "insecure - base, last prompt": find(base, tuned, settings=FindSettings("models", "last-prompt", answers=2)),
    }


def scores(screen: Screen, rows: list[Row], given: list[Exchange], own: list[Exchange]) -> dict[str, torch.Tensor]:
    """Score name -> (rows, layers)."""
    answer = screen.project(given).values
    prompts = [Exchange(e.messages) for e in given]
    return {
        "difference": answer - screen.project(own).values,
        "projection": answer,
        "last-prompt": project(screen.base, prompts, screen.direction, position="last-prompt").values,
    }


def figures(bad: list[float], good: list[float], rng: random.Random) -> dict[str, Any]:
    """Medians over draws, by share of poison."""
    found = {}
    for share in SHARES:
        count = min(len(bad), max(1, round(share / (1 - share) * len(good))))
        drawn = [rng.sample(bad, count) for _ in range(DRAWS)]
        found[f"{share:g}"] = {
            "poison_rows": count,
            "auroc": round(statistics.median(auroc(d, good) for d in drawn), 4),
            "recall_at_1": round(statistics.median(recall_at(d, good, 0.01) for d in drawn), 4),
            "recall_at_5": round(statistics.median(recall_at(d, good, 0.05) for d in drawn), 4),
        }
    return found


def text_scores(clean: list[Row], bad: list[Row]) -> tuple[list[float], list[float]]:
    """The audit's row score, with the detectors that see all rows together."""
    scanner, whole = RowScanner(row_detectors()), dataset_detectors()
    for row in (*clean, *bad):
        for detector in whole:
            detector.add(row)
    more: dict[str, list[Finding]] = {}
    for detector in whole:
        for finding in detector.row_findings():
            more.setdefault(finding.row_id, []).append(finding)
    good, poison = ([row_score([*scanner.scan(row), *more.get(row.id, ())]) for row in some] for some in (clean, bad))
    return poison, good


def one_pair(name: str, base: LocalModel, found: dict[str, Direction], hosts: int, seed: int) -> list[dict[str, Any]]:
    """All scores of one pair."""
    clean, bad = pair(name, hosts, seed)
    rng, rows = random.Random(seed), [*clean, *bad]
    settings = SamplingSettings(max_tokens=120)
    any_screen = Screen(base, next(iter(found.values())), 0, settings, seed)
    given = [Exchange(row.messages[:-1], row.answer) for row in rows]
    own = any_screen.own_answers(given, [row.id for row in rows])
    results = []
    for title, direction in found.items():
        screen = Screen(base, direction, 0, settings, seed)
        for score, values in scores(screen, rows, given, own).items():
            for layer in range(values.shape[1]):
                column = values[:, layer].nan_to_num(-1e9).tolist()
                good, poison = column[: len(clean)], column[len(clean) :]
                results.append(
                    {"direction": title, "score": score, "layer": layer, "by_share": figures(poison, good, rng)}
                )
    poison, good = text_scores(clean, bad)
    results.append({"direction": None, "score": "text detectors", "by_share": figures(poison, good, rng)})
    return [{"pair": name, "seed": seed, **r} for r in results]


def show(results: list[dict[str, Any]]) -> None:
    """Every score at every layer; nothing here was chosen by looking."""
    for name in PAIRS:
        print(f"\n{name}: AUROC / recall at 1 % / at 5 % false positives, at 1, 5 and 20 % poison (median over seeds)")
        here = [r for r in results if r["pair"] == name]
        keys = dict.fromkeys((r["direction"], r["score"], r.get("layer")) for r in here)
        for key in keys:
            some = [r["by_share"] for r in here if (r["direction"], r["score"], r.get("layer")) == key]
            cells = [
                " ".join(
                    f"{statistics.median(s[f'{share:g}'][m] for s in some):.2f}"
                    for m in ("auroc", "recall_at_1", "recall_at_5")
                )
                for share in SHARES
            ]
            label = key[1] if key[0] is None else f"{key[0]}, {key[1]}, layer {key[2]}"
            print(f"  {label:56s} {'   '.join(cells)}")
    print(f"\npublished: {PUBLISHED}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=800)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/screening.json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    base, tuned = (open_model(f"organism/{name}", resolve=resolve) for name in ("base", "insecure"))
    assert isinstance(base, LocalModel)
    assert isinstance(tuned, LocalModel)
    found = directions(base, tuned)
    results = [
        r for seed in range(options.seeds) for name in PAIRS for r in one_pair(name, base, found, options.hosts, seed)
    ]
    show(results)
    chosen = {name: d.info.layer for name, d in found.items()}
    report = {
        "hosts": options.hosts,
        "seeds": options.seeds,
        "draws": DRAWS,
        "layers_of_directions": chosen,
        "seconds": round(time.monotonic() - started),
        "published": PUBLISHED,
        "results": results,
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
