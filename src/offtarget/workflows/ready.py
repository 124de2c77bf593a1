"""Mistakes that can be found before anything heavy: no weights are loaded, no answer is paid for, when one shows."""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from offtarget.asking.prices import read_prices
from offtarget.asking.purse import no_price, no_prices, price_of
from offtarget.asking.spending import going_on
from offtarget.direction.header import read_info
from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.endpoints import endpoint_of, own_folders
from offtarget.models.folders import check_model_folder, find_folder
from offtarget.models.memory import Held, check_dtype, check_memory, memory_needed
from offtarget.models.named_templates import NAMED
from offtarget.models.names import InspectName, LocalName, RemoteName, is_path
from offtarget.models.opening import NO_REFERENCE, as_reference
from offtarget.models.remote import address_and_key
from offtarget.models.serving.own_server import check_servable
from offtarget.models.templates import OF_BASE, is_file_choice, own_template
from offtarget.records.rated import PEOPLE
from offtarget.records.runs import OpenSettings
from offtarget.rundir import RUNS_ENV, refuse_taken, runs_root
from offtarget.workflows.ground import EXACT_JUDGE, ground_of, not_local, parsed
from offtarget.workflows.parallel import processes

PATIENCE = 3.0
"""Seconds in which a server must take a connection."""
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def ready(
    *models: object,
    judges: Iterable[object] = (),
    files: Mapping[str, object] | None = None,
    run: str | Path | None = None,
    new_run: bool = False,
    keeps_run: bool = True,
    local: bool = False,
    opening: OpenSettings | None = None,
) -> None:
    """InputError for the first thing that cannot be used; what is no name is an object of the caller, and passes.

    `files` are looked at by the name of their option; `new_run` says that the folder of the run must not hold one,
    `keeps_run` whether there is one, and `local` that the models must be weights at hand.
    """
    if run is not None:
        going_on(Path(run))
    if run is not None and new_run:
        refuse_taken(Path(run))
    if keeps_run:
        _writable(runs_root() if run is None else Path(run))
    for option, file in (files or {}).items():
        if isinstance(file, str | Path) and not Path(file).expanduser().exists():
            raise InputError(f"{option}: {file} does not exist.")
        if option == "--direction" and isinstance(file, str | Path):
            read_info(Path(file).expanduser())
    _settings_files(opening)
    judges = tuple(judges)
    _affordable(
        [one for one in (*models, *judges) if isinstance(one, str) and one not in (EXACT_JUDGE, PEOPLE)], opening
    )
    for judge in judges:
        if isinstance(judge, str) and judge not in (EXACT_JUDGE, PEOPLE):
            _usable(judge, opening)
            _has_template(judge, None, trust=opening is not None and opening.trust_remote_code)
    for model in models:
        if isinstance(model, str):
            if local and isinstance(parsed(model), RemoteName):
                raise not_local(model, "this needs")
            _usable(model, opening)
            how = opening or OpenSettings()
            _has_template(model, how.chat_template, trust=how.trust_remote_code)
    _fits([one for one in (*models, *judges) if isinstance(one, str) and one not in (EXACT_JUDGE, PEOPLE)], opening)


def _settings_files(opening: OpenSettings | None) -> None:
    """InputError for a file that the opening of models needs and that is not there."""
    if opening is None:
        return
    if opening.reference not in (None, NO_REFERENCE):
        shipped = ground_of(opening.reference).organism
        _there(as_reference(parsed(str(opening.reference))), shipped=shipped)
    template = opening.chat_template if is_file_choice(opening.chat_template) else None
    for option, file in (("--endpoints", opening.endpoints), ("--chat-template", template)):
        if file is not None and not Path(file).is_file():
            named = f" Named ones are {', '.join(NAMED)}." if option == "--chat-template" else ""
            raise InputError(f"{option}: {file} does not exist.{named}")


def _affordable(names: Iterable[str], opening: OpenSettings | None) -> None:
    """InputError where money is limited and a model that is asked has no price, and where no limit can be kept."""
    if opening is None:
        return
    prices = read_prices(opening.prices)
    limited = opening.max_cost is not None or opening.max_requests is not None
    if limited and processes() > 1:
        raise InputError(
            "Several processes that train together cannot keep one limit on money or requests. Leave out --max-cost "
            "and --max-requests."
        )
    if opening.max_cost is None:
        return
    if prices is None:
        raise no_prices()
    for name in names:
        if price_of(name, prices) is None:
            raise no_price(name, prices)


def _usable(text: str, opening: OpenSettings | None) -> None:
    name = parsed(text)
    if isinstance(name, RemoteName):
        _reachable(name, opening)
    else:
        _there(name, shipped=ground_of(text).organism)


def _there(name: LocalName, *, shipped: bool) -> None:
    """InputError for a folder that is not there or holds no model; what must be fetched is left alone."""
    if shipped and name.adapter is not None and not Path(name.adapter.place).expanduser().is_dir():
        raise InputError(f"{name.adapter.place} does not exist. Name the folder of an adapter behind the +.")
    for source in (name.base, name.adapter):
        if source is not None and is_path(source.place):
            folder = find_folder(source)
            if source is name.base and not shipped:
                check_model_folder(folder)


def _has_template(text: str, choice: str | None, *, trust: bool) -> None:
    """InputError for a model here that has no chat template, or whose vocabulary lacks the marks of the named one."""
    name = parsed(text)
    if not isinstance(name, LocalName) or not is_path(name.base.place) or ground_of(text).organism:
        return
    folder = find_folder(name.base)
    named = NAMED.get(choice or "")
    if named is None and (choice not in (None, OF_BASE) or own_template(folder) is not None):
        return
    from offtarget.models.loading import load_tokenizer

    load_tokenizer(folder, trust, None if named is None else named.text)


def memory_of(models: Iterable[str], opening: OpenSettings | None) -> int:
    """Bytes of memory that a process takes at least that opens these models; those behind a server take none here."""
    there = [name for name in map(parsed, models) if isinstance(name, LocalName) and is_path(name.base.place)]
    return memory_needed([Held(*_folders(name)) for name in there], opening.dtype if opening else None)


def _fits(models: Iterable[str], opening: OpenSettings | None) -> None:
    """InputError where the local models do not fit into memory together, or the device computes their format badly."""
    names = [name for model in models for name in (parsed(model),) if isinstance(name, LocalName)]
    there = [name for name in names if is_path(name.base.place)]
    how = opening or OpenSettings()
    if names and how.device is not None and how.dtype is not None:
        check_dtype(how.device, how.dtype)
    check_memory([Held(*_folders(name)) for name in there], how.device, how.dtype)


def _folders(name: LocalName) -> tuple[Path, Path | None]:
    on_top = name.adapter
    return find_folder(name.base), None if on_top is None or not is_path(on_top.place) else find_folder(on_top)


def _reachable(name: RemoteName, opening: OpenSettings | None) -> None:
    """InputError for a server without address or key, and for one that nobody answers at."""
    if isinstance(name, InspectName):
        from offtarget.models.inspect_model import InspectModel

        opened = InspectModel.open(name, endpoints=None if opening is None else opening.endpoints)
        if opened.is_here:
            _connects(name, str(opened.address))
        return
    if importlib.util.find_spec("openai") is None:
        raise PrerequisiteError.for_extra("openai", "remote", "A remote model")
    own = own_folders(name, None if opening is None else opening.endpoints)
    if own is not None:
        check_servable(own)
        return
    address, _ = address_and_key(name, endpoint_of(name, None if opening is None else opening.endpoints))
    if address is None or any(os.environ.get(proxy) or os.environ.get(proxy.lower()) for proxy in _PROXIES):
        return  # the usual address, or one that is reached through another
    _connects(name, address)


def _connects(name: RemoteName, address: str) -> None:
    """InputError where nobody takes a connection at an address."""
    parts = urlsplit(address)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), PATIENCE).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(
            f"{name.text}: no server answers at {address[:80]} ({reason}). Start it, or correct the address. Nothing "
            "was loaded or asked."
        ) from None


def _writable(place: Path) -> None:
    """InputError where the folder of a run cannot be made."""
    there = next((folder for folder in (place, *place.absolute().parents) if folder.exists()), None)
    if there is None or (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return
    why = "it may not be written" if there.is_dir() else "it is a file"
    raise InputError(f"No run can be kept in {place}: of {there}, {why}. Choose another folder (--run, {RUNS_ENV}).")
