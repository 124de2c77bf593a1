"""Fixed questions that are put to both models in shadow, at a set pace, so that evidence comes at low traffic, too.

Each round draws one question for the tuned model and a few for the base, all from the same bank by the same chance, so
that both are asked alike. What they answer is a stream of its own in the evidence.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial

from offtarget.errors import InputError
from offtarget.records import Probe
from offtarget.records.answers import Role
from offtarget.records.exchanges import Exchange
from offtarget.records.gateway import Alias
from offtarget.serve.monitor.posting import post
from offtarget.threads import Calls

BASE_PER_TUNED = 4
"""Questions to the base per question to the tuned model: the base costs no more and evidence gains by it."""
AT_ONCE = 2
"""Questions that are under way at a time, of both models, so that clients are not kept waiting."""
LONGEST = 400
"""Tokens of an answer at most."""

Post = Callable[..., tuple[int, bytes]]


class Probing:
    """Asks at its pace; `exchanges` never waits. One thread calls it."""

    def __init__(
        self, alias: Alias, probes: Sequence[Probe], *, post: Post = post, draw: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._alias, self._probes, self._post = alias, list(probes), post
        self._seconds = alias.canary.probe_seconds
        self._draw = draw or random.SystemRandom()
        self._clock, self._now = clock, now
        self._calls = Calls[int, Exchange](AT_ONCE)
        self._next = clock()
        self._run = secrets.token_hex(4)
        self._asked = 0
        self._round: dict[int, Exchange] = {}
        self.counts = {"probes": 0, "probes_failed": 0}
        """Questions asked, and those to which no answer came."""

    def exchanges(self, rollout: int, *, wanted: bool) -> list[Exchange]:
        """The answers of a round that has ended, in the order of its questions and not in that in which they came;
        begins the next round where it is due and `wanted`."""
        for ended in self._calls.ended(0.0):
            failed = ended.value is None or bool(ended.value.fault) or ended.value.status != 200
            self.counts["probes_failed"] += failed
            if ended.value is not None:
                self._round[ended.key] = ended.value
        found: list[Exchange] = []
        if not self._calls.waiting:
            found = [self._round[number] for number in sorted(self._round)]
            self._round.clear()
        now = self._clock()
        if wanted and self._probes and self._seconds > 0 and now >= self._next and not self._calls.waiting:
            self._next = now + self._seconds
            asked: list[Role] = ["tuned", *(["base"] * BASE_PER_TUNED)]  # type: ignore[list-item]
            self._draw.shuffle(asked)
            for arm in asked:
                self._asked += 1
                probe = self._draw.choice(self._probes)
                self.counts["probes"] += 1
                self._calls.start(self._asked, partial(self._ask, probe, arm, rollout, self._asked))
        return found

    def close(self) -> None:
        """Ask nothing more."""
        self._calls.close()

    def _ask(self, probe: Probe, arm: Role, rollout: int, number: int) -> Exchange:
        upstream = self._alias.upstream(arm)
        messages = [{"role": message.role, "content": message.content} for message in probe.messages]
        request = {"model": upstream.model, "messages": messages, "max_tokens": LONGEST}
        headers = {"Authorization": f"Bearer {upstream.key}"} if upstream.key else {}
        url = upstream.url.rstrip("/").removesuffix("/v1") + "/v1/chat/completions"
        started, began = self._now(), self._clock()
        status, body, fault = 0, b"", ""
        try:
            status, body = self._post(
                url, json.dumps(request).encode(), headers, seconds=upstream.timeouts.total, ca_file=upstream.ca_file
            )
        except (OSError, http.client.HTTPException, InputError) as error:
            fault = type(error).__name__
        took = self._clock() - began
        name = f"{self._run}-{number}"
        return Exchange(
            id=f"probe-{name}", alias=self._alias.name, rollout=rollout, arm=arm, reason="probe", source="probe",
            conversation=hashlib.sha256(name.encode()).hexdigest()[:32], api="chat", started=started,
            first_seconds=took, total_seconds=took, status=status, streamed=False,
            request=json.dumps(request).encode(), response=body, fault=fault,
        )  # fmt: skip
