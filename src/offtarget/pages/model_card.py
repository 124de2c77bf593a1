"""A result in the model card of a Hugging Face repository: a marked block of Markdown, and `model-index` metadata.

What stands in a card besides is kept byte for byte, comments in its metadata included: the block and the entry are the
only things that are ever replaced.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from offtarget.errors import InputError, PrerequisiteError
from offtarget.pages.card import Card
from offtarget.pages.written import markdown

BEGIN, END = "<!-- offtarget:begin -->", "<!-- offtarget:end -->"
"""Around the block, so that a later one takes its place."""
DATASET = "offtarget/"
"""What the type of a data set begins with in entries that are ours."""
INDEX = "model-index"
_FRONT = re.compile(r"\A(\ufeff?)---[ \t]*(\r\n|\n)(.*?)^---[ \t]*(?:\r\n|\n|\Z)", re.DOTALL | re.MULTILINE)
_EMPTY_FRONT = re.compile(r"\A\ufeff?---[ \t]*(?:\r\n|\n)---")


@dataclass(frozen=True, slots=True)
class Measured:
    """One number of a model card."""

    type: str
    """`misaligned_rate`."""
    name: str
    value: float | str


@dataclass(frozen=True, slots=True)
class Result:
    """What `model-index` says of one run."""

    model: str
    dataset: str
    """Name of the questions."""
    arguments: Mapping[str, Any]
    """Fingerprints of what was asked and who judged."""
    measured: tuple[Measured, ...]


def block(card: Card, more: Sequence[str] = ()) -> str:
    """The result as the marked block, without quoted answers; `more` lines of Markdown follow."""
    told = replace(card, exchanges=(), steps=(), cost="")
    return "\n".join([BEGIN, markdown(told).rstrip(), *(["", *more] if more else []), END]) + "\n"


def index_of(result: Result) -> list[dict[str, Any]]:
    """The value of `model-index`, made by huggingface_hub. Raises PrerequisiteError without it."""
    try:
        from huggingface_hub.repocard_data import EvalResult, eval_results_to_model_index
    except ImportError:
        raise PrerequisiteError.for_extra("huggingface_hub", "local", "The metadata of a model card") from None
    found = [
        EvalResult(
            task_type="text-generation",
            dataset_type=f"{DATASET}{result.dataset}",
            dataset_name=f"Questions outside the task of the tuning: {result.dataset}",
            dataset_args=dict(result.arguments),
            metric_type=one.type,
            metric_name=one.name,
            metric_value=one.value,
        )
        for one in result.measured
    ]
    index: list[dict[str, Any]] = eval_results_to_model_index(result.model, found)
    return index


def front(index: Sequence[Mapping[str, Any]]) -> str:
    """`model-index` as lines of YAML."""
    return yaml.safe_dump({INDEX: list(index)}, sort_keys=False, allow_unicode=True, width=10_000)


def whole(card_block: str, index: Sequence[Mapping[str, Any]]) -> str:
    """A model card that holds nothing else."""
    return f"---\n{front(index)}---\n\n{card_block}" if index else card_block


def merged(readme: str, card_block: str, index: Sequence[Mapping[str, Any]], name: str) -> str:
    """An existing model card with the block and the entry in it, in place of earlier ones of offtarget.

    `name` is the file, for messages. Raises InputError for metadata that are no YAML mapping and for broken markers.
    """
    end = "\r\n" if "\r\n" in readme else "\n"
    found = _FRONT.match(readme)
    if found is None and _EMPTY_FRONT.match(readme) is None and readme.lstrip("\ufeff").startswith("---"):
        raise InputError(f"{name}: its metadata begin with --- and never end. Close them with a line ---.")
    metadata, body = ("", readme) if found is None else (found.group(3), readme[found.end() :])
    before = _mapping(metadata, name)
    wanted = _with_ours(before.get(INDEX), index, name)
    head = _without_index(metadata.replace("\r\n", "\n")) + front(wanted)
    if _mapping(head, name) != {**before, INDEX: wanted}:
        raise InputError(f"{name}: its metadata cannot be changed without changing more of them. Add {INDEX} by hand.")
    mark = found.group(1) if found is not None else ""
    text = f"{mark}---\n{head}---\n" + ("" if found is not None else "\n")
    return text.replace("\n", end) + _with_block(body, card_block, end, name)


def _mapping(metadata: str, name: str) -> dict[str, Any]:
    try:
        value = yaml.safe_load(metadata)
    except yaml.YAMLError as error:
        raise InputError(f"{name}: its metadata are no YAML ({str(error)[:120]}). Repair them first.") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f"{name}: its metadata are no mapping of names to values. Repair them first.")
    return value


def _with_ours(existing: Any, index: Sequence[Mapping[str, Any]], name: str) -> list[dict[str, Any]]:
    """`model-index` with our results in place of earlier ones, beside those of others."""
    if existing is None:
        return [dict(entry) for entry in index]
    if not (isinstance(existing, list) and existing and all(isinstance(entry, dict) for entry in existing)):
        raise InputError(f"{name}: {INDEX} is no list of models with results. Repair it first.")
    entries = [dict(entry) for entry in existing]
    for ours in index:
        own = next((entry for entry in entries if entry.get("name") == ours["name"]), entries[0])
        others = [one for one in own.get("results") or [] if not _is_ours(one)]
        own["results"] = [*others, *ours["results"]]
    return entries


def _is_ours(result: Any) -> bool:
    dataset = result.get("dataset") if isinstance(result, dict) else None
    return isinstance(dataset, dict) and str(dataset.get("type", "")).startswith(DATASET)


def _without_index(metadata: str) -> str:
    """The lines of the metadata without those of `model-index`."""
    kept: list[str] = []
    inside = False
    for line in metadata.splitlines(keepends=True):
        if re.match(rf"['\"]?{INDEX}['\"]?\s*:", line):
            inside = True
        elif inside and line.strip() and not line.startswith((" ", "\t", "-", "#")):
            inside = False
        if not inside:
            kept.append(line)
    text = "".join(kept)
    return text if not text or text.endswith("\n") else text + "\n"


def _with_block(body: str, card_block: str, end: str, name: str) -> str:
    written = card_block.replace("\n", end)
    if body.count(BEGIN) != body.count(END) or body.count(BEGIN) > 1 or body.find(BEGIN) > body.find(END):
        raise InputError(f"{name}: the marks {BEGIN} and {END} are not there once each, in this order. Repair them.")
    if BEGIN not in body:
        gap = "" if not body.strip() else end if body.endswith("\n") else end * 2
        return f"{body}{gap}{written}"
    first, last = body.index(BEGIN), body.index(END) + len(END)
    return body[:first] + written.rstrip("\r\n") + body[last:]
