"""Files that a run names by paths that are not whole, looked for where it goes on."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.records.runs import Manifest
from offtarget.rundir import to_jsonable

_NO_PLACES = frozenset({"verb", "created", "version", "folder", "fingerprint", "objects", "checks", "out"})
"""Parts of a manifest that name no file to be read."""
_LONGEST = 1000


def check_places(path: Path, manifest: Manifest) -> None:
    """InputError naming files that are only where the run was started, and the folder to go on from."""
    started = Path(manifest.folder) if manifest.folder else Path.cwd()
    missing = [name for name in dict.fromkeys(_relative(to_jsonable(manifest))) if _there_only(name, started)]
    if not missing:
        return
    again = manifest.resume_command(path.resolve())
    raise InputError(
        f"{path} was started in {started} and names files from there that are not here: {', '.join(missing)}. "
        f"Go on from there: cd {shlex.quote(str(started))} && {again}"
    )


def _relative(value: Any) -> Iterator[str]:
    """Texts that may be paths from the folder where a run was started, those of models without what stands around."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _NO_PLACES:
                yield from _relative(item)
    elif isinstance(value, list):
        for item in value:
            yield from _relative(item)
    elif isinstance(value, str) and 0 < len(value) <= _LONGEST and ("." in value or "/" in value):
        for part in value.removeprefix("hf/").split("+"):
            if part and not Path(part).is_absolute():
                yield part


def _there_only(name: str, started: Path) -> bool:
    try:
        return not Path(name).exists() and (started / name).exists()
    except (OSError, ValueError):
        return False
