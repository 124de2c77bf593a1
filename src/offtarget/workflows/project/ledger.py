"""Which steps were begun with what: `steps.jsonl` in the folder of runs. Whether they are done, their runs say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from offtarget.errors import InputError
from offtarget.records.from_json import from_json
from offtarget.records.project import StepEntry, StepName
from offtarget.rundir import JsonLines, make_folder
from offtarget.version import stamp

LEDGER = "steps.jsonl"


class Ledger:
    """The steps that were begun under one folder of runs."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def entries(self, step: StepName) -> list[StepEntry]:
        """Of one step, newest first. A line that cannot be read counts as a step that never ran: it runs again."""
        found = []
        try:
            lines = (self.root / LEDGER).read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"{self.root / LEDGER} cannot be read: {error.strerror or error}.") from None
        for line in lines:
            with suppress(TypeError, ValueError, AttributeError, RecursionError):
                entry = from_json(StepEntry, json.loads(line))
                found.extend([entry] if entry.step == step else [])
        return found[::-1]

    def begin(self, step: StepName, run: str, inputs: Mapping[str, str]) -> None:
        """A step begins, or goes on."""
        self._add(StepEntry(step, run, inputs, stamp()["created"]))

    def end(self, step: StepName, run: str, inputs: Mapping[str, str], made: Mapping[str, str]) -> None:
        """A step came to its end."""
        self._add(StepEntry(step, run, inputs, stamp()["created"], ended=True, made=made))

    def _add(self, entry: StepEntry) -> None:
        make_folder(self.root)
        with closing(JsonLines(self.root / LEDGER)) as lines:
            lines.extend([entry])

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else works on these steps meanwhile; InputError where somebody does."""
        make_folder(self.root)
        lock = FileLock(self.root / f".{LEDGER}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(
                f"Another `offtarget run` is at work in {self.root}. Wait for it, or stop it; what it did is kept."
            ) from None
        try:
            yield
        finally:
            lock.release()
