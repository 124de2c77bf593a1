"""From a request to an answer: which model, the base where the tuned one fails, and what the monitor is told."""

from __future__ import annotations

import asyncio
from time import monotonic

from offtarget.records.answers import Role
from offtarget.records.exchanges import Exchange, Reason, Source
from offtarget.serve.counters import (
    BROKEN,
    CIRCUIT,
    DISCONNECTS,
    DURATION,
    EXCHANGES,
    FALLBACKS,
    FIRST_TOKEN,
    MIRRORED,
    OWN_TIME,
    REQUESTS,
    Counters,
)
from offtarget.serve.proxy.attempt import Attempt, Failed, arm_headers
from offtarget.serve.proxy.call import Call
from offtarget.serve.proxy.content import response_id
from offtarget.serve.proxy.errors import upstream_refusal
from offtarget.serve.proxy.thinning import Thinning
from offtarget.serve.proxy.upstreams import Model
from offtarget.serve.routing.circuit import Circuit
from offtarget.serve.routing.keys import conversation_id
from offtarget.serve.routing.pins import Pins
from offtarget.serve.sink import ExchangeSink

COPY = 1024 * 1024
"""Bytes of an answer that the monitor gets; a longer one is marked as cut."""
SHADOWS = 64
"""Copies of requests that are under way at a time; beyond that none is made, and counted."""
_CLIENTS_FAULT = frozenset(("status-400", "status-413", "status-422"))
"""The tuned model says that the request is wrong. The base is asked too, and the circuit does not count it."""


class Models:
    """The models of one alias, as this worker sees them."""

    def __init__(self, base: Model, tuned: Model | None) -> None:
        self.base, self.tuned = base, tuned
        self.circuit = Circuit()

    @property
    def one_server(self) -> bool:
        """Whether both are on one server, which keeps the turns of a conversation for both."""
        return self.tuned is not None and self.tuned.transport is self.base.transport


class Answering:
    """Answers calls, of all aliases."""

    def __init__(self, sink: ExchangeSink, counters: Counters, pins: Pins) -> None:
        self._sink, self._counters, self._pins = sink, counters, pins
        self._thinning = Thinning()
        self._shadows: set[asyncio.Task[None]] = set()

    async def answer(self, call: Call, models: Models, *, show_arm: bool) -> None:
        """Give the client an answer. Raises Refusal where no model has one."""
        arm, reason = self._decide(call, models)
        if self._is_mirrored(call, models):
            self._mirror(call, models)
        fault = ""
        if arm == "tuned":
            assert models.tuned is not None
            call.told = self._thinning.keeps(call.place.sample, call.started)
            copied = COPY if call.told else 0
            attempt = Attempt(call, models.tuned, "tuned", reason, show_arm=show_arm, copy_bytes=copied)
            fault = await self._tuned(attempt, models)
            if not fault or call.client.left:
                return
            self._counters.count(FALLBACKS, call.alias.name, fault)
            if reason == "pinned" and not models.one_server:
                # The base does not know what this goes on from, and would say so as if that were the client's mistake.
                if call.told:
                    self._tell(attempt, source="organic", reason="fallback", arm="base", fault=fault)
                self._refuse(call, "tuned", reason, fault, show_arm=show_arm)
            reason = "fallback"
        await self._base(call, models, reason, fault, show_arm=show_arm)

    def _base_is_told(self, call: Call) -> bool:
        wanted, place = call.switch.base_sample, call.place.sample
        return call.api is not None and place < wanted and self._thinning.keeps(place / wanted, call.started)

    def close(self) -> None:
        """End copies of requests that are under way."""
        for task in self._shadows:
            task.cancel()

    def _decide(self, call: Call, models: Models) -> tuple[Role, Reason]:
        """Who answers, and why. Whatever cannot be known sends the request to the base."""
        if models.tuned is None:
            return "base", "no-tuned"
        if call.api is None:
            return "base", "share"
        share = _share(call)
        if not share:
            return "base", "rolled-back"
        if call.switch.shadow:
            return "base", "share"
        made = self._made(call)
        if made == "base" or (made is None and not call.place.arm < share):
            return "base", "share" if made is None else "pinned"
        if not models.circuit.allows(monotonic()):
            return "base", "open-circuit"
        return "tuned", "share" if made is None else "pinned"

    def _made(self, call: Call) -> Role | None:
        """Who made what this request goes on from; None: it begins anew."""
        if call.api != "responses":
            return None
        previous = call.asked.fields.get("previous_response_id")
        if isinstance(previous, str) and previous:
            return self._pins.get(call.alias.name, previous) or "base"
        kept = conversation_id(call.asked.fields)
        return self._pins.get(call.alias.name, kept) if kept else None

    def _pin(self, attempt: Attempt) -> None:
        call = attempt.call
        if call.api != "responses" or attempt.status != 200:
            return
        name = call.alias.name
        if found := response_id(attempt.beginning):
            self._pins.put(name, found, attempt.arm)
        if kept := conversation_id(call.asked.fields):
            self._pins.put(name, kept, attempt.arm)

    async def _tuned(self, attempt: Attempt, models: Models) -> str:
        """The fault for which the base has to answer; empty: the client has an answer, or is gone."""
        call = attempt.call
        fault = ""
        try:
            await attempt.answer_held()
        except Failed as failed:
            fault = failed.fault
        except BaseException:
            models.circuit.gave_up()
            raise
        if call.client.left:
            attempt.fault = "client-left"
            self._left(attempt)
        elif attempt.fault:
            self._counters.count(BROKEN, call.alias.name, "tuned", attempt.fault)
        self._learn(call, models, "" if call.client.left else fault or attempt.fault, known=not call.client.left)
        if not fault or call.client.left:
            self._pin(attempt)
            self._count(attempt)
            if call.told:
                self._tell(attempt, source="organic")
        return fault

    async def _base(self, call: Call, models: Models, reason: Reason, fault: str, *, show_arm: bool) -> None:
        """The base answers; `fault` is what the tuned model did before, if it was asked."""
        if reason != "fallback":
            call.told = self._base_is_told(call)
        copied = COPY if call.told else 0
        attempt = Attempt(call, models.base, "base", reason, show_arm=show_arm, copy_bytes=copied)
        try:
            await attempt.answer_as_it_is()
        except Failed as failed:
            if call.client.left:
                self._left(attempt)
                return
            self._counters.count(BROKEN, call.alias.name, "base", failed.fault)
            if call.told:
                self._tell(attempt, source="organic", fault=fault or failed.fault)
            self._refuse(call, "base", reason, failed.fault, show_arm=show_arm)
        if call.client.left:
            self._left(attempt)
        elif attempt.fault and attempt.status < 400:
            self._counters.count(BROKEN, call.alias.name, "base", attempt.fault)
        self._pin(attempt)
        self._count(attempt)
        both_refuse = fault in _CLIENTS_FAULT and attempt.status >= 400
        if call.told and not both_refuse:
            self._tell(attempt, source="organic", fault=fault or attempt.fault)

    def _refuse(self, call: Call, arm: Role, reason: Reason, fault: str, *, show_arm: bool) -> None:
        refusal = upstream_refusal(fault)
        refusal.headers = tuple(arm_headers(arm, reason, call.client.request_id, show_arm=show_arm))
        refusal.counted = True
        self._counters.count(REQUESTS, call.alias.name, arm, reason, _api(call), str(refusal.status))
        raise refusal

    # Copies of requests.

    def _is_mirrored(self, call: Call, models: Models) -> bool:
        switch = call.switch
        return (
            switch.shadow
            and call.api is not None
            and models.tuned is not None
            and call.place.arm < _share(call)
            and not _goes_on(call)
        )

    def _mirror(self, call: Call, models: Models) -> None:
        """Ask the tuned model too; nobody waits for it."""
        assert models.tuned is not None
        loop = asyncio.get_running_loop()
        if len(self._shadows) >= SHADOWS or not models.circuit.allows(monotonic()):
            self._counters.count(MIRRORED, call.alias.name, "dropped")
            return
        self._counters.count(MIRRORED, call.alias.name, "sent")
        told = self._thinning.keeps(call.place.sample, call.started)
        attempt = Attempt(call, models.tuned, "tuned", "shadow", show_arm=False, copy_bytes=COPY if told else 0)
        task = loop.create_task(self._shadow(attempt, models, told))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _shadow(self, attempt: Attempt, models: Models, told: bool) -> None:
        try:
            await attempt.answer_nobody()
        except BaseException:
            models.circuit.gave_up()
            attempt.abort()
            raise
        self._counters.count(MIRRORED, attempt.call.alias.name, "failed" if attempt.fault else "answered")
        self._learn(attempt.call, models, attempt.fault)
        if told:
            self._tell(attempt, source="shadow")

    # What others are told.

    def _count(self, attempt: Attempt) -> None:
        call, counters = attempt.call, self._counters
        name, now = call.alias.name, monotonic()
        counters.count(REQUESTS, name, attempt.arm, attempt.reason, _api(call), str(attempt.status))
        counters.observe(DURATION, now - call.started, name, attempt.arm)
        counters.observe(OWN_TIME, attempt.asked_at - call.whole)
        if attempt.first:
            counters.observe(FIRST_TOKEN, attempt.first - call.started, name, attempt.arm)

    def _left(self, attempt: Attempt) -> None:
        """The client left: before the model said anything, before its first content, or within the answer."""
        client = attempt.call.client
        phase = "stream" if client.begun else "first" if attempt.status else "before"
        self._counters.count(DISCONNECTS, attempt.call.alias.name, phase)

    def _learn(self, call: Call, models: Models, fault: str, *, known: bool = True) -> None:
        """What became of a request to the tuned model, for the circuit."""
        circuit = models.circuit
        if not known or fault in _CLIENTS_FAULT:
            circuit.gave_up()
        elif fault:
            circuit.failed(monotonic())
        else:
            circuit.succeeded()
        self._counters.gauge(CIRCUIT, circuit.state != "closed", call.alias.name, "tuned")

    def _tell(
        self, attempt: Attempt, *, source: Source, fault: str | None = None, reason: Reason | None = None,
        arm: Role | None = None,
    ) -> None:  # fmt: skip
        """Offer the exchange to the monitor; where there is no room it is gone, and counted."""
        call = attempt.call
        assert call.api is not None
        now = monotonic()
        exchange = Exchange(
            id=call.client.request_id,
            alias=call.alias.name,
            rollout=call.switch.rollout,
            arm=arm or attempt.arm,
            reason=reason or attempt.reason,
            source=source,
            conversation=call.place.digest,
            api=call.api,
            started=call.unix,
            first_seconds=(attempt.first or now) - call.started,
            total_seconds=now - call.started,
            status=attempt.status,
            streamed=call.asked.stream,
            request=call.asked.body,
            response=attempt.copy,
            cut=attempt.cut,
            fault=attempt.fault if fault is None else fault,
        )
        taken = "yes" if self._sink.offer(exchange) else "no"
        self._counters.count(EXCHANGES, call.alias.name, exchange.arm, taken)


def _goes_on(call: Call) -> bool:
    """Whether a request needs what another model's server keeps; a copy of it would fail at the tuned one."""
    fields = call.asked.fields
    return call.api == "responses" and bool(
        fields.get("previous_response_id") or conversation_id(fields) or fields.get("background")
    )


def _share(call: Call) -> float:
    """The share in force; 0 where it is none: whoever cannot know it sends everything to the base."""
    share = call.switch.share
    return share if 0 < share <= 1 else 0.0


def _api(call: Call) -> str:
    return call.api or "embeddings"
