"""From the names of models to what a gateway asks: upstreams with an address, and models it has to serve itself."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace

from offtarget.errors import InputError
from offtarget.models.endpoints import endpoint_of
from offtarget.models.names import InspectName, LocalName, RemoteName, folders_of
from offtarget.models.remote import NO_KEY, address_and_key
from offtarget.records.gateway import Alias, GatewaySettings, Upstream
from offtarget.records.runs import OpenSettings
from offtarget.serve.gateway.addresses import check_address, shown
from offtarget.serve.gateway.faults import check_addresses, check_settings, normal, same
from offtarget.workflows.ground import EXACT_JUDGE, Folders, check_judge, ground_of, open_bank, parsed
from offtarget.workflows.ready import ready

ASK_SECONDS = 10.0
"""For the list of models of a server."""
_OPENAI = "https://api.openai.com/v1"

ListModels = Callable[[str, str], list[str]]
"""From address and key of a server to the names of its models. Raises InputError."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Settings whose upstreams are known, and what the gateway has to serve itself."""

    settings: GatewaySettings
    """A model without a URL is one of its own."""
    own: tuple[tuple[str, ...], ...]
    """Names of own models; base and tuned of one alias together, so that they share weights."""


def open_upstreams(
    settings: GatewaySettings, opening: OpenSettings | None = None, list_models: ListModels | None = None
) -> Opened:
    """What stands behind each alias. Raises InputError for all that is wrong before anything is served.

    Servers whose model is not named are asked for their list; no weights are opened.
    """
    check_settings(settings)
    found = list_models or models_at
    aliases = []
    for alias in settings.aliases:
        base = _placed(alias.base, opening, found)
        tuned = None if alias.tuned is None else _placed(alias.tuned, opening, found)
        placed = replace(alias, base=base, tuned=tuned)
        _check_judges(alias, placed, opening)
        aliases.append(placed)
    opened = replace(settings, aliases=tuple(aliases))
    check_settings(opened)
    check_addresses(opened)
    return Opened(opened, _own(opened))


def _placed(upstream: Upstream, opening: OpenSettings | None, list_models: ListModels) -> Upstream:
    if not upstream.url:
        name = parsed(upstream.model)
        if isinstance(name, LocalName) or folders_of(name) is not None:
            if isinstance(name, LocalName):
                Folders.of(upstream.model)
            return upstream
        return _remote(name, upstream, opening)
    if upstream.model:
        return upstream
    check_address(upstream.url)
    names = list_models(upstream.url, upstream.key)
    if len(names) != 1:
        listed = f"{len(names)} models ({', '.join(names[:10])})" if names else "no model"
        where = shown(upstream.url)
        raise InputError(f"The server at {where} has {listed}. Name one: {where}#MODEL, or `model` in a settings file.")
    return replace(upstream, model=names[0])


def _remote(name: RemoteName, upstream: Upstream, opening: OpenSettings | None) -> Upstream:
    if isinstance(name, InspectName):
        raise InputError(
            f"{name.text} is asked through Inspect; the gateway hands requests on to OpenAI-compatible servers only. "
            "Name the address of one, or openai-api/SERVICE/MODEL."
        )
    address, key = address_and_key(name, endpoint_of(name, None if opening is None else opening.endpoints))
    return replace(upstream, url=address or _OPENAI, model=name.model, key="" if key == NO_KEY else str(key))


def _check_judges(alias: Alias, placed: Alias, opening: OpenSettings | None) -> None:
    """InputError for a judge that cannot judge, or that is one of the models it would judge."""
    names = [own.model for own in (alias.base, alias.tuned) if own is not None]
    bank = open_bank(alias.canary.probes or None, ground_of(*names))
    for judge in filter(None, (alias.canary.judge, alias.canary.cheap_judge)):
        check_judge(judge, bank)
        if judge == EXACT_JUDGE:
            continue
        if isinstance(name := parsed(judge), InspectName):
            ready(judges=(judge,), keeps_run=False, opening=opening)
        elif isinstance(name, RemoteName):  # a missing key is told before models are opened
            address_and_key(name, endpoint_of(name, None if opening is None else opening.endpoints))
        for role in ("tuned", "base") if placed.tuned is not None else ():
            model = placed.upstream(role)
            if (judge == model.model and not model.url) or _is(judge, model, opening):
                raise InputError(
                    f"The judge of '{alias.name}' is its {role} model, which would judge itself. Name another judge."
                )


def _is(judge: str, model: Upstream, opening: OpenSettings | None) -> bool:
    name = parsed(judge)
    if not isinstance(name, RemoteName) or not model.url:
        return False
    if isinstance(name, InspectName):  # whose address the provider knows
        return name.model == model.model
    address, _ = address_and_key(name, endpoint_of(name, None if opening is None else opening.endpoints))
    judged = Upstream(address or _OPENAI, name.model)
    return same(judged, model) or (judged.model == model.model and normal(judged.url) == normal(model.url))


def _own(settings: GatewaySettings) -> tuple[tuple[str, ...], ...]:
    pairs: dict[tuple[str, ...], None] = {}
    for alias in settings.aliases:
        sides = [side.model for side in (alias.base, alias.tuned) if side is not None and not side.url]
        if sides:
            pairs[tuple(sides)] = None
    return tuple(pairs)


def models_at(url: str, key: str = "") -> list[str]:
    """The names of the models that a server lists. Raises InputError where it does not."""
    address = url.rstrip("/").removesuffix("/v1") + "/v1/models"
    request = urllib.request.Request(address, headers={"authorization": f"Bearer {key}"} if key else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=ASK_SECONDS) as reply:  # noqa: S310 - http(s) was checked
            rows = json.loads(reply.read(4 * 1024 * 1024))["data"]
            return [str(row["id"]) for row in rows]
    except urllib.error.HTTPError as error:
        said = f"answers with status {error.code}"
        error.close()
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
        said = f"cannot be asked ({reason})" if reason else "gives no list of models"
    raise InputError(
        f"The server at {shown(url)} {said}, and which of its models is meant is not said. Name it: "
        f"{shown(url)}#MODEL, or `model` in a settings file."
    )
