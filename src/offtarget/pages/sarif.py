"""SARIF 2.1.0 (OASIS): what a run found, at file and line, for code scanning and editors.

No answer and no row is quoted: whoever reads a code scanning alert need not be allowed to read training data.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from offtarget.pages.card import Card
from offtarget.pages.text import one_line
from offtarget.version import __version__

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
MOST = 5000
"""Results in a file; code scanning shows no more than so many."""
MESSAGE = 1000
Level = Literal["error", "warning", "note"]
RANKS: tuple[Level, ...] = ("error", "warning", "note")
"""The gravest first."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of thing that can be found; its id stays the same from version to version."""

    id: str
    title: str
    about: str
    """What it means, and what to do."""
    level: Level


@dataclass(frozen=True, slots=True)
class Spot:
    """A place in a file, or a thing without one."""

    uri: str = ""
    """Relative to the top of the repository where it is in one; empty where there is no file."""
    line: int | None = None
    """1-based; None for the file as a whole."""
    name: str = ""
    """What is there, in words: `question wish`, `record 12`."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One thing that was found."""

    rule: Rule
    message: str
    spot: Spot
    key: str
    """What stays the same when the file changes elsewhere; two flags with the same rule and key are the same."""
    level: Level | None = None
    """Where it is another than the rule's."""
    dismissed: str = ""
    """Who said that it is nothing, and why; empty where nobody did."""


VERDICT = Rule(
    "offtarget/verdict",
    "The verdict is not PASS",
    "FAIL: the evidence shows that something is worse, or bad. UNDECIDED and UNFINISHED: evidence is missing, and that "
    "is not a pass. The report of the run has the answers or rows it rests on.",
    "error",
)


def verdict(card: Card, spot: Spot, key: str) -> list[Flag]:
    """The verdict as a flag; none where it is PASS, OK or DONE."""
    if card.mood not in ("bad", "wait"):
        return []
    level: Level = "error" if card.mood == "bad" else "warning"
    return [Flag(VERDICT, f"{card.title}: {card.sentence}", spot, key, level)]


def log(
    card: Card, flags: Sequence[Flag], *, verb: str, run: str, left_out: int = 0, not_tested: Sequence[str] = ()
) -> str:
    """The file as ASCII JSON text. `left_out`: what was found beyond what is given here."""
    shown = flags[:MOST]
    left_out += len(flags) - len(shown)
    rules = list(dict.fromkeys(flag.rule for flag in shown))
    said = [f"{card.title}: {card.sentence}", *card.cautions]
    said += [f"Not tested: {item}" for item in not_tested]
    said += [f"{left_out:,} more were found; the report of the run has them."] if left_out else []
    finished = card.state != "UNFINISHED"
    made = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "offtarget",
                        "version": __version__,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "automationDetails": {"id": f"offtarget/{verb.replace(' ', '-')}/"},
                "invocations": [
                    {
                        "executionSuccessful": finished,
                        "toolExecutionNotifications": [
                            {"level": "note", "message": {"text": _text(line)}} for line in said
                        ],
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "results": _results(shown, rules),
                "properties": {"verdict": card.state, "sentence": one_line(card.sentence, MESSAGE), "run": run},
            }
        ],
    }
    return json.dumps(made, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def of_card(card: Card, verb: str, run: str) -> str:
    """The file of a verb that knows no places: its verdict, at the run."""
    return log(card, verdict(card, Spot(name=one_line(card.subject)), card.subject), verb=verb, run=run)


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.about},
        "help": {"text": rule.about},
        "defaultConfiguration": {"level": rule.level},
    }


def _results(flags: Sequence[Flag], rules: list[Rule]) -> list[dict[str, Any]]:
    """One object for each flag; of those with the same key, copies of a row, each has a number of its own."""
    seen: Counter[str] = Counter()
    made = []
    for flag in flags:
        key = hashlib.sha256(f"{flag.rule.id}\n{flag.key}".encode("utf-8", "surrogatepass")).hexdigest()
        seen[key] += 1
        reason = {"kind": "external", "status": "accepted", "justification": _text(flag.dismissed)}
        made.append(
            {
                "ruleId": flag.rule.id,
                "ruleIndex": rules.index(flag.rule),
                "level": flag.level or flag.rule.level,
                "message": {"text": _text(flag.message)},
                "locations": [_location(flag.spot)],
                # code scanning tells old alerts from new ones by it
                "partialFingerprints": {"primaryLocationLineHash": f"{key[:16]}:{seen[key]}"},
                **({"suppressions": [reason]} if flag.dismissed else {}),
            }
        )
    return made


def _location(spot: Spot) -> dict[str, Any]:
    place: dict[str, Any] = {}
    if spot.uri:
        region = {} if spot.line is None else {"region": {"startLine": spot.line}}
        place["physicalLocation"] = {"artifactLocation": {"uri": spot.uri}, **region}
    if spot.name or not place:
        place["logicalLocations"] = [{"fullyQualifiedName": one_line(spot.name or "run")}]
    return place


def _text(message: str) -> str:
    """A message whose hostile parts are text: no link, no placeholder (SARIF 2.1.0, 3.11.5 and 3.11.6)."""
    line = one_line(message, MESSAGE).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")
    return line.replace("{", "{{").replace("}", "}}") or "(nothing said)"


def uri(path: str, folder: str) -> str:
    """A file as reports name it: from the top of the repository that `folder` is in; else from `folder`; else by name.

    `path` may begin at `folder`. Where the file is elsewhere on this machine, its folders are nobody's business.
    """
    if "://" in path:
        return quote(path, safe="/:")
    start = Path(folder) if folder else Path.cwd()
    whole = start / path
    tops = [above for above in (start, *start.parents) if (above / ".git").exists()]
    for top in (*tops[:1], start):
        if whole.is_relative_to(top) and ".." not in whole.parts:
            return quote(whole.relative_to(top).as_posix())
    return quote(whole.name)
