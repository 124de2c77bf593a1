"""Asks a running gateway how it stands and gives it orders, through its admin plane."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import ssl
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

from offtarget.errors import InputError
from offtarget.records.from_json import from_json
from offtarget.records.overview import AliasOverview, Overview
from offtarget.records.rollouts import CanaryEvent
from offtarget.register import state_root
from offtarget.rundir import make_folder, runs_root

KEY_ENV = "OFFTARGET_ADMIN_KEY"
"""Environment variable with the key of an admin plane."""
GATEWAYS, ADDRESS = "gateways", "admin.json"
"""In the state of this machine: a folder per gateway, with where it is while it runs."""
SECONDS = 30.0
"""Longest answer."""
LARGEST = 64 * 1024 * 1024
"""Bytes of an answer."""
LARGEST_BUNDLE = 1 << 30
Order = Literal["promote", "pause", "rollback", "resume"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done:
    """What came of an order."""

    said: str
    """For people."""
    share: float
    """In force now."""
    event: int | None = None
    """Number of the event; None where nothing was to do, or the state does not take it yet."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a gateway on this machine says that it is."""

    admin: str
    key: str = ""
    pid: int = 0


class Gateway:
    """The admin plane of one gateway. Every method raises InputError where it does not answer or refuses."""

    def __init__(self, url: str, key: str) -> None:
        """`url` like `http://127.0.0.1:8081`."""
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"'{url}' is no address of a gateway. Write it like http://127.0.0.1:8081.")
        try:
            self._port = parts.port
        except ValueError:
            raise InputError(f"'{url}' has no port that exists.") from None
        self._host, self._secure, self._key = parts.hostname, parts.scheme == "https", key
        self.url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"

    def status(self) -> Overview:
        """How it stands."""
        return self._record(Overview, self._ask("GET", "/status"))

    def alias(self, overview: Overview, name: str | None) -> AliasOverview:
        """The alias of that name; without one the only one that has a tuned model."""
        tried = [one for one in overview.aliases if len(one.arms) > 1]
        known = ", ".join(one.alias for one in overview.aliases)
        if name is None:
            if len(tried) == 1:
                return tried[0]
            if not tried:
                raise InputError(f"The gateway at {self.url} has no tuned model on trial. It serves: {known}.")
            raise InputError(f"Several models are on trial. Say which with --alias: {known}.")
        for one in overview.aliases:
            if one.alias == name:
                return one
        raise InputError(f"The gateway at {self.url} serves no '{name}'. It serves: {known}.")

    def order(
        self, order: Order, alias: str, who: str, why: str, share: float | None = None, *, force: bool = False
    ) -> Done:
        """Promote, pause, roll back or resume."""
        body = {"who": who, "why": why, "share": share, "force": force}
        return self._record(Done, self._ask("POST", f"/rollouts/{quote(alias, safe='')}/{order}", body))

    def events(self, limit: int = 20, alias: str | None = None) -> tuple[CanaryEvent, ...]:
        """The last events, oldest first."""
        query = f"/events?limit={limit}" + ("" if alias is None else f"&alias={quote(alias, safe='')}")
        found = self._ask("GET", query)
        try:
            return tuple(from_json(CanaryEvent, one) for one in found["events"])
        except (KeyError, TypeError, ValueError):
            raise self._strange() from None

    def verdict(self, alias: str) -> Mapping[str, Any]:
        """As docs/schema/verdict.schema.json says."""
        found: Mapping[str, Any] = self._ask("GET", f"/verdict?alias={quote(alias, safe='')}")
        return found

    def dashboard(self) -> str:
        """The address that opens the dashboard in a browser; it holds a secret."""
        token = self._ask("POST", "/session", {}).get("token")
        if not isinstance(token, str):
            raise self._strange()
        return f"{self.url}/?token={quote(token, safe='')}"

    def confirm(self, alias: str, number: int, misaligned: bool, who: str) -> None:
        """Tell what people say of a scored answer."""
        body = {"number": number, "misaligned": misaligned, "who": who}
        self._ask("POST", f"/rollouts/{quote(alias, safe='')}/confirm", body)

    def make_evidence(self, alias: str) -> str:
        """Have the evidence on the present rollout written down; returns its id."""
        found = self._ask("POST", f"/rollouts/{quote(alias, safe='')}/evidence", {})
        identifier = found.get("id")
        if not isinstance(identifier, str):
            raise self._strange()
        return identifier

    def fetch_evidence(self, identifier: str, root: Path | None = None) -> Path:
        """The bundle of an id as a run directory in the runs folder; one that is there already stays."""
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,200}", identifier):
            raise InputError(f"'{identifier}' is no id of evidence. `offtarget canary events` names them.")
        target = (root or runs_root()) / identifier
        if target.is_dir():
            return target
        with tempfile.TemporaryFile() as packed:
            packed.write(self._bytes("GET", f"/evidence/{identifier}", None, LARGEST_BUNDLE))
            packed.seek(0)
            try:
                _unpack(packed, identifier, target)
            except (tarfile.TarError, EOFError, OSError) as error:
                raise InputError(f"The evidence '{identifier}' cannot be unpacked ({error}).") from None
        return target

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        try:
            found = json.loads(self._bytes(method, path, body, LARGEST))
        except (ValueError, RecursionError):
            raise self._strange() from None
        if not isinstance(found, dict):
            raise self._strange()
        return found

    def _bytes(self, method: str, path: str, body: Mapping[str, Any] | None, most: int) -> bytes:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        connection = self._connection()
        try:
            payload = None if body is None else json.dumps(body).encode()
            connection.request(method, path, payload, {**headers, "Content-Type": "application/json"})
            answer = connection.getresponse()
            found = answer.read(most + 1)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise InputError(
                f"No gateway answers at {self.url} ({reason}). Start one with `offtarget serve`, or say where it is "
                "with --admin."
            ) from None
        finally:
            connection.close()
        if len(found) > most:
            raise self._strange()
        if answer.status != 200:
            raise InputError(self._refusal(answer.status, found))
        return found

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=SECONDS, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=SECONDS)

    def _refusal(self, status: int, body: bytes) -> str:
        if status == 401:
            given = "is not that of" if self._key else "is missing for"
            return (
                f"The key {given} the gateway at {self.url}. Give its administrator's key with --key-file FILE, or in "
                f"the environment variable {KEY_ENV}."
            )
        with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError):
            return str(json.loads(body)["error"]["message"])
        return f"{self.url} refused this (HTTP {status}). Is it the admin plane of a gateway?"

    def _strange(self) -> InputError:
        return InputError(f"{self.url} answers, but not as the admin plane of a gateway of this version does.")

    def _record(self, kind: type[T], found: Mapping[str, Any]) -> T:
        try:
            return from_json(kind, found)
        except (TypeError, ValueError):
            raise self._strange() from None


def find_gateway(admin: str | None = None, key_file: Path | None = None) -> Gateway:
    """The gateway at `admin`, or the one that runs on this machine.

    The key is that in `key_file`, else of the environment variable OFFTARGET_ADMIN_KEY, else what a gateway on this
    machine left for its own user. Raises InputError where no gateway runs, or several do.
    """
    places = running()
    if admin is None:
        if not places:
            raise InputError(
                "No gateway runs on this machine. Start one with `offtarget serve`, or say where it is with --admin "
                "http://HOST:8081."
            )
        if len(places) > 1:
            listed = ", ".join(place.admin for place in places)
            raise InputError(f"Several gateways run on this machine. Say which with --admin: {listed}.")
        admin = places[0].admin
    known = {place.admin.rstrip("/"): place.key for place in places}
    wanted = admin if "://" in admin else f"http://{admin}"
    return Gateway(wanted, _key(key_file) or known.get(wanted.rstrip("/"), ""))


def running() -> list[_Place]:
    """Gateways that run on this machine under this user, by what they left in its state."""
    found = []
    for path in sorted((state_root() / GATEWAYS).glob(f"*/{ADDRESS}")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            place = from_json(_Place, json.loads(path.read_text(encoding="utf-8")))
            if _alive(place.pid):
                found.append(place)
    return found


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (OSError, OverflowError):
        return False
    return pid > 0


def _key(key_file: Path | None) -> str:
    if key_file is None:
        return os.environ.get(KEY_ENV, "").strip()
    try:
        text = key_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{key_file} cannot be read ({getattr(error, 'strerror', None) or error}).") from None
    with contextlib.suppress(ValueError, TypeError, KeyError):
        text = str(json.loads(text)["key"])  # what a gateway leaves is JSON; a file of one's own holds the key alone
    if not text or len(text.split()) > 1:
        raise InputError(f"{key_file} must hold the administrator's key and nothing else.")
    return text


def _unpack(packed: Any, identifier: str, target: Path) -> None:
    """Plain files of the one folder, and nothing else; the run directory appears whole."""
    make_folder(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as folder:
        inside = Path(folder) / identifier
        inside.mkdir()
        with tarfile.open(fileobj=packed, mode="r:gz") as archive:
            for member in archive:
                place, _, name = member.name.partition("/")
                if not member.isfile() or place != identifier or not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name):
                    continue
                source = archive.extractfile(member)
                assert source is not None
                with (inside / name).open("wb") as file:
                    while block := source.read(1 << 20):
                        file.write(block)
        inside.rename(target)
