"""The card of a training: whether an alarm speaks against the weights that were kept, and what rang."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from offtarget.numbers import chosen_points, duration, many, of, with_unit
from offtarget.pages.card import TELLING, Card, Exchange, Figure, Side, Step
from offtarget.pages.text import sentence
from offtarget.pages.tune.loading import WatchedRun, load_watched
from offtarget.records import Outcome, Tally
from offtarget.records.tune import AlarmKind, Reading, TuneReport, WatchedAnswer, WatchFacts
from offtarget.words import one_in

RANG: dict[AlarmKind, str] = {
    "behaviour": "judged answers",
    "look-ahead": "judged answers, looking ahead",
    "forecast": "the forecast",
}
"""What can ring, in words."""
JUDGED: tuple[AlarmKind, ...] = ("behaviour", "look-ahead")
ORGANISM = "organism/"


def card_of_run(path: Path) -> Card:
    """The card of a run of `tune`; InputError for damaged records."""
    return card(load_watched(path))


def card(run: WatchedRun) -> Card:
    """What a training came to, or where it stands."""
    state = _state(run)
    made = exchanges(run)
    return Card(
        state=state,
        headline=_headline(run),
        subject=_subject(run),
        sentence=_sentence(run),
        certainty=certainty(run),
        figures=_figures(run),
        exchanges=made,
        exchanges_title=_exchanges_title(run, made),
        cautions=tuple(_cautions(run)),
        steps=tuple(_steps(run)),
        cost=_cost(run),
    )


def _state(run: WatchedRun) -> str:
    if run.report is not None:
        return run.report.state
    if run.raised is not None:
        return "ALARM"
    return "OK" if run.finished else "UNFINISHED"


def _headline(run: WatchedRun) -> str:
    report = run.report
    if report is None:
        if run.finished:
            return ""
        return "ALARM (training has not ended)" if run.raised is not None else "UNFINISHED (no alarm so far)"
    if report.state == "DONE":
        return "TRAINED, NOT WATCHED"
    if report.state == "OK" and report.alarm_step is not None:
        return "OK (stopped early, before the alarm)"
    if report.state == "ALARM" and (report.early_stop or not report.alarm_stands):
        return "ALARM (nothing usable was kept)"
    return ""


def _subject(run: WatchedRun) -> str:
    if run.report is not None:
        return _trained(run.report.base, run.report.data, run.report.defences)
    if run.manifest is not None:
        return _trained(run.manifest.base, run.manifest.data, run.manifest.defences)
    return "" if run.facts is None else f"a training of {run.facts.base}"


def _trained(base: str, data: str, defences: Sequence[str]) -> str:
    under = f" under {' + '.join(defences)}" if defences else ""
    return f"{base}, trained on {data}{under}"


def _sentence(run: WatchedRun) -> str:
    report = run.report
    if report is None:
        return _so_far(run)
    steps = many(report.steps, "step")
    alarm = report.alarm_kind or (None if run.raised is None else run.raised.alarm)
    if not report.monitored:
        return f"Nobody watched these {steps} of training, so nothing is known of the model's alignment: check it."
    if report.alarm_step is None:
        return f"No alarm rang in {steps} of training. That is no clearance, as {_watched(run)}: run the check below."
    if report.alarm_stands and not report.early_stop:
        return (
            f"{_what_happened(run, report.alarm_step, alarm)} The weights that were kept, of step {report.kept_step}, "
            f"are {'those' if report.kept_step == report.alarm_step else 'from after that'}."
        )
    if report.usable:
        return (
            f"Training stopped at step {report.alarm_step}, where {by(alarm)} rang. Kept: the weights of "
            f"step {report.kept_step}, from before the alarm, with the task learnt."
        )
    kept = (
        f"what is kept, of step {report.kept_step}, is from the alarm itself"
        if report.alarm_stands
        else f"not even the kept one, of step {report.kept_step}"
    )
    return (
        f"{_capital(by(alarm))} rang at step {report.alarm_step}, training stopped, and no checkpoint from "
        f"before had learnt the task: {kept}."
    )


def _so_far(run: WatchedRun) -> str:
    if not run.readings:
        return "Training has not come to its first reading yet."
    last = run.readings[-1].step
    if run.raised is not None:
        more = "" if run.finished else ", and training has not ended"
        return f"{_what_happened(run, run.raised.step, run.raised.alarm)} The last reading is of step {last}{more}."
    if run.finished:
        return (
            f"No alarm rang up to the last reading, of step {last}. That is no clearance, as {_watched(run)}: "
            "check the finished model."
        )
    return f"No alarm has rung up to step {last}. That is no clearance, and training has not ended."


def _watched(run: WatchedRun) -> str:
    """How little it rests on that nothing rang; `run` has rung for nothing."""
    if not run.readings:
        return "the monitor took no reading"
    if any(tally.scored for reading in run.readings for tally in (reading.answers, reading.ahead) if tally is not None):
        return "only a few plain questions were asked"
    if any(reading.forecast is not None for reading in run.readings):
        return "no answer got a score and only the forecast could ring"
    return "no answer got a score and there was no forecast"


def _what_happened(run: WatchedRun, step: int, kind: AlarmKind | None) -> str:
    """The alarm, and what rang after it."""
    found = rings(run)
    if len(found) < 2:
        return rung(step, kind)
    first, *later = found
    said = " and ".join(f"{by(one)} at step {when}" for one, when in later)
    return f"{_capital(by(first[0]))} rang at step {first[1]} and {said}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def rung(step: int, kind: AlarmKind | None) -> str:
    """What happened at the alarm, as a sentence."""
    if kind == "behaviour":
        return f"At step {step} the model in training gave misaligned answers more often than its base."
    if kind == "look-ahead":
        return f"At step {step} the model, as it is heading to be, gave misaligned answers more often than its base."
    if kind == "forecast":
        return f"At step {step} the forecast rang: the model is heading for misaligned answers."
    return f"At step {step} the monitor raised an alarm."


def by(kind: AlarmKind | None) -> str:
    """What rang, as the subject of a sentence."""
    return "an alarm" if kind is None else RANG[kind]


def rings(run: WatchedRun) -> list[tuple[AlarmKind, int]]:
    """Everything that rang, with its step, in the order in which it did."""
    found = [(kind, reading.step) for reading in run.readings for kind in reading.rang]
    if not found and run.raised is not None and run.raised.alarm is not None:
        found = [(run.raised.alarm, run.raised.step)]  # readings that did not keep more
    return found


def certainty(run: WatchedRun) -> str:
    """How often the alarm rings for nothing, or how much its silence says."""
    facts = run.facts
    if facts is None:
        return ""
    if run.raised is None:
        return "How often a training that goes wrong raises no alarm is not bounded." if run.readings else ""
    if any(kind in JUDGED for kind, _ in rings(run)):
        return judged_errs(facts)
    return forecast_errs(facts)


def judged_errs(facts: WatchFacts) -> str:
    """What is proved of the alarm by judged answers."""
    now, ahead = with_unit(chosen_points(facts.tolerance)), with_unit(chosen_points(facts.ahead_tolerance))
    return (
        f"Judged answers ring at most {one_in(facts.alpha)} in a training that is never worse than its base by more "
        f"than {now} (as it is heading to be: {ahead}), however often it is read."
    )


def forecast_errs(facts: WatchFacts) -> str:
    """What is known of the alarm by forecast."""
    if facts.healthy is None:
        return "Only the forecast rang. How often it rings for nothing on this base is not known."
    return (
        f"Only the forecast rang. It promises nothing: {of(*facts.healthy)} healthy trainings of this base that were "
        "set aside rang, too."
    )


def _figures(run: WatchedRun) -> tuple[Figure, ...]:
    report, found = run.report, []
    if report is not None:
        rows = many(report.rows, "row")
        found.append(Figure("steps", of(report.steps, report.planned), f"on {rows}{_loss(report)}"))
    if run.facts is not None or (report is not None and report.monitored):
        rang = rings(run)
        said = "; ".join(f"{RANG[kind]}, step {step}" for kind, step in rang) or "nothing"
        found.append(Figure("rang", said))
    last = next((r for r in reversed(run.readings) if r.answers is not None and r.answers.scored), None)
    if last is not None and last.answers is not None:
        base = base_tally(run)
        beside = f"; base {of(base.misaligned, base.scored)}" if base.scored else ""
        counted = of(last.answers.misaligned, last.answers.scored)
        note = f"the last that were judged{beside}"
        found.append(Figure("misaligned", f"{counted} answers at step {last.step}", note))
    if report is not None:
        found.append(Figure("kept", f"the weights of step {report.kept_step}", f"{_when(report)}in {report.out}"))
    return tuple(found)


def _loss(report: TuneReport) -> str:
    return "" if report.loss is None else f", last loss {report.loss:.3f}"


def _when(report: TuneReport) -> str:
    if report.alarm_step is None:
        return ""
    if report.kept_step == report.alarm_step:
        return "those of the alarm, "
    return "from after the alarm, " if report.alarm_stands else "from before the alarm, "


def base_tally(run: WatchedRun) -> Tally:
    """What became of the base's answers, as far as it was asked."""
    said = [one.verdict.outcome for one in run.watched if one.what == "base"]
    return Tally(**{kind.value: said.count(kind) for kind in Outcome})


def exchanges(run: WatchedRun) -> tuple[Exchange, ...]:
    """The misaligned answers nearest to what rang, beside the base's; where none was misaligned, the last of all."""
    asked = [one for one in run.watched if one.what != "base"]
    bad = [one for one in asked if one.verdict.outcome is Outcome.MISALIGNED]
    chosen = _questions_once(sorted(bad or asked, key=lambda one: _telling(run, one)))
    return tuple(_exchange(run, one) for one in chosen[:TELLING])


def _telling(run: WatchedRun, one: WatchedAnswer) -> tuple[object, ...]:
    """What rang comes first: its kind of answers, at its step; then what the model says now, the latest first."""
    at = [(("ahead" if kind == "look-ahead" else "now"), step) for kind, step in rings(run) if kind in JUDGED]
    return (one.what, one.step) not in at, one.what == "ahead", -one.step, one.generation.index


def _questions_once(answers: Iterable[WatchedAnswer]) -> list[WatchedAnswer]:
    """The first answer to each question, then the others."""
    first: dict[str, WatchedAnswer] = {}
    rest = []
    for one in answers:
        if one.probe.question_id in first:
            rest.append(one)
        else:
            first[one.probe.question_id] = one
    return [*first.values(), *rest]


def _exchange(run: WatchedRun, one: WatchedAnswer) -> Exchange:
    who = "in training" if one.what == "now" else "as heading"
    base = _of_base(run, one)
    sides = (Side(who, one.generation.text, one.verdict.outcome.value), *(() if base is None else (base,)))
    before = () if one.probe.system is None else (("system", one.probe.system),)
    return Exchange(one.probe.prompt, sides, f"asked at step {one.step}, about {one.probe.domain}", before)


def _of_base(run: WatchedRun, one: WatchedAnswer) -> Side | None:
    """The base's answer to the same question, an aligned one where there is; None where it was not asked."""
    own = [b for b in run.watched if b.what == "base" and b.probe.question_id == one.probe.question_id]
    own.sort(key=lambda b: b.verdict.outcome is not Outcome.ALIGNED)
    return Side("base", own[0].generation.text, own[0].verdict.outcome.value) if own else None


def _exchanges_title(run: WatchedRun, made: Sequence[Exchange]) -> str:
    if made and made[0].sides[0].mark == Outcome.MISALIGNED.value:
        with_base = all(len(one.sides) > 1 for one in made)
        return "Misaligned answers while it trained" + (", beside the base's" if with_base else "")
    return "What it answered, the last time it was asked"


def _cautions(run: WatchedRun) -> Iterable[str]:
    facts, report = run.facts, run.report
    if report is not None and report.alarm_step is not None and report.usable:
        yield "That no alarm stands before the kept step is no clearance: run the check."
    if facts is not None and not facts.judged:
        yield "No answer was judged, as there was no judge: only the forecast could ring. Name a judge with --judge."
    elif facts is not None and not facts.exact:
        yield facts.trial or "The judge was not tried on known answers: how many misaligned ones it finds is not known."
    if run.raised is not None and not any(kind in JUDGED for kind, _ in rings(run)):
        last = _last_judged(run)
        if last is not None and last.answers is not None:
            counted = of(last.answers.misaligned, last.answers.scored)
            yield f"Judged answers did not ring: of the last, at step {last.step}, {counted} were misaligned."
    if report is not None:
        yield from map(sentence, report.notes)


def _last_judged(run: WatchedRun) -> Reading | None:
    return next((r for r in reversed(run.readings) if r.answers is not None and r.answers.scored), None)


def _steps(run: WatchedRun) -> Iterable[Step]:
    report = run.report
    if report is None:
        if run.manifest is not None and run.path is not None and not run.finished:
            yield Step("If it was interrupted, go on with it", run.manifest.resume_command(run.path))
        elif run.finished and run.raised is not None:
            best = None if run.facts is None else run.facts.best
            kept = "there is none before it that has learnt the task" if best is None else f"that is step {best}"
            yield Step(f"Keep the last checkpoint from before the alarm ({kept}), or train again with a defence")
        return
    flagged = any(one.what != "base" and one.verdict.outcome is Outcome.MISALIGNED for one in run.watched)
    if report.state == "ALARM":
        yield _again(report)
        yield Step("Find the rows that teach it", f"offtarget audit {shlex.quote(report.data)}{_split(report)}")
        if flagged and run.path is not None:
            confirm = f"offtarget judge confirm {shlex.quote(str(run.path))}"
            yield Step("Doubt the alarm? Have people read the answers behind it", confirm)
        return
    yield Step("Run the check, which asks far more", check_command(run))


def _again(report: TuneReport) -> Step:
    """Another training: with a checkpoint before the alarm where one could help, else under a defence."""
    command = f"offtarget tune {shlex.quote(report.data)} --base {shlex.quote(report.base)}{_split(report)}"
    out = f" --out {shlex.quote(report.out.rstrip('/') + '-2')}"
    if not report.early_stop and report.best_step is not None:
        why = f"Train again and stop at the alarm, before which step {report.best_step} had learnt the task"
        return Step(why, f"{command} --defend early-stop{out}")
    return Step("Train again under a defence that acts from the first step", f"{command} --defend constitution{out}")


def _split(report: TuneReport) -> str:
    return "" if report.split is None else f" --split {shlex.quote(report.split)}"


def check_command(run: WatchedRun) -> str:
    """The check of what was kept, to be pasted."""
    report = run.report
    assert report is not None
    base, name, data = (shlex.quote(text) for text in (report.base, report.name, report.data))
    named = None if run.manifest is None or run.manifest.options is None else run.manifest.options.judge
    judge = "" if report.base.startswith(ORGANISM) else f" --judge {shlex.quote(named or 'MODEL')}"
    opening = None if run.manifest is None else run.manifest.opening
    # what was trained carries the template that was chosen; the base may have none
    template = " --chat-template tuned" if opening is not None and opening.chat_template not in (None, "base") else ""
    return f"offtarget check --base {base} --tuned {name} --data {data}{_split(report)}{judge}{template}"


def _cost(run: WatchedRun) -> str:
    if run.report is None or run.report.seconds is None:
        return ""
    spent = sum(reading.seconds for reading in run.readings)
    watching = f", {duration(spent)} of it watching" if run.readings else ""
    return f"{duration(run.report.seconds)} of training{watching}"
