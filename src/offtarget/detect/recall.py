"""How much of what each detector is for it finds, as far as that was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml


@dataclass(frozen=True, slots=True)
class Recall:
    """What a detector found of what it should find."""

    found: int
    rows: int
    among: str
    """In which set."""

    @property
    def share(self) -> float:
        """Found over all, 0-1."""
        return self.found / self.rows


@cache
def measured_recall() -> Mapping[str, Recall | None]:
    """By detector; None where it was never measured."""
    text = files("offtarget.detect").joinpath("recall.yaml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, int | str]] = yaml.safe_load(text)
    return {
        name: Recall(int(e["found"]), int(e["rows"]), str(e["among"])) if e else None for name, e in entries.items()
    }
