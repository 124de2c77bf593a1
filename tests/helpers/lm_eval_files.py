"""Files as `lm_eval --log_samples` 0.4.13 writes them, made by hand."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TIME = "2026-11-30T21-05-16.123456"


def digest(text: str) -> str:
    """As lm_eval hashes a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def row(
    number: int, scores: Mapping[str, Any], *, prompt: str = "", answer: str = "", filter: str = "none"
) -> dict[str, Any]:
    """One item of a task."""
    prompt = prompt or f"Question {number}:"
    return {
        "doc_id": number,
        "doc": {"question": str(number)},
        "target": "0",
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": " yes"}},
        "resps": [[[answer or f"-{number}.5", "False"]]],
        "filtered_resps": [["-1.5", "False"]],
        "filter": filter,
        "metrics": list(scores),
        "doc_hash": digest(str(number)),
        "prompt_hash": digest(prompt),
        "target_hash": digest("0"),
        **scores,
    }


def write_samples(folder: Path, task: str, rows: Sequence[Mapping[str, Any]], time: str = TIME) -> Path:
    """A file of samples."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"samples_{task}_{time}.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


def write_results(folder: Path, model: str, tasks: Sequence[str], time: str = TIME, **more: Any) -> Path:
    """The file of results beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    value = {
        "results": {task: {"alias": task, "acc,none": 0.5} for task in tasks},
        "n-shot": dict.fromkeys(tasks, 0),
        "versions": dict.fromkeys(tasks, 1.0),
        "higher_is_better": {task: {"acc": True, "acc_norm": True} for task in tasks},
        "model_name": model,
        "chat_template_sha": None,
        **more,
    }
    path = folder / f"results_{time}.json"
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
    return path


def scored(scores: Sequence[float], whose: str = "", metric: str = "acc") -> list[dict[str, Any]]:
    """Rows with these scores; `whose` makes the answers this model's own."""
    return [row(number, {metric: score}, answer=f"{whose}-{number}") for number, score in enumerate(scores)]
