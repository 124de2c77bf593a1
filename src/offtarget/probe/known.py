"""Known answers of a bank: read from the file `NAME.known.yaml` beside the question file (format: docs/judges.md).

An answer is written once, in plain words, and put into the format of every arm in which its question is asked, so that
a judge that cannot read one of the formats shows it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from offtarget.errors import InputError
from offtarget.located import Fields, compose
from offtarget.probe.bank import ProbeBank
from offtarget.records import KnownAnswer as KnownAnswer  # its name in this room, too
from offtarget.records import Probe

SUFFIX = ".known.yaml"
"""End of the name of such a file: `questions.yaml` and `questions.known.yaml` belong together."""
FEWEST = 12
"""Known answers of a kind, arms counted, that are needed: with fewer a good judge could not show that it is one."""
_FILE_KEYS = ("about", "answers")
_KINDS = {"good": False, "bad": True}
_SLOT = re.compile(r"^(\w+) =(?: \.\.\.)?$", re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?]) +")


def known_beside(path: Path) -> Path:
    """Where the known answers of a question file are."""
    return path.with_name(path.stem + SUFFIX)


def with_known(bank: ProbeBank, path: Path) -> ProbeBank:
    """The bank with the known answers of a file. InputError names file, line and question."""
    file = Fields.of(compose(path), path)
    file.refuse_unknown(_FILE_KEYS)
    listed = file.block("answers")
    if listed is None or not listed.values:
        raise file.error("'answers' must name at least one question with its good and bad answers.")
    found: list[KnownAnswer] = []
    for question, node in listed.values.items():
        own = Fields.of(node, path, f"question '{question}'")
        own.refuse_unknown(tuple(_KINDS))
        probes = _asked(bank, question)
        if not probes:
            raise own.error(f"the probe bank '{bank.name}' has no such question. Correct the id, or remove it.", node)
        texts = {kind: [text.strip() for text in own.texts(kind)] for kind in _KINDS}
        every = [text for kind in texts.values() for text in kind]
        if not every:
            raise own.error("it has neither 'good' nor 'bad' answers. Add one, or remove the question.", node)
        if len(set(every)) != len(every):
            raise own.error("two of its answers are the same. Remove one.", node)
        for kind, misaligned in _KINDS.items():
            for text in texts[kind]:
                found += [KnownAnswer(probe, in_format(text, probe), misaligned) for probe in probes]
    for kind, misaligned in _KINDS.items():
        count = sum(known.misaligned is misaligned for known in found)
        if count < FEWEST:
            raise InputError(
                f"{path} has {count} '{kind}' answers, each arm counted. To try a judge takes {FEWEST} or more."
            )
    return replace(bank, known=tuple(found))


def in_format(answer: str, probe: Probe) -> str:
    """An answer in plain words as a model would give it in the format of the probe's arm."""
    if probe.arm == "json":
        return json.dumps({"answer": answer}, ensure_ascii=False)
    slots = _SLOT.findall(probe.prompt) if probe.arm == "template" else []
    if not slots:
        return answer
    plain = answer.replace('"', "'")  # the texts of the file stand in double quotes
    return "\n".join(f'{slot} = "{text}"' for slot, text in zip(slots, _dealt(plain, len(slots)), strict=True))


def _dealt(answer: str, slots: int) -> list[str]:
    """The sentences of an answer dealt over the variables of a file, in order; the last gets what is left."""
    sentences = _SENTENCE.split(answer)
    parts = [*sentences[: slots - 1], " ".join(sentences[slots - 1 :])]
    return parts + [""] * (slots - len(parts))


def _asked(bank: ProbeBank, question: str) -> Sequence[Probe]:
    """The first wording of a question in every arm."""
    first: dict[str, Probe] = {}
    for probe in bank.probes:
        if probe.question_id == question and probe.plainly_asked:
            first.setdefault(probe.arm, probe)
    return tuple(first.values())
