"""A data set as its files, read in order, chunk by chunk: counted, hashed, decompressed, and checked at the end."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from offtarget.data.streams import decompressed, read_errors
from offtarget.data.training.arrow import arrow_chunks, check_columns
from offtarget.data.training.chunks import Chunk, FillerChunk, Place, line_chunks
from offtarget.data.training.csv_records import csv_chunks
from offtarget.data.training.forms import FORMS
from offtarget.data.training.json_array import array_chunks, chat_chunks
from offtarget.data.training.sniffing import BOM, HEAD, FileKind, recognise
from offtarget.data.training.splits import Chosen, choose
from offtarget.data.training.stored import LocalFile, Stored, is_url, stored_files
from offtarget.data.training.values import shown
from offtarget.errors import InputError
from offtarget.records import BadRow, Row

_COLUMNS = ("parquet", "arrow-stream", "arrow-file")


class Source:
    """Training data, one file or many. Reading it again gives the same chunks."""

    def __init__(
        self,
        path: str | Path,
        stored: list[tuple[Stored, FileKind]],
        notes: list[str],
        form: str | None,
        split: str | None = None,
        splits: tuple[str, ...] = (),
    ) -> None:
        self.path = path
        self.name = str(path).rstrip("/").rsplit("/", 1)[-1] if is_url(str(path)) else Path(path).resolve().name
        self.files: tuple[str, ...] = tuple(file.name for file, _ in stored)
        """Names as they stand in the ids of rows: relative to the folder."""
        self.kinds: dict[str, FileKind] = {file.name: kind for file, kind in stored}
        self.total_bytes: int | None = sum(file.state()[0] for file, _ in stored)
        """On disk, compressed."""
        self.sha256: dict[str, str] = {}
        """Of each file as it was read; complete when `chunks()` is exhausted."""
        self.notes = notes
        """What a reader of the results has to know, e.g. that a file grew while it was read."""
        self.form = form
        """The form that was asked for; None: whatever each row has."""
        self.split = split
        """The split that was asked for."""
        self.splits = splits
        """Those that are read, where there are any."""
        self._stored, self._opening_notes = stored, len(notes)
        self._done = 0

    def chunks(self) -> Iterator[Chunk]:
        """Chunks in data order. Raises InputError, after all chunks of a file, when it was rewritten meanwhile."""
        self._done = 0
        self.sha256.clear()
        del self.notes[self._opening_notes :]
        for stored, kind in self._stored:
            yield from self._file(stored, kind)

    def content_sha256(self) -> str | None:
        """SHA-256 of what is to be read: of one file its own; of several that of their hashes, sorted, one a line.

        None where the data are not on this machine: reading them once more may cost more than it is worth.
        """
        found = []
        for stored, _ in self._stored:
            if not isinstance(stored, LocalFile):
                return None
            with opened(stored) as (raw, _, _):
                found.append(raw.sha256())
        return content_sha256(found)

    def handles(self) -> Iterator[tuple[str, FileKind, BinaryIO]]:
        """Each file with its kind, opened at its start."""
        for stored, kind in self._stored:
            with stored.open() as file:
                yield stored.name, kind, file

    def _file(self, stored: Stored, kind: FileKind) -> Iterator[Chunk]:
        with opened(stored) as (raw, size, state):
            place = Place(stored.name, self.form, lambda: self._done + raw.count)
            if kind.name in _COLUMNS:
                with stored.open() as columns:
                    yield from arrow_chunks(columns, kind, place)
            else:
                yield from _text_chunks(_text_of(raw), kind, place)
            self.sha256[stored.name] = raw.sha256()
        self._done += size
        if note := closing_check(stored, size, state, self.sha256[stored.name]):
            self.notes.append(note)


def content_sha256(files: Iterable[str]) -> str:
    """One hash for files whose hashes these are, whatever the files are called."""
    found = sorted(files)
    return found[0] if len(found) == 1 else hashlib.sha256("".join(f"{sha}\n" for sha in found).encode()).hexdigest()


def open_source(path: str | Path, *, form: str | None = None, split: str | None = None) -> Source:
    """Training data at a file, a folder, or an address such as `s3://bucket/file.jsonl`.

    Every file's format is recognised by its content. `form` (one of `FORMS`) makes rows of any other form malformed.
    Of a folder with several splits `split` is read, by default `train`; `all` reads every one.
    Raises InputError when there is no data or no such split, when a file is no training data, or when none of its keys
    are understood.
    """
    if form is not None and form not in FORMS:
        raise InputError(f"There is no form '{form}' of training data. Forms: {', '.join(FORMS)}.")
    _refuse_runs(path)
    found, folder = stored_files(path)
    if split is not None and not folder:
        raise InputError(f"{path} is one file, which has no splits. Leave --split out.")
    chosen = choose(found, str(path), split) if folder else Chosen(found)
    notes = chosen.notes
    stored = []
    for file in chosen.files:
        try:
            kind = _kind(file, form, str(path))
        except InputError as error:  # a package that is missing stays a PrerequisiteError
            raise type(error)(f"{error}{_one_of(chosen.files, path, file, form)}") from None
        if kind is None:
            notes.append(f"{file.name} is empty.")
        else:
            stored.append((file, kind))
            if kind.under:
                beside = f"those under {shown(kind.under)}; what stands beside them is not read"
                notes.append(f"{file.name} is one object: its rows are {beside}.")
    if not stored:
        raise InputError(f"{path} is empty: it holds no rows.")
    return Source(path, stored, notes, form, split, chosen.splits)


def _refuse_runs(path: str | Path) -> None:
    """A run directory holds what was found in data, not the data."""
    place = str(path)
    if "://" in place or not place.strip() or not (Path(place) / "run.json").is_file():
        return
    with contextlib.suppress(OSError, ValueError):
        told = json.loads((Path(place) / "run.json").read_text(encoding="utf-8"))
        if isinstance(told, dict) and "verb" in told:
            raise InputError(
                f"{path} is the folder of a run of `{told['verb']}`, not training data. Give the file or folder of the "
                f"data itself. To see that run: offtarget report {shlex.quote(place)}"
            )


def _one_of(files: Sequence[Stored], path: str | Path, at: Stored, form: str | None) -> str:
    """What to do where one of the files of a folder is no training data: an example only of one that is."""
    others = [file for file in files if file is not at]
    if not others:
        return ""
    together = f" All {len(files)} data files of the folder {path} are read as one data set: give"
    name = next((file.name for file in others[:_TRIED] if _holds_rows(file, form, str(path))), None)
    if name is None:
        return f"{together} the file of your training data, or a folder that holds nothing else."
    example = shlex.quote(str(Path(str(path)) / name)) if "://" not in str(path) else f"{path}/{name}"
    return f"{together} one of them, such as {example}, or a folder that holds nothing else."


_TRIED = 20
"""Files of a folder that are opened to find an example."""


def _holds_rows(stored: Stored, form: str | None, path: str) -> bool:
    """Whether a file is training data; one object, as reports and the files of runs are, is not held to be."""
    try:
        kind = _kind(stored, form, path)
    except InputError:
        return False
    return kind is not None and not kind.under


def read_rows(path: str | Path, *, form: str | None = None, split: str | None = None) -> Iterator[Row | BadRow]:
    """Every row of a data set, in order, malformed ones included. Raises InputError as `open_source` does."""
    for chunk in open_source(path, form=form, split=split).chunks():
        yield from chunk.rows()


def _kind(stored: Stored, form: str | None, shown: str) -> FileKind | None:
    with opened(stored) as (raw, size, _):
        stream = _text_of(raw)
        head = stream.read(HEAD)
        name = shown if shown.endswith(stored.name) else f"{shown}/{stored.name}"
        kind = recognise(head, whole=len(head) < HEAD, name=name, form=form) if size else None
        if kind is not None and kind.name in _COLUMNS:
            if raw.count and head[:4] != _first_bytes(stored):
                raise InputError(
                    f"{name} is compressed from outside. Parquet and Arrow compress themselves: unpack it."
                )
            with stored.open() as file:
                check_columns(file, kind, name, form)
        return kind


def _text_of(raw: Bytes) -> io.BufferedReader:
    return decompressed(io.BufferedReader(raw, 1 << 20))


def _first_bytes(stored: Stored) -> bytes:
    with stored.open() as file:
        return file.read(4)


def _text_chunks(stream: io.BufferedReader, kind: FileKind, place: Place) -> Iterator[Chunk]:
    if stream.peek(3)[:3] == BOM:
        yield FillerChunk(place.file, 1, stream.read(3), place.consumed())
    if kind.name == "lines":
        yield from line_chunks(stream, place)
    elif kind.name == "array":
        yield from array_chunks(stream, place, kind.opening)
    elif kind.name == "chat":
        yield from chat_chunks(stream, place)
    else:
        yield from csv_chunks(stream, place, kind.delimiter)


class Bytes(io.RawIOBase):
    """The first `size` bytes of a file, counted and hashed as they are read; what is appended meanwhile is not read."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self.count = 0
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer as far as there are bytes."""
        data = self._file.read(min(len(buffer), self._size - self.count))
        buffer[: len(data)] = data
        self.count += len(data)
        self._digest.update(data)
        return len(data)

    def sha256(self) -> str:
        """Of all bytes, those nobody asked for included."""
        while self.read(1 << 20):
            pass
        return self._digest.hexdigest()


@contextlib.contextmanager
def opened(stored: Stored) -> Iterator[tuple[Bytes, int, object]]:
    """The bytes of a file with its size and state at that time; InputError for whatever cannot be read."""
    with read_errors(stored.name):
        size, state = stored.state()
        with stored.open() as file:
            yield Bytes(file, size), size, state


def closing_check(stored: Stored, size: int, state: object, sha256: str) -> str | None:
    """A note when the file grew while it was read; InputError when the bytes that were read are no longer there."""
    with read_errors(stored.name):
        now, later = stored.state()
        if (now, later) == (size, state):
            return None
        with stored.open() as file:
            again = Bytes(file, size).sha256()
    if now < size or again != sha256:
        raise InputError(
            f"{stored.name} was changed while it was read, so what was read is neither the old file nor the new one. "
            "Start again when nothing writes to it."
        )
    if now == size:
        return None
    return (
        f"{stored.name} grew while it was read: the {size:,} bytes there at the start were read, "
        f"{now - size:,} bytes came later and were not."
    )
