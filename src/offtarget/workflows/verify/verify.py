"""`verify`: is this evidence what it says it is? What is proved, what is only claimed, and what is wrong."""

from __future__ import annotations

from pathlib import Path

from offtarget.errors import InputError
from offtarget.evidence.findings import Verification
from offtarget.evidence.keyless import Identity
from offtarget.rundir import MANIFEST
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.verify.adapters import is_adapter, verify_adapter
from offtarget.workflows.verify.recorded import verify_run
from offtarget.workflows.verify.seal import verify_package


def verify(
    target: str | Path, key: Path | None = None, *, identity: Identity | None = None, open_models: bool = False
) -> Verification:
    """Check a run (a folder, a name under the runs folder, `last`), an adapter's folder, or a sealed package.

    `key` is the PEM file with the public key of whoever signed, `identity` who Sigstore must vouch for; `open_models`
    opens the models of a check to compare their fingerprints. Raises InputError for what is none of these, and for a
    key that cannot be read.
    """
    path = Path(target)
    if path.is_file():
        return verify_package(path, key, identity)
    if path.suffix == ".zip" and not path.exists():
        raise InputError(f"There is no package {path}. `offtarget seal RUN --out {path.name}` makes one.")
    if path.is_dir() and not (path / MANIFEST).exists() and is_adapter(path):
        if identity is not None:
            raise InputError(
                f"{path} holds an adapter; one that was signed through Sigstore is checked by: model_signing verify"
            )
        return verify_adapter(path, key)
    return verify_run(find_run(target), key, identity=identity, open_models=open_models)
