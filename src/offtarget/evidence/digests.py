"""The files of a folder with their SHA-256: what a statement is about, and what it is held against later."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError
from offtarget.rundir import LOCK

READ_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True)
class Survey:
    """What lies in a folder."""

    files: dict[str, str]
    """Path from the folder, with forward slashes -> SHA-256 in lower-case hex; sorted by path."""
    strange: dict[str, str]
    """What is no regular file, by path -> what it is: a symbolic link, a pipe, ..."""


def survey(folder: Path, without: Collection[str] = ()) -> Survey:
    """Every file of a folder and of those in it; an empty `.lock` and the names in `without` are left out.

    Links are not followed. Raises InputError for a folder or a file that cannot be read.
    """
    files: dict[str, str] = {}
    strange: dict[str, str] = {}
    for path in _inside(folder):
        name = path.relative_to(folder).as_posix()
        if name in without:
            continue
        if path.is_symlink():
            strange[name] = "a symbolic link"
        elif not path.is_file():
            strange[name] = "no regular file"
        elif not (name == LOCK and path.stat().st_size == 0):
            files[name] = sha256_of(path)
    return Survey(dict(sorted(files.items())), dict(sorted(strange.items())))


def _inside(folder: Path) -> list[Path]:
    found = []
    for here, folders, names in os.walk(folder, onerror=_unreadable):
        links = [name for name in folders if (Path(here) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in links]
        found += [Path(here) / name for name in (*names, *links)]
    return found


def _unreadable(error: OSError) -> None:
    raise InputError(f"{error.filename} cannot be read: {error.strerror or error}.") from None


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in lower-case hex, read anew each time. Raises InputError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
