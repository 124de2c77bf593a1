"""offtarget's own format of question files: a question is written once and asked in several formats."""

from __future__ import annotations

import keyword
from pathlib import Path

import yaml

from offtarget.probe.bank import ProbeBank
from offtarget.probe.formats import DEFAULT_SLOTS, FORMATS, put
from offtarget.probe.located import Fields, identified
from offtarget.records import Probe

_FILE_KEYS = ("name", "version", "about", "formats", "questions")
_QUESTION_KEYS = ("id", "domain", "construct", "text", "paraphrases", "slots", "source", "formats")


def own_bank(root: yaml.Node, path: Path) -> ProbeBank:
    """The bank of a file in the format of docs/probes.md; InputError names file, line and question."""
    file = Fields.of(root, path)
    file.refuse_unknown(_FILE_KEYS)
    formats = _formats(file, FORMATS)
    listed = file.node("questions")
    if not isinstance(listed, yaml.SequenceNode) or not listed.value:
        raise file.error("'questions' must be a list with at least one question.", listed)
    probes: list[Probe] = []
    for question_id, question in identified(listed, path, _QUESTION_KEYS):
        probes += _probes(question, question_id, _formats(question, formats))
    return ProbeBank(file.text("name", path.stem), tuple(probes))


def _probes(question: Fields, question_id: str, formats: tuple[str, ...]) -> list[Probe]:
    domain, construct = question.text("domain"), question.text("construct")
    source = question.text("source", "offtarget")
    texts = (question.text("text"), *question.texts("paraphrases"))
    if len(set(texts)) != len(texts):
        raise question.error("two of its wordings are the same. Remove one.")
    slots = _slots(question)
    probes = []
    for arm in formats:
        for number, text in enumerate(texts):
            turns = put(text, arm, slots)
            probes.append(
                Probe(
                    id=f"{question_id}/{arm}/{number}",
                    question_id=question_id,
                    arm=arm,
                    prompt=turns.prompt,
                    system=turns.system,
                    domain=domain,
                    construct=construct,
                    source=source,
                )
            )
    return probes


def _formats(fields: Fields, default: tuple[str, ...]) -> tuple[str, ...]:
    names = fields.texts("formats") or default
    for name in names:
        if name not in FORMATS:
            raise fields.error(f"unknown format '{name}'. Known formats: {', '.join(FORMATS)}.", fields.node("formats"))
    return tuple(name for name in FORMATS if name in names)


def _slots(question: Fields) -> tuple[str, ...]:
    slots = question.texts("slots") or DEFAULT_SLOTS
    for slot in slots:
        if not slot.isidentifier() or keyword.iskeyword(slot):
            raise question.error(f"the slot '{slot}' is not a Python variable name.", question.node("slots"))
    if len(set(slots)) != len(slots):
        raise question.error("two slots have the same name. Rename one.", question.node("slots"))
    return slots
