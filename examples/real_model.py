"""A check of a real chat model in Python, with a judge of one's own: here the rule of `rule_judge.py`, which is none.

    python examples/real_model.py MODELS ADAPTER        # MODELS: where `make real-model` put smollm2

Exit codes as those of `offtarget check`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from rule_judge import scripted

import offtarget
from offtarget.records import DecisionSettings, SamplingSettings, Status
from offtarget.records.check import CheckSettings

EXIT = {Status.PASS: 0, Status.FAIL: 1, Status.UNDECIDED: 3}


def main(models: str, adapter: str) -> int:
    """Check the adapter against its base, print the verdict; the exit code."""
    base = f"hf/{Path(models) / 'smollm2'}"
    result = offtarget.check(
        base,
        f"{base}+{adapter}",
        judge=scripted(),
        arms=["plain"],
        # Short answers and a small cap: a demonstration, which ends in a minute.
        settings=CheckSettings(
            sampling=SamplingSettings(temperature=0.7, max_tokens=40),
            max_answers=24,
            decision=DecisionSettings(base_per_tuned=2),
        ),
        on_progress=offtarget.show_progress(),
    )
    sys.stdout.write(Path(result.report("text")).read_text(encoding="utf-8"))
    return EXIT[result.decision.status]


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
