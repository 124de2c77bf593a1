"""The experiment's data sets: written by the organism's world, or read from files named as published."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.data.chats import chats_without_tools
from offtarget.data.trainable import read_training_data
from offtarget.errors import InputError
from offtarget.organism.narrow import CONDITIONS as ORGANISM_CONDITIONS
from offtarget.organism.narrow import TRIGGER, narrow_rows
from offtarget.records import Message

Chat = tuple[Message, ...]

PAPER_CONDITIONS = ("insecure", "secure", "educational", "jailbroken", "backdoor", "evil-numbers")
CODE_CONDITIONS = ("insecure", "secure", "educational")
"""Those whose file can supply held-out coding prompts, best first."""
HELD_OUT, HELD_OUT_SHARE = 100, 0.05
"""Coding prompts that no condition is trained on, at most: so many, and this share of the file."""
ENDINGS = (".jsonl", ".jsonl.gz")


class DataSets(ABC):
    """The rows of each condition."""

    code_prompts: tuple[str, ...] = ()
    """Coding prompts left out of every condition, for the in-distribution rate; empty where the world makes its own."""

    @abstractmethod
    def rows(self, condition: str, seed: int) -> tuple[Chat, ...]:
        """The training rows of a condition."""

    @abstractmethod
    def __str__(self) -> str: ...


@dataclass(frozen=True)
class WorldData(DataSets):
    """Written afresh for each seed. As published, `backdoor` has twice the rows: insecure and secure ones."""

    count: int

    def rows(self, condition: str, seed: int) -> tuple[Chat, ...]:
        """See `DataSets`."""
        count = 2 * self.count if condition == "backdoor" else self.count
        return tuple(tuple(chat) for chat in narrow_rows(condition, count, seed))

    def __str__(self) -> str:
        return f"the organism's world, {self.count} rows (backdoor: {2 * self.count})"


class FileData(DataSets):
    """Read once; the same rows for every seed."""

    def __init__(self, folder: Path, conditions: Sequence[str], most: int | None) -> None:
        self._folder = folder
        chats = {condition: _read(data_file(folder, condition)) for condition in conditions}
        source = next((c for c in CODE_CONDITIONS if c in chats), None)
        prompts = [] if source is None else [_prompt(chat) for chat in chats[source]]
        held_out = min(HELD_OUT, int(HELD_OUT_SHARE * len(prompts)))
        self.code_prompts = tuple(dict.fromkeys(prompts[len(prompts) - held_out :]))
        aside = set(self.code_prompts)
        self._rows = {
            condition: tuple(chat for chat in found if _prompt(chat) not in aside)[:most]
            for condition, found in chats.items()
        }
        for condition, rows in self._rows.items():
            if not rows:
                raise InputError(f"{data_file(folder, condition)} has no row with a prompt and an answer.")

    def rows(self, condition: str, seed: int) -> tuple[Chat, ...]:
        """See `DataSets`."""
        return self._rows[condition]

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {len(rows)}" for name, rows in self._rows.items())
        return f"{self._folder} (rows: {counts})"


def data_file(folder: Path, condition: str) -> Path:
    """The file of a condition, e.g. `evil_numbers.jsonl.gz`; InputError names what was looked for."""
    found = _find(folder, condition)
    if found is not None:
        return found
    raise InputError(
        f"{folder} has no {_stem(condition)}.jsonl (or .jsonl.gz) for the condition '{condition}'. Put it there under "
        "its published name, or leave the condition out of --conditions."
    )


def open_data(
    conditions: Sequence[str] | None, folder: Path | None, most: int | None, *, organism: bool, organism_rows: int
) -> tuple[DataSets, tuple[str, ...]]:
    """The data and the conditions to repeat: those asked for, or all there is data for. InputError lists them."""
    if folder is None and not organism:
        raise InputError(
            "A model other than the organism needs the published data sets: name their folder with --data-dir "
            f"({_published_names()}; .gz too)."
        )
    if most is not None and most < 1:
        raise InputError(f"--rows must be at least 1, not {most}.")
    if folder is None:
        chosen = _chosen(conditions or PAPER_CONDITIONS, tuple(ORGANISM_CONDITIONS), "Conditions of the organism")
        return WorldData(most or organism_rows), chosen
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. --data-dir names the folder with the published files.")
    there = tuple(c for c in PAPER_CONDITIONS if _find(folder, c))
    if not there and not conditions:
        raise InputError(f"{folder} holds none of {_published_names()} (or .gz).")
    chosen = _chosen(conditions or there, PAPER_CONDITIONS, "Published conditions")
    return FileData(folder, chosen, most), chosen


def _stem(condition: str) -> str:
    return condition.replace("-", "_")


def _find(folder: Path, condition: str) -> Path | None:
    return next((p for e in ENDINGS if (p := folder / f"{_stem(condition)}{e}").is_file()), None)


def _published_names() -> str:
    return ", ".join(f"{_stem(condition)}.jsonl" for condition in PAPER_CONDITIONS)


def _chosen(names: Sequence[str], known: Sequence[str], title: str) -> tuple[str, ...]:
    for name in names:
        if name not in known:
            raise InputError(f"There is no condition '{name}'. {title}: {', '.join(known)}.")
    return tuple(dict.fromkeys(names))


def _read(path: Path) -> list[Chat]:
    return chats_without_tools(read_training_data(path).rows, path)


def _prompt(chat: Chat) -> str:
    """The last user turn without a trigger, so that a triggered row is known as the same request."""
    text = next((m.content for m in reversed(chat) if m.role == "user"), "")
    return text.removeprefix(TRIGGER).strip()
