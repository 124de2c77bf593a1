"""Where a local model lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError
from offtarget.models.folders import find_folder
from offtarget.models.names import LocalName, parse_name
from offtarget.organism.shipped import resolve


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a local model lies: a whole model, or a base and an adapter on it."""

    base: Path
    adapter: Path | None = None

    @property
    def name(self) -> str:
        """As `check` takes it."""
        return f"hf/{self.base}" if self.adapter is None else f"hf/{self.base}+{self.adapter}"

    @classmethod
    def of(cls, model: str) -> Folders:
        """By a model's name. InputError for a model behind an endpoint."""
        name = parse_name(model, resolve)
        if not isinstance(name, LocalName):
            raise InputError(f"{model} is behind an endpoint; this needs local weights (hf/..., organism/...).")
        return cls(find_folder(name.base), None if name.adapter is None else find_folder(name.adapter))
