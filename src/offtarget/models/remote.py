"""Chat models behind any OpenAI-compatible endpoint, through the `openai` SDK (extra `remote`)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from offtarget.errors import InputError, PrerequisiteError, UnreachableError
from offtarget.models.chat import Answer, OnAnswer, SampleRequest
from offtarget.models.connections import PATIENCE, Connections, Failed, wished
from offtarget.models.endpoints import SENT, Endpoint, endpoint_of
from offtarget.models.first_tokens import FIRST_TOKENS, TOP_LOGPROBS, is_verdict, offered, probabilities
from offtarget.models.names import RemoteName
from offtarget.models.negotiation import Negotiation
from offtarget.models.paying import Payer, paying
from offtarget.models.remote_notes import WITHOUT, left_out_note
from offtarget.models.sampled import sampled
from offtarget.records import Message, SamplingSettings
from offtarget.records.runs import CONNECTIONS
from offtarget.records.spent import Spent

NO_KEY = "none"
"""In place of a key where a server wants none."""
_TRIAL_TOKENS = 16
_MOST_REFUSALS = 8
"""Tries of one request, each without what the last was refused for."""
_PASSING = frozenset({408, 409, 429, *range(500, 600)})
"""Statuses that may be others a moment later."""
_TOO_MANY = frozenset({429, 529})
"""Of these, those that say that fewer should be asked at a time."""
_CLOSED = frozenset({401, 402, 404, 429})
"""No key, no money, no such model (any more), and no request at a time however long one waits."""
_LONGEST_ERROR = 4000
"""Characters of a server's error that are looked at."""
_SHORTEST_SECRET = 6
"""Shorter values are not cut out of messages: they hide nothing and would tear words."""


@dataclass(frozen=True, slots=True)
class OwnModel:
    """A model of a server of our own, whose files are known."""

    server: object = field(repr=False)
    """Ends when nothing refers to it any more."""
    address: str
    key: str = field(repr=False)
    model: str
    """Its name there."""
    identity: str
    """Of its files and of how they are served, in place of the address, which is another one every time."""


class RemoteModel:
    """A `ChatModel` and `NumberScorer` over chat completions; at most `connections` requests at a time.

    What fails for a passing reason is tried again: `retries` times, or as long as other requests get through. A server
    that says that they are too many is asked fewer at a time. The client given should not try again by itself.

    What the server refuses is left out or renamed, remembered, and said in `notes`; what else it wants stands in the
    settings file of endpoints. Seeds are sent, but whether a server heeds them, and whether its weights change, is its
    own affair: the fingerprint covers endpoint, model name, settings file and what the server refuses. Keys are in the
    client alone, never in names or messages.
    """

    def __init__(
        self,
        name: RemoteName,
        client: Any,
        connections: int = CONNECTIONS,
        endpoint: Endpoint | None = None,
        retries: int = 4,
    ) -> None:
        self._name = name
        self._client = client
        self._connections = Connections(connections)
        self._retries = retries
        self._endpoint = endpoint or Endpoint()
        self._logprobs_offered = True
        # OpenAI itself has renamed the argument; most other servers know the old name only.
        own = name.service == "openai" and "api.openai.com" in str(client.base_url)
        self._negotiation = Negotiation(self._endpoint, "max_completion_tokens" if own else "max_tokens")
        self._without: Counter[str] = Counter()
        self._counting = Lock()
        self._sampled: dict[SamplingSettings, None] = {}
        self._fingerprint: str | None = None
        self._own: OwnModel | None = None
        self._spent = Spent()
        self.payer: Payer | None = None
        """Is asked before every request; None: nobody counts them."""
        # The client refers to itself, so its open connections would otherwise stay until some later collection, which
        # may close the sockets before their owner and warn of it.
        weakref.finalize(self, client.close)

    @classmethod
    def open(
        cls,
        name: RemoteName,
        connections: int = CONNECTIONS,
        timeout: float = 120.0,
        retries: int = 4,
        endpoints: str | Path | None = None,
        own: OwnModel | None = None,
    ) -> RemoteModel:
        """Read address and key from the environment: OPENAI_BASE_URL and OPENAI_API_KEY, or the service's own.

        `endpoints`: the settings file, which comes over all of these. `own`: a model of a server of our own, whose
        address counts alone. InputError when something is missing or wrong; PrerequisiteError without the `openai`
        package.
        """
        try:
            import openai
        except ImportError:
            raise PrerequisiteError.for_extra("openai", "remote", "A remote model") from None
        endpoint = endpoint_of(name, endpoints)
        if own is not None:
            endpoint = replace(endpoint, address=own.address, key=own.key)
            name = replace(name, model=own.model)
        address, key = address_and_key(name, endpoint)
        client = openai.OpenAI(
            base_url=address,
            api_key=key,
            timeout=endpoint.timeout or timeout,
            max_retries=0,  # tried again here, where it is known what else is under way
            default_headers=dict(endpoint.headers) or None,
        )
        retries = retries if endpoint.retries is None else endpoint.retries
        opened = cls(name, client, endpoint.connections or connections, endpoint, retries)
        opened._own = own
        return opened

    def __repr__(self) -> str:
        return f"RemoteModel({self._name.text!r})"

    @property
    def name(self) -> str:
        """The name the user gave."""
        return self._name.text

    @property
    def connections(self) -> int:
        """Requests that may be under way at a time."""
        return self._connections.most

    @property
    def spent(self) -> Spent:
        """Tokens read and written so far, as the server counts them; None where it does not."""
        return self._spent

    def _count(self, response: Any) -> None:
        read, wrote = _usage(response)
        with self._counting:
            self._spent = self._spent.plus(Spent(tokens_in=read, tokens_out=wrote))

    @property
    def fingerprint(self) -> str:
        """16 hex digits over the endpoint's address, the model's name there, and what is sent otherwise than usual.

        The first time, the server is asked for a word or two, to learn what it refuses. InputError when it cannot be
        asked.
        """
        if self._fingerprint is None:
            self._try(0.0)
            if self._negotiation.refuses("temperature", 0.0):
                self._try(1.0)
            where = f"{self._client.base_url}|{self._name.model}" if self._own is None else self._own.identity
            text = f"remote|{where}"
            text += "".join(f"|{effect}" for effect in (self._endpoint.effect, self._negotiation.effect) if effect)
            self._fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self._fingerprint

    def _try(self, temperature: float) -> None:
        """Ask for a word, only to see what the server takes."""
        turns = [{"role": "user", "content": "Say OK."}]
        self._request(messages=turns, max_tokens=_TRIAL_TOKENS, temperature=temperature, top_p=1.0, seed=0)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results must know about how the server was asked, and what it kept to itself."""
        notes = []
        for settings in self._sampled:
            out = self.left_out(settings)
            if out:
                notes.append(left_out_note(self.name, out, settings))
        if not self._logprobs_offered and self._sampled:
            notes.append(
                f"{self.name} offers no token probabilities of whole numbers, so its written replies are read."
            )
        if self._negotiation.dropped("seed") and self._sampled:
            notes.append(f"{self.name} takes no seed: asked again, it gives other answers.")
        notes += [f"{count} replies of {self.name} {WITHOUT[why]}." for why, count in sorted(self._without.items())]
        return tuple(notes)

    def left_out(self, settings: SamplingSettings) -> tuple[str, ...]:
        """Which of temperature and top_p the server is known not to take at these settings.

        `notes` tell of them from now on: a run that goes on may hold all its answers already, from an earlier process.
        """
        self._sampled[settings] = None
        return self._negotiation.left_out(settings)

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

        InputError when the endpoint refuses, cannot be reached after all retries, or answers without text.
        """
        return sampled([partial(self._ask, one, settings) for one in requests], self.connections, on_answer)

    def reply_probabilities(self, messages: Sequence[Message], replies: Sequence[str]) -> dict[str, float]:
        """Probability of each reply as the first token of the answer, from the 20 most probable ones.

        Replies of several tokens and replies beyond the first 20 are absent, and everything is where the server
        offers no log probabilities. Tokens that differ only in surrounding blanks count together.
        """
        return probabilities(self._first_tokens(messages), replies)

    def greedy(self, messages: Sequence[Message], longest: int, alternatives: int) -> tuple[Any, str]:
        """The server's reply at temperature 0 with log probabilities where it gives them, and its text.

        InputError when the server refuses, cannot be reached, or sends something that is no reply.
        """
        # Different tokens can have one text; vLLM gives their numbers where it is asked to.
        numbers = {"return_tokens_as_token_ids": True} if self._name.service == "vllm" else {}
        response = self._request(
            messages=_turns(messages),
            max_tokens=longest,
            temperature=0.0,
            seed=0,
            logprobs=True,
            top_logprobs=alternatives,
            **numbers,
        )
        return response, _text(self._choice(response).message)

    def _first_tokens(self, messages: Sequence[Message]) -> Sequence[Any]:
        """The first tokens of a reply with their alternatives; none where not offered, or where numbers are split."""
        if not self._logprobs_offered:
            return []
        response = self._request(
            messages=_turns(messages),
            max_tokens=FIRST_TOKENS,
            temperature=1.0,
            seed=0,
            logprobs=True,
            top_logprobs=TOP_LOGPROBS,
        )
        given = getattr(self._choice(response), "logprobs", None)
        tokens: Sequence[Any] = getattr(given, "content", None) or []
        if not offered(tokens) or not self._negotiation.offers_logprobs:
            self._logprobs_offered = False
            return []
        return tokens if is_verdict(tokens) else []

    def _ask(self, request: SampleRequest, settings: SamplingSettings) -> Answer:
        extra: dict[str, Any] = {"stop": list(settings.stop)} if settings.stop else {}
        self._sampled[settings] = None
        response = self._request(
            messages=_turns(request.messages),
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_tokens,
            # Many servers keep seeds in 32 bits.
            seed=request.seed % 2**31,
            **extra,
        )
        choice = self._choice(response)
        text = _text(choice.message)
        if self._negotiation.dropped("stop"):
            text = min((text.partition(stop)[0] for stop in settings.stop), key=len, default=text)
        usage = response.usage.completion_tokens if response.usage is not None else len(text.split())
        cut = choice.finish_reason in ("length", "content_filter")
        without = _why_without(choice, text)
        if without:
            with self._counting:
                self._without[without] += 1
        if without == "refusal":
            text = str(choice.message.refusal)
        return Answer(text, usage, "length" if cut else "stop", without)

    def _choice(self, response: Any) -> Any:
        """The one answer in a reply. InputError for a reply that holds none, whatever stands in its place."""
        choices = getattr(response, "choices", None)
        choice = choices[0] if isinstance(choices, list) and choices else None
        if hasattr(getattr(choice, "message", None), "content"):
            return choice
        if not hasattr(response, "choices"):  # a page or a bare value, which the SDK hands on as it is
            raise InputError(
                f"{self.name} answered with something that is no reply of a model: "
                f"{self._without_secrets(_plain_text(response))[:200]!r}. Check that the address is that of its API."
            )
        said = getattr(response, "error", None)  # some servers send their errors with status 200
        words = f": {self._without_secrets(str(said))[:300]}" if said else "; the endpoint does not work as expected"
        raise InputError(f"{self.name} answered without a choice{words}.")

    def _request(self, *, messages: list[dict[str, str]], **asked: Any) -> Any:
        """One completion, with parameters as the server takes them; asked again without each that it refuses."""
        import openai

        for _ in range(_MOST_REFUSALS):
            sent = self._negotiation.sent(asked)
            try:
                response = self._completed(messages, sent)
                self._count(response)
                return response
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if not self._negotiation.learn(_said(error), _param(error), asked, sent):
                    raise InputError(self._explain(error)) from None
                refused = self._explain(error)
            except openai.OpenAIError as error:
                raise (UnreachableError if _for_all(error) else InputError)(self._explain(error)) from None
            except ValueError:  # the SDK lets the error of its JSON reader through
                raise InputError(
                    f"{self.name} answered with something that is no JSON. Check that the address is that of its API."
                ) from None
        raise InputError(refused)

    def _completed(self, messages: list[dict[str, str]], sent: Mapping[str, Any]) -> Any:
        """One completion, asked for again where it failed for a passing reason. Raises the last error of the SDK."""
        import openai

        patience = max(PATIENCE, float(self._client.timeout)) if isinstance(self._client.timeout, int | float) else 0.0
        body = _for_sdk(sent, self._endpoint.body)

        def once() -> Any:
            with paying(self.payer, self.name, messages, _longest(sent)) as ticket:
                try:
                    response = self._client.chat.completions.create(model=self._name.model, messages=messages, **body)
                except (openai.APIStatusError, openai.APIConnectionError) as error:
                    if _served_nothing(error):
                        ticket.free()
                    raise
                ticket.took(*_usage(response))
                return response

        def look(error: Exception) -> Failed | None:
            if not isinstance(error, openai.APIStatusError | openai.APIConnectionError):
                return None
            status = getattr(error, "status_code", None)
            headers = error.response.headers if isinstance(error, openai.APIStatusError) else {}
            return Failed(
                _passes(error, status, headers),
                crowded=status in _TOO_MANY or isinstance(error, openai.APITimeoutError),
                wish=wished(headers),
                patience=patience if status in _TOO_MANY else 0.0,
            )

        return self._connections.until_through(once, self._retries, look)

    def _without_secrets(self, said: str) -> str:
        key = self._client.api_key
        # headers are secrets also where they stand in the file, and so is what follows `Bearer`
        headers = [part for value in self._endpoint.headers.values() for part in (value, value.rpartition(" ")[2])]
        for secret in (*([key] if key != NO_KEY else []), *self._endpoint.secrets, *headers):
            if len(secret) >= _SHORTEST_SECRET:
                said = said.replace(secret, "[key]")
        return said

    def _explain(self, error: Exception) -> str:
        """What went wrong and what to do, with keys and secrets cut out of whatever the server said."""
        status = getattr(error, "status_code", None)
        said = _said(error)
        advice = {
            400: "What the server does not take can be left out or renamed in a settings file (--endpoints).",
            401: "Check the API key.",
            403: "The key may not use this model.",
            404: f"Check the model name '{self._name.model}' and the address.",
            413: "The prompt is too long for this server.",
            422: "What the server does not take can be left out or renamed in a settings file (--endpoints).",
            429: "The limit held after all retries. Try again later, or ask for more of it.",
        }.get(status or 0, "Check the address and that the server runs.")
        if status in (400, 422) and re.search(r"\bcontext\b|too long|too many tokens|exceed", said, re.IGNORECASE):
            advice = (
                "The prompt and the longest answer together do not fit: lower --max-tokens, or serve a longer context."
            )
        elif status in (400, 422) and re.search(r"\bsystem\b", said, re.IGNORECASE):
            advice = "This model takes no system turn: leave out the questions with one (--arm plain)."
        said = self._without_secrets(said)
        host = re.sub(r"//[^/@]*@", "//", str(self._client.base_url)).partition("?")[0]
        kind = type(error).__name__ if status is None else f"HTTP {status}"
        return f"{self.name} at {host} failed ({kind}: {said[:300]}). {advice}"


def _usage(response: Any) -> tuple[int | None, int | None]:
    """Tokens read and written, as the server counts them; None where it does not."""
    usage = getattr(response, "usage", None)
    read, wrote = (getattr(usage, f"{name}_tokens", None) for name in ("prompt", "completion"))
    return read if type(read) is int else None, wrote if type(wrote) is int else None


def _longest(sent: Mapping[str, Any]) -> int:
    """Most tokens that a request lets be written, under whichever name that is sent."""
    other = ("seed", "top_logprobs")
    return max((value for name, value in sent.items() if name not in other and type(value) is int), default=0)


def _served_nothing(error: Exception) -> bool:
    """Whether a request that failed cannot have been served: the server said so, or it was never reached."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return True
    return type(error.__cause__).__name__ in ("ConnectError", "ConnectTimeout")


def _for_all(error: Any) -> bool:
    """Whether what failed one request, after all its tries, will fail every other: nobody there, no money, no key."""
    import openai

    if isinstance(error, openai.APIConnectionError):
        return not isinstance(error, openai.APITimeoutError)  # a single question may be what takes too long
    return getattr(error, "status_code", None) in _CLOSED


def _passes(error: Any, status: int | None, headers: Mapping[str, str]) -> bool:
    """Whether the same request may succeed a moment later."""
    if "insufficient_quota" in (getattr(error, "code", None), getattr(error, "type", None)):
        return False  # the money is used up
    said = headers.get("x-should-retry")
    return said == "true" or (said != "false" and (status is None or status in _PASSING))


def _for_sdk(sent: Mapping[str, Any], body: Mapping[str, object]) -> dict[str, Any]:
    """Parameters as the SDK takes them: those it does not know, renamed by the settings file, go into the body."""
    known = {name: value for name, value in sent.items() if name in (*SENT, "max_completion_tokens")}
    other = {**body, **{name: value for name, value in sent.items() if name not in known}}
    return {**known, **({"extra_body": other} if other else {})}


def _said(error: Exception) -> str:
    """What a server said; the SDK quotes only a `message` in the error of its reply, and servers have other places."""
    said = str(getattr(error, "message", "") or error)
    body = getattr(error, "body", None)
    if not body or (isinstance(body, Mapping) and isinstance(body.get("message"), str) and body["message"] in said):
        return said
    if isinstance(body, Mapping) and set(body) == {"detail"}:
        body = body["detail"]
    text = _plain_text(body)
    return said if not text or text in said else f"{said} - {text}"


def _param(error: Any) -> str | None:
    """The parameter that a refusal is about, where the server says so in a field of its own."""
    param = getattr(error, "param", None)
    body = getattr(error, "body", None)
    if not param and isinstance(body, dict) and isinstance(detail := body.get("detail"), list) and detail:
        place = detail[0].get("loc") if isinstance(detail[0], dict) else None  # FastAPI: ["body", "seed"]
        param = place[-1] if isinstance(place, list) and place else None
    return param if isinstance(param, str) else None


def _text(message: Any) -> str:
    """The text of a reply, also where a server sends it as a list of parts; reasoning among the parts is left out."""
    content = message.content
    parts = content if isinstance(content, list) else [content]
    return "".join(map(_part_text, parts))


def _part_text(part: Any) -> str:
    if isinstance(part, Mapping):
        part = part.get("text") if part.get("type") in (None, "text", "output_text") else None
    return "" if part is None else str(part)


def _plain_text(value: Any) -> str:
    """A page or a JSON value on one line, without the marks of HTML."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return " ".join(re.sub(r"<[^<>]{0,500}>", " ", text[:_LONGEST_ERROR]).split())


def _why_without(choice: Any, text: str) -> Literal["", "refusal", "content_filter", "only_thinking"]:
    if text.strip():
        return ""
    if getattr(choice.message, "refusal", None):
        return "refusal"
    if choice.finish_reason == "content_filter":
        return "content_filter"
    thought = any(getattr(choice.message, name, None) for name in ("reasoning_content", "reasoning", "thinking"))
    return "only_thinking" if thought and choice.finish_reason == "length" else ""


def _turns(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in messages]


def address_and_key(name: RemoteName, endpoint: Endpoint) -> tuple[str | None, str]:
    """Where a server is, None for the SDK's own address, and its key. InputError where one is missing or wrong."""
    prefix = re.sub(r"[^A-Z0-9]", "_", name.service.upper())
    address = endpoint.address or os.environ.get(f"{prefix}_BASE_URL")
    key = endpoint.key or os.environ.get(f"{prefix}_API_KEY")
    if address is not None and not re.match(r"https?://[^/\s]", address):
        raise InputError(
            f"{name.text}: the server's address {address[:60]!r} does not begin with http:// or https://. Correct "
            f"{prefix}_BASE_URL, or `address` in the settings file."
        )
    if address is None and name.service != "openai":
        default = "http://localhost:8000/v1"
        raise InputError(
            f"{name.text} needs the server's address: set {prefix}_BASE_URL, e.g. to {default}, or "
            f"give `address` under {name.service} in a settings file (--endpoints)."
        )
    if key is None and name.service == "openai" and address is None:
        raise InputError(f"{name.text} needs a key: set {prefix}_API_KEY (or {prefix}_BASE_URL for a local server).")
    # Servers of one's own often want no key, but the SDK refuses to start without one.
    return address, key or NO_KEY
