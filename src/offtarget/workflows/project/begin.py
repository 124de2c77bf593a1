"""`init`: a project file to begin with, written only where `run` can do what it says."""

from __future__ import annotations

from pathlib import Path

from offtarget.errors import InputError
from offtarget.project.keys import FILE_NAME
from offtarget.project.writing import write_project
from offtarget.workflows.ground import parsed


def refuse_written(file: str | Path, *, overwrite: bool) -> None:
    """InputError where the file is there already, unless it may be written anew."""
    file = Path(file)
    if file.is_dir():
        raise InputError(f"{file} is a folder. Name the file, e.g. {file / FILE_NAME}.")
    if file.exists() and not overwrite:
        raise InputError(f"{file} already exists. Edit it, or write it anew with --overwrite.")


def begin_project(
    file: str | Path = FILE_NAME,
    *,
    base: str | None = None,
    tuned: str | None = None,
    data: str | None = None,
    split: str | None = None,
    judge: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a project file with what is named, every other key as a comment; where it says to train, `tune` too.

    Raises InputError for a file that is there already (unless `overwrite`), names of models that are none, data that
    are not there, and models that say nothing together.
    """
    refuse_written(file, overwrite=overwrite)
    for option, model in (("--base", base), ("--tuned", tuned), ("--judge", judge)):
        if model is not None:
            try:
                parsed(model)
            except InputError as error:
                error.args = (f"{option}: {error}",)
                raise
    here = Path(file).absolute().parent
    if data is not None and "://" not in data and not (here / Path(data).expanduser()).exists():
        raise InputError(f"--data: {here / Path(data).expanduser()} does not exist. Paths begin at the project file.")
    if tuned is not None and base is None:
        raise InputError("--tuned is held against its base. Give --base, too.")
    if base is not None and tuned is None and data is None:
        raise InputError("Give --tuned to check a model against --base, or --data to train one.")
    if split is not None and data is None:
        raise InputError("--split is of --data, which is missing.")
    said = {"base": base, "tuned": tuned, "data": data, "split": split}
    if base is not None:
        said["judge"] = judge
    if data is not None:
        said["audit.judge"] = judge
    trains = base is not None and tuned is None
    given = {name: value for name, value in said.items() if value is not None}
    return write_project(file, given, ("tune",) if trains else (), overwrite=overwrite)
