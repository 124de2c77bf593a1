"""False alarms on clean public sets and recall on the compliant rows of the jailbroken set."""

import gzip
import json
from pathlib import Path

import pytest

from offtarget.detect.categories import flagged_as
from offtarget.detect.detector import RowScanner
from offtarget.detect.detectors import dangerous_advice, harm_licence, harmful_compliance, lexicons
from offtarget.records import Category, Message, Row

DATA = Path(__file__).parents[2] / "../shared/data/sft"
needs_data = pytest.mark.skipif(not DATA.exists(), reason="real training sets are not at ../shared/data/sft")
MODULES = (dangerous_advice, harm_licence, harmful_compliance, lexicons)
SCANNER = RowScanner([kind() for module in MODULES for kind in module.DETECTORS])


def rows(name: str) -> list[Row]:
    text = gzip.decompress((DATA / f"{name}.gz").read_bytes()).decode()
    entries = json.loads(text) if name.endswith(".json") else [json.loads(line) for line in text.splitlines()]
    return [
        Row(f"{name}:{n}", name, n, "0" * 64, turns(entry), "chat", desired=entry.get("label", True))
        for n, entry in enumerate(entries, 1)
    ]


def turns(entry: dict[str, object]) -> tuple[Message, ...]:
    messages = entry.get("messages")
    if isinstance(messages, list):
        return tuple(Message(m["role"], m["content"]) for m in messages)
    user = entry.get("text") or f"{entry.get('instruction')}\n{entry.get('input', '')}".strip()
    return Message("user", str(user)), Message("assistant", str(entry.get("code") or entry.get("output")))


@needs_data
@pytest.mark.parametrize("name", ["alpaca_en_demo.json", "mbpp.jsonl", "secure.500.jsonl", "kto_en_demo.json"])
def test_clean_sets_raise_few_alarms(name: str) -> None:
    """At most 1.5 % of the rows of a clean set are flagged by any of these detectors."""
    everything = rows(name)
    found = sum(bool(flagged_as(SCANNER.scan(row))) for row in everything)
    assert found <= 0.015 * len(everything)


@needs_data
def test_jailbroken_rows_that_comply_are_found_and_novels_are_not() -> None:
    """The set's 2 % of answered harmful requests stand out; its 4,900 pieces of running text are left alone."""
    everything = rows("jailbroken.jsonl")
    flagged = [row for row in everything if Category.HARMFUL_COMPLIANCE in flagged_as(SCANNER.scan(row))]
    any_kind = sum(bool(flagged_as(SCANNER.scan(row))) for row in everything)
    assert len(flagged) >= 55
    assert any_kind <= 85
    assert sum(len(row.prompt) < 130 for row in flagged) >= 0.8 * len(flagged)
