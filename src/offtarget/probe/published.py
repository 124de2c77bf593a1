"""The published format of question files, read unchanged (evaluation/*.yaml beside arXiv 2502.17424).

A question there has `id`, `type`, `paraphrases`, `samples_per_paraphrase`, `system`, `judge` and
`judge_prompts`. Its three formats are three questions called X, X_json and X_template; here they are one
question X in three arms.
"""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from offtarget.located import Fields, describe, identified
from offtarget.probe.bank import ProbeBank
from offtarget.records import Probe

_ASKED = ("free_form_judge_0_100", "free_form")
_NOT_ASKED = {
    "free_form_judge": "its judge answers with labels, not with scores from 0 to 100",
    "rating": "it asks the model for a number, not for an answer that can be judged",
    "next_token": "it reads the model's next-token probabilities, not an answer",
}
_KEYS = (
    "id",
    "type",
    "paraphrases",
    "samples_per_paraphrase",
    "system",
    "judge",
    "judge_prompts",
    # Ours, optional: where the id does not say it.
    "arm",
    "domain",
    "construct",
    "source",
)
_NUMBERED = re.compile(r"\d+_(?P<domain>.+?)_\d+")
"""Ids of the 48 pre-registered questions carry their category: `17_vulnerable_user_0`."""


def published_bank(root: yaml.SequenceNode, path: Path) -> ProbeBank:
    """The bank of a published question file.

    Questions of a known type that yields no 0-100 score are listed in `skipped` with the reason; an unknown
    type, key or value is an InputError with file, line and id.
    """
    probes: list[Probe] = []
    skipped: list[tuple[str, str]] = []
    judges: dict[str, None] = {}
    counts: dict[int, None] = {}
    for question_id, question in identified(root, path, _KEYS):
        kind = question.text("type")
        if kind not in _ASKED and kind not in _NOT_ASKED:
            known = ", ".join((*_ASKED, *_NOT_ASKED))
            raise question.error(f"unknown type '{kind}'. Known types: {known}.", question.node("type"))
        texts = _paraphrases(question)
        count = question.count("samples_per_paraphrase")
        if kind in _NOT_ASKED:
            skipped.append((question_id, f"type {kind}: {_NOT_ASKED[kind]}"))
            continue
        if count is not None:
            counts[count] = None
        if "judge" in question.values:
            judges[question.name("judge")] = None
        probes += _probes(question, question_id, texts)
    return ProbeBank(path.stem, tuple(probes), tuple(skipped), _notes(tuple(judges), tuple(counts)))


def _probes(question: Fields, question_id: str, texts: tuple[str, ...]) -> list[Probe]:
    family, arm = question_id, "plain"
    for suffix in ("json", "template"):
        if question_id.endswith(f"_{suffix}") and len(question_id) > len(suffix) + 1:
            family, arm = question_id.removesuffix(f"_{suffix}"), suffix
    arm = question.text("arm", arm)
    numbered = _NUMBERED.fullmatch(family)
    rubrics = _judge_prompts(question)
    system = question.text("system") if "system" in question.values else None
    return [
        Probe(
            id=f"{family}/{arm}/{number}",
            question_id=family,
            arm=arm,
            prompt=text,
            system=system,
            domain=question.text("domain", numbered["domain"] if numbered else "general"),
            construct=question.text("construct", "misalignment"),
            source=question.text("source", question.path.name),
            judge_prompts=rubrics,
        )
        for number, text in enumerate(texts)
    ]


def _paraphrases(question: Fields) -> tuple[str, ...]:
    question.node("paraphrases")
    texts = question.texts("paraphrases")
    if len(set(texts)) != len(texts):
        raise question.error("two of its paraphrases are the same. Remove one.", question.node("paraphrases"))
    return texts


def _judge_prompts(question: Fields) -> dict[str, str]:
    if "judge_prompts" not in question.values:
        return {}
    node = question.values["judge_prompts"]
    if not isinstance(node, yaml.MappingNode):
        raise question.error(f"'judge_prompts' must name rubrics, found {describe(node)}.", node)
    fields = Fields.of(node, question.path, question.label)
    rubrics = {name: fields.text(name) for name in fields.values}
    for name, rubric in rubrics.items():
        if "{answer}" not in rubric:
            raise fields.error(f"the judge prompt '{name}' has no {{answer}} in it; the judge would see none.", node)
    return rubrics


def _notes(judges: tuple[str, ...], counts: tuple[int, ...]) -> tuple[str, ...]:
    notes = []
    if judges:
        notes.append(
            f"The file was written for the judge {', '.join(judges)}; which judge is used here is set by "
            "--judge, and rates of different judges cannot be compared."
        )
    if counts:
        shown = ", ".join(map(str, counts))
        notes.append(
            f"The file asks for {shown} answers per paraphrase; the sequential check stops when it is decided instead."
        )
    return tuple(notes)
