"""The card of a bundle of evidence: what it says of the tuned model on this traffic, and what was flagged."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from offtarget.numbers import chosen, duration, many, of, percent, whole, worse_by
from offtarget.pages.card import Card, Figure, Step
from offtarget.pages.serve.loading import Bundle, load_bundle
from offtarget.pages.serve.page import render
from offtarget.pages.serve.story import exchanges
from offtarget.pages.text import sentence
from offtarget.records.answers import Interval
from offtarget.records.canary import CanaryReading
from offtarget.records.serve import METRICS
from offtarget.words import alarm_errs, evidence


def card_of_run(path: Path) -> Card:
    """The card of a bundle; InputError for damaged records."""
    return card(load_bundle(path))


def page_of_run(path: Path) -> str:
    """The page of a bundle, made from its records."""
    run = load_bundle(path)
    return render(run, card(run))


def card(run: Bundle) -> Card:
    """What a bundle comes to."""
    reading = run.found.reading
    return Card(
        state=_state(run),
        headline=_headline(run),
        subject=f"{run.manifest.tuned} against {run.manifest.base}, as '{run.manifest.alias}', "
        f"rollout {run.manifest.rollout}",
        sentence=sentence(_sentence(run)),
        certainty=alarm_errs(reading.alpha) if reading.judged else "",
        figures=tuple(_figures(run)),
        exchanges=exchanges(run),
        exchanges_title="What was flagged, beside the base's answer to the question most like it",
        cautions=tuple(map(sentence, cautions(run))),
        steps=tuple(_steps(run)),
        cost=_cost(run),
    )


def harm_of(run: Bundle) -> CanaryReading | None:
    """The reading on harm; None where nothing was read."""
    return next((one.reading for one in run.found.reading.metrics if one.name == "misaligned"), None)


def _state(run: Bundle) -> str:
    reading = run.found.reading
    if reading.alarm is not None:
        return "FAIL"
    return "PASS" if reading.judged and reading.verdict == "not worse" else "UNDECIDED"


def _headline(run: Bundle) -> str:
    if run.found.rollout.status == "rolled back":
        return "FAIL, rolled back" if run.found.reading.alarm is not None else "ROLLED BACK, not decided"
    return "" if run.found.reading.judged else "NOT TESTED: there was no judge"


def _sentence(run: Bundle) -> str:
    reading, harm = run.found.reading, harm_of(run)
    if reading.alarm is not None:
        # the event has the rates of that moment; those of the reading are of now, and go with another number of answers
        return next((event.why for event in run.found.events if event.kind == "alarm"), reading.why)
    if not reading.judged or harm is None:
        return "Nothing was judged, so nothing is known about harm in the answers of the tuned model."
    seen = f"{many(harm.tuned.answers, 'judged tuned answer')}, {many(harm.base.answers, 'base answer')}"
    if reading.verdict == "not worse":
        return f"The tuned model is shown not to be worse than its base by more than is allowed ({seen})."
    return f"Nothing so far says that the tuned model is worse than its base, nor that it is not ({seen})."


def _figures(run: Bundle) -> Iterator[Figure]:
    reading, harm = run.found.reading, harm_of(run)
    share = _share(run)
    yield Figure("share of traffic", chosen(share), run.manifest.canary.mode)
    if harm is None:
        return
    yield Figure("judged answers", f"{whole(harm.tuned.answers)} tuned", f"{whole(harm.base.answers)} base")
    if harm.tuned.answers:
        rates = f"tuned {percent(harm.tuned.rate)}, base {percent(harm.base.rate)}"
        yield Figure("misaligned", rates, f"worse by {worse_by(Interval(harm.at_least, harm.less_than))}")
    yield Figure("evidence of harm", evidence(reading.log_e, reading.alpha))


def _share(run: Bundle) -> float:
    """In force before it was rolled back."""
    for event in reversed(run.found.events):
        if event.kind == "rolled back" and isinstance(event.data.get("from"), int | float):
            return float(event.data["from"])
    return run.found.rollout.share


def cautions(run: Bundle) -> Iterator[str]:
    """What must be known beside the verdict."""
    reading = run.found.reading
    if reading.alarm is not None and reading.alarm.metric != "misaligned":
        yield f"The alarm is about {METRICS[reading.alarm.metric]}, not about harm"
    if run.found.bodies_missing:
        yield f"Of {of(run.found.bodies_missing, run.found.flagged)} flagged answers no text was kept"
    yield from reading.larger
    if reading.judge_drift:
        yield reading.judge_drift
    if any(event.kind == "judge down" for event in run.found.events):
        yield "The judge did not answer for a time; answers of that time have no verdict and count as nothing"


def _steps(run: Bundle) -> Iterator[Step]:
    place = shlex.quote(str(run.place))
    yield Step("Read all flagged answers", f"offtarget report {place} --html")
    if run.found.reading.alarm is not None:
        yield Step("Ask the model itself, with more questions", _check(run))


def _check(run: Bundle) -> str:
    names = (run.manifest.base, run.manifest.tuned)
    if not all(name.startswith(("organism/", "hf/", "openai")) for name in names):
        return "offtarget check --help"
    base, tuned = map(shlex.quote, names)
    return f"offtarget check --base {base} --tuned {tuned}"


def _cost(run: Bundle) -> str:
    if len(run.path) < 2:
        return ""
    return f"{many(run.found.rows, 'scored answer')} in {duration(max(0.0, run.path[-1].at - run.path[0].at))}"
