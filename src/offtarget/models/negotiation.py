"""Parameters that a server does not take: learned from its own refusals, then left out or renamed, and said.

Servers behind one API differ: some know only `max_completion_tokens`, some refuse a temperature, a seed or log
probabilities. What a refusal is about is taken from the `param` of the error, or from its message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from threading import Lock
from typing import Any

from offtarget.models.endpoints import Endpoint
from offtarget.records import SamplingSettings

FEWEST_LOGPROBS = 1
_ABOUT_SIZE = re.compile(
    r"too (?:large|long|many|big)|exceed|context|maximum|at most|at least|less than|reduce", re.IGNORECASE
)
_OTHER_LENGTH = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_ASKED_FOR = ("top_logprobs", "logprobs", "max_tokens", "temperature", "top_p", "seed", "stop")
"""Parameters that can be left out or sent otherwise; of several that a refusal names, the first is tried first."""
_SMALLEST = 0.01
"""In place of a temperature of 0 where a server wants a positive one."""


class Negotiation:
    """What one server takes for one model, as far as it is known; thread-safe, grows with every refusal."""

    def __init__(self, endpoint: Endpoint, length: str) -> None:
        self._lock = Lock()
        self._names: dict[str, str] = {"max_tokens": length, **endpoint.rename}
        self._dropped = dict.fromkeys(endpoint.drop, "by the settings file")
        self._refused_values: dict[tuple[str, Any], str] = {}
        self._instead: dict[tuple[str, Any], float] = {}
        self._renamed = False
        self._room = endpoint.thinking_tokens
        self.most_logprobs = 20

    def sent(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters as this server takes them; `asked` by our names."""
        with self._lock:
            result: dict[str, Any] = {}
            for name, value in asked.items():
                if name in self._dropped or (name == "top_logprobs" and "logprobs" in self._dropped):
                    continue
                key = (name, value) if isinstance(value, int | float) else (name, None)
                if key in self._refused_values:
                    continue
                value = self._instead.get(key, value)
                if name == "max_tokens":
                    value += self._room
                if name == "top_logprobs":
                    value = min(value, self.most_logprobs)
                result[self._names.get(name, name)] = value
            return result

    def learn(self, said: str, param: str | None, asked: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
        """Take in a refusal; whether the request is worth another try, sent otherwise."""
        ours = {self._names.get(name, name): name for name in asked}
        named = [param] if param in sent else [name for name in sent if _names(name, said)]
        order = [ours[name] for name in named if name is not None and name in ours]
        if not order:
            return False
        with self._lock:
            return self._take_in(min(order, key=_ASKED_FOR.index), said, asked, sent)

    def _take_in(self, name: str, said: str, asked: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
        if self._names.get(name, name) not in sent:
            return True  # another thread has learned it meanwhile
        if name == "max_tokens":
            known = self._names["max_tokens"]
            # A length that is too large is the user's to change; and a server that refuses both names is not asked
            # to and fro.
            if self._renamed or known not in _OTHER_LENGTH or _ABOUT_SIZE.search(said):
                return False
            self._renamed = True
            self._names["max_tokens"] = _OTHER_LENGTH[known]
            return True
        if name == "top_logprobs" and self.most_logprobs > FEWEST_LOGPROBS:
            offered = [
                int(n) for n in re.findall(r"\b[0-9]{1,2}\b", said) if FEWEST_LOGPROBS <= int(n) < self.most_logprobs
            ]
            self.most_logprobs = max(offered, default=5 if self.most_logprobs > 5 else FEWEST_LOGPROBS)
            return True
        if name in ("top_logprobs", "logprobs"):
            self._dropped["logprobs"] = said
            return True
        value = asked[name]
        if name == "temperature" and value == 0 and (name, value) not in self._instead and _POSITIVE.search(said):
            self._instead[name, value] = _SMALLEST
            return True
        if name in ("temperature", "top_p") and not _WHOLLY.search(said):
            self._refused_values[name, value] = said
            return True
        self._dropped[name] = said
        return True

    def left_out(self, settings: SamplingSettings) -> tuple[str, ...]:
        """What of these settings is not sent although it shapes answers; the default of top_p shapes none."""
        shaping = {"temperature": settings.temperature, "top_p": settings.top_p}
        if settings.top_p == 1.0:
            del shaping["top_p"]
        sent = self.sent(shaping)
        return tuple(name for name in shaping if self._names.get(name, name) not in sent)

    def refuses(self, name: str, value: float) -> bool:
        """Whether this value was refused, though perhaps not every one."""
        return (name, value) in self._refused_values

    @property
    def offers_logprobs(self) -> bool:
        """Whether log probabilities were not refused so far."""
        return "logprobs" not in self._dropped

    def dropped(self, name: str) -> bool:
        """Whether a parameter is never sent."""
        return name in self._dropped

    @property
    def effect(self) -> str:
        """What is known to be sent otherwise, as text for a fingerprint; empty for nothing."""
        with self._lock:
            refused = sorted(self._dropped)
            refused += sorted(f"{name}={value}" for name, value in self._refused_values)
            refused += sorted(f"{name}={value}->{other}" for (name, value), other in self._instead.items())
            return ",".join(refused)


_POSITIVE = re.compile(r"positive|greater than|larger than|above 0|> ?0", re.IGNORECASE)
_WHOLLY = re.compile(r"parameter|argument|deprecated|unknown|unrecogni[sz]ed|extra inputs|unexpected", re.IGNORECASE)
"""A refusal of the parameter whatever its value; the rest is about the value."""


def _names(name: str, said: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", said) is not None
