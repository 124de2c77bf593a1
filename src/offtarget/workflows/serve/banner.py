"""What `offtarget serve` says first: where it listens, who answers, who judges, what an alarm does, how to ask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offtarget.numbers import chosen, duration, many
from offtarget.records.gateway import Alias, CanarySettings, GatewaySettings, RampStep, Upstream
from offtarget.records.rollouts import Rollout
from offtarget.serve.gateway.addresses import shown
from offtarget.words import one_in

if TYPE_CHECKING:
    from offtarget.serve.gateway.supervisor import Running

NOT_TESTED = "not tested: no judge is named (--judge), so no answer is judged and nothing is rolled back by itself"
ALARMS = {
    "rollback": "an alarm sends all traffic back to the base at once",
    "pause": "an alarm stops the ramp; the share stays until somebody acts",
    "notify": "an alarm is told, and does nothing else",
}
CLIENT = """\
from openai import OpenAI
client = OpenAI(base_url="{address}/v1", api_key="{key}")
answer = client.chat.completions.create(model="{alias}", messages=[{{"role": "user", "content": "Hello"}}])
print(answer.model, answer.choices[0].message.content)"""
"""Lines that any reader can paste."""


def started(running: Running, rollouts: Iterable[Rollout]) -> tuple[str, Mapping[str, Any]]:
    """The first words of a gateway that runs, and the same for programs."""
    settings = running.settings
    known = {rollout.alias: rollout for rollout in rollouts}
    key = "YOUR-KEY" if settings.keys else "none"
    lines = [f"{running.address}/v1 answers like any OpenAI-compatible server.", ""]
    lines += about(settings, known)
    lines += ["", f"Administrators: {running.admin_address}" + _key_place(running)]
    lines += ["Dashboard: offtarget canary dashboard"] if running.dashboard else []
    lines += [f"State: {_state(settings)}", "", "Ask it:"]
    lines += [
        f"  {line}"
        for line in CLIENT.format(address=running.address, key=key, alias=settings.aliases[0].name).splitlines()
    ]
    fields = {
        "address": running.address,
        "admin": running.admin_address,
        "key_file": None if running.key_file is None else str(running.key_file),
        "models": [_fields(alias, known.get(alias.name)) for alias in settings.aliases],
    }
    return "\n".join(lines), fields


def about(settings: GatewaySettings, rollouts: Mapping[str, Rollout]) -> list[str]:
    """Who answers under each name, and how the tuned model is tried; indented lines."""
    lines = []
    for alias in settings.aliases:
        first, *more = _lines(alias, rollouts.get(alias.name))
        width = max(12, len(alias.name) + 2)
        lines += [f"  {alias.name:<{width}}{first}", *(f"  {'':<{width}}{line}" for line in more)]
    return lines


def _lines(alias: Alias, rollout: Rollout | None) -> list[str]:
    if alias.tuned is None:
        return [f"all requests: {_named(alias.base)}; there is no tuned model, so nothing is tried"]
    canary, base, tuned = alias.canary, _named(alias.base), _named(alias.tuned)
    share = canary.share if rollout is None else rollout.share
    if rollout is not None and rollout.status == "rolled back":
        return [
            f"all requests: {base}; {tuned} is rolled back: {rollout.reason}",
            f"offtarget canary resume --alias {alias.name} tries it again, without the evidence of before",
        ]
    if canary.mode == "shadow":
        said = [f"all requests: {base}; of {chosen(share)} of conversations {tuned} answers a copy, which nobody sees"]
    else:
        said = [f"{chosen(share)} of conversations: {tuned}; the others, and whatever it fails at: {base}"]
    if rollout is not None and rollout.status == "paused":
        said.append(f"paused: {rollout.reason}")
    if canary.ramp and (rollout is None or rollout.status == "running"):
        said.append(f"raised by itself once it is shown not to be worse: {', then '.join(map(_step, canary.ramp))}")
    return [*said, *_judged(canary)]


def _step(step: RampStep) -> str:
    held = [duration(step.hold_seconds)] if step.hold_seconds else []
    held += [many(step.hold_answers, "judged answer")] if step.hold_answers else []
    return f"{chosen(step.share)}{' after ' if held else ''}{' and '.join(held)}"


def _judged(canary: CanarySettings) -> list[str]:
    if not canary.judge:
        return [NOT_TESTED]
    judge = "the organism's exact judge" if canary.judge == "exact" else canary.judge
    cheap = f", after {canary.cheap_judge}" if canary.cheap_judge else ""
    odds = one_in(canary.alpha)
    return [f"judged by {judge}{cheap}; a tuned model that is not worse is rolled back at most {odds}, plus 1 in "
            "a million for each of its judged answers",
            ALARMS[canary.on_alarm]]  # fmt: skip


def _named(upstream: Upstream) -> str:
    return f"{upstream.model} at {shown(upstream.url)}" if upstream.url else upstream.model


def _key_place(running: Running) -> str:
    if running.key_file is None or not running.admin_key:
        return ", with the key whose hash the settings hold"
    return f", with the key in {_short(running.key_file)}"


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _state(settings: GatewaySettings) -> str:
    scheme, _, rest = settings.state.url.partition(":")
    return rest if scheme == "sqlite" else shown(settings.state.url)


def _fields(alias: Alias, rollout: Rollout | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"alias": alias.name, "base": _named(alias.base), "tuned": None}
    if alias.tuned is not None:
        fields |= {
            "tuned": _named(alias.tuned),
            "mode": alias.canary.mode,
            "share": alias.canary.share if rollout is None else rollout.share,
            "status": None if rollout is None else rollout.status,
            "rollout": None if rollout is None else rollout.number,
            "judge": alias.canary.judge or None,
            "alpha": alias.canary.alpha,
            "on_alarm": alias.canary.on_alarm,
        }
    return fields
