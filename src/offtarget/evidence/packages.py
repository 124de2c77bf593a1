"""Sealed packages: zip files that have one way to be written, byte for byte, and are read with suspicion.

Nothing in one is compressed, so it takes as much room as its files, the same bytes come out on every machine, and there
is nothing that could grow beyond the size of the package itself.
"""

from __future__ import annotations

import re
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

from offtarget.errors import InputError

MOST = 20_000
"""Files in a package at most."""
_PART = re.compile(r"[^\x00-\x1f\x7f\\/:*?\"<>|]{1,200}")
"""A name of a file or folder that every system can hold."""
_WHEN = (1980, 1, 1, 0, 0, 0)
"""The time that every file in a package has: a package says nothing of when it was made."""


def write_package(target: Path, files: Mapping[str, Path | bytes]) -> None:
    """Write a package: name within it -> file or contents. Raises InputError where it cannot be written."""
    temporary = target.with_name(target.name + ".part")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as package:
            for name, source in sorted(files.items()):
                _checked(name)
                package.writestr(_entry(name), source if isinstance(source, bytes) else source.read_bytes())
        temporary.replace(target)
    except OSError as error:
        raise InputError(f"Cannot write {target}: {error.strerror or error}. Choose another file with --out.") from None
    finally:
        temporary.unlink(missing_ok=True)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _WHEN)
    entry.create_system = 3
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    entry.compress_type = zipfile.ZIP_STORED
    return entry


def unpack(package: Path, folder: Path) -> bool:
    """Take a package apart into an empty folder; whether it is written exactly as `write_package` writes one.

    Raises InputError, having written nothing, for what is no zip file and for anything that a package never holds: a
    path that leads out of it, a link, a compressed or encrypted file, two files of one name, too many of them.
    """
    try:
        with zipfile.ZipFile(package) as opened:
            entries = opened.infolist()
            _refuse(package, entries)
            for entry in entries:
                target = folder / entry.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(opened.read(entry))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, UnicodeError, ValueError) as error:
        raise InputError(f"{package} is no sealed package: {str(error)[:120] or 'it is no zip file'}.") from None
    except OSError as error:
        raise InputError(f"{package} cannot be read: {error.strerror or error}.") from None
    again = folder.with_name(folder.name + ".again")
    write_package(again, {entry.filename: folder / entry.filename for entry in entries})
    same = _same(package, again)
    again.unlink()
    return same


def _refuse(package: Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST:
        raise InputError(f"{package} holds {len(entries):,} files; a package holds {MOST:,} at most.")
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        shown = name[:120].encode("unicode_escape").decode()
        if entry.orig_filename != name or not _plain(name):
            raise InputError(f"{package} holds {shown!r}, a name that leads elsewhere or no system can hold.")
        if name.casefold() in seen:
            raise InputError(f"{package} holds two files of the name {shown!r}.")
        seen.add(name.casefold())
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise InputError(f"{package}: {shown!r} is compressed; in a package nothing is.")
        if entry.flag_bits & 0x1:
            raise InputError(f"{package}: {shown!r} is encrypted; in a package nothing is.")
        if not stat.S_ISREG(entry.external_attr >> 16):
            raise InputError(f"{package}: {shown!r} is a link or no regular file.")
    names = sorted(seen)
    for inner in names:
        parents = {"/".join(inner.split("/")[:depth]) for depth in range(1, inner.count("/") + 1)}
        if parents & seen:
            raise InputError(f"{package} holds {inner[:120]!r} below a file.")
    if sum(entry.file_size for entry in entries) > package.stat().st_size:
        raise InputError(f"{package} holds files that overlap, more than the package has bytes.")


def _plain(name: str) -> bool:
    parts = name.split("/")
    return len(name) <= 1000 and all(_PART.fullmatch(part) and part not in (".", "..") for part in parts)


def _checked(name: str) -> None:
    if not _plain(name):
        raise InputError(f"{name!r} cannot be the name of a file in a package. Rename it.")


def _same(one: Path, other: Path) -> bool:
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as a, other.open("rb") as b:
        while True:
            first, second = a.read(1 << 20), b.read(1 << 20)
            if first != second:
                return False
            if not first:
                return True
