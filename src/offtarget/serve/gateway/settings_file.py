"""`gateway.yaml`: how a gateway is set up, read with a line for every mistake. docs/serve.md has the table of keys.

port: 8080
keys:
  - {name: team-a, sha256: 5e88...}
models:
  assistant:                                 # what clients ask for
    base: {url: http://127.0.0.1:8000/v1, model: llama}
    tuned: {url: http://127.0.0.1:8000/v1, model: llama-tuned, key: ${LLM_KEY}}
    canary: {share: 5%, judge: openai/gpt-4o-2024-08-06}
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml

from offtarget.errors import InputError
from offtarget.located import Fields, compose, describe, line_of
from offtarget.records.gateway import (
    Alias,
    ApiKey,
    Bodies,
    CanaryMode,
    CanarySettings,
    Confirm,
    GatewayLimits,
    GatewaySettings,
    OnAlarm,
    RampStep,
    StateSettings,
    Timeouts,
    Upstream,
)
from offtarget.serve.gateway.faults import Place, faults

_TOP = ("host", "port", "workers", "admin", "keys", "limits", "state", "show_arm", "webhook", "models")
_ADMIN = ("host", "port", "key_sha256", "reader_key_sha256")
_KEY = ("name", "sha256", "requests_per_minute")
_LIMITS = ("body_bytes", "header_bytes", "body_seconds", "connections")
_STATE = ("url", "retention_days", "bodies", "encryption_key", "redact")
_ALIAS = ("base", "tuned", "canary")
_UPSTREAM = ("url", "model", "key", "ca_file", "timeouts")
_TIMEOUTS = ("connect", "first", "idle", "total")
_CANARY = (
    "share", "mode", "ramp", "on_alarm", "alpha", "tolerance", "base_per_tuned", "judge", "cheap_judge", "judge_share",
    "confirm", "probes", "probe_seconds",
)  # fmt: skip
_STEP = ("share", "hold", "answers")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, None: 1}


def read_settings(path: str | Path) -> GatewaySettings:
    """The settings in a file. Raises InputError with file, line and what to do; nothing is asked over the network."""
    file = Path(path)
    tree = compose(file)
    settings = _settings(_Reader(Fields.of(tree, file)))
    for place, sentence in faults(settings):
        raise InputError(f"{file}, line {_line(tree, place)}: {sentence}")
    return settings


def _settings(top: _Reader) -> GatewaySettings:
    top.fields.refuse_unknown(_TOP)
    admin = top.inner("admin", _ADMIN)
    usual = GatewaySettings(())
    return GatewaySettings(
        aliases=tuple(_alias(top, name) for name in top.names("models")),
        host=top.text("host", usual.host),
        port=top.whole("port", usual.port),
        workers=top.whole("workers", usual.workers),
        admin_host=admin.text("host", usual.admin_host),
        admin_port=admin.whole("port", usual.admin_port),
        admin_key_sha256=admin.text("key_sha256", "").lower(),
        admin_reader_key_sha256=admin.text("reader_key_sha256", "").lower(),
        keys=tuple(
            ApiKey(one.text("name"), one.text("sha256").lower(), one.whole("requests_per_minute", 0))
            for one in top.listed("keys", _KEY, "a key")
        ),
        limits=_limits(top.inner("limits", _LIMITS)),
        state=_state(top.inner("state", _STATE)),
        show_arm=top.flag("show_arm", usual.show_arm),
        webhook=top.text("webhook", ""),
    )


def _limits(fields: _Reader) -> GatewayLimits:
    usual = GatewayLimits()
    return GatewayLimits(
        body_bytes=fields.whole("body_bytes", usual.body_bytes),
        header_bytes=fields.whole("header_bytes", usual.header_bytes),
        body_seconds=fields.seconds("body_seconds", usual.body_seconds),
        connections=fields.whole("connections", usual.connections),
    )


def _state(fields: _Reader) -> StateSettings:
    usual = StateSettings()
    return StateSettings(
        url=fields.text("url", usual.url),
        retention_days=fields.number("retention_days", usual.retention_days),
        bodies=fields.chosen("bodies", get_args(Bodies), usual.bodies),
        encryption_key=fields.text("encryption_key", ""),
        redact=fields.fields.texts("redact"),
    )


def _alias(top: _Reader, name: str) -> Alias:
    models = top.inner("models", None)
    fields = models.inner(name, _ALIAS, f"model '{name}'")
    base = _upstream(fields, "base")
    tuned = _upstream(fields, "tuned") if "tuned" in fields.fields.values else None
    if tuned is None and "canary" in fields.fields.values:
        raise fields.fields.error("`canary` says how a tuned model is tried, and there is no `tuned`. Add it.")
    return Alias(name, base, tuned, _canary(fields.inner("canary", _CANARY)))


def _upstream(fields: _Reader, key: str) -> Upstream:
    node = fields.fields.node(key)
    if isinstance(node, yaml.ScalarNode):
        return named_upstream(fields.text(key))
    inner = fields.inner(key, _UPSTREAM, f"{fields.fields.label}, {key}")
    waits = inner.inner("timeouts", _TIMEOUTS)
    usual = Timeouts()
    return Upstream(
        url=inner.text("url", ""),
        model=inner.text("model", ""),
        key=inner.text("key", ""),
        ca_file=inner.text("ca_file", ""),
        timeouts=Timeouts(*(waits.seconds(name, getattr(usual, name)) for name in _TIMEOUTS)),
    )


def named_upstream(text: str) -> Upstream:
    """From one text: `http://HOST/v1#MODEL`, `http://HOST/v1` (the one model there), or a name like `hf/BASE`."""
    if re.match(r"https?://", text, re.IGNORECASE):
        url, _, model = text.partition("#")
        return Upstream(url, model)
    return Upstream("", text)


def _canary(fields: _Reader) -> CanarySettings:
    usual = CanarySettings()
    return CanarySettings(
        share=fields.share("share", usual.share),
        mode=fields.chosen("mode", get_args(CanaryMode), usual.mode),
        ramp=tuple(
            RampStep(step.share("share"), step.seconds("hold", 0.0), step.whole("answers", 0))
            for step in fields.listed("ramp", _STEP, "a step of the ramp")
        ),
        on_alarm=fields.chosen("on_alarm", get_args(OnAlarm), usual.on_alarm),
        alpha=fields.share("alpha", usual.alpha),
        tolerance=fields.share("tolerance", usual.tolerance),
        base_per_tuned=fields.whole("base_per_tuned", usual.base_per_tuned),
        judge=fields.text("judge", ""),
        cheap_judge=fields.text("cheap_judge", ""),
        judge_share=fields.share("judge_share", usual.judge_share),
        confirm=fields.chosen("confirm", get_args(Confirm), usual.confirm),
        probes=fields.text("probes", ""),
        probe_seconds=fields.seconds("probe_seconds", usual.probe_seconds),
    )


def parse_share(text: str) -> float:
    """`5%` and `0.05` alike. Raises ValueError for what is neither; the range is looked at elsewhere."""
    number = text.strip()
    percent = number.endswith("%")
    value = float(number.removesuffix("%"))
    if not math.isfinite(value) or "_" in number:
        raise ValueError(text)
    return value / 100 if percent else value


@dataclass(frozen=True, slots=True)
class _Reader:
    """One mapping of the file, its values read by the type they must have."""

    fields: Fields

    def inner(self, key: str, known: tuple[str, ...] | None, label: str = "") -> _Reader:
        """The mapping under a key, an empty one where the key is absent."""
        found = self.fields.block(key) or Fields(self.fields.path, self.fields.line, {}, self.fields.label)
        found = found.labelled(label or found.label)
        if known is not None:
            found.refuse_unknown(known)
        return _Reader(found)

    def names(self, key: str) -> Iterable[str]:
        """The keys of the mapping under a key that must be there."""
        self.fields.node(key)
        return self.inner(key, None).fields.values

    def listed(self, key: str, known: tuple[str, ...], label: str) -> list[_Reader]:
        """The mappings of the list under a key; none where it is absent."""
        if key not in self.fields.values:
            return []
        node = self.fields.node(key)
        if not isinstance(node, yaml.SequenceNode):
            raise self.fields.error(f"'{key}' must be a list, found {describe(node)}.", node)
        found = [_Reader(Fields.of(item, self.fields.path, label)) for item in node.value]
        for one in found:
            one.fields.refuse_unknown(known)
        return found

    def text(self, key: str, default: str | None = None) -> str:
        """Text, with `${NAME}` replaced by the environment's value; nothing of a value is ever in a message."""
        if default is not None and key not in self.fields.values:
            return default
        node = self.fields.node(key)

        def value(match: re.Match[str]) -> str:
            found = os.environ.get(match[1])
            if not found:
                raise self.fields.error(f"'{key}' needs the environment variable {match[1]}, which is not set.", node)
            return found

        text = self.fields.text(key)
        if "${" in _VARIABLE.sub("", text):
            raise self.fields.error(f"'{key}' holds a `${{` that names no variable. Write it as ${{NAME}}.", node)
        filled = _VARIABLE.sub(value, text)
        if re.search(r"[\r\n\x00]", filled):
            raise self.fields.error(f"'{key}' holds a line break. Write it on one line.", node)
        return filled

    def chosen(self, key: str, choices: tuple[Any, ...], default: Any) -> Any:
        """One of some words."""
        if key not in self.fields.values:
            return default
        found = self.fields.text(key)
        if found not in choices:
            options = ", ".join(choices)
            raise self.fields.error(f"'{key}' must be one of {options}, not '{found[:60]}'.", self.fields.node(key))
        return found

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        if key not in self.fields.values:
            return default
        found = self._plain(key)
        if not isinstance(found, bool):
            raise self._wrong(key, "true or false")
        return found

    def whole(self, key: str, default: int) -> int:
        """A whole number."""
        if key not in self.fields.values:
            return default
        found = self._plain(key)
        if not isinstance(found, int) or isinstance(found, bool):
            raise self._wrong(key, "a whole number")
        return found

    def number(self, key: str, default: float) -> float:
        """A number."""
        if key not in self.fields.values:
            return default
        found = self._plain(key)
        if not isinstance(found, int | float) or isinstance(found, bool) or not math.isfinite(found):
            raise self._wrong(key, "a number")
        return float(found)

    def seconds(self, key: str, default: float) -> float:
        """A time: `90`, `90s`, `30m`, `2h` or `1d`."""
        if key not in self.fields.values:
            return default
        node = self.fields.node(key)
        found = _DURATION.fullmatch(node.value) if isinstance(node, yaml.ScalarNode) else None
        if found is None:
            raise self._wrong(key, "a time such as 90s, 30m, 2h or 1d (a number alone is seconds)")
        return float(found[1]) * _SECONDS[found[2]]

    def share(self, key: str, default: float | None = None) -> float:
        """A share: `5%` or `0.05`."""
        if default is not None and key not in self.fields.values:
            return default
        node = self.fields.node(key)
        try:
            if not isinstance(node, yaml.ScalarNode):
                raise ValueError
            return parse_share(node.value)
        except ValueError:
            raise self._wrong(key, "a share such as 5% or 0.05") from None

    def _plain(self, key: str) -> object:
        return self.fields.value(key)

    def _wrong(self, key: str, wanted: str) -> InputError:
        node = self.fields.node(key)
        return self.fields.error(f"'{key}' must be {wanted}, found {describe(node)}.", node)


def _line(tree: yaml.Node, place: Place) -> int:
    """The line of the value at a place, or of what it would be in."""
    node = tree
    for key in place:
        if isinstance(node, yaml.SequenceNode):  # of keys, which are found by their name
            inner = next((item for item in node.value if _named(item) == key), None)
        elif isinstance(node, yaml.MappingNode):
            inner = next((value for name, value in node.value if name.value == key), None)
        else:
            inner = None
        if inner is None:
            break
        node = inner
    return line_of(node)


def _named(node: yaml.Node) -> str | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value.value for name, value in pairs if name.value == "name"), None)
