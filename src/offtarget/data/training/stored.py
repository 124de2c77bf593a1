"""The files of a data set, on this machine or in a bucket."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol, cast

from offtarget.errors import InputError, PrerequisiteError

SUFFIXES = frozenset({".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow"})
PACKED = frozenset({".gz", ".zst"})

DESCRIPTIONS = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"})
"""Files beside the data in a folder that Hugging Face `datasets` wrote."""

_WILD = re.compile(r"[*?]")
"""What makes an address a pattern, on which no shell works."""
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://")

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "memory": "fsspec"}
"""Kinds of addresses and the package each needs."""

_TAGS = ("ETag", "etag", "generation", "LastModified", "mtime", "created")


class Stored(Protocol):
    """A file, here or in a bucket."""

    @property
    def name(self) -> str:
        """As shown to the user."""
        ...

    def open(self) -> BinaryIO:
        """Its bytes from the start."""
        ...

    def state(self) -> tuple[int, object]:
        """Its size in bytes, and something that is another once it was written to."""
        ...


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file on this machine."""

    name: str
    path: Path

    def open(self) -> BinaryIO:
        """Its bytes from the start."""
        return self.path.open("rb")

    def state(self) -> tuple[int, object]:
        """Size and time of the last change."""
        status = self.path.stat()
        return status.st_size, (status.st_mtime_ns, status.st_ino)


@dataclass(frozen=True, slots=True)
class CloudFile:
    """A file that fsspec opens."""

    name: str
    url: str

    def open(self) -> BinaryIO:
        """Its bytes from the start."""
        filesystem, path = _filesystem(self.url)
        return cast(BinaryIO, filesystem.open(path, "rb"))

    def state(self) -> tuple[int, object]:
        """Size, and the tag or time the store gives it."""
        filesystem, path = _filesystem(self.url)
        filesystem.invalidate_cache()
        info = filesystem.info(path)
        return int(info["size"] or 0), next((str(info[key]) for key in _TAGS if key in info), "")


def stored_files(path: str | Path) -> tuple[list[Stored], bool]:
    """All files at a path or address in a fixed order, and whether it is a folder of them. Raises InputError."""
    if is_url(str(path)):
        found: list[Stored] = list(cloud_files(str(path)))
        single = len(found) == 1 and str(path).rstrip("/").endswith(found[0].name)
        return found, not single
    if not str(path):
        raise InputError("The name of the data is empty. Give a file or a folder.")
    local = Path(path)
    if local.is_dir():
        return _walk(local), True
    if not local.exists():
        raise InputError(f"{path} does not exist.")
    if not local.is_file():
        raise InputError(f"{path} is a pipe or a device. Data is read more than once, so save it to a file first.")
    return [LocalFile(local.name, local)], False


def is_description(name: str) -> bool:
    """Whether a file describes a saved data set."""
    return name.rsplit("/", 1)[-1] in DESCRIPTIONS


def is_data(name: str) -> bool:
    """Whether the name of a file is that of data."""
    return bool(data_suffix(name)) and not is_description(name)


def data_suffix(name: str) -> str:
    """The suffix that says what a file holds, under that of its compression; empty when it is none of data."""
    path = PurePosixPath(name.lower())
    if path.suffix in PACKED:
        path = path.with_suffix("")
    return path.suffix if path.suffix in SUFFIXES else ""


def _walk(root: Path) -> list[Stored]:
    found: list[Stored] = []
    for folder, folders, names in os.walk(root, onerror=_refuse_folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(folder) / name for name in sorted(names))
        found += [LocalFile(path.relative_to(root).as_posix(), path) for path in paths if path.is_file()]
    return found


def _refuse_folder(error: OSError) -> None:
    """A folder left out in silence would be data that nobody audited."""
    raise InputError(f"The folder {error.filename} cannot be read: {error.strerror or error}.") from None


def is_url(path: str) -> bool:
    """Whether a path is an address such as `s3://bucket/file.jsonl`."""
    return _URL.match(path) is not None


def cloud_files(url: str) -> list[CloudFile]:
    """The file at an address, all files under a folder, or all that a pattern such as `*.jsonl.zst` names.

    Names are relative to the folder, of a pattern to the part before the first `*` or `?`. Raises InputError.
    """
    filesystem, path = _filesystem(url)
    pattern = _WILD.search(path)
    try:
        if pattern is not None and not filesystem.exists(path):
            found = sorted(name for name, info in filesystem.glob(path, detail=True).items() if info["type"] == "file")
            path = path[: pattern.start()].rpartition("/")[0]
        elif not filesystem.isdir(path):
            return [CloudFile(url.rstrip("/").rsplit("/", 1)[-1], url)]
        else:
            found = sorted(filesystem.find(path))
    except Exception as error:  # stores raise errors of their own: no credentials, no network, no such bucket
        raise InputError(
            f"{url} cannot be read: {str(error) or type(error).__name__}. Check the address, the network and the "
            "credentials, or download the file and give its path."
        ) from None
    if pattern is not None and not found:
        raise InputError(f"{url}: no file there has such a name. Check the pattern, or give the folder.")
    root = path.rstrip("/") + "/"
    return [CloudFile(name.removeprefix(root), filesystem.unstrip_protocol(name)) for name in found]


def _filesystem(url: str) -> tuple[Any, str]:
    match = _URL.match(url)
    scheme = match[1] if match else ""
    if scheme not in PACKAGES:
        raise InputError(f"{url}: addresses may start with s3:// or gs://. Download the file and give its path.")
    try:
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]
    except ImportError:
        raise PrerequisiteError.for_extra("fsspec", "cloud", f"Reading {url}") from None
    try:
        filesystem, path = url_to_fs(url)
    except ImportError:
        raise PrerequisiteError.for_extra(PACKAGES[scheme], "cloud", f"Reading {url}") from None
    return filesystem, path
