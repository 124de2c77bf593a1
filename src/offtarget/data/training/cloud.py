"""Files in a bucket, through fsspec (extra `cloud`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from offtarget.errors import InputError, PrerequisiteError

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://")

PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "memory": "fsspec"}
"""Kinds of addresses and the package each needs."""

_TAGS = ("ETag", "etag", "generation", "LastModified", "mtime", "created")


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


def is_url(path: str) -> bool:
    """Whether a path is an address such as `s3://bucket/file.jsonl`."""
    return _URL.match(path) is not None


def cloud_files(url: str) -> list[CloudFile]:
    """The file at an address, or all files under it when it is a folder; names relative to it."""
    filesystem, path = _filesystem(url)
    try:
        if not filesystem.isdir(path):
            return [CloudFile(url.rstrip("/").rsplit("/", 1)[-1], url)]
        found = sorted(filesystem.find(path))
    except Exception as error:  # stores raise errors of their own: no credentials, no network, no such bucket
        raise InputError(
            f"{url} cannot be read: {str(error) or type(error).__name__}. Check the address, the network and the "
            "credentials, or download the file and give its path."
        ) from None
    root = path.rstrip("/") + "/"
    return [CloudFile(name.removeprefix(root), filesystem.unstrip_protocol(name)) for name in found]


def _filesystem(url: str) -> tuple[Any, str]:
    match = _URL.match(url)
    scheme = match[1] if match else ""
    if scheme not in PACKAGES:
        raise InputError(f"{url}: addresses may start with s3:// or gs://. Download the file and give its path.")
    try:
        import fsspec  # type: ignore[import-untyped]
        from fsspec.core import url_to_fs  # type: ignore[import-untyped]
    except ImportError:
        raise PrerequisiteError.for_extra("fsspec", "cloud", f"Reading {url}") from None
    del fsspec
    try:
        filesystem, path = url_to_fs(url)
    except ImportError:
        raise PrerequisiteError.for_extra(PACKAGES[scheme], "cloud", f"Reading {url}") from None
    return filesystem, path
