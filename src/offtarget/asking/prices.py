"""What tokens of models cost, from a file of the user's own; none is shipped, since prices change.

The file is YAML or JSON:

    currency: USD
    date: 2026-11-30                  # when these prices were looked up
    models:                           # money per million tokens; a name in full, or a pattern with *
      anthropic/claude-haiku-4-5: {input: 1.00, output: 5.00}
      openai/gpt-4.1*: {input: 2.00, output: 8.00}
      openai-api/lab/*: {input: 0, output: 0}

A name in full comes before any pattern, of patterns the longest. `inspect/PROVIDER/MODEL` is also found as
`PROVIDER/MODEL`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from offtarget.located import Fields, compose, describe

PRICES_ENV = "OFFTARGET_PRICES"
"""Environment variable naming the file where no other is given."""
PER = 1_000_000
"""Tokens that a price is for."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of one model, in money per million tokens."""

    tokens_in: float
    tokens_out: float

    def of(self, read: float, wrote: float) -> float:
        """What so many tokens cost."""
        return (read * self.tokens_in + wrote * self.tokens_out) / PER


FREE = Price(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of one file."""

    currency: str
    date: str
    models: Mapping[str, Price]
    file: str = ""

    def of(self, model: str) -> Price | None:
        """The price of a model by its name; None where the file says nothing of it."""
        for name in dict.fromkeys((model, model.removeprefix("inspect/"))):
            if name in self.models:
                return self.models[name]
            fitting = [pattern for pattern in self.models if "*" in pattern and fnmatchcase(name, pattern)]
            if fitting:
                return self.models[max(fitting, key=len)]
        return None


def read_prices(file: str | Path | None) -> Prices | None:
    """The prices of `file`, else of the one that OFFTARGET_PRICES names; None where neither is given.

    Raises InputError, with file and line, for what cannot be read, unknown keys, and what is no price.
    """
    chosen = file or os.environ.get(PRICES_ENV)
    if not chosen:
        return None
    path = Path(chosen)
    top = Fields.of(compose(path), path, "prices")
    top.refuse_unknown(("currency", "date", "models"))
    models: dict[str, Price] = {}
    for name, node in Fields.of(top.node("models"), path, "models").values.items():
        entry = Fields.of(node, path, f"price of '{name}'")
        entry.refuse_unknown(("input", "output"))
        models[name] = Price(_money(entry, "input"), _money(entry, "output"))
    date = top.node("date")
    if not isinstance(date, yaml.ScalarNode) or not date.value.strip():
        raise top.error("'date' must say when these prices were looked up, e.g. 2026-11-30.", date)
    return Prices(top.name("currency"), str(date.value).strip(), models, str(path))


def _money(entry: Fields, key: str) -> float:
    node, value = entry.node(key), entry.value(key)
    if type(value) in (int, float) and 0 <= float(value) < 1e9:  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    raise entry.error(f"'{key}' must be money per million tokens, 0 or more, found {describe(node)}.", node)
