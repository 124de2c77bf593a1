"""Values of the published experiment, each with its source."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import yaml

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
    return tuple(
        Published(
            condition=v["condition"],
            axis=v["axis"],
            sign=v.get("sign", "="),
            value=v["value"],
            low=v.get("low"),
            high=v.get("high"),
            model=v["model"],
            source=_source(v),
        )
        for v in raw()["values"]
    )


def _source(value: dict[str, Any]) -> str:
    if "text" in value:
        return f"{PAPER}, {value['text']}"
    file = raw()["files"][value["csv"]]
    return f"{file['name']}: {file['says']}"
