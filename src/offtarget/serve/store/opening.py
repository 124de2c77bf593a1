"""From the settings to an open store."""

from __future__ import annotations

from pathlib import Path

from offtarget.errors import InputError
from offtarget.records.gateway import StateSettings
from offtarget.serve.store.bodies import BodyKeeper
from offtarget.serve.store.protocol import Store
from offtarget.serve.store.sqlite import SqliteStore


def open_store(settings: StateSettings) -> Store:
    """The store at `settings.url`, made or brought up to date where needed.

    Raises InputError for a URL, key or expression that is none and for a file or server that cannot be used,
    PrerequisiteError for a missing package, StoreError where it is locked or full just now.
    """
    keeper = BodyKeeper.of(settings)
    scheme, colon, rest = settings.url.partition(":")
    if colon and scheme == "sqlite":
        return SqliteStore(_file(rest), keeper)
    if colon and scheme in ("postgresql", "postgres"):
        from offtarget.serve.store.postgres import PostgresStore

        return PostgresStore(settings.url, keeper)
    raise InputError(
        "state.url names no store: write sqlite:PATH for a file on this machine, or postgresql://USER@HOST/DATABASE "
        "for a server that several gateways share."
    )


def _file(rest: str) -> Path:
    if not rest or rest.startswith("//") or rest == ":memory:":
        raise InputError(
            "state.url names no file: write sqlite:PATH, as sqlite:gateway.sqlite or sqlite:/var/lib/x.sqlite."
        )
    return Path(rest).expanduser()
