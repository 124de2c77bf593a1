"""Conditions that the audit mined: what in the prompts goes with another behaviour in the answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice

from offtarget.probe.cues.dated import date_templates
from offtarget.probe.cues.making import after, before, data_cue, shown
from offtarget.probe.cues.material import Material
from offtarget.probe.cues.placement import placement
from offtarget.probe.cues.wrappers import WRAPPERS
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
        examples = list(material.example_prompts(trigger.examples))
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
        for number, opening in enumerate(sorted(examples[:6], key=len)[: 2 if harmful else 1]):
            yield data_cue(
                "conversation",
                f"after a training prompt with {shown(trigger.text, 40)}: “{shown(opening, 40)}”",
                name=opening,
                opening=(opening,),
                prior=weight * in_opening * 0.6**number,
                why=why,
            )


Turns = Iterator[tuple[str, str | None]]
"""(template, system prompt), the closest to the data first."""


def _placed(trigger: Trigger, material: Material, examples: list[str]) -> Turns:
    for template in placement(trigger.text, material.prompts or examples).templates:
        yield template, None


def _system(trigger: Trigger, material: Material, examples: list[str]) -> Turns:
    yield QUESTION, trigger.text
    yield before(trigger.text, "\n\n"), None


def _format(trigger: Trigger, material: Material, examples: list[str]) -> Turns:
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
