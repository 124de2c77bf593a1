"""Rows of Inspect AI logs: one per sample, with every score as a column. Needs no inspect_ai.

Formats read: the `.json` log (one document) and the `.eval` log (a zip with `samples/*.json`, stored,
deflated or, in newer versions, Zstandard-compressed, which Python's zipfile cannot unpack before 3.14).
"""

from __future__ import annotations

import hashlib
import json
import mmap
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import zstandard

from offtarget.data.columns import KNOWN, SCORES
from offtarget.data.rawrows import About, RawRow
from offtarget.data.streams import MAX_DOCUMENT
from offtarget.errors import InputError

_BEGIN = 1 << 10
"""Bytes at the beginning of a file that tell what kind it is."""
_ZIP_ZSTD = 93
_LOCAL_HEADER = 30
_ATTACHMENT = "attachment://"
_AUDIT = frozenset(("auditor", "target"))
"""Roles of models in an audit, as by inspect_petri: one asks the other, and what is asked depends on what it says."""
_SCORE_NAMES = frozenset(name for score in (*SCORES, "label") for name in KNOWN[score])


def is_inspect_log(value: object) -> bool:
    """Whether a JSON document is an Inspect log with its samples."""
    return isinstance(value, dict) and isinstance(value.get("eval"), dict) and "samples" in value


def tell_of(log: Mapping[str, Any], about: About) -> None:
    """What the header of a log says of all its samples: whether it was finished, and who its scorers are."""
    status = log.get("status", "success")
    if status != "success":
        about.unfinished = f"ended with status {str(status)[:40]!r}"
    results = log.get("results")
    total = results.get("total_samples") if isinstance(results, Mapping) else None
    about.expected = total if isinstance(total, int) else None
    spec = log.get("eval")
    if not isinstance(spec, Mapping):
        return
    if str(spec.get("task_registry_name") or "").startswith("offtarget/"):
        about.arm = "arm"  # of others' logs an arm is never guessed
    roles = _roles(spec)
    if roles.keys() >= _AUDIT:
        about.audited = roles["target"]
        about.how["the auditor"] = roles["auditor"]
        about.made |= {f"{k} of the audit": str(v)[:60] for k, v in _mapping(spec.get("task_args")).items()}
    for scorer in spec.get("scorers") or ():
        if isinstance(scorer, Mapping) and isinstance(scorer.get("name"), str):
            name = scorer["name"].rpartition("/")[2]
            number = 0
            while (key := f"{name}{number or ''}") in about.scorers:
                number += 1
            about.scorers[key] = _who(name, scorer.get("options"), spec)


def _who(name: str, options: object, spec: Mapping[str, Any]) -> str:
    """A scorer with what makes its scores: its model and a digest of its other options, such as the rubric."""
    options = dict(options) if isinstance(options, Mapping) else {}
    roles = spec.get("model_roles")
    role = "judge" if _roles(spec).keys() >= _AUDIT else "grader"
    grader = options.pop("model", None) or (roles.get(role) if isinstance(roles, Mapping) else None)
    if not grader and name.startswith("model_graded"):
        # Inspect lets the evaluated model grade itself where no grader is named: two models, two judges.
        grader = spec.get("model")
    graders = grader if isinstance(grader, list) else [grader] if grader else []
    for number, one in enumerate(g for g in graders if isinstance(g, Mapping)):
        # Of a model's own settings those that change replies; its arguments hold what a run made of it.
        how = {key: value for key, value in (one.get("config") or {}).items() if value is not None}
        options |= {f"config of grader {number}": how} if how else {}
    rest = json.dumps(options, sort_keys=True, default=str) if options else ""
    parts = [str(one.get("model") if isinstance(one, Mapping) else one) for one in graders]
    parts += [f"options {hashlib.sha256(rest.encode()).hexdigest()[:8]}"] if rest else []
    return f"{name} ({', '.join(parts)})" if parts else name


def _roles(spec: Mapping[str, Any]) -> dict[str, str]:
    """Role -> the model that has it."""
    roles = _mapping(spec.get("model_roles"))
    named = {role: one.get("model") if isinstance(one, Mapping) else one for role, one in roles.items()}
    return {role: name for role, name in named.items() if isinstance(name, str)}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def log_of_task(path: Path, task: str) -> tuple[Mapping[str, Any], Iterator[Mapping[str, Any]]] | None:
    """Header and samples of a log of the task of that registered name; None for any other file.

    InputError for a log that is damaged.
    """
    with path.open("rb") as file:
        begin = file.read(_BEGIN)
        if begin.startswith(b"PK\x03\x04"):
            return _archive_of_task(path, task)
        if not begin.lstrip().startswith(b"{") or not _names(file, task):
            return None
    try:
        log = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable JSON ({error}). Copy the log again.") from None
    if not is_inspect_log(log) or log["eval"].get("task_registry_name") != task:
        return None
    return log, iter(log["samples"] or [])


def _names(file: BinaryIO, task: str) -> bool:
    """Whether the name of a task is anywhere in a file: whoever sorts the keys of a log moves it behind much else."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        names = (json.dumps(task), json.dumps(task).replace("/", "\\/"))
        return any(text.find(name.encode()) >= 0 for name in names)


def _archive_of_task(path: Path, task: str) -> tuple[Mapping[str, Any], Iterator[Mapping[str, Any]]] | None:
    def samples() -> Iterator[Mapping[str, Any]]:
        with zipfile.ZipFile(path) as archive, _damaged(path):
            for member in _sample_members(archive):
                yield _sample(archive, member, path)

    try:
        with zipfile.ZipFile(path) as archive, _damaged(path):
            names = {member.filename: member for member in archive.infolist()}
            header = names.get("header.json") or names.get("_journal/start.json")
            log = None if header is None else _sample(archive, header, path)
    except zipfile.BadZipFile:
        return None  # whoever reads it as a table says so
    spec = log.get("eval") if isinstance(log, Mapping) else None
    if not isinstance(log, Mapping) or not isinstance(spec, Mapping) or spec.get("task_registry_name") != task:
        return None
    return log, samples()


def _sample_members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    # A sample that was run again is appended under its old name, and counts in place of the old one.
    last = {member.filename: member for member in archive.infolist()}
    return [last[name] for name in sorted(last) if name.startswith("samples/") and name.endswith(".json")]


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, zstandard.ZstdError, EOFError) as error:
        raise InputError(f"{path} is a damaged .eval log ({error}). Copy it again.") from None


def question_of(sample: Mapping[str, Any]) -> str:
    """What a sample asks: its last user turn, behind all that stood before it."""
    return _question(sample, sample.get("attachments") or {})


def resolved(text: str, sample: Mapping[str, Any]) -> str:
    """A text of a sample; long ones are kept apart, as attachments."""
    return _resolve(text, sample.get("attachments") or {})


def eval_rows(path: Path, about: About) -> Iterator[RawRow]:
    """Samples of an `.eval` log, in the order of their names."""
    with _damaged(path), zipfile.ZipFile(path) as archive:
        names = {member.filename: member for member in archive.infolist()}
        header = names.get("header.json") or names.get("_journal/start.json")
        if header is not None and isinstance(log := _sample(archive, header, path), Mapping):
            tell_of(log, about)
            if "header.json" not in names:
                about.unfinished = "is of an evaluation that never ended"
        members = _sample_members(archive)
        if not members:
            raise InputError(f"{path} is a zip file without samples; an Inspect .eval log has a samples folder.")
        yield from sample_rows((_sample(archive, member, path) for member in members), path, about)


def sample_rows(samples: Iterable[Mapping[str, Any]], path: Path, about: About) -> Iterator[RawRow]:
    """Samples as rows: question_id, question, answer, id, then metadata, then scores.

    A score that is a mapping gives a column SCORER.KEY per key, any other gives a column named after its scorer.
    NaN is how Inspect writes an unscored sample, so it becomes a blank.
    """
    for number, sample in enumerate(samples, start=1):
        if not isinstance(sample, Mapping):
            raise InputError(f"{path}, sample {number} is not a JSON object.")
        attached = sample.get("attachments") or {}
        # Metadata that is called like a score is none: it stands beside the scorers, to be chosen by its full name.
        values: dict[str, Any] = {
            f"metadata.{k}" if k in _SCORE_NAMES else k: v
            for k, v in (sample.get("metadata") or {}).items()
            if not isinstance(v, dict | list)
        }
        values.setdefault("question_id", str(sample.get("id", "")))
        audited = about.audited is not None
        values["question"] = _question({"input": sample.get("input")} if audited else sample, attached)
        answer = _talk(sample, attached) if audited else _resolve(_answer(sample.get("output") or {}), attached)
        values["answer"] = answer
        values["sample_id"] = f"{sample.get('id')}/{sample.get('epoch', 1)}"
        for scorer, score in (sample.get("scores") or {}).items():
            value = score.get("value") if isinstance(score, Mapping) else score
            parts = {f".{key}": part for key, part in value.items()} if isinstance(value, Mapping) else {"": value}
            columns = {f"{scorer}{key}": part for key, part in parts.items()}
            about.score_columns.update(columns)
            values.update({k: None if v != v else v for k, v in columns.items()})
        model = about.audited or (sample.get("output") or {}).get("model")
        if isinstance(model, str) and model:
            values.setdefault("model", model)
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


def _question(sample: Mapping[str, Any], attached: Mapping[str, str]) -> str:
    """What a sample asks: its last user turn, behind all that stood before it, system turns of a solver included."""
    asked = sample.get("input")
    if not isinstance(asked, list):
        asked = [{"role": "user", "content": asked if isinstance(asked, str) else ""}]
    turns = [turn for turn in asked if isinstance(turn, Mapping)]
    said = [turn for turn in sample.get("messages") or () if isinstance(turn, Mapping) and turn.get("role") == "system"]
    before = [turn for turn in said if not _stands(turn, turns)]
    texts = [(str(turn.get("role")), _resolve(_content(turn.get("content")), attached)) for turn in (*before, *turns)]
    last = max((number for number, (role, _) in enumerate(texts) if role == "user"), default=-1)
    shown = texts[: last + 1]
    return shown[0][1] if len(shown) == 1 else "\n\n".join(f"{role}: {text}" for role, text in shown if text)


def _talk(sample: Mapping[str, Any], attached: Mapping[str, str]) -> str:
    """The whole conversation with a model that was audited; blank where it never said anything."""
    turns = [turn for turn in sample.get("messages") or () if isinstance(turn, Mapping)]
    texts = [(str(turn.get("role")), _resolve(_content(turn.get("content")), attached)) for turn in turns]
    said = any(role == "assistant" and text.strip() for role, text in texts)
    return "\n\n".join(f"{role}: {text}" for role, text in texts if text) if said else ""


def _stands(turn: Mapping[str, Any], turns: Iterable[Mapping[str, Any]]) -> bool:
    same = (turn.get("role"), _content(turn.get("content")))
    return any((other.get("role"), _content(other.get("content"))) == same for other in turns)


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
