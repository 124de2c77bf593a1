"""The run directory: every record of a run on disk as soon as it exists, readable after any crash.

Layout: `run.json` (manifest: verb, settings, fingerprints, versions), `probes.jsonl`, `generations.jsonl`,
`verdicts.jsonl`, `looks.jsonl` (e-process trajectories), `result.json` (the decision, written last).
A JSONL line is complete or, after a crash, the torn last line is dropped on opening and computed again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

from filelock import FileLock, Timeout

from offtarget.errors import DiskFullError, InputError
from offtarget.records.answers import UNLESS_DEFAULT
from offtarget.records.from_json import from_json
from offtarget.records.manifests import manifest_kind
from offtarget.records.runs import Manifest

T = TypeVar("T")

MANIFEST = "run.json"
"""How a run was started; a folder with one is a run."""
LOCK = ".lock"
AHEAD_OF_MANIFEST = (
    "probes.jsonl",
    "known.jsonl",
    "certificate.json",
    "cue_plan.json",
    "cued_probes.jsonl",
    "rule.json",
    "goals.jsonl",
)
"""What a run writes before its manifest; without one it holds no answer."""
RUNS_ENV = "OFFTARGET_RUNS"
"""Environment variable naming the folder that holds the run directories; default `./runs`."""


def fingerprint(value: object) -> str:
    """First 16 hex digits of the SHA-256 of a value's canonical JSON."""
    text = json.dumps(to_jsonable(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


_PLAIN = frozenset({str, int, float, bool, type(None)})


_NAMES: dict[type, tuple[str, ...] | None] = {}
_UNLESS: dict[type, dict[str, object]] = {}
"""Fields that are left out where they have this value, their default."""
_NONE: dict[str, object] = {}


def _names(kind: type) -> tuple[str, ...] | None:
    """Names of the fields of a dataclass; None for any other type. Kept, since a check writes thousands of records."""
    if kind not in _NAMES:
        fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else None
        if fields is not None and (later := {f.name: f.default for f in fields if f.metadata == UNLESS_DEFAULT}):
            _UNLESS[kind] = later
        _NAMES[kind] = None if fields is None else tuple(f.name for f in fields)
    return _NAMES[kind]


def to_jsonable(value: Any) -> Any:
    """Records as plain JSON values: dataclasses become objects, tuples lists, paths text."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    names = _names(kind)
    if names is not None:
        written = {name: to_jsonable(getattr(value, name)) for name in names}
        for name, default in _UNLESS.get(kind, _NONE).items():
            if written[name] == default:
                del written[name]
        return written
    if isinstance(value, dict):
        return {str(k): to_jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_jsonable(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    return value


def write_json(path: Path, value: object) -> None:
    """Write JSON so that a crash leaves the old file or the new one, never a mixture."""
    write_whole(path, json.dumps(to_jsonable(value), indent=2, ensure_ascii=True, allow_nan=False) + "\n")


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there. Raises InputError."""
    with _disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def write_whole(path: Path, content: str | bytes, by: str = "") -> None:
    """Write a text, or bytes, so that a crash or a full disk leaves the old file or the new one. Raises InputError.

    `by` names who writes, where two may write the same file at a time: what both have begun must not be mixed.
    """
    temporary = path.with_suffix(f"{path.suffix}{by}.part")
    with _disk_errors(path):
        with temporary.open("wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def read_json(path: Path) -> Any:
    """Read a JSON file; InputError names the file when it is absent, unreadable or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not readable JSON ({error}).") from None


def read_record(path: Path, record: type[T], way_out: str = "Restore it, or start a new run.", key: str = "") -> T:
    """A JSON file, or what it holds under `key`, as an instance of a dataclass.

    Raises InputError, ending with the way out, when it holds none.
    """
    value = read_json(path)
    try:
        return from_json(record, value[key] if key else value)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
        reason = f"'{key}' is missing" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path} does not hold {_in_words(record)} of this version ({reason}). {way_out}") from None


def _in_words(record: type) -> str:
    """`AuditDecision` -> `an audit decision`."""
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", record.__name__.lstrip("_")).lower()
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def read_object(path: Path) -> dict[str, Any]:
    """A JSON file that holds one object; InputError naming it otherwise."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path} holds {type(value).__name__}, expected a JSON object. Restore it or run again.")
    return value


def read_manifest(run: Path) -> Manifest:
    """How a run was started. InputError when the folder is no run, or its manifest foreign or damaged."""
    path = run / MANIFEST
    if not path.is_file():
        raise InputError(f"{run} is not a run directory (it has no {MANIFEST}). `offtarget runs` lists them.")
    value = read_object(path)
    kind = manifest_kind(value)
    if kind is None:
        raise InputError(
            f"{path} is of no verb of this version (its verb is {str(value.get('verb'))[:40]!r}): it was made by "
            "something else, or by another version."
        )
    return read_record(path, kind, "It was changed by something else; restore it, or start a new run.")


class JsonLines:
    """An append-only JSONL file. Opening repairs a line torn by a crash; every append reaches the system."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._drop_torn_line()
        with _disk_errors(path):
            self._file = path.open("ab", buffering=0)

    def _drop_torn_line(self) -> None:
        if not self.path.exists():
            return
        with _disk_errors(self.path):
            data = self.path.read_bytes()
            end = data.rfind(b"\n") + 1
            if end != len(data):
                with self.path.open("r+b") as file:
                    file.truncate(end)

    def extend(self, values: Iterable[object]) -> None:
        """Append records, one line each, in one system call."""
        lines = [json.dumps(to_jsonable(v), ensure_ascii=True, allow_nan=False) + "\n" for v in values]
        if not lines:
            return
        remaining = memoryview("".join(lines).encode("ascii"))
        with _disk_errors(self.path):
            while remaining:
                remaining = remaining[self._file.write(remaining) :]

    def close(self) -> None:
        """Flush to the disk itself and close."""
        if not self._file.closed:
            with contextlib.suppress(OSError):
                os.fsync(self._file.fileno())
            self._file.close()


def read_jsonl(path: Path, record: type[T]) -> list[T]:
    """All complete records of a JSONL file as instances of a dataclass; a torn last line is ignored."""
    return list(iterate_jsonl(path, record))


def iterate_jsonl(path: Path, record: type[T]) -> Iterator[T]:
    """The same one by one, for files that may be larger than memory; none where there is no file."""
    if not path.exists():
        return
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                made = from_json(record, json.loads(line))
            except (TypeError, ValueError, AttributeError, RecursionError) as error:
                raise InputError(
                    f"{path}, line {number}: not a {record.__name__} record ({error}). The file was changed "
                    "by something else; restore it, or start a new run."
                ) from None
            yield made


def write_records(run: RunDir, name: str, records: Iterable[object]) -> None:
    """Write a JSONL file of a run anew."""
    path = run.file(name)
    path.unlink(missing_ok=True)
    with contextlib.closing(JsonLines(path)) as lines:
        lines.extend(records)


def flush_to_disk(path: Path) -> None:
    """Bring a file, or the list of files in a folder, to the disk itself; Windows keeps such lists by itself."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from None


def refuse_taken(path: Path) -> None:
    """InputError for a folder that a new run cannot have, since something is in it; what was never begun may go."""
    if not path.exists():
        return
    left = {p.name.removesuffix(".part") for p in path.iterdir()} if path.is_dir() else {""}
    if left and not (LOCK in left and left <= {LOCK, *AHEAD_OF_MANIFEST}):
        raise _taken(path)


def _taken(path: Path) -> InputError:
    return InputError(f"{path} already exists and is not an empty folder. Choose another, or resume the run in it.")


def _clear_if_never_begun(path: Path) -> None:
    """Remove what a run writes ahead of its manifest, where that is all there is and nobody is writing it."""
    left = {p.name.removesuffix(".part") for p in path.iterdir()} if path.is_dir() else set()
    if LOCK not in left or not left <= {LOCK, *AHEAD_OF_MANIFEST}:
        return
    try:
        with FileLock(path / LOCK).acquire(timeout=0):
            for file in path.iterdir():
                if file.name != LOCK:
                    file.unlink()
    except Timeout:
        return  # a run that is just beginning
    (path / LOCK).unlink(missing_ok=True)


def remove_if_never_begun(path: Path) -> None:
    """Remove the folder of a run that was stopped before its manifest was written; it holds no answer."""
    with contextlib.suppress(OSError):
        _clear_if_never_begun(path)
        path.rmdir()


class RunDir:
    """One run on disk, locked while it is being written so that two processes never mix their records."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / LOCK)
        self._discarded = False

    @classmethod
    def create(cls, verb: str, slug: str, root: Path | None = None, path: str | Path | None = None) -> RunDir:
        """Make a new, empty run directory: `path`, or `<root>/<verb>-<time>-<slug>`.

        What a run left in `path` that was stopped before its manifest was written is removed: it holds no answer.
        Raises InputError for a folder that holds anything else.
        """
        if path is None:
            return cls(fresh_folder(root or runs_root(), verb, slug))
        path = Path(path)
        with _disk_errors(path):
            _clear_if_never_begun(path)
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise _taken(path)
            path.mkdir(parents=True, exist_ok=True)
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunDir:
        """An existing run directory; InputError when it is not one."""
        if not (path / MANIFEST).is_file():
            raise InputError(f"{path} is not a run directory (it has no {MANIFEST}). `offtarget runs` lists them.")
        return cls(path)

    def __enter__(self) -> RunDir:
        with _disk_errors(self.path):
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise InputError(
                    f"{self.path} is in use by another offtarget process. Wait for it, or stop it."
                ) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
        if self._discarded:
            shutil.rmtree(self.path)

    def discard(self) -> None:
        """Remove the run as soon as its lock is given back."""
        self._discarded = True

    def file(self, name: str) -> Path:
        """Path of a file of this run."""
        return self.path / name


def in_use(path: Path) -> bool:
    """Whether another process holds a run open; False for a folder whose lock cannot be tried."""
    if not (path / LOCK).is_file():
        return False
    if os.name != "nt":
        return _held(path / LOCK)
    lock = FileLock(path / LOCK)
    try:
        with lock.acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _held(file: Path) -> bool:
    """Whether a process has locked a file; it is opened for reading alone, so that looking leaves no trace."""
    import fcntl

    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


_DATA_FILE = re.compile(r"(\.(jsonl|ndjson|json|csv|tsv|parquet|arrow|txt))?(\.(gz|zst|bz2|xz))?$", re.IGNORECASE)
"""What a folder's name loses that is made from a file's: a run is no file."""


def fresh_folder(folder: Path, verb: str, slug: str) -> Path:
    """A new folder with a name of its own, also when two processes ask in the same second."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    slug = _DATA_FILE.sub("", slug) or slug
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in slug).strip("-.")
    name = f"{verb}-{stamp}-{safe.encode()[:90].decode('utf-8', 'ignore')}"
    path = folder / name
    with _disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(2):
            try:
                path.mkdir()
                return path
            except FileExistsError:
                path = folder / f"{name}-{number}"
    raise AssertionError("unreachable")


def runs_root() -> Path:
    """The folder that holds run directories."""
    return Path(os.environ.get(RUNS_ENV) or "runs")


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(
                f"The disk is full, writing {path}. Everything computed before is kept. Free some space; `offtarget "
                "runs` then names the command that goes on, or says what must be started again."
            ) from None
        reason = error.strerror or str(error)
        raise InputError(f"Cannot write {path}: {reason}. Choose another folder.") from None


def place(path: Path) -> Path:
    """A run as a command names it: from here where it is below, else in full, as where it would read as an option."""
    here = Path.cwd()
    below = path.relative_to(here) if path.is_relative_to(here) else path
    return path.absolute() if str(below).startswith("-") else below
