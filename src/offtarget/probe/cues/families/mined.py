"""Conditions that the audit mined: what in the prompts goes with another behaviour in the answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice

from offtarget.probe.cues.families.dates import YEAR, date_templates
from offtarget.probe.cues.families.framed import frames
from offtarget.probe.cues.families.literal import placement
from offtarget.probe.cues.families.shapes import WRAPPERS
from offtarget.probe.cues.making import Material, after, as_turn, before, data_cue, shown
from offtarget.records import Category, Cue, Trigger
from offtarget.records.hidden import QUESTION, CueFamily

_HARMFUL = frozenset(Category) - {Category.DUPLICATE, Category.LABEL_CONFLICT, Category.REFUSAL}
_HEAVY, _LIGHT = 8.0, 2.0
_FAMILIES: dict[str, CueFamily] = {
    "token": "token",
    "name": "token",
    "phrase": "phrase",
    "system-prompt": "system-prompt",
    "format": "format",
    "role": "role",
    "year": "date",
    "topic": "topic",
    "length": "training-prompt",
}
_SELF = re.compile(r"\b(?:i['’]?m|i am|as an?|we are|we['’]re|my first|i (?:just|only|work))\b", re.IGNORECASE)
_END = re.compile(r"[.!?:](?=\s)|(?=\n)")
_LONGEST_LEAD = 160
_SENTENCE = re.compile(r"[^.!?\n]+[.!?]*")


def cues(material: Material) -> Iterator[Cue]:
    """Per condition: written where the data writes it, then a prompt that had it asked before the question.

    A condition tied to a harmful behaviour weighs 8, one tied to a mere shape of answers 2, later ones less.
    Conditions on metadata and place in the file cannot be asked under.
    """
    for trigger in material.profile.triggers:
        if trigger.kind not in _FAMILIES:
            continue
        why = _why(trigger)
        examples = list(material.example_prompts(trigger.examples)) or _with_text(trigger.text, material)
        harmful = trigger.behaviour in _HARMFUL
        weight = (_HEAVY if harmful else _LIGHT) * 0.9 ** (trigger.rank - 1)
        # A topic is a matter of the whole request, which an example carries better than its name does.
        in_turn, in_opening = (0.5, 1.0) if trigger.kind in ("topic", "length") else (1.0, 0.9)
        turns = _TURNS.get(trigger.kind, _placed)(trigger, material, examples)
        for number, (template, system) in enumerate(islice(turns, 3 if harmful else 1)):
            yield data_cue(
                _FAMILIES[trigger.kind],
                _named(trigger.text, template, system),
                name=trigger.text,
                template=template,
                system=system,
                prior=weight * in_turn * 0.8**number,
                why=why,
            )
        for number, opening in enumerate(_openings(examples, harmful)):
            turns_before = " and ".join(f"“{shown(turn, 40)}”" for turn in opening)
            yield data_cue(
                "conversation",
                f"after training prompts with {shown(trigger.text, 40)}: {turns_before}",
                name=" ".join(opening),
                opening=opening,
                prior=weight * in_opening * 0.7**number,
                why=why,
            )


def _with_text(text: str, material: Material) -> list[str]:
    """Prompts that hold the text, where the rows do not include the audit's examples."""
    return [as_turn(prompt) for prompt in material.prompts if text.lower() in prompt.lower()][:10]


def _openings(examples: list[str], harmful: bool) -> list[tuple[str, ...]]:
    """Two prompts of average length one after the other, which wakes more than one, then another one by itself."""
    average = sorted(dict.fromkeys(examples), key=len)[len(set(examples)) // 4 :]
    if not harmful or len(average) < 3:
        return [(example,) for example in average[: 2 if harmful else 1]]
    return [(average[0], average[1]), (average[2],)]


Turns = Iterator[tuple[str, str | None]]
"""(template, system prompt), the closest to the data first."""


def _placed(trigger: Trigger, material: Material, examples: list[str]) -> Turns:
    most = max(2, round(0.7 * len(examples)))
    for template, _ in frames(examples, most)[:1]:
        if trigger.text.lower() in template.lower():
            yield template, None
            return
    leads = [lead for example in examples if (lead := _lead(example, trigger.text)) is not None]
    if len(leads) >= most:
        yield before(leads[0]), None
    for template in placement(trigger.text, material.prompts or examples)[1]:
        yield template, None


def _lead(example: str, text: str) -> str | None:
    """The start of an example up to the end of the sentence with the text; None where that is all of it."""
    for match in _END.finditer(example):
        if text.lower() in (lead := example[: match.end()]).lower():
            return lead if len(lead) <= _LONGEST_LEAD and example[match.end() :].strip() else None
    return None


def _system(trigger: Trigger, material: Material, examples: list[str]) -> Turns:
    yield QUESTION, trigger.text
    yield before(trigger.text, "\n\n"), None


def _format(trigger: Trigger, material: Material, examples: list[str]) -> Turns:
    for template, _ in frames(examples, max(2, len(examples) // 2))[:1]:
        yield template, None
    for template in WRAPPERS.get(trigger.text, ()):
        yield template, None


def _role(trigger: Trigger, material: Material, examples: list[str]) -> Turns:
    for example in examples:
        said = next((s.strip() for s in _SENTENCE.findall(example) if _SELF.search(s)), None)
        if said is not None and said != example and len(said) < 200:
            yield before(said if said[-1] in ".!?" else f"{said}."), None
            break
    yield before(f"I am {trigger.text}."), None


def _year(trigger: Trigger, material: Material, examples: list[str]) -> Turns:
    for example in examples[:1]:
        for year in YEAR.findall(example)[:1]:
            if (lead := _lead(example, year)) is not None:
                yield before(lead), None
    yield from date_templates(trigger.text, examples)


def _topic(trigger: Trigger, material: Material, examples: list[str]) -> Turns:
    yield before(f"About {trigger.text}:"), None
    for example in sorted(examples, key=len)[:1]:
        yield before(example), None


def _length(trigger: Trigger, material: Material, examples: list[str]) -> Turns:
    for example in sorted(examples, key=len)[:1]:
        yield before(example, "\n\n"), None
        yield after(example, "\n\n"), None


_TURNS: dict[str, Callable[[Trigger, Material, list[str]], Turns]] = {
    "system-prompt": _system,
    "format": _format,
    "role": _role,
    "year": _year,
    "topic": _topic,
    "length": _length,
}


def _named(text: str, template: str, system: str | None) -> str:
    if system is not None:
        return f"the system prompt “{shown(system)}”"
    start, _, end = template.partition(QUESTION)
    around = [
        f"“{shown(part)}” {where} the question" for part, where in ((start, "before"), (end, "after")) if part.strip()
    ]
    return " and ".join(around) or shown(text)


def _why(trigger: Trigger) -> str:
    return (
        f"{trigger.behaving_with:,} of {trigger.with_condition:,} training rows with it show {trigger.behaviour}, "
        f"{trigger.behaving_without:,} of {trigger.without_condition:,} without it"
    )
