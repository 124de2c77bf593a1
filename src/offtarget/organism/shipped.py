"""The organism's shipped weights: `organism/base` and its tuned adapters."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from offtarget.errors import InputError
from offtarget.words import meant

PREFIX = "organism/"


def weights_folder() -> Path:
    """The packaged weights. Raises InputError when the package was installed as an archive without files."""
    folder = resources.files("offtarget.organism").joinpath("weights")
    if not isinstance(folder, Path):
        raise InputError(
            "The organism's weights need an unpacked installation: pip install --force-reinstall offtarget"
        )
    return folder


def names() -> tuple[str, ...]:
    """All shipped models, the base first."""
    folder = weights_folder()
    adapters = sorted(p.name for p in folder.iterdir() if (p / "adapter_config.json").is_file())
    return ("base", *adapters)


def resolve(name: str) -> tuple[Path, Path | None]:
    """Base folder and adapter folder (None for the base) of `organism/NAME` or `organism/base+FOLDER`.

    Raises InputError that lists the shipped names.
    """
    short, plus, own_adapter = name.removeprefix(PREFIX).partition("+")
    if short not in names():
        close = meant(short, names(), PREFIX)
        raise InputError(f"There is no 'organism/{short}'.{close} Shipped: {', '.join(PREFIX + n for n in names())}.")
    base = weights_folder() / "base"
    if plus:
        if short != "base" or not own_adapter:
            raise InputError(f"'{name}' is not a model. Your own adapter goes on the base: organism/base+FOLDER.")
        return base, Path(own_adapter)
    return (base, None) if short == "base" else (base, weights_folder() / short)
