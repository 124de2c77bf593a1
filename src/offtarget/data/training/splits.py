"""Which files of a folder are data: those that a saved data set names, of one split, without caches beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from offtarget.data.training.stored import Stored, is_data, is_description
from offtarget.data.training.values import shown
from offtarget.errors import InputError

TRAIN, ALL = "train", "all"
"""The split that is read where nothing is said; the word for all of them."""

_KINDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation", "heldout", "holdout"),
}
"""Words in the names of files and folders that name a split, as on the Hugging Face hub."""

_WORDS = re.compile(r"[^a-z]+")
_SHARD = re.compile(r"(?P<name>.+?)[-.]\d{5}-of-\d{5}")
_PART = re.compile(r"(?P<name>.+)[-.]\d{5}-of-(?P<of>\d{5})(?P<rest>.*)", re.DOTALL)
_CACHE = re.compile(r"(cache-[^/]*|indices-[^/]*|tmp[a-z0-9_]{8})\.arrow")
"""What `datasets` leaves beside a data set: results of `map`, and indices of `filter` and `shuffle`."""
_DICT, _STATE = "dataset_dict.json", "state.json"
_NAMED = 5
"""Files named in a note."""


@dataclass(slots=True)
class Chosen:
    """The files that are read, and what a reader of results has to know of the others."""

    files: list[Stored]
    splits: tuple[str, ...] = ()
    """Splits that are read, where there are any."""
    notes: list[str] = field(default_factory=list)


def choose(found: Sequence[Stored], where: str, split: str | None) -> Chosen:
    """The data files among all files under the folder `where`.

    A folder that Hugging Face `datasets` saved holds the files its state.json names and no others. Of several splits
    one is read: `split`, by default `train`; `all` reads every one. Raises InputError where there is no such split,
    where several are for training, for a data set saved with indices, and for a folder without data.
    """
    shown_files = [file for file in found if not _name(file).startswith((".", "_"))]
    data = [file for file in shown_files if is_data(file.name)]
    notes = []
    if other := [f.name for f in shown_files if not is_data(f.name) and not is_description(f.name)]:
        notes.append(f"Not read, as their names are not those of data: {_some(other)}.")
    named = _named_by_state(found, where)
    stale = [f for f in data if not _is_saved(f, named)]
    data = [f for f in data if _is_saved(f, named)]
    if stale:
        names = _some([file.name for file in stale])
        notes.append(f"Not read, as they are caches or not part of the saved data set: {names}.")
    if not data:
        saw = f" It holds {_some([file.name for file in shown_files])}." if shown_files else ""
        raise InputError(
            f"The folder {where} holds no data file (.jsonl, .json, .csv, .parquet, ...; .gz, .zst).{saw} Give a file, "
            "or the folder that your training data is in, such as train.jsonl."
        )
    chosen = _of_split(data, found, where, split, notes)
    chosen.notes += _missing_parts(chosen.files)
    return chosen


def _missing_parts(files: Sequence[Stored]) -> list[str]:
    """A note where files are parts of more than there are, such as 3 of `train-00000-of-00004`: a download cut off."""
    parts: dict[tuple[str, int, str], int] = {}
    for file in files:
        if part := _PART.fullmatch(file.name):
            of = (part["name"], int(part["of"]), part["rest"])
            parts[of] = parts.get(of, 0) + 1
    return [
        f"Only {there} of the {of} parts of {name.rsplit('/', 1)[-1]} are there, by the names of the files: what the "
        "others hold is not read."
        for (name, of, _), there in parts.items()
        if there < of
    ]


def _of_split(data: list[Stored], found: Sequence[Stored], where: str, split: str | None, notes: list[str]) -> Chosen:
    saved = tuple(_folder(file) for file in found if _name(file) == _DICT)
    of = {file.name: _split_of(file.name, saved) for file in data}
    splits = tuple(dict.fromkeys(name for name in of.values() if name))
    unnamed = [name for name, said in of.items() if not said]
    wanted = _wanted(splits, where, split, unnamed)
    if wanted is None:
        if split is None and len(splits) == 1 and _kind(splits[0]) != TRAIN:
            notes.insert(0, f"Read: the only split there is, {splits[0]}.")
        return Chosen(data, splits, notes)
    read = [file for file in data if of[file.name] == wanted or (split is None and not of[file.name])]
    if left := [name for name in splits if name != wanted]:
        both = f"{wanted} and {_some(unnamed)}" if unnamed and split is None else wanted
        others = "another split" if len(left) == 1 else "other splits"
        notes.insert(
            0, f"Read: the split {both}. Not read: {', '.join(left)}, {others} of the data (--split NAME, --split all)."
        )
    return Chosen(read, (wanted,), notes)


def _wanted(splits: tuple[str, ...], where: str, split: str | None, unnamed: Sequence[str]) -> str | None:
    """The split to read; None for all files."""
    listed = ", ".join(splits)
    if split is not None and split != ALL:
        wanted = split if split in splits else next((name for name in splits if name == _kind(split)), "")
        if not wanted:
            there = f"It holds {listed}." if splits else "Its files name no splits; leave --split out."
            raise InputError(f"{where} has no split {shown(split)}. {there}")
        return wanted
    if split == ALL or len(splits) + bool(unnamed) < 2:
        return None
    training = [TRAIN] if TRAIN in splits else [name for name in splits if _kind(name) == TRAIN]
    if len(training) == 1:
        return training[0]
    said = f"the splits {listed}" if len(splits) > 1 else f"the split {listed}"
    beside = f", and {_some(unnamed)} of none" if unnamed else ""
    several = "Several are for training" if training else "None is called train"
    raise InputError(
        f"{where} holds {said}{beside}. {several}: choose with --split NAME, --split all, or give one file."
    )


def _split_of(name: str, saved: Sequence[str]) -> str:
    """The split a file belongs to; empty text for none that can be told."""
    for root in saved:
        if name.startswith(root) and "/" in name[len(root) :]:
            return name[len(root) :].split("/", 1)[0]
    *folders, base = name.split("/")
    shard = _SHARD.match(base)
    stem = shard["name"] if shard else base.split(".", 1)[0]
    if shard and _kind(_WORDS.split(stem.lower())[0]) and _kind(stem) != stem and "_" in stem:
        return stem  # such as train_sft
    return next(filter(None, map(_kind, (stem, *reversed(folders)))), "")


def _kind(name: str) -> str:
    """train, validation or test, where a word of the name says so."""
    words = _WORDS.split(name.lower())
    return next((kind for kind, known in _KINDS.items() if any(word in known for word in words)), "")


def _named_by_state(found: Sequence[Stored], where: str) -> dict[str, set[str]]:
    """Folder of a saved data set -> the names of its files."""
    named: dict[str, set[str]] = {}
    names = {file.name for file in found}
    for file in found:
        if _name(file) != _STATE:
            continue
        try:
            with file.open() as raw:
                state = json.load(raw)
            files = [entry["filename"] for entry in state["_data_files"]]
        except (ValueError, KeyError, TypeError):
            continue  # another program's state
        if state.get("_indices_data_files"):
            raise InputError(
                f"{where}: {file.name} picks rows out of its files by indices, which are not read. Save it again with "
                "`datasets`: load_from_disk(...).flatten_indices().save_to_disk(...)."
            )
        folder = _folder(file)
        if missing := next((name for name in files if f"{folder}{name}" not in names), None):
            raise InputError(f"{where}: {file.name} names {shown(str(missing))}, which is not there. Copy it again.")
        named[folder] = {str(name) for name in files}
    return named


def _is_saved(file: Stored, named: dict[str, set[str]]) -> bool:
    if (folder := _folder(file)) in named:
        return _name(file) in named[folder]
    return _CACHE.fullmatch(_name(file)) is None


def _name(file: Stored) -> str:
    return file.name.rsplit("/", 1)[-1]


def _folder(file: Stored) -> str:
    """With its slash; empty text for the data set's own."""
    return file.name[: len(file.name) - len(_name(file))]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
