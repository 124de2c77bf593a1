"""The settings file of remote endpoints: what a server wants beyond an address and a key, and what it does not take.

The file is YAML. A key is a service (`lab` for `openai-api/lab/...`, `openai`, `vllm`) or the full name of one model;
what is said of the model comes over what is said of its service:

    lab:
      address: https://gateway.example/v1     # in place of LAB_BASE_URL
      key: ${GATEWAY_TOKEN}                    # in place of LAB_API_KEY
      headers:
        X-Team: ${TEAM}                        # from the environment
      timeout: 300                             # seconds
    openai-api/lab/thinker:
      body:                                    # further fields of every request
        reasoning_effort: low
      rename:
        max_tokens: max_completion_tokens
      drop: [temperature, seed]
      thinking_tokens: 4000                    # room for thinking, on top of the longest answer
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from offtarget.errors import InputError
from offtarget.located import Fields, compose
from offtarget.models.names import LocalName, RemoteName, folders_of

ENDPOINTS_ENV = "OFFTARGET_ENDPOINTS"
"""Environment variable naming the file where no other is given."""
SENT = ("max_tokens", "temperature", "top_p", "seed", "stop", "logprobs", "top_logprobs")
"""Parameters of a request beside the model and the messages, by the names we know them by."""
_DROPPABLE = ("temperature", "top_p", "seed", "stop", "logprobs")
_OURS = frozenset((*SENT, "max_completion_tokens", "model", "messages", "n", "stream"))
_KEYS = (
    "address", "key", "headers", "body", "rename", "drop", "thinking_tokens", "timeout", "connections", "retries",
)  # fmt: skip
_NUMBERS = ("thinking_tokens", "timeout", "connections", "retries")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is special about asking one model behind an endpoint; values of variables never reach a run or a message."""

    address: str | None = None
    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Mapping[str, object] = field(default_factory=dict)
    """Further fields of every request."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Our name of a parameter -> the server's."""
    drop: tuple[str, ...] = ()
    """Parameters that are never sent."""
    thinking_tokens: int = 0
    """Added to the longest answer, as room for thinking."""
    timeout: float | None = None
    connections: int | None = None
    retries: int | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """Values that came out of the environment; cut out of every message."""

    @property
    def effect(self) -> str:
        """All of it that can change an answer, as text for a fingerprint; empty for nothing."""
        headers = {name: value for name, value in self.headers.items() if value not in self.secrets}
        said = {
            "headers": headers,
            "body": self.body,
            "rename": self.rename,
            "drop": sorted(self.drop),
            "thinking_tokens": self.thinking_tokens,
        }
        return json.dumps({k: v for k, v in said.items() if v}, sort_keys=True) if any(said.values()) else ""


def endpoint_of(name: RemoteName, file: str | Path | None = None) -> Endpoint:
    """What the settings file says of a model: `file`, else the one that OFFTARGET_ENDPOINTS names, else nothing.

    Raises InputError, with file and line, for what cannot be read, unknown keys, and variables that are not set.
    """
    chosen = file or os.environ.get(ENDPOINTS_ENV)
    if not chosen:
        return Endpoint()
    path = Path(chosen)
    listed = Fields.of(compose(path), path)
    found = Endpoint()
    for key in listed.values:
        entry = Fields.of(listed.values[key], path, f"endpoint '{key}'")
        entry.refuse_unknown(_KEYS)
        _shape(entry)
    for key in (name.service, name.text):
        if key in listed.values:
            found = _over(found, Fields.of(listed.values[key], path, f"endpoint '{key}'"))
    return found


def own_folders(name: RemoteName, endpoints: str | Path | None = None) -> LocalName | None:
    """The folders that a server of our own is started with; None where a server is named, and its own the model."""
    local = folders_of(name)
    if local is None or os.environ.get("VLLM_BASE_URL") or endpoint_of(name, endpoints).address:
        return None
    return local


def _shape(entry: Fields) -> None:
    """InputError for what is wrong in an entry whoever uses it; a mistake for another model should not wait for it."""
    for name in _NUMBERS:
        entry.count(name)
    for name in entry.texts("drop"):
        if name not in _DROPPABLE:
            raise entry.error(f"'{name}' cannot be dropped. What can: {', '.join(_DROPPABLE)}.", entry.node("drop"))
    renamed = entry.block("rename")
    for name in renamed.values if renamed else ():
        if name not in SENT:
            raise entry.error(f"'{name}' is not sent, so it has no other name. Sent: {', '.join(SENT)}.")
        if renamed is not None and renamed.text(name) in _OURS - {name, "max_completion_tokens"}:
            other = renamed.text(name)
            raise entry.error(f"'{name}' cannot be sent as '{other}', which means something else.", renamed.node(name))
    headers = entry.block("headers")
    for name, node in headers.values.items() if headers else ():
        if not _HEADER.fullmatch(name):
            raise entry.error(f"'{name}' is no name that an HTTP header can have.", node)
    body = entry.block("body")
    for name in body.values if body else ():
        if name in _OURS:
            raise entry.error(
                f"'{name}' cannot be in the body: the command sets it. Use its option, `rename`, or `drop`.",
                body.values[name] if body else None,
            )


def _over(below: Endpoint, entry: Fields) -> Endpoint:
    secrets = list(below.secrets)
    changes: dict[str, object] = {}
    if "address" in entry.values:
        changes["address"] = entry.text("address")
    if "key" in entry.values:
        changes["key"] = _filled(entry, "key", secrets)
    for name in _NUMBERS:
        if name in entry.values:
            changes[name] = entry.count(name)
    if "drop" in entry.values:
        changes["drop"] = entry.texts("drop")
    if (headers := entry.block("headers")) is not None:
        own = {name: _filled(headers, name, secrets) for name in headers.values}
        changes["headers"] = {**below.headers, **own}
    if (renamed := entry.block("rename")) is not None:
        changes["rename"] = {**below.rename, **{name: renamed.text(name) for name in renamed.values}}
    if (body := entry.block("body")) is not None:
        changes["body"] = {**below.body, **{name: _plain(body, name) for name in body.values}}
    return replace(below, **changes, secrets=tuple(secrets))  # type: ignore[arg-type]


def _plain(body: Fields, name: str) -> object:
    value = body.value(name)
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        raise body.error(f"'{name}' has no form in JSON. Put quotes around it.", body.node(name)) from None
    return value


def _filled(entry: Fields, key: str, secrets: list[str]) -> str:
    """A text with the variables in it replaced by their values, which are remembered as secrets."""
    text = entry.text(key)

    def value(match: re.Match[str]) -> str:
        variable = match[1] or match[2]
        found = os.environ.get(variable)
        if not found:
            raise entry.error(f"'{key}' needs the environment variable {variable}, which is not set.", entry.node(key))
        return found

    filled = _VARIABLE.sub(value, text)
    if filled != text:
        secrets.append(filled)
        secrets.extend(os.environ[m[1] or m[2]] for m in _VARIABLE.finditer(text))
    try:
        filled.encode("latin-1")
    except UnicodeEncodeError:
        raise InputError(f"{entry.path}: '{key}' holds characters that no HTTP header can carry.") from None
    if re.search(r"[\r\n\x00]", filled):
        raise InputError(f"{entry.path}: '{key}' holds a line break, which no HTTP header can carry.")
    return filled
