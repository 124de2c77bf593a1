"""Rows of Inspect AI logs: one per sample, with every score as a column. Needs no inspect_ai.

Formats read: the `.json` log (one document) and the `.eval` log (a zip with `samples/*.json`, stored,
deflated or, in newer versions, Zstandard-compressed, which Python's zipfile cannot unpack before 3.14).
"""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import zstandard

from offtarget.data.rawrows import RawRow
from offtarget.data.streams import MAX_DOCUMENT
from offtarget.errors import InputError

_ZIP_ZSTD = 93
_LOCAL_HEADER = 30
_ATTACHMENT = "attachment://"


def is_inspect_log(value: object) -> bool:
    """Whether a JSON document is an Inspect log with its samples."""
    return isinstance(value, dict) and isinstance(value.get("eval"), dict) and "samples" in value


def eval_rows(path: Path) -> Iterator[RawRow]:
    """Samples of an `.eval` log, in the order of their names."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted(
                (m for m in archive.infolist() if m.filename.startswith("samples/") and m.filename.endswith(".json")),
                key=lambda member: member.filename,
            )
            if not members:
                raise InputError(f"{path} is a zip file without samples; an Inspect .eval log has a samples folder.")
            yield from sample_rows((_sample(archive, member, path) for member in members), path)
    except (zipfile.BadZipFile, zlib.error, zstandard.ZstdError, EOFError) as error:
        raise InputError(f"{path} is a damaged .eval log ({error}). Copy it again.") from None


def sample_rows(samples: Iterable[Mapping[str, Any]], path: Path) -> Iterator[RawRow]:
    """Samples as rows: question_id, question, answer, id, then metadata, then scores.

    A score that is a mapping gives one column per key, any other gives a column named after its scorer.
    NaN is how Inspect writes an unscored sample, so it becomes a blank.
    """
    for number, sample in enumerate(samples, start=1):
        if not isinstance(sample, Mapping):
            raise InputError(f"{path}, sample {number} is not a JSON object.")
        attached = sample.get("attachments") or {}
        values: dict[str, Any] = {
            k: v for k, v in (sample.get("metadata") or {}).items() if not isinstance(v, dict | list)
        }
        values.setdefault("question_id", str(sample.get("id", "")))
        values["question"] = _resolve(_question(sample.get("input")), attached)
        values["answer"] = _resolve(_answer(sample.get("output") or {}), attached)
        values["sample_id"] = f"{sample.get('id')}/{sample.get('epoch', 1)}"
        for scorer, score in (sample.get("scores") or {}).items():
            value = score.get("value") if isinstance(score, Mapping) else score
            columns = value if isinstance(value, Mapping) else {scorer: value}
            values.update({k: None if v != v else v for k, v in columns.items()})
        yield RawRow(path, "sample", number, values)


def _sample(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Any:
    if member.file_size > MAX_DOCUMENT:
        raise InputError(f"{path}: {member.filename!r} unpacks to over {MAX_DOCUMENT // 2**30} GiB; not a sample.")
    if member.compress_type != _ZIP_ZSTD:
        data = archive.read(member)
    else:
        with path.open("rb") as file:
            file.seek(member.header_offset)
            header = file.read(_LOCAL_HEADER)
            file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
            packed = file.read(member.compress_size)
        data = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
        if zlib.crc32(data) != member.CRC:
            raise InputError(f"{path} is damaged: {member.filename!r} fails its checksum. Copy it again.")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {member.filename!r} is not readable JSON ({error}).") from None


def _question(value: Any) -> str:
    if isinstance(value, list):
        users = [m for m in value if isinstance(m, Mapping) and m.get("role") == "user"]
        return _content(users[-1].get("content")) if users else ""
    return value if isinstance(value, str) else ""


def _answer(output: Mapping[str, Any]) -> str:
    choices = output.get("choices") or []
    if choices and isinstance(choices[0], Mapping):
        return _content((choices[0].get("message") or {}).get("content"))
    completion = output.get("completion")
    return completion if isinstance(completion, str) else ""


def _content(value: Any) -> str:
    if isinstance(value, list):
        return "".join(str(part.get("text", "")) for part in value if isinstance(part, Mapping))
    return value if isinstance(value, str) else ""


def _resolve(text: str, attached: Mapping[str, str]) -> str:
    return attached.get(text.removeprefix(_ATTACHMENT), text) if text.startswith(_ATTACHMENT) else text
