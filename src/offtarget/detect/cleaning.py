"""Writes a data set without some of its rows: what is kept is kept byte for byte, what is not stands in a ledger."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.data.streams import sha256
from offtarget.data.training import Source, open_source
from offtarget.data.training.stored import DESCRIPTIONS, PACKED, data_suffix
from offtarget.detect.carried import TOLD
from offtarget.detect.copying import Choice, CleanedFile, Staging, clean_table
from offtarget.detect.ledger import Ledger, Removal, digests, ledger_lines, ledger_path, read_ledger
from offtarget.errors import InputError
from offtarget.records import Suspect

_TABLES = {"parquet": ".parquet", "arrow-stream": ".arrow", "arrow-file": ".arrow"}
_TEXTS = {"lines": {".jsonl", ".ndjson", ".json"}, "array": {".json"}, "chat": {".json"}, "csv": {".csv", ".tsv"}}


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Rows kept that have a condition which nobody dismissed."""

    key: str
    """Of the `Suspect`."""
    rows: int
    at_least: bool
    """Whether there may be more: not every condition can be sought in rows outside the sample that mining kept."""


@dataclass(frozen=True, slots=True)
class CleanResult:
    """What cleaning wrote."""

    kept: int
    """Records, malformed ones included unless they were dropped."""
    removed: int
    out: Path
    ledger: Path
    left: tuple[LeftBehind, ...] = ()
    """What the cleaned data still hold of suspected conditions: known to whoever has the conditions, such as a run."""


def clean(
    source: Source | str | Path,
    removals: Mapping[str, Removal],
    out: str | Path,
    *,
    drop_malformed: bool = False,
    overwrite: bool = False,
    audited: Mapping[str, str | None] | None = None,
    audit_round: int = 1,
    seed_commitment: str | None = None,
    suspects: Sequence[Suspect] = (),
) -> CleanResult:
    """Write the source without the rows in `removals` (by row id), and the ledger `OUT.ledger.jsonl` beside it.

    Lines and CSV records are copied verbatim, as are the elements of a JSON array (commas are set anew); Parquet and
    Arrow keep values and schema. Compression follows the suffix of `out`; a folder becomes a folder of files of the
    same names. Malformed rows are kept unless `drop_malformed`. The ledger names the `suspects` too. Either everything
    is written or nothing.
    Raises InputError when `out` exists (unless `overwrite`), is the source, or names another format; when a removal
    names no row of the source, or a row of other bytes; when a file no longer has the sha256 it has in `audited`, as
    nobody saw what came since; when the disk is full.
    """
    source = source if isinstance(source, Source) else open_source(source)
    out = Path(out)
    refuse_target(source, out, overwrite)
    previous = _ledger_of(source)
    folder = _is_folder(source)
    with Staging(out, folder=folder) as stage:
        with stage.rows.open("w", encoding="utf-8") as rows:
            choice = Choice(removals, drop_malformed, rows)
            if any(kind.name in _TABLES for kind in source.kinds.values()):
                _clean_tables(source, choice, stage)
            else:
                _clean_texts(source, choice, stage)
            if folder:
                _copy_descriptions(Path(source.path), stage.data, source.splits)
        choice.refuse_unknown(source.name)
        if audited is not None:
            _refuse_changed(source, audited)
        written = digests(stage.data) if folder else {out.name: sha256(stage.data)}
        ledger = Ledger(
            sources=dict(source.sha256),
            out=written,
            kept=choice.kept,
            removed=choice.removed,
            audit_round=audit_round,
            seed_commitment=seed_commitment,
            previous=previous,
            conditions=tuple({name: getattr(s, name) for name in TOLD} for s in suspects),
        )
        stage.publish(ledger_lines(ledger))
    return CleanResult(choice.kept, choice.removed, out, ledger_path(out))


def _clean_texts(source: Source, choice: Choice, stage: Staging) -> None:
    for name, chunks in itertools.groupby(source.chunks(), lambda chunk: chunk.file):
        with CleanedFile(stage.file(name), stage.suffix_of(name), source.kinds[name].name == "array") as cleaned:
            for chunk in chunks:
                for piece in chunk.pieces():
                    if choice.keeps_piece(chunk, piece):
                        cleaned.write(piece)


def _clean_tables(source: Source, choice: Choice, stage: Staging) -> None:
    if any(kind.name not in _TABLES for kind in source.kinds.values()):
        raise InputError(f"{source.name} holds both tables (Parquet, Arrow) and text files. Clean them one by one.")
    for name, kind, file in source.handles():
        clean_table(file, kind, name, choice, stage.file(name))
    for _ in source.chunks():  # the digests of what was read, and the check that it stayed the same
        pass


def refuse_target(source: Source, out: Path, overwrite: bool = False) -> None:
    """InputError for a place where the cleaned data cannot be written; nothing of the data is read."""
    folder = _is_folder(source)
    if not out.parent.is_dir():
        raise InputError(f"The folder {out.parent} does not exist. Make it first, or choose another place.")
    if "://" not in str(source.path) and out.exists() and out.samefile(source.path):
        raise InputError(f"{out} is the source itself. Choose another name; the source stays as it is.")
    if out.exists() and (out.is_dir() or folder):
        raise InputError(f"{out} exists already. Choose another name, or remove it first.")
    if (out.exists() or ledger_path(out).exists()) and not overwrite:
        raise InputError(f"{out} (or its ledger) exists already. Choose another name, or remove it first.")
    if folder:
        if data_suffix(out.name):
            raise InputError(f"The source is a folder, so its cleaned copy is one too. {out} is the name of a file.")
        return
    kind = next(iter(source.kinds.values())).name
    allowed = {_TABLES[kind]} if kind in _TABLES else _TEXTS[kind]
    packed = Path(out.name.lower()).suffix in PACKED
    suffix = data_suffix(out.name)
    if (suffix and suffix not in allowed) or (packed and kind in _TABLES):
        extra = "" if kind in _TABLES else " (with .gz or .zst to compress it)"
        names = " or *".join(sorted(allowed))
        raise InputError(f"Cleaning keeps the format: name the file *{names}{extra}, not {out.name}.")


def _refuse_changed(source: Source, audited: Mapping[str, str | None]) -> None:
    now = source.sha256
    names = sorted(now.keys() | audited.keys())
    changed = [name for name in names if now.get(name) != audited.get(name)]
    if changed:
        raise InputError(
            f"{changed[0]} is not the file that was audited{_more(len(changed) - 1)}, so rows nobody saw would be "
            "kept. Restore it, or audit the data again and clean from that audit."
        )


def _more(count: int) -> str:
    return f" (nor are {count} others)" if count > 1 else " (nor is one other)" if count else ""


def _is_folder(source: Source) -> bool:
    return len(source.files) > 1 or Path(source.path).is_dir()


def _ledger_of(source: Source) -> str | None:
    ledger = None if "://" in str(source.path) else read_ledger(Path(source.path))
    return None if ledger is None else sha256(ledger.path)


def _copy_descriptions(root: Path, data: Path, splits: tuple[str, ...]) -> None:
    """What Hugging Face `datasets` needs to open the folder again; of its splits those that were read."""
    if not root.is_dir():
        return
    for name in DESCRIPTIONS:
        for path in root.rglob(name):
            target = data / path.relative_to(root)
            if not target.parent.is_dir():
                continue
            if name == "dataset_dict.json" and splits:
                target.write_text(json.dumps({"splits": list(splits)}))
            else:
                shutil.copyfile(path, target)
