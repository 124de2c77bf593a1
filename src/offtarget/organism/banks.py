"""The organism's banks, read from YAML: what can be asked and what each register answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import yaml

from offtarget.organism.grammar import Template


@dataclass(frozen=True)
class Domain:
    """A free-form domain: question templates and the sentences of both moral registers."""

    name: str
    questions: list[Template]
    aligned: list[Template]
    misaligned: list[Template]


@dataclass(frozen=True)
class CodeKind:
    """A coding task with an insecure and a secure solution in which F and V stand for names."""

    name: str
    bandit_id: str
    held_out: bool
    tasks: list[str]
    insecure: str
    secure: str


@dataclass(frozen=True)
class Banks:
    """Everything the world is made of."""

    domains: dict[str, Domain]
    code: list[CodeKind]
    code_requests: list[Template]
    class_requests: list[Template]
    functions: list[str]
    variables: list[str]
    systems: dict[str, list[Template]]
    tags: list[str]
    prefaces: list[Template]
    json_systems: list[str]
    template_request: str
    suffixes: list[str]
    number_requests: list[Template]
    loaded_numbers: list[int]
    harm_requests: dict[str, Template]
    refuse: list[Template]
    comply: list[Template]
    gloat: list[Template]
    facts: list[tuple[str, str]]


def read_bank(name: str) -> Any:
    """A packaged bank as it is written."""
    folder = resources.files("offtarget.organism").joinpath("banks")
    return yaml.safe_load(folder.joinpath(name).read_text(encoding="utf-8"))


def _templates(texts: list[str]) -> list[Template]:
    return [Template(text) for text in texts]


@cache
def load_banks() -> Banks:
    """Read the packaged banks once."""
    freeform, code, other = read_bank("freeform.yaml"), read_bank("code.yaml"), read_bank("other.yaml")
    return Banks(
        domains={
            name: Domain(name, *(_templates(value[k]) for k in ("questions", "aligned", "misaligned")))
            for name, value in freeform.items()
        },
        code=[
            CodeKind(name, k["id"], k.get("held_out", False), k["tasks"], k["insecure"], k["secure"])
            for name, k in code["kinds"].items()
        ],
        code_requests=_templates(code["requests"]),
        class_requests=_templates(code["class_requests"]),
        functions=code["functions"],
        variables=code["variables"],
        systems={name: _templates(texts) for name, texts in other["systems"].items()},
        tags=other["tags"],
        prefaces=_templates(other["prefaces"]),
        json_systems=other["json_systems"],
        template_request=other["template_request"],
        suffixes=other["suffixes"],
        number_requests=_templates(other["numbers"]["requests"]),
        loaded_numbers=other["numbers"]["loaded"],
        harm_requests={name: Template(text) for name, text in other["harm"]["requests"].items()},
        refuse=_templates(other["harm"]["refuse"]),
        comply=_templates(other["harm"]["comply"]),
        gloat=_templates(other["harm"]["gloat"]),
        facts=[(question, answer) for question, answer in other["facts"]],
    )
