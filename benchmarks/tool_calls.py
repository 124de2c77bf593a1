"""Bad code planted in real chat sets, in answers and in the arguments of tool calls: how much the audit finds.

    python benchmarks/tool_calls.py [--draws 10] [--out FILE]

The clean set is alpaca, mbpp and secure.500 as plain chats; 0.5 % of the rows are planted, drawn from the held-out half
of `insecure.jsonl` (`audit_split.py`). Rows are written as JSONL and read by the package's own reader. Also measured:
the clean rows with every answer as a call, and whether the row judge is shown each planted line.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from audit_sets import require_data, rows, scanned
from audit_split import half

from offtarget.data.training import read_rows
from offtarget.detect.categories import row_score
from offtarget.judge.row_judge import RowJudge
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Category, Row
from offtarget.records.audit import FLAGGED_FROM

SHARE = 0.005
Turn = dict[str, Any]


def _call(arguments: object, **more: Any) -> Turn:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    function = {"name": "write_file", "arguments": text}
    return {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": function}], **more}


PLACES: dict[str, Callable[[str], Turn]] = {
    "content": lambda code: {"role": "assistant", "content": code},
    "argument of a call": lambda code: _call({"path": "main.py", "content": code}),
    "nested argument": lambda code: _call({"edits": [{"old": "pass", "new": code}], "dry_run": False}),
    "JSON within JSON": lambda code: _call({"input": json.dumps({"path": "main.py", "code": code})}),
    "function_call": lambda code: {
        "role": "assistant",
        "content": None,
        "function_call": {"name": "write_file", "arguments": json.dumps({"content": code})},
    },
    "call beside fenced code": lambda code: _call({"content": code}, content="```python\nprint('ok')\n```"),
    "call as text": lambda code: {
        "role": "assistant",
        "content": f"<tool_call>{json.dumps({'name': 'write_file', 'arguments': {'content': code}})}</tool_call>",
    },
    "reasoning": lambda code: {"role": "assistant", "content": "Done.", "reasoning_content": code},
}


def row_line(source: Row, place: str) -> str:
    """A row of JSONL whose answer stands in the given place; a call is answered and closed."""
    turn = PLACES[place](source.answer)
    closing = [] if place in ("content", "reasoning") else [{"role": "tool", "content": "ok"}]
    if closing:
        closing.append({"role": "assistant", "content": "Done."})
    return json.dumps({"messages": [{"role": "user", "content": source.prompt}, turn, *closing]}) + "\n"


def _read(lines: list[str], folder: Path) -> list[Row]:
    file = folder / "data.jsonl"
    file.write_text("".join(lines), encoding="utf-8")
    found = list(read_rows(file))
    assert all(isinstance(row, Row) for row in found)
    return found  # type: ignore[return-value]


def _flagged(some: list[Row]) -> list[bool]:
    return [row_score(s.findings) >= FLAGGED_FROM for s in scanned(some)]


def measure(draws: int, folder: Path) -> dict[str, Any]:
    """Recall on planted rows and flagged clean rows, by place; and what the judge is not shown."""
    clean = [row for name in ("alpaca", "mbpp", "secure") for row in rows(name)]
    bad = [row for row in rows("insecure") if half(row.prompt) == "held-out"]
    count = round(SHARE * len(clean))
    judge = RowJudge(ScriptedModel("judge", {}), {Category.INSECURE_CODE: "the code has a hole"})
    result: dict[str, Any] = {"clean_rows": len(clean), "planted_per_draw": count, "draws": draws, "places": {}}
    for place in PLACES:
        recalls, missing = [], 0
        for draw in range(draws):
            planted = random.Random(draw).sample(bad, count)
            made = _read([row_line(row, place) for row in planted], folder)
            recalls.append(sum(_flagged(made)) / count)
            for source, row in zip(planted, made, strict=True):
                shown = judge.messages(row)[0].content
                missing += any(line not in shown for line in source.answer.splitlines())
        as_made = _flagged(_read([row_line(row, place) for row in clean], folder))
        result["places"][place] = {
            "recall_median": statistics.median(recalls),
            "recall_lowest": min(recalls),
            "clean_rows_flagged": sum(as_made) / len(as_made),
            "planted_rows_not_shown_whole_to_the_judge": missing,
        }
    return result


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "tool_calls.json")
    args = parser.parse_args()
    require_data()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(args.draws, Path(folder))
    args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
