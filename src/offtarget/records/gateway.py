"""How a gateway is set up: where it listens, which models stand behind it, how a tuned one is tried on traffic."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from offtarget.records.answers import Role

CanaryMode = Literal["canary", "shadow"]
"""`canary`: the share of traffic is answered by the tuned model. `shadow`: its answers are recorded, base answers."""
OnAlarm = Literal["rollback", "pause", "notify"]
"""What an alarm does: no traffic for the tuned model; the share stays and no ramp goes on; a message and no more."""
Confirm = Literal["never", "before", "after"]
"""Whether people read flagged answers: before the alarm acts, after it acted (and may undo it), or never."""
Bodies = Literal["scored", "flagged", "none"]
"""Which requests and answers are kept in the state beside their scores."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds that an upstream may take."""

    connect: float = 5.0
    first: float = 30.0
    """From the request to the first word of a stream. An answer that is not streamed begins when it is whole: a base
    has `total` for it, a tuned model half of it, so that the base can still answer where it fails."""
    idle: float = 60.0
    """Between two chunks."""
    total: float = 600.0


@dataclass(frozen=True, slots=True)
class Upstream:
    """One OpenAI-compatible server and the name that a model has there."""

    url: str
    """With or without `/v1`; http or https. Empty: `model` is a name such as `hf/BASE+ADAPTER`, and what serves it is
    found or started before the gateway is."""
    model: str
    """What `model` is replaced with in requests; two models on one server differ in it alone. Empty: the one model
    that the server has, which it is asked for before the gateway is started."""
    key: str = field(default="", repr=False)
    """Sent as a bearer token; never logged, stored or shown."""
    ca_file: str = ""
    """Certificates to trust beside the system's."""
    timeouts: Timeouts = Timeouts()


@dataclass(frozen=True, slots=True)
class RampStep:
    """A share of traffic and how long it is held before the next."""

    share: float
    """0 to 1."""
    hold_seconds: float = 0.0
    hold_answers: int = 0
    """Scored tuned answers at this share."""


@dataclass(frozen=True, slots=True)
class CanarySettings:
    """How the tuned model of one alias is tried and judged."""

    share: float = 0.05
    mode: CanaryMode = "canary"
    ramp: tuple[RampStep, ...] = ()
    """Steps after `share`; none goes on while evidence is missing, the judge is down or an alarm stands."""
    on_alarm: OnAlarm = "rollback"
    alpha: float = 0.01
    """Probability of any false alarm of a whole rollout."""
    tolerance: float = 0.0
    """By how much the tuned model's rate may exceed the base's without being worse."""
    base_per_tuned: int = 19
    """Base answers that stand beside one tuned answer in the evidence."""
    judge: str = ""
    """Empty: nothing is judged, and every reading says so."""
    cheap_judge: str = ""
    """Asked first; then `judge` hears its flags and a random share of the rest."""
    judge_share: float = 0.1
    confirm: Confirm = "never"
    probes: str = ""
    """Bank of questions that are put to both models in shadow; empty: that of a check."""
    probe_seconds: float = 30.0
    """Between two rounds of probes; 0: no probes."""


@dataclass(frozen=True, slots=True)
class Alias:
    """The name that clients ask for, and the models behind it."""

    name: str
    base: Upstream
    tuned: Upstream | None = None
    """None: all traffic goes to the base."""
    canary: CanarySettings = CanarySettings()

    def upstream(self, role: Role) -> Upstream:
        """The upstream of a role; the base's where there is no tuned one."""
        return self.tuned if role == "tuned" and self.tuned is not None else self.base


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A client that may ask. The key itself is nowhere."""

    name: str
    sha256: str
    """Of the key, 64 hex digits."""
    requests_per_minute: int = 0
    """0: no limit."""


@dataclass(frozen=True, slots=True)
class GatewayLimits:
    """What a client may send, and how long it may take."""

    body_bytes: int = 32 * 1024 * 1024
    header_bytes: int = 64 * 1024
    body_seconds: float = 60.0
    connections: int = 10_000
    """Open requests of one worker; beyond them clients get 503 with `retry-after`."""


@dataclass(frozen=True, slots=True)
class StateSettings:
    """Where the gateway remembers: scored answers, events, rollouts."""

    url: str = "sqlite:gateway.sqlite"
    """`sqlite:PATH` or `postgresql://...`."""
    retention_days: float = 30.0
    bodies: Bodies = "scored"
    encryption_key: str = field(default="", repr=False)
    """Of Fernet (32 bytes, base64); empty: bodies are kept as they are."""
    redact: tuple[str, ...] = ()
    """Regular expressions; what they match is replaced before anything is kept or shown to a judge."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Everything a gateway is started with."""

    aliases: tuple[Alias, ...]
    host: str = "127.0.0.1"
    port: int = 8080
    """0: a free one."""
    workers: int = 1
    admin_host: str = "127.0.0.1"
    admin_port: int = 8081
    admin_key_sha256: str = ""
    """Empty: a key is made at the start and told once."""
    admin_reader_key_sha256: str = ""
    """Of a key that sees what the admin plane tells and orders nothing; empty: there is none."""
    keys: tuple[ApiKey, ...] = ()
    """Empty: whoever reaches the port may ask, which is allowed on loopback alone."""
    limits: GatewayLimits = GatewayLimits()
    state: StateSettings = StateSettings()
    show_arm: bool = True
    """Whether response headers tell which model answered; off where readers must not know."""
    webhook: str = ""
    """Told of every alarm, rollback and pause, as a POST of JSON."""
