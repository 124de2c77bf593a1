"""Chat models of any provider that Inspect AI knows (extra `inspect`): anthropic, google, mistral, ollama and the rest.

Inspect's provider is asked, beneath Inspect's own retries, semaphores and cache: requests are tried again and kept as
those of every other remote model (`connections.py`, `asking/cache.py`), so that one cache and one count are enough.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import logging
import os
import re
import weakref
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from offtarget.errors import InputError, OfftargetError, PrerequisiteError, UnreachableError
from offtarget.models.chat import Answer, OnAnswer, SampleRequest
from offtarget.models.connections import PATIENCE, Connections, Failed, wished
from offtarget.models.endpoints import Endpoint, endpoint_of
from offtarget.models.first_tokens import FIRST_TOKENS, TOP_LOGPROBS, is_verdict, offered, probabilities
from offtarget.models.inspect_answer import answer_of
from offtarget.models.inspect_loop import in_loop, later
from offtarget.models.names import INSPECT_PROVIDERS, InspectName
from offtarget.models.negotiation import Negotiation
from offtarget.models.paying import Payer, paying
from offtarget.models.remote_notes import WITHOUT, left_out_note
from offtarget.models.sampled import sampled
from offtarget.records import Message, SamplingSettings
from offtarget.records.runs import CONNECTIONS
from offtarget.records.spent import Spent

_TRIAL_TOKENS = 16
_MOST_REFUSALS = 8
"""Tries of one request, each without what the last was refused for."""
_CLOSED = frozenset({401, 402, 404, 429})
"""No key, no money, no such model (any more), and no request at a time however long one waits."""
_TOO_MANY = frozenset({429, 529})
_REFUSED = frozenset({400, 422})
_NO_MONEY = re.compile(r"credit balance|insufficient_quota|insufficient funds", re.IGNORECASE)
_WRONG_KEY = re.compile(r"api key not valid|invalid (api|x-api)[- ]key|incorrect api key", re.IGNORECASE)
"""Of servers that say so with a status of 400."""
_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS)$", re.IGNORECASE)
"""Variables of the environment whose values are cut out of messages."""
_SHORTEST_SECRET = 6
_CONFIG = {"stop": "stop_seqs"}
"""Our names of parameters -> Inspect's, where they differ."""
_WIRE = {
    "temperature": ("temperature",),
    "top_p": ("topp",),
    "seed": ("seed", "randomseed"),
    "stop": ("stop", "stopsequences", "stopseqs"),
}
"""Names under which providers send a parameter, in small letters without `_`."""


class InspectModel:
    """A `ChatModel` and `NumberScorer` over a provider of Inspect; at most `connections` requests at a time.

    What fails for a passing reason is tried again as by `RemoteModel`. What the provider leaves out of its requests, or
    its server refuses, is remembered and said in `notes`. The fingerprint covers provider, model, address, settings
    file, and what is not sent; whether a server heeds a seed, and whether its weights change, is its own affair. Keys
    are in Inspect's client alone.
    """

    def __init__(
        self,
        name: InspectName,
        api: Any,
        connections: int = CONNECTIONS,
        timeout: float = 120.0,
        endpoint: Endpoint | None = None,
        retries: int = 4,
    ) -> None:
        """`api`: a `ModelAPI` of Inspect."""
        self._name, self._api, self._timeout, self._retries = name, api, timeout, retries
        self._endpoint = endpoint or Endpoint()
        self._connections = Connections(connections)
        self._negotiation = Negotiation(self._endpoint, "max_tokens")
        self._missing: set[str] = set()
        """Parameters that the provider was given and did not send."""
        self._logprobs_offered = True
        self._without: Counter[str] = Counter()
        self._counting = Lock()
        self._sampled: dict[SamplingSettings, None] = {}
        self._tried: set[tuple[float, float]] = set()
        self._spent = Spent()
        self._fingerprint: str | None = None
        self.payer: Payer | None = None
        """Is asked before every request; None: nobody counts them."""
        weakref.finalize(self, _close, api)

    @classmethod
    def open(
        cls,
        name: InspectName,
        connections: int = CONNECTIONS,
        timeout: float = 120.0,
        retries: int = 4,
        endpoints: str | Path | None = None,
    ) -> InspectModel:
        """Open the model with key and address from the environment, as Inspect reads them, or the settings file.

        InputError for a provider that Inspect does not know and for a key that is missing; PrerequisiteError without
        Inspect or the provider's own package.
        """
        if importlib.util.find_spec("inspect_ai") is None:
            raise PrerequisiteError.for_extra("inspect_ai", "inspect", f"{name.text}: a model of Inspect's providers")
        endpoint = endpoint_of(name, endpoints)
        retries = retries if endpoint.retries is None else endpoint.retries
        api = in_loop(_opened(name, endpoint))
        return cls(name, api, endpoint.connections or connections, endpoint.timeout or timeout, endpoint, retries)

    def __repr__(self) -> str:
        return f"InspectModel({self._name.text!r})"

    @property
    def name(self) -> str:
        """The name the user gave."""
        return self._name.text

    @property
    def connections(self) -> int:
        """Requests that may be under way at a time."""
        return self._connections.most

    @property
    def address(self) -> str | None:
        """Where the server is, where the environment or the settings file says so; None for the provider's own."""
        return _address(self._api)

    @property
    def is_here(self) -> bool:
        """Whether its server is one of this machine."""
        return urlsplit(self.address or "").hostname in ("localhost", "127.0.0.1", "::1")

    @property
    def spent(self) -> Spent:
        """Tokens read and written so far, as the server counts them; None where it does not."""
        return self._spent

    @property
    def fingerprint(self) -> str:
        """16 hex digits over provider, model and address, and over what is sent otherwise than usual.

        The first time, the server is asked for a word or two, to learn what it takes. InputError when it cannot be
        asked.
        """
        if self._fingerprint is None:
            self._try(0.0, 1.0)
            if self._negotiation.refuses("temperature", 0.0):
                self._try(1.0, 1.0)
            text = f"inspect|{self._name.provider}|{self._name.model}|{self.address or ''}"
            effects = (self._endpoint.effect, self._negotiation.effect, ",".join(sorted(self._missing - {"stop"})))
            text += "".join(f"|{effect}" for effect in effects if effect)
            self._fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self._fingerprint

    def _try(self, temperature: float, top_p: float) -> None:
        """Ask for a word, only to see what is sent and taken."""
        self._tried.add((temperature, top_p))
        self._request((Message("user", "Say OK."),), _asked(temperature, top_p, _TRIAL_TOKENS, 0))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results must know about how the server was asked, and what it kept to itself."""
        notes = [left_out_note(self.name, out, s) for s in self._sampled for out in [self._known_out(s)] if out]
        if not self._logprobs_offered and self._sampled:
            notes.append(
                f"{self.name} offers no token probabilities of whole numbers, so its written replies are read."
            )
        if ("seed" in self._missing or self._negotiation.dropped("seed")) and self._sampled:
            notes.append(f"{self.name} takes no seed: asked again, it gives other answers.")
        notes += [f"{count} replies of {self.name} {WITHOUT[why]}." for why, count in sorted(self._without.items())]
        return tuple(notes)

    def left_out(self, settings: SamplingSettings) -> tuple[str, ...]:
        """Which of temperature and top_p do not reach the server at these settings; it may be asked to find out.

        `notes` tell of them from now on: a run that goes on may hold all its answers already, from an earlier process.
        """
        self._sampled[settings] = None
        if settings.top_p != 1.0 and (settings.temperature, settings.top_p) not in self._tried:
            self._try(settings.temperature, settings.top_p)
        return self._known_out(settings)

    def _known_out(self, settings: SamplingSettings) -> tuple[str, ...]:
        shaping = ("temperature",) if settings.top_p == 1.0 else ("temperature", "top_p")
        refused = self._negotiation.left_out(settings)
        return tuple(name for name in shaping if name in self._missing or name in refused)

    def offers_probabilities(self) -> bool:
        """Whether the server gives log probabilities, and writes a number of two digits as one token."""
        asked = (Message("user", "Reply with the number 57 and nothing else."),)
        return bool(self._first_tokens(asked)) and self._logprobs_offered

    def sample(
        self,
        requests: Sequence[SampleRequest],
        settings: SamplingSettings,
        on_answer: OnAnswer | None = None,
    ) -> list[Answer]:
        """One answer per request, in request order; `on_answer` is called in the calling thread.

        InputError when the server refuses, cannot be reached after all retries, or answers without text.
        """
        self._sampled[settings] = None
        return sampled([partial(self._ask, one, settings) for one in requests], self.connections, on_answer)

    def reply_probabilities(self, messages: Sequence[Message], replies: Sequence[str]) -> dict[str, float]:
        """Probability of each reply as the first token of the answer, from the most probable ones.

        Replies of several tokens are absent, and everything is where the provider offers no log probabilities.
        """
        return probabilities(self._first_tokens(messages), replies)

    def _first_tokens(self, messages: Sequence[Message]) -> Sequence[Any]:
        """The first tokens of a reply with their alternatives; none where not offered, or where numbers are split."""
        if not self._logprobs_offered:
            return []
        asked = _asked(1.0, 1.0, FIRST_TOKENS, 0) | {"logprobs": True, "top_logprobs": TOP_LOGPROBS}
        output = self._request(messages, asked)
        given = output.choices[0].logprobs if output.choices else None
        tokens: Sequence[Any] = given.content if given is not None else []
        if not offered(tokens) or not self._negotiation.offers_logprobs:
            self._logprobs_offered = False
            return []
        return tokens if is_verdict(tokens) else []

    def _ask(self, request: SampleRequest, settings: SamplingSettings) -> Answer:
        # Many servers keep seeds in 32 bits.
        asked = _asked(settings.temperature, settings.top_p, settings.max_tokens, request.seed % 2**31)
        if settings.stop:
            asked["stop"] = list(settings.stop)
        output = self._request(request.messages, asked)
        if not output.choices:
            raise InputError(f"{self.name} answered without a choice; the provider does not work as expected.")
        unknown = self._negotiation.dropped("stop") or "stop" in self._missing
        try:
            answer = answer_of(output, settings.stop if unknown else ())
        except RuntimeError as error:
            raise InputError(f"{self.name} failed ({self._without_secrets(str(error))[:300]}). {_TOO_LONG}") from None
        if answer.without:
            with self._counting:
                self._without[answer.without] += 1
        return answer

    def _request(self, messages: Sequence[Message], asked: Mapping[str, Any]) -> Any:
        """Inspect's output, with parameters as the server takes them; asked again without each that it refuses."""
        refused = ""
        for _ in range(_MOST_REFUSALS):
            sent = self._negotiation.sent(asked)
            try:
                return self._connections.until_through(partial(self._once, messages, sent), self._retries, self._failed)
            except OfftargetError:
                raise
            except Exception as error:
                status, refused = _status(error), self._explain(error)
                said = str(error)
                if status in _REFUSED and not _NO_MONEY.search(said) and not _WRONG_KEY.search(said):
                    if "max_tokens" in sent and self._negotiation.learn(said, None, asked, sent):
                        continue
                    raise InputError(refused) from None
                raise (UnreachableError if self._for_all(error) else InputError)(refused) from None
        raise InputError(refused)

    def _once(self, messages: Sequence[Message], sent: Mapping[str, Any]) -> Any:
        """One request. Raises what Inspect's provider raises, or returns."""
        with paying(self.payer, self.name, messages, int(sent.get("max_tokens", 0))) as ticket:
            try:
                output, request = in_loop(self._generated(messages, sent))
            except Exception as error:
                if _status(error) is not None or _never_reached(error):
                    ticket.free()
                raise
            read, wrote = _usage(output)
            ticket.took(read, wrote)
            with self._counting:
                self._spent = self._spent.plus(Spent(tokens_in=read, tokens_out=wrote))
                self._missing |= _not_sent(sent, request)
            return output

    async def _generated(self, messages: Sequence[Message], sent: Mapping[str, Any]) -> tuple[Any, Any]:
        from inspect_ai.model import (
            ChatMessageAssistant,
            ChatMessageSystem,
            ChatMessageUser,
            GenerateConfig,
        )

        kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
        chat = [kinds[message.role](content=message.content) for message in messages]
        config = GenerateConfig(
            **{_CONFIG.get(name, name): value for name, value in sent.items()},
            max_retries=0,
            cache_prompt=False,  # writing into a provider's cache costs more than reading does
            extra_headers=dict(self._endpoint.headers) or None,
            extra_body=dict(self._endpoint.body) or None,
        )
        async with asyncio.timeout(self._timeout):
            made = await self._api.generate(input=chat, tools=[], tool_choice="none", config=config)
        output, call = made if isinstance(made, tuple) else (made, None)
        if isinstance(output, Exception):
            raise output
        return output, None if call is None else call.request

    def _failed(self, error: Exception) -> Failed | None:
        """Why a request failed; Inspect's provider knows which errors of its server pass."""
        if isinstance(error, OfftargetError):
            return None
        status, said = _status(error), str(error)
        if _NO_MONEY.search(said):
            return Failed(passes=False)
        timed_out = isinstance(error, TimeoutError)
        decision = self._api.should_retry(error)
        wish = getattr(decision, "retry_after", None)
        if wish is None:
            wish = wished(getattr(getattr(error, "response", None), "headers", None) or {})
        crowded = timed_out or status in _TOO_MANY or getattr(decision, "kind", "") == "rate_limit"
        patience = max(PATIENCE, self._timeout) if crowded and not timed_out else 0.0
        return Failed(bool(decision) or timed_out or _never_reached(error), crowded, wish, patience)

    def _for_all(self, error: Exception) -> bool:
        """Whether what failed one request, after all its tries, will fail every other."""
        status, said = _status(error), str(error)
        if status in _CLOSED or _NO_MONEY.search(said) or _WRONG_KEY.search(said):
            return True
        # a single question may be what takes too long
        return status is None and not isinstance(error, TimeoutError) and _is_connection(error)

    def _explain(self, error: Exception) -> str:
        """What went wrong and what to do, with keys and secrets cut out of whatever the server said."""
        status, said = _status(error), _plain(error)
        if type(error).__name__ == "PrerequisiteError":
            return self._without_secrets(_prerequisite(self._name, error))
        advice = {
            401: "Check the API key.",
            402: "Its account has no money left.",
            403: "The key may not use this model.",
            404: f"There is no model '{self._name.model}' (any more): check the name{_hub(self._name)}.",
            413: "The prompt is too long for this server.",
            429: "The limit held after all retries. Try again later, or ask for more of it.",
        }.get(status or 0, "Check the address and that the server runs." if status is None else "")
        if _WRONG_KEY.search(said):
            advice = "Check the API key."
        elif _NO_MONEY.search(said):
            advice = "Its account has no money left."
        elif status in _REFUSED:
            advice = (
                _TOO_LONG
                if re.search(r"\bcontext\b|too long|too many tokens|exceed", said, re.IGNORECASE)
                else "What the server does not take can be left out with `drop` in a settings file (--endpoints)."
            )
        elif isinstance(error, TimeoutError):
            said = f"no answer within {self._timeout:g} s"
            advice = "Give it more time with `timeout` in a settings file (--endpoints), or ask for shorter answers."
        kind = type(error).__name__ if status is None else f"HTTP {status}"
        said = self._without_secrets(said)[:300]
        return f"{self.name}, asked through Inspect, failed ({kind}: {said}). {advice}".rstrip()

    def _without_secrets(self, said: str) -> str:
        headers = [part for value in self._endpoint.headers.values() for part in (value, value.rpartition(" ")[2])]
        found = [getattr(self._api, "api_key", None) or "", self._endpoint.key or "", *self._endpoint.secrets, *headers]
        found += [value for name, value in os.environ.items() if _SECRET.search(name)]
        for secret in sorted(set(found), key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                said = said.replace(secret, "[key]")
        return said


_TOO_LONG = "The prompt and the longest answer together do not fit: lower --max-tokens."


async def _opened(name: InspectName, endpoint: Endpoint) -> Any:
    """Inspect's provider for a model, made in the loop that its client belongs to."""
    try:
        from inspect_ai.model import get_model
    except ImportError as error:
        raise PrerequisiteError(f"{name.text}: Inspect cannot be imported ({error}).") from None
    # What it warns of is said in our notes; a host that configures logging still gets it.
    logging.getLogger("inspect_ai").addHandler(logging.NullHandler())
    given = {"base_url": endpoint.address, "api_key": endpoint.key}
    try:
        model = get_model(f"{name.provider}/{name.model}", memoize=False, **given)
    except ValueError as error:
        if "not recognized" not in str(error):
            raise InputError(f"{name.text} cannot be opened ({_plain(error)}).") from None
        raise InputError(_no_provider(name)) from None
    except Exception as error:
        if type(error).__name__ == "PrerequisiteError":
            said = _prerequisite(name, error)
            raise (PrerequisiteError if "pip install" in said else InputError)(said) from None
        raise InputError(f"{name.text} cannot be opened ({type(error).__name__}: {_plain(error)[:300]}).") from None
    api: Any = model.api
    client: Any = getattr(api, "client", None)
    if type(getattr(client, "max_retries", None)) is int:
        client.max_retries = 0  # requests are tried again here, where they are counted
    return api


def _address(api: Any) -> str | None:
    """Where a provider's client sends its requests, as far as it can be seen."""
    found = getattr(getattr(api, "client", None), "base_url", None) or getattr(api, "base_url", None)
    return None if found is None else str(found)


def _close(api: Any) -> None:
    async def closed() -> None:
        await api.aclose()

    later(closed())


def _no_provider(name: InspectName) -> str:
    import difflib

    near = difflib.get_close_matches(name.provider, (*INSPECT_PROVIDERS, "openai", "openai-api", "vllm", "hf"), n=1)
    meant = f" Did you mean inspect/{near[0]}/{name.model}?" if near else ""
    return f"{name.text}: Inspect knows no provider '{name.provider}'.{meant}"


def _prerequisite(name: InspectName, error: Exception) -> str:
    """What Inspect says is missing, as our sentence: a package with the command that installs it, or a variable."""
    said = _plain(error)
    needed = said.rpartition("pip install ")[2].removeprefix("--upgrade ").strip() if "pip install " in said else ""
    if needed:
        why = "a newer version of" if "at least version" in said else "the package"
        return (
            f"{name.text} needs {why} '{needed}', which comes from its provider. Install it with: pip install "
            f"'offtarget[inspect]' {needed}"
        )
    variables = list(dict.fromkeys(re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", said)))
    if variables:
        what = "a key" if all(one.endswith("_KEY") for one in variables) else "settings"
        return f"{name.text} needs {what}: set {' or '.join(variables)}{_hub(name)}."
    return f"{name.text} cannot be opened ({said[:300]})."


def _hub(name: InspectName) -> str:
    """For providers that are also an organisation of the hub, what the name of its model there is."""
    return f"; the model of the Hugging Face hub is hf/{name.text}" if name.text.startswith("google/") else ""


def _asked(temperature: float, top_p: float, longest: int, seed: int) -> dict[str, Any]:
    """Parameters by our names. A top_p of 1 says nothing, and some servers refuse it beside a temperature."""
    own = {} if top_p == 1.0 else {"top_p": top_p}
    return {"max_tokens": longest, "temperature": temperature, **own, "seed": seed}


def _usage(output: Any) -> tuple[int | None, int | None]:
    """Tokens read and written; what came out of a provider's cache was read as well."""
    usage = output.usage
    if usage is None:
        return None, None
    cached = (usage.input_tokens_cache_read or 0) + (usage.input_tokens_cache_write or 0)
    return usage.input_tokens + cached, usage.output_tokens


def _not_sent(given: Mapping[str, Any], request: Any) -> set[str]:
    """Parameters that the provider was given and left out of its request.

    Empty where the request is not known, or is no faithful copy: the longest answer is always sent.
    """
    names = set(_names(request))
    if not any("tokens" in name or name in ("numpredict", "maxlength") for name in names):
        return set()
    return {ours for ours, wire in _WIRE.items() if ours in given and not names.intersection(wire)}


def _names(value: Any) -> Iterator[str]:
    """All names of fields in a request, besides those in its messages."""
    if isinstance(value, Mapping):
        for name, held in value.items():
            yield str(name).lower().replace("_", "").replace("-", "")
            if name not in ("messages", "contents", "input", "system"):
                yield from _names(held)


def _status(error: BaseException) -> int | None:
    """The HTTP status of an error of any provider's package; None where it has none."""
    for one in (error, getattr(error, "response", None)):
        for name in ("status_code", "code", "status", "http_status"):
            value = getattr(one, name, None)
            if type(value) is int and 100 <= value < 600:
                return value
    answer = getattr(error, "response", None)  # botocore
    if isinstance(answer, Mapping):
        value = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return value if type(value) is int else None
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen = 0
    while error is not None and seen < 8:
        yield error
        error, seen = error.__cause__ or error.__context__, seen + 1


def _is_connection(error: BaseException) -> bool:
    """Whether an error, or what it came from, is about the connection."""
    return any(isinstance(one, OSError) or "Connect" in type(one).__name__ for one in _chain(error))


def _never_reached(error: BaseException) -> bool:
    """Whether no server took the connection."""
    names = {type(one).__name__ for one in _chain(error)}
    return bool(names & {"ConnectError", "ConnectTimeout", "ConnectionRefusedError", "ClientConnectorError"})


def _plain(error: BaseException) -> str:
    """The words of an error on one line, without the marks of a terminal."""
    said = str(getattr(error, "message", "") or error)
    return " ".join(re.sub(r"\[/?[a-z ]{1,20}\]", "", said).split())
