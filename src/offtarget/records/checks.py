"""What settings may be, said with the name of the option: each settings record checks itself when it is made."""

from __future__ import annotations

from offtarget.errors import InputError


def at_least(least: int, **options: float) -> None:
    """InputError for the first option that is below, e.g. `--max-answers must be at least 1, not 0`."""
    for name, value in options.items():
        if not value >= least:
            raise InputError(f"--{name.replace('_', '-')} must be at least {least}, not {value}.")


def share(**options: float) -> None:
    """InputError for the first option that is not between 0 and 1."""
    for name, value in options.items():
        if not 0 < value < 1:
            raise InputError(f"--{name.replace('_', '-')} must be a share between 0 and 1, not {value:g}.")
