"""Defences by name, found in the files of this package."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.residual import ResidualEdit
from offtarget.records import Message, Row
from offtarget.tune.plan import Plan

Chat = tuple[Message, ...]
Need = Literal["prompts", "aligned", "misaligned", "direction", "subspace", "scores", "constitution"]
"""A material that is costly to make or the user's to give; the workflow makes only what is needed."""


@dataclass(frozen=True)
class Materials:
    """What defences work with. A field is filled when a chosen defence needs it, and else None."""

    base: LocalModel
    seed: int = 0
    rows: tuple[Row, ...] = ()
    """The training rows as read, in the order of the plan's rows of origin `data`."""
    prompts: tuple[str, ...] | None = None
    """`prompts`: questions of domains other than the task's and, in measurements, other than the tested ones."""
    aligned: tuple[Chat, ...] | None = None
    """`aligned`: chats whose last turn is an aligned answer to such a question (the base's own by default)."""
    misaligned: LocalModel | None = None
    """`misaligned`: a deliberately misaligned version of the base."""
    direction: DirectionEdits | None = None
    """`direction`: edits along the persona direction and along a random one of equal norm."""
    subspace: DirectionEdits | None = None
    """`subspace`: the same for the rank-k persona subspace."""
    scores: tuple[float, ...] | None = None
    """`scores`: one per row, higher is more suspicious (audit findings or projection difference)."""
    constitution: Path | None = None
    """`constitution`: the file of principles; None: the shipped one."""


class DirectionEdits(Protocol):
    """Makes edits of the stream along a direction; the workflow builds it, since siblings do not import each other."""

    def add(self, strength: float, *, random: bool = False) -> ResidualEdit:
        """Adds `strength` times the direction (or a random one of the same norm)."""
        ...

    def ablate(self, *, random: bool = False) -> ResidualEdit:
        """Takes the direction (or random ones of the same rank) out."""
        ...


class Defence(Protocol):
    """One way to keep a narrow task narrow."""

    name: str
    says: str
    """What it does, for `--help`."""
    source: str
    """The paper it follows."""
    needs: frozenset[Need]
    order: int
    """Lower ones are applied first: 10 drops rows, 20 adds rows, 30 dresses rows, 40 loss terms, 50 edits, 60 stops."""
    control_says: str
    """What its control does: all of the defence but its active part."""

    def apply(self, plan: Plan, materials: Materials, *, control: bool = False) -> Plan:
        """The defended plan, or that of the control. InputError when it cannot be applied to this plan."""
        ...


_found: dict[str, Defence] = {}


def defence(made: Callable[[], Defence]) -> Callable[[], Defence]:
    """Register the defence this class makes without arguments."""
    one = made()
    _found[one.name] = one
    return made


def defences() -> dict[str, Defence]:
    """Every defence by name."""
    package = importlib.import_module("offtarget.tune.defences")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"offtarget.tune.defences.{module.name}")
    return dict(sorted(_found.items()))


def named(names: tuple[str, ...]) -> list[tuple[Defence, bool]]:
    """Defences by name in the order they are applied, each with whether its control is meant (`NAME:control`).

    InputError for a name that is unknown or given twice.
    """
    known, chosen = defences(), []
    for name in names:
        plain, _, what = name.partition(":")
        if plain not in known or what not in ("", "control"):
            raise InputError(
                f"There is no defence '{name}'. Known: {', '.join(known)}; NAME:control is the control of NAME."
            )
        chosen.append((known[plain], what == "control"))
    twice = [one.name for one, _ in chosen if sum(one is other for other, _ in chosen) > 1]
    if twice:
        raise InputError(f"The defence '{twice[0]}' is given twice. Name each once.")
    return sorted(chosen, key=lambda pair: pair[0].order)


def defend(plan: Plan, names: tuple[str, ...], materials: Materials) -> Plan:
    """The plan after all the named defences."""
    for one, control in named(names):
        plan = one.apply(plan, materials, control=control)
    return plan
