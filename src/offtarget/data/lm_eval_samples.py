"""Reading what `lm_eval --log_samples --output_path DIR` writes; needs no lm_eval.

`DIR/MODEL/samples_TASK_TIME.jsonl` has a line per item and filter: `doc_id`, hashes of the document, the prompt and the
target, the answers, and each metric of the item under its own name. `results_TIME.json` beside it says how it was run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from offtarget.data.rawrows import shown
from offtarget.data.streams import document, lines, reading, sha256
from offtarget.errors import InputError

_TIME = r"\d{4}-\d\d-\d\dT\d\d[-:]\d\d[-:]\d\d(?:\.\d+)?"
_SAMPLES = re.compile(rf"samples_(?P<task>.+?)(?:_(?P<time>{_TIME}))?\.jsonl(?:\.gz|\.zst)?", re.DOTALL)
_RESULTS = re.compile(rf"(?:.*_)?(?P<time>{_TIME})\.json")
DEEPEST = 3
"""Folders below the one that was given in which samples are looked for."""
HOW = "lm_eval --model ... --tasks ... --log_samples --output_path DIR"
"""What makes such a folder."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One item as one model answered it, by one filter."""

    line: int
    """Of its file, from 1."""
    doc: str
    """Hash of the document; empty where the file has none."""
    prompt: str
    """Hash of what the model was sent, with the settings of generation."""
    target: str
    """Hash of the right answer; empty where the file has none."""
    answers: str
    """Hash of what the model gave, before any filter."""
    scores: Mapping[str, Any]
    """Metric -> value as it stands in the file."""


@dataclass(frozen=True, slots=True)
class TaskSamples:
    """All samples of one task, from one file."""

    task: str
    path: Path
    sha256: str
    filters: Mapping[str, Mapping[str, Sample]]
    """Filter -> item -> sample; filters and items in the order of the file."""
    metrics: tuple[str, ...]
    """As the task lists them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a folder was run, as its results file says; empty values where there is none."""

    model: str = ""
    shots: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    more_is_better: Mapping[str, Any] = field(default_factory=dict)
    """Task -> metric -> true, false or null."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Group with a score of its own -> its parts, which may be groups."""
    chat_template: str = ""
    """Hash; empty for none."""
    system: str = ""


@dataclass(frozen=True, slots=True)
class SampleFolder:
    """The newest samples of every task in a folder."""

    path: Path
    tasks: Mapping[str, TaskSamples]
    settings: Mapping[str, Settings]
    """Task -> how it was run."""
    notes: tuple[str, ...]

    @property
    def model(self) -> str:
        """The model as lm_eval named it, else the folder's name."""
        names = dict.fromkeys(said.model for said in self.settings.values() if said.model)
        return ", ".join(names) or self.path.resolve().name

    @property
    def digest(self) -> str:
        """First 16 hex digits of a hash of all its files."""
        text = "\n".join(f"{name} {self.tasks[name].sha256}" for name in sorted(self.tasks))
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def is_sample_folder(path: Path) -> bool:
    """Whether a path is a folder with samples of lm_eval, or one such file; a table may have a name like theirs."""
    try:
        return bool(_files(path)) and (path.is_dir() or _begins_like_samples(path))
    except OSError:
        return False


def _begins_like_samples(path: Path) -> bool:
    try:
        _, row = next(_rows(path), (0, {}))
    except InputError:
        return False
    return "doc_id" in row and ("resps" in row or "filtered_resps" in row)


def read_samples(path: Path, only: Sequence[str] = ()) -> SampleFolder:
    """The newest samples of every task (or of those named) in a folder, or one file of samples.

    Raises InputError, naming file and line, for whatever is not what lm_eval writes.
    """
    try:
        files = _files(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not files:
        raise InputError(f"{path} has no samples_TASK_TIME.jsonl. Such files are written by: {HOW}")
    folders = sorted({file.parent for file in files})
    if len(folders) > 1:
        names = shown(str(folder.relative_to(path)) for folder in folders)
        raise InputError(f"{path} has samples of several models: {names}. Give the folder of one of them.")
    newest = _newest(files)
    missing = [task for task in only if task not in newest]
    if missing:
        raise InputError(f"{path} has no samples of {shown(missing)}. It has: {shown(newest)}.")
    results = _results(folders[0])
    chosen = {task: file for task, file in newest.items() if not only or task in only}
    return SampleFolder(
        path,
        {task: _read_task(task, file) for task, (file, _, _) in chosen.items()},
        {task: _settings_at(results, time) for task, (_, time, _) in chosen.items()},
        tuple(note for _, _, note in chosen.values() if note),
    )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if _SAMPLES.fullmatch(path.name) else []
    found: list[Path] = []
    folders = [path] if path.is_dir() else []
    for _ in range(DEEPEST):
        inside = [entry for folder in folders for entry in sorted(folder.iterdir())]
        found += [entry for entry in inside if _SAMPLES.fullmatch(entry.name) and entry.is_file()]
        folders = [entry for entry in inside if entry.is_dir()]
    return found


def _newest(files: Sequence[Path]) -> dict[str, tuple[Path, str, str]]:
    """Task -> (its newest file, the time in its name, a note where there are older ones), in the order of the names."""
    by_task: dict[str, list[tuple[str, Path]]] = {}
    for file in files:
        match = _SAMPLES.fullmatch(file.name)
        assert match is not None
        by_task.setdefault(match["task"], []).append((match["time"] or "", file))
    newest = {}
    for task in sorted(by_task):
        times = sorted(by_task[task])
        time, file = times[-1]
        note = f"{task} was run {len(times)} times in {file.parent.name}; the newest is taken."
        newest[task] = (file, time, note if len(times) > 1 else "")
    return newest


def _results(folder: Path) -> dict[str, Settings]:
    """Time -> how it was run, for every results file of a folder."""
    found = {}
    for file in sorted(folder.glob("*.json")):
        match = _RESULTS.fullmatch(file.name)
        if match is not None and (said := _settings(file)) is not None:
            found[match["time"]] = said
    return found


def _settings_at(results: Mapping[str, Settings], time: str) -> Settings:
    return results.get(time) or Settings()


def _settings(path: Path) -> Settings | None:
    """How it was run; None for a JSON file that is no results file."""
    with reading(path) as stream:
        data = document(stream, path)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable JSON ({error}). Copy it again, or take it away.") from None
    if not isinstance(value, dict) or not isinstance(value.get("results"), dict):
        return None
    scored = _object(value.get("groups"))
    parts = {name: subs for name, subs in _object(value.get("group_subtasks")).items() if name in scored}
    return Settings(
        model=_text(value.get("model_name")),
        shots=_object(value.get("n-shot")),
        versions=_object(value.get("versions")),
        more_is_better=_object(value.get("higher_is_better")),
        groups={name: tuple(map(str, subs)) for name, subs in parts.items() if isinstance(subs, list)},
        chat_template=_text(value.get("chat_template_sha")),
        system=_text(value.get("system_instruction_sha")),
    )


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _read_task(task: str, path: Path) -> TaskSamples:
    filters: dict[str, dict[str, Sample]] = {}
    metrics: tuple[str, ...] | None = None
    for number, row in _rows(path):
        item = row.get("doc_id")
        if not isinstance(item, int | str) or isinstance(item, bool):
            raise InputError(f"{path}, line {number}: it has no doc_id, so it is no sample of lm_eval.")
        names = row.get("metrics")
        names = tuple(map(str, names)) if isinstance(names, list) else _scored(row)
        metrics = names if metrics is None else metrics
        sample = _sample(path, number, row, names)
        items = filters.setdefault(str(row.get("filter", "none")), {})
        if str(item) in items:
            first = items[str(item)].line
            raise InputError(
                f"{path}, line {number}: doc_id {item} is there twice (first on line {first}). lm_eval appends to a "
                "file of the same name: keep the lines of one run."
            )
        items[str(item)] = sample
    if not filters:
        raise InputError(f"{path} has no samples.")
    return TaskSamples(task, path, sha256(path), filters, metrics or ())


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with reading(path) as stream:
        for number, line in lines(stream, path):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"{path}, line {number} is not JSON ({error}). Was it cut off? Copy it again."
                ) from None
            if not isinstance(row, dict):
                raise InputError(f"{path}, line {number} is no JSON object, so it is no sample of lm_eval.")
            yield number, row


_KEYS = frozenset(
    ("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash", "prompt_hash",
     "target_hash")
)  # fmt: skip


def _scored(row: Mapping[str, Any]) -> tuple[str, ...]:
    """The metrics of a row that does not list them, as in files of older versions: what else it holds."""
    return tuple(name for name in row if name not in _KEYS)


def _sample(path: Path, number: int, row: Mapping[str, Any], metrics: Sequence[str]) -> Sample:
    requests = _requests(row.get("arguments"))
    prompt = _text(row.get("prompt_hash")) or (_hash(requests[0][:1]) if requests else "")
    if not prompt:
        raise InputError(
            f"{path}, line {number}: it has neither prompt_hash nor arguments, so nobody can say whether both models "
            "got the same prompt. Run lm_eval 0.4.3 or newer again."
        )
    generating = [argument for request in requests for argument in request[1:] if isinstance(argument, dict)]
    return Sample(
        number,
        _text(row.get("doc_hash")) or (_hash(row["doc"]) if "doc" in row else ""),
        prompt + (f" {_hash(generating)}" if generating else ""),
        _text(row.get("target_hash")) or (_hash(row["target"]) if "target" in row else ""),
        _hash(row.get("resps", row.get("filtered_resps"))),
        {name: row.get(name) for name in metrics},
    )


def _requests(value: object) -> list[list[Any]]:
    """The arguments of each request of an item: a list, or an object that numbers them."""
    requests = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [list(r.values()) if isinstance(r, dict) else r if isinstance(r, list) else [r] for r in requests]


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:16]
