"""`report --attest --sign-model`: the folder of the tuned model of a run, signed."""

from __future__ import annotations

from pathlib import Path

from offtarget.errors import InputError
from offtarget.rundir import read_manifest
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.verify.adapters import sign_adapter
from offtarget.workflows.verify.things import adapter_of


def sign_model_of(run: str | Path, key: Path) -> Path:
    """Sign the folder of the tuned model of a run; returns the signature. Raises InputError where it is not here."""
    path = find_run(run)
    manifest = read_manifest(path)
    folder = adapter_of(manifest)
    if folder is None:
        raise InputError(
            f"The tuned model of {path}, {manifest.tuned_name or 'an object of yours'}, is no folder on this machine, "
            "so its files cannot be signed. Leave out --sign-model."
        )
    return sign_adapter(folder, key)
