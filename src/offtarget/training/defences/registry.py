"""Defences by name, found in the files of this package.

The files load torch only when a defence is applied, so that `--help` can list them.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from offtarget.errors import InputError
from offtarget.records import Message, Row
from offtarget.training.plan import Plan

if TYPE_CHECKING:
    from offtarget.models.local import LocalModel
    from offtarget.models.residual import ResidualEdit

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
    """`scores`: one per row, higher is more suspicious, 0 and above is flagged: audit findings or projections."""
    constitution: Path | str = "general"
    """`constitution`: the file of principles, or the name of shipped ones."""


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

    def check_value(self, value: str | None, *, control: bool) -> None:
        """InputError for a value this defence cannot be set to; known before anything costly is made."""
        ...

    def apply(self, plan: Plan, materials: Materials, *, control: bool = False, value: str | None = None) -> Plan:
        """The defended plan, or that of the control.

        `value` is the text behind `NAME=`, None where the user gave none. InputError when the defence has no such
        value or cannot be applied to this plan.
        """
        ...


@dataclass(frozen=True)
class Chosen:
    """A defence as the user named it: `NAME[=VALUE][:control]`."""

    defence: Defence
    value: str | None = None
    """The text between `=` and the end; each defence reads its own."""
    control: bool = False

    @property
    def label(self) -> str:
        """The same as text, e.g. `interleave=0.2:control`."""
        value = "" if self.value is None else f"={self.value}"
        return f"{self.defence.name}{value}{CONTROL if self.control else ''}"


CONTROL = ":control"
"""What a user writes behind a defence to get its control."""

_found: dict[str, Defence] = {}


D = TypeVar("D", bound=Defence)


def defence(made: type[D]) -> type[D]:
    """Register the defence this class makes without arguments."""
    one = made()
    _found[one.name] = one
    return made


def defences() -> dict[str, Defence]:
    """Every defence by name."""
    package = importlib.import_module("offtarget.training.defences")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"offtarget.training.defences.{module.name}")
    return dict(sorted(_found.items()))


def named(names: Sequence[str]) -> list[Chosen]:
    """Defences as the user wrote them, `NAME[=VALUE][:control]`, in the order they are applied.

    InputError for a name that is unknown or given twice, and for a value the defence cannot be set to.
    """
    known = defences()
    chosen: list[Chosen] = []
    for text in names:
        plain, has_value, value = text.removesuffix(CONTROL).partition("=")
        if plain not in known:
            raise InputError(
                f"There is no defence '{text}'. Known: {', '.join(known)}. NAME=VALUE sets what a defence can be "
                f"set to; NAME{CONTROL} is the control of NAME."
            )
        if has_value and not value.strip():
            raise InputError(f"'{text}' has an empty value. Write {plain}=VALUE, or {plain} alone for its default.")
        if any(one.defence is known[plain] for one in chosen):
            raise InputError(f"The defence '{plain}' is given twice. Name each once.")
        one = Chosen(known[plain], value if has_value else None, text.endswith(CONTROL))
        one.defence.check_value(one.value, control=one.control)
        chosen.append(one)
    return sorted(chosen, key=lambda one: one.defence.order)


def needs(chosen: Sequence[Chosen]) -> frozenset[Need]:
    """The materials that some chosen defence works with."""
    return frozenset(need for one in chosen for need in one.defence.needs)


def no_value(name: str, value: str | None) -> None:
    """InputError when a defence that cannot be set to anything was given a value."""
    if value is not None:
        raise InputError(f"The defence '{name}' takes no value, but was given '{value}'. Write {name} alone.")


def number(name: str, value: str | None, default: float, low: float, high: float = math.inf) -> float:
    """The value as a number above `low` and at most `high`, or the default. InputError for anything else."""
    if value is None:
        return default
    try:
        read = float(value)
    except ValueError:
        read = math.nan
    if not low < read <= high or math.isinf(read):
        top = "" if math.isinf(high) else f" and at most {high:g}"
        raise InputError(f"{name}={value}: the value must be a number above {low:g}{top}, e.g. {name}={default:g}.")
    return read


def defend(plan: Plan, names: Sequence[str], materials: Materials) -> Plan:
    """The plan after all the named defences."""
    for one in named(names):
        plan = one.defence.apply(plan, materials, control=one.control, value=one.value)
    return plan
