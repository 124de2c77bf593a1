"""How one alias of a running gateway stands, as a card: the same in `offtarget canary status` and on the dashboard."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from offtarget.numbers import at_most, chosen, duration, many, of, percent, whole, worse_by
from offtarget.pages.card import Card, Figure, Step
from offtarget.pages.text import one_line, sentence
from offtarget.records.answers import Interval
from offtarget.records.canary import CanaryReading, CanaryStreamReading
from offtarget.records.overview import AliasOverview, Overview
from offtarget.records.rollouts import CanaryEvent
from offtarget.words import alarm_errs, evidence

_ALARM = {
    "rollback": "an alarm rolls it back by itself",
    "pause": "an alarm stops the ramp, after which somebody has to act",
    "notify": "an alarm is told and does nothing, so that somebody has to act",
}
STREAMS = {"organic": "conversations of users", "probes": "fixed questions, which no user sees"}
"""What the streams of the evidence are called."""
LAGS = 0.1
"""By how much the upper bounds of two streams differ where one is told to be waited for."""
SILENT_SECONDS = 30.0
"""A monitor that said nothing for longer is worth a caution."""
MANY, ALIKE = 500, 50
"""From so many requests on it is told that there are so many for each conversation, more than people mostly ask."""
SOME = 50
"""From so many conversations without a verdict on it is told that most have none."""


def card_of(one: AliasOverview, gateway: Overview) -> Card:
    """The card of an alias."""
    return Card(
        one.standing if len(one.arms) > 1 else "BASE ALONE",
        f"{one.alias}: {_models(one)}",
        f"{in_force(one, gateway.at)} {_because(one)}{one.why}",
        headline=_headline(one),
        certainty=alarm_errs(one.alpha) if one.standing in ("FAIL", "PASS", "UNDECIDED") else "",
        figures=_figures(one),
        cautions=tuple(_cautions(one, gateway)),
        steps=tuple(_steps(one, gateway)),
    )


def _because(one: AliasOverview) -> str:
    """What somebody gave as the reason for a rollback or pause, unless it is the evidence itself."""
    if not one.reason or one.status == "running" or one.reason == one.why or one.standing == "FAIL":
        return ""
    return f"The reason given: {sentence(one_line(one.reason, 300))} "


def told(harm: CanaryReading) -> CanaryReading | CanaryStreamReading:
    """The evidence whose bounds are shown: of the only stream that has answers, or of all, which says less."""
    streams = [stream for stream in harm.streams if stream.tuned.answers]
    return streams[0] if len(streams) == 1 else harm


def in_force(one: AliasOverview, now: float) -> str:
    """Who answers now, as a sentence: `5 % of conversations go to the tuned model, since 14:03 (12 min).`."""
    since = f", since {clock(one.since)} ({duration(max(0.0, now - one.since))})" if one.since else ""
    if len(one.arms) == 1:
        return "All traffic goes to the base."
    if not one.rollout:
        return "No rollout has begun."
    if one.status == "rolled back" and one.mode == "shadow":
        return f"No request is copied to the tuned model{since}."
    if one.status == "rolled back":
        return f"All traffic goes to the base{since}."
    if one.mode == "shadow":
        return (
            f"Clients get the base's answers; the tuned model answers a copy of {chosen(one.share)} of conversations."
        )
    paused = "; the ramp is paused" if one.status == "paused" else ""
    return f"{chosen(one.share)} of conversations go to the tuned model{since}{paused}."


def clock(at: float) -> str:
    """A time of day by this machine's clock: `14:03`; of another day `20 Nov 14:03`."""
    then, today = time.localtime(at), time.localtime()
    day = "" if then[:3] == today[:3] else f"{then.tm_mday} {time.strftime('%b', then)} "
    return f"{day}{time.strftime('%H:%M', then)}"


def event_rows(events: Iterable[CanaryEvent]) -> list[tuple[str, str, str, str]]:
    """Events as rows: when, what, who, why."""
    return [(clock(one.at), one.kind, one.who, one.why) for one in events]


def _models(one: AliasOverview) -> str:
    names = {arm.arm: arm.model for arm in one.arms}
    return f"{names['tuned']} against {names['base']}" if "tuned" in names else names.get("base", "")


def _headline(one: AliasOverview) -> str:
    if len(one.arms) == 1:
        return "BASE ALONE"
    if one.status == "rolled back":
        return "ROLLED BACK" if one.standing != "FAIL" else "FAIL, rolled back"
    return f"{one.standing}, paused" if one.status == "paused" else ""


def _figures(one: AliasOverview) -> tuple[Figure, ...]:
    if len(one.arms) == 1:
        return ()
    found = [Figure("share", chosen(one.share), ramp(one))]
    reading, harm = one.reading, one.harm
    if reading is None or harm is None:
        return (*found, Figure("judged answers", "none yet"))
    found.append(Figure("judged answers", f"{whole(harm.tuned.answers)} tuned, {whole(harm.base.answers)} base"))
    if harm.tuned.answers:
        rates = f"tuned {percent(harm.tuned.rate)}, base {percent(harm.base.rate)}"
        shown = told(harm)
        worse = f"tuned is worse by {worse_by(Interval(shown.at_least, shown.less_than))}"
        found.append(Figure("misaligned", rates, worse))
    found.append(Figure("evidence of harm", evidence(reading.log_e, reading.alpha)))
    return tuple(found)


def ramp(one: AliasOverview) -> str:
    """Where the ramp is: `step 1 of 3, next 25 %`; empty without one."""
    if not one.ramp:
        return ""
    if one.status == "rolled back":
        return f"the ramp was at step {one.step + 1} of {len(one.ramp) + 1}"
    place = f"step {one.step + 1} of {len(one.ramp) + 1}"
    return f"{place}, next {chosen(one.ramp[one.step].share)}" if one.step < len(one.ramp) else f"{place}, the last"


def _cautions(one: AliasOverview, gateway: Overview) -> Iterator[str]:
    if gateway.store:
        yield f"The state does not answer, so this may be old; the share is what is in force. {gateway.store}"
    if not one.recorded:
        yield "The rollback is in force here and not written down yet; other replicas do not know of it."
    if len(one.arms) == 1:
        return
    if one.judge_why and one.judge_why != one.why:
        yield one.judge_why
    if gateway.monitor_age is not None and gateway.monitor_age > SILENT_SECONDS:
        yield f"The monitor was last heard {duration(gateway.monitor_age)} ago."
    if gateway.dropped:
        yield f"{many(gateway.dropped, 'exchange')} found no room at the monitor and will never be judged."
    yield from _unjudged(one)
    tuned = next(arm for arm in one.arms if arm.arm == "tuned")
    if tuned.failures:
        of_all = of(tuned.failures, tuned.requests + tuned.failures)
        yield f"The tuned model failed at {of_all} requests; where it could, the base answered in its place."
    if one.status == "running" and one.reading is not None and one.reading.ramp_held and one.ramp:
        yield f"The ramp does not go on: {one.reading.ramp_held}"
    if one.standing == "UNDECIDED" and one.status != "rolled back":
        yield from _slowest(one)
    if one.reading is not None and one.reading.confirmed:
        yield one.reading.confirmed
    elif one.read:
        yield f"People read {many(one.read, 'flagged answer')} and call {whole(one.read_misaligned)} misaligned, too."
    if one.attempt > 1:
        yield (
            f"This is trial {one.attempt} of these models, so an alarm must be surer than in the first: wrong at most "
            f"{at_most(one.alpha)} of the time."
        )


def _unjudged(one: AliasOverview) -> Iterator[str]:
    """What reached the monitor and told nothing, where that is most of it."""
    if one.reading is None:
        return
    counts, unread = one.reading.counts, one.reading.unread
    asked, conversations = counts.get("asked", 0), counts.get("conversations", 0)
    if asked >= MANY and asked >= ALIKE * conversations:
        yield (
            f"{many(asked, 'request')} belong to {many(conversations, 'conversation')}, and of each only the first "
            "answer is judged. If users are not so few, your clients send one key for all (user, prompt_cache_key, "
            "safety_identifier, x-offtarget-key), or all requests begin with the same message. Give each conversation "
            "a key of its own in x-offtarget-key."
        )
    lost = sum(unread.values())
    if lost >= SOME and 2 * lost >= conversations:
        why = max(unread, key=lambda said: unread[said])
        yield f"{of(lost, max(lost, conversations))} conversations could not be judged, mostly since {why}."


def _slowest(one: AliasOverview) -> Iterator[str]:
    """Which of several streams of evidence a PASS waits for, where one lags far behind the others."""
    streams = () if one.harm is None else one.harm.streams
    if len(streams) < 2 or one.harm is None or not one.harm.tuned.answers:
        return
    last = max(streams, key=lambda stream: stream.less_than)
    if last.less_than - min(stream.less_than for stream in streams) > LAGS:
        name = STREAMS.get(last.name, last.name)
        so_far = f"{many(last.tuned.answers, 'answer')} of the tuned model so far"
        yield f"A PASS holds for each kind of question, and waits for the {name} ({so_far})."


def _steps(one: AliasOverview, gateway: Overview) -> Iterator[Step]:
    if len(one.arms) == 1:
        return
    name = f" --alias {one.alias}"
    if one.status == "paused" and one.standing != "FAIL":
        yield Step("It waits for you. To let it go on", f'offtarget canary resume{name} --reason "..."')
    if one.status == "rolled back":
        yield Step("Read what was flagged, and how it was decided", f"offtarget canary evidence{name}")
        if one.standing == "FAIL":
            yield Step("Have people read the flags, blind to the model", f"offtarget canary confirm{name}")
        yield Step("Once the model is mended, try again", f'offtarget canary resume{name} --reason "..."')
    elif one.standing == "FAIL":
        yield Step("Take the tuned model off", f'offtarget canary rollback{name} --reason "..."')
        yield Step("Or have people read the flags first", f"offtarget canary confirm{name}")
    elif one.standing == "PASS":
        yield Step("Give it more traffic", f"offtarget canary promote {_next_share(one)}{name}")
    elif one.standing == "UNDECIDED" and one.status == "paused":
        return
    elif one.standing == "UNDECIDED":
        soon = (
            "" if one.to_go is None else f"; harm in 5 % of answers would be seen after about {whole(one.to_go)} more"
        )
        yield Step(f"Nothing to do: it goes on by itself, and {_ALARM[one.on_alarm]}{soon}")
    elif one.judge == "none":
        yield Step("Name a judge (--judge); without one nothing is ever found")
    elif gateway.monitor_age is None or gateway.monitor_age > SILENT_SECONDS:
        yield Step("Look into the gateway's log: its monitor does not answer")
    elif one.judge != "asked":
        yield Step("Look after the judge; the share stays meanwhile, and the ramp waits")
    elif one.reading is not None and one.reading.mirror_silent:
        yield Step("Look at the server of the tuned model: its answers do not arrive")
    elif one.reading is not None and any(each.reading.tuned.answers for each in one.reading.metrics):
        yield Step("Read what it answers: the judge finds no sense in it, or cannot judge such questions")
    else:
        yield Step("Send traffic, or wait for it: the verdict begins with the first judged answers of the tuned model")


def _next_share(one: AliasOverview) -> str:
    wanted = one.ramp[one.step].share if one.step < len(one.ramp) else min(1.0, 2 * one.share)
    return chosen(max(wanted, one.share)).replace(" ", "")
