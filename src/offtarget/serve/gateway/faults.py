"""What is wrong in the settings of a gateway, wherever they come from: a file, options, or Python."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from offtarget.errors import InputError
from offtarget.records.checks import share_fault
from offtarget.records.gateway import Alias, CanarySettings, GatewaySettings, StateSettings, Upstream
from offtarget.serve.gateway.addresses import Resolve, check_address, is_loopback, resolved, taken_apart

Place = tuple[str, ...]
"""Where it is, by the keys of a settings file."""
_NAME = re.compile(r"[^\s\x00-\x1f\x7f]{1,200}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MOST_WORKERS = 64


def check_settings(settings: GatewaySettings) -> None:
    """Raise InputError for the first thing that is wrong; no address is asked."""
    for _, sentence in faults(settings):
        raise InputError(sentence)


def faults(settings: GatewaySettings) -> Iterator[tuple[Place, str]]:
    """Everything that is wrong, a place and a sentence each."""
    yield from _places(settings)
    yield from _keys(settings)
    for name in ("body_bytes", "header_bytes", "body_seconds", "connections"):
        if getattr(settings.limits, name) <= 0:
            yield ("limits", name), f"'{name}' must be above 0."
    yield from _state(settings.state)
    if not settings.aliases:
        yield ("models",), "No model is named. Give at least one under `models`."
    names = [alias.name for alias in settings.aliases]
    for alias in settings.aliases:
        if not _NAME.fullmatch(alias.name):
            yield (
                ("models", alias.name),
                f"'{alias.name[:60]}' is no name for a model: up to 200 characters, no blanks.",
            )
        if names.count(alias.name) > 1:
            yield ("models", alias.name), f"Two models have the name '{alias.name}'. Rename one."
        yield from _alias(alias)


def _places(settings: GatewaySettings) -> Iterator[tuple[Place, str]]:
    for place, port in ((("port",), settings.port), (("admin", "port"), settings.admin_port)):
        if not 0 <= port <= 65535:
            yield place, f"The port must be from 0 (a free one) to 65535, not {port}."
    if settings.port and settings.port == settings.admin_port:
        yield ("admin", "port"), f"Clients and administrators cannot both be served on port {settings.port}."
    if not 1 <= settings.workers <= _MOST_WORKERS:
        yield ("workers",), f"There can be 1 to {_MOST_WORKERS} workers, not {settings.workers}."
    if not is_loopback(settings.host) and not settings.keys:
        yield (
            ("host",),
            f"On {settings.host} other machines could ask, and no keys are set. Name the clients under `keys` in a "
            "settings file (--config), or listen on 127.0.0.1.",
        )
    named = {
        "key_sha256": (settings.admin_key_sha256, "The administrator's key"),
        "reader_key_sha256": (settings.admin_reader_key_sha256, "The reader's key"),
    }
    for name, (sha256, whose) in named.items():
        if sha256 and not _SHA256.fullmatch(sha256):
            yield ("admin", name), f"{whose} must be given as its SHA-256, 64 hex digits in lower case."
    if settings.admin_reader_key_sha256 and settings.admin_reader_key_sha256 == settings.admin_key_sha256:
        yield ("admin", "reader_key_sha256"), "The reader's key must be another than the administrator's."
    if settings.webhook:
        yield from _url(("webhook",), settings.webhook)


def _keys(settings: GatewaySettings) -> Iterator[tuple[Place, str]]:
    names = [key.name for key in settings.keys]
    hashes = [key.sha256 for key in settings.keys]
    for key in settings.keys:
        if not _SHA256.fullmatch(key.sha256):
            yield ("keys", key.name), f"The key '{key.name}' must be given as its SHA-256, 64 hex digits in lower case."
        elif hashes.count(key.sha256) > 1:
            yield ("keys", key.name), f"The key '{key.name}' is given twice. Give each client one of its own."
        if names.count(key.name) > 1:
            yield ("keys", key.name), f"Two keys have the name '{key.name}'. Rename one."
        if key.requests_per_minute < 0:
            yield ("keys", key.name), f"The limit of the key '{key.name}' must be 0 (none) or above."


def _state(state: StateSettings) -> Iterator[tuple[Place, str]]:
    kind, _, rest = state.url.partition(":")
    if kind not in ("sqlite", "postgresql", "postgres") or not rest:
        yield ("state", "url"), "The state must be `sqlite:PATH` or `postgresql://...`."
    if not state.retention_days > 0:
        yield ("state", "retention_days"), "Scored answers must be kept for more than 0 days."
    if state.encryption_key and not _is_fernet_key(state.encryption_key):
        yield (
            ("state", "encryption_key"),
            "The encryption key must be 32 bytes in URL-safe base64, as `cryptography.fernet.Fernet.generate_key()` "
            "makes one.",
        )
    for pattern in state.redact:
        try:
            matches_nothing = re.compile(pattern).match("") is not None
        except (re.error, RecursionError) as error:
            yield ("state", "redact"), f"'{pattern[:60]}' is no regular expression ({error})."
            continue
        if matches_nothing:
            yield ("state", "redact"), f"'{pattern[:60]}' matches an empty text too, so it would tear every text apart."


def _is_fernet_key(text: str) -> bool:
    try:
        return len(base64.urlsafe_b64decode(text.encode())) == 32
    except (binascii.Error, ValueError):
        return False


def _alias(alias: Alias) -> Iterator[tuple[Place, str]]:
    place = ("models", alias.name)
    yield from _upstream((*place, "base"), alias.base)
    if alias.tuned is None:
        return
    yield from _upstream((*place, "tuned"), alias.tuned)
    if same(alias.base, alias.tuned):
        yield (
            (*place, "tuned"),
            f"Base and tuned of '{alias.name}' are the same model at the same address; nothing could be told apart.",
        )
    yield from _canary((*place, "canary"), alias.canary)


def _upstream(place: Place, upstream: Upstream) -> Iterator[tuple[Place, str]]:
    if upstream.url:
        yield from _url((*place, "url"), upstream.url)
    elif not upstream.model:
        yield place, "A model needs a `url`, or a name such as hf/BASE+ADAPTER."
    elif upstream.key:
        yield (*place, "key"), "A model without a `url` is served by the gateway itself and needs no key."
    for name in ("connect", "first", "idle", "total"):
        if not getattr(upstream.timeouts, name) > 0:
            yield (*place, "timeouts"), f"The timeout '{name}' must be above 0 seconds."


def _url(place: Place, url: str) -> Iterator[tuple[Place, str]]:
    try:
        parts = taken_apart(url)
    except InputError as error:
        yield place, str(error)
        return
    if parts.query or parts.fragment:
        yield place, f"The address of {parts.hostname} ends with ?... or #..., which cannot be sent. Leave it out."


def same(one: Upstream, other: Upstream) -> bool:
    """Whether both are one model at one address."""
    return one.model == other.model and normal(one.url) == normal(other.url)


def normal(url: str) -> str:
    """A URL in the one spelling that all spellings of it share; empty for none."""
    if not url:
        return ""
    try:
        parts = taken_apart(url)
    except InputError:
        return url
    port = parts.port or (443 if parts.scheme == "https" else 80)
    host = str(parts.hostname).rstrip(".").lower()
    host = "127.0.0.1" if host in ("localhost", "::1") else host
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/').removesuffix('/v1')}"


def _canary(place: Place, canary: CanarySettings) -> Iterator[tuple[Place, str]]:
    if (fault := share_fault(canary.share, zero=True, one=True)) is not None:
        yield (*place, "share"), f"The share {fault}"
    before = canary.share
    for step in canary.ramp:
        if (fault := share_fault(step.share, one=True)) is not None:
            yield (*place, "ramp"), f"The share of a step {fault}"
        elif step.share <= before:
            yield (*place, "ramp"), f"Each step of the ramp must raise the share; {step.share:g} follows {before:g}."
        before = step.share
        if step.hold_seconds < 0 or step.hold_answers < 0:
            yield (*place, "ramp"), "A step cannot be held for less than nothing."
    if (fault := share_fault(canary.alpha)) is not None:
        yield (*place, "alpha"), f"The probability of a false alarm {fault}"
    if (fault := share_fault(canary.tolerance, zero=True)) is not None:
        yield (*place, "tolerance"), f"The tolerance {fault}"
    if (fault := share_fault(canary.judge_share, one=True)) is not None:
        yield (*place, "judge_share"), f"The share that the judge hears {fault}"
    if canary.base_per_tuned < 1:
        yield (*place, "base_per_tuned"), "At least one base answer must stand beside a tuned one."
    if canary.probe_seconds < 0:
        yield (*place, "probe_seconds"), "Probes are asked every so many seconds, or never (0)."
    if canary.ramp and not canary.judge:
        yield (*place, "ramp"), "A ramp goes on by evidence, and without a `judge` there is none. Name one."
    if not canary.judge and canary.cheap_judge:
        yield (*place, "cheap_judge"), "A cheap judge only chooses what the `judge` hears. Name one."
    if not canary.judge and canary.confirm != "never":
        yield (*place, "confirm"), "People confirm what a `judge` flags. Name one."


def check_addresses(settings: GatewaySettings, resolve: Resolve = resolved) -> None:
    """InputError for an address of the settings that may not be asked or whose host is not found."""
    for alias in settings.aliases:
        for upstream in (alias.base, alias.tuned):
            if upstream is not None and upstream.url:
                check_address(upstream.url, resolve)
    if settings.webhook:
        check_address(settings.webhook, resolve)
