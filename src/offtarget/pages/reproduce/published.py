"""Values of the published experiment, each with its source."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml

from offtarget.records.from_json import from_json
from offtarget.records.reproduce import Published

PAPER = "arXiv 2502.17424"


@cache
def raw() -> dict[str, Any]:
    """The packaged file as it is."""
    text = resources.files("offtarget.pages.reproduce").joinpath("published.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@cache
def published_values() -> tuple[Published, ...]:
    """All of them; the first of a condition and axis is the one shown beside ours."""
    usual = {"sign": "=", "low": None, "high": None}
    return tuple(from_json(Published, {**usual, **v, "source": _source(v)}) for v in raw()["values"])


def _source(value: dict[str, Any]) -> str:
    if "text" in value:
        return f"{PAPER}, {value['text']}"
    file = raw()["files"][value["csv"]]
    return f"{file['name']}: {file['says']}"
