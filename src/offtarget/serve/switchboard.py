"""The one writer of the cell: puts rollouts in force, and closes an alias at once when somebody says so.

A rollout that was closed stays closed, whatever is read from the store afterwards: only one with a higher number opens
the alias again. What was closed is written to a file before the store knows of it, so that neither a locked store nor
a crash brings the tuned model back.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.errors import InputError, OfftargetError
from offtarget.records.from_json import from_json
from offtarget.records.gateway import Alias, CanarySettings
from offtarget.records.rollouts import Rollout
from offtarget.rundir import read_json, write_json
from offtarget.serve.cell import CLOSED, Cell, Switch

KILLED = "killed.json"
"""In the folder of a gateway: what was closed by hand and is not in the store yet."""


@dataclass(frozen=True, slots=True)
class Kill:
    """A rollout that was closed by hand."""

    alias: str
    rollout: int
    at: float
    """Unix seconds."""
    who: str
    why: str


class Switchboard:
    """The switches of a gateway. Safe in threads; one per gateway."""

    def __init__(self, aliases: Sequence[Alias], cell: Cell, folder: Path) -> None:
        self._lock = threading.RLock()
        self._cell, self._file = cell, folder / KILLED
        self._aliases = {alias.name: alias for alias in aliases}
        self._slots = {alias.name: slot for slot, alias in enumerate(aliases)}
        self._models: Mapping[str, str] = {}
        self._newest: dict[str, int] = {}
        """Highest number of a rollout that was ever put in force or refused; a fresh cell does not know it."""
        self._closed: dict[str, int] = {}
        self._kills = {kill.alias: kill for kill in self._read_kills()}
        for kill in self._kills.values():
            self._closed[kill.alias] = kill.rollout

    def serves(self, models: Mapping[str, str]) -> None:
        """Fingerprint of the models behind each alias here: a rollout of others, which another gateway on this state
        began, opens nothing. Nobody would watch what is behind the alias here."""
        with self._lock:
            self._models = dict(models)

    def is_of_others(self, rollout: Rollout) -> bool:
        """Whether a rollout is of other models than those that stand behind its alias here."""
        with self._lock:
            here = self._models.get(rollout.alias, "")
            return bool(here and rollout.models) and here != rollout.models

    def renew(self, aliases: Sequence[Alias], cell: Cell, models: Mapping[str, str] | None = None) -> None:
        """Other aliases, or the same with other settings, in a cell of their own; apply their rollouts next."""
        with self._lock:
            self._cell = cell
            self._models = dict(models or {})
            self._aliases = {alias.name: alias for alias in aliases}
            self._slots = {alias.name: slot for slot, alias in enumerate(aliases)}

    def apply(self, rollout: Rollout) -> Switch:
        """Put a rollout in force; returns what is in force now. An alias that is not served any more is passed over."""
        with self._lock:
            alias = self._aliases.get(rollout.alias)
            if alias is None or alias.tuned is None:
                return CLOSED
            closed = self._closed.get(rollout.alias, 0)
            self._newest[rollout.alias] = max(self._newest.get(rollout.alias, 0), rollout.number)
            if rollout.status == "rolled back":
                self._closed[rollout.alias] = max(closed, rollout.number)
            if rollout.status == "rolled back" or rollout.number <= closed or self.is_of_others(rollout):
                switch = replace(CLOSED, rollout=max(rollout.number, closed), shadow=alias.canary.mode == "shadow")
            else:
                switch = switch_of(alias.canary, rollout)
            self._cell.write(self._slots[rollout.alias], switch)
            kill = self._kills.get(rollout.alias)
            if kill is not None and (
                rollout.number > kill.rollout or (rollout.number == kill.rollout and rollout.status == "rolled back")
            ):
                del self._kills[rollout.alias]
                self._write_kills()
            return switch

    def kill(self, alias: str, at: float, who: str, why: str) -> Kill:
        """All traffic of an alias to the base, at once, before anything else is tried; `KeyError` for no such alias."""
        with self._lock:
            slot = self._slots[alias]
            before = self._cell.read(slot)
            number = max(before.rollout, self._closed.get(alias, 0), self._newest.get(alias, 0))
            self._cell.write(slot, replace(before, rollout=number, share=0.0, base_sample=0.0))
            self._closed[alias] = number
            kill = self._kills[alias] = Kill(alias, number, at, who, why)
            self._write_kills()
            return kill

    def forget(self, kill: Kill) -> None:
        """The store knows of it now; the rollout stays closed."""
        with self._lock:
            if self._kills.get(kill.alias) == kill:
                del self._kills[kill.alias]
                self._write_kills()

    def in_force(self, alias: str) -> Switch:
        """What the workers read at this moment."""
        with self._lock:
            slot = self._slots.get(alias)
            return CLOSED if slot is None else self._cell.read(slot)

    def kills(self) -> Mapping[str, Kill]:
        """Aliases that were closed by hand and of which the store does not know it yet."""
        with self._lock:
            return dict(self._kills)

    def _read_kills(self) -> list[Kill]:
        if not self._file.exists():
            return []
        try:
            return [from_json(Kill, one) for one in read_json(self._file)]
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{self._file} says which models were shut off by hand, and is damaged ({error}). Delete it once no "
                "tuned model is to be kept off."
            ) from None

    def _write_kills(self) -> None:
        # A full disk must not keep an alias open: it is closed in memory by now, and the store is told as well.
        with contextlib.suppress(OfftargetError, OSError):
            write_json(self._file, list(self._kills.values()))


def switch_of(canary: CanarySettings, rollout: Rollout) -> Switch:
    """What is in force while a rollout runs; as many base conversations are scored as its tuned ones need."""
    tuned, base = rollout.share, 1.0 if canary.mode == "shadow" else 1.0 - rollout.share
    wanted = canary.base_per_tuned * tuned
    sample = 0.0 if tuned == 0 else 1.0 if wanted >= base else wanted / base
    return Switch(rollout.number, tuned, sample, shadow=canary.mode == "shadow")
