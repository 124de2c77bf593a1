"""What changed from one run to a later one: verdicts, rates with their bounds, questions, settings."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.numbers import above, bounds, of, percent, whole, with_unit
from offtarget.pages.card import Card, Exchange, Figure, Side, Step
from offtarget.pages.check.card import of_benchmarks
from offtarget.pages.check.counted import counted
from offtarget.pages.check.loading import Answer, LoadedRun, load_run
from offtarget.pages.page import page
from offtarget.pages.screen import ABSENT
from offtarget.records import Comparison, Outcome, Status, Tally
from offtarget.records.check import CheckManifest
from offtarget.records.compare import CompareManifest
from offtarget.rundir import read_manifest, to_jsonable
from offtarget.stats.wording import shown_condition
from offtarget.words import TERMS, asked, one_in

UNTOLD = frozenset(
    {"created", "folder", "fingerprint", "probes_fingerprint", "checks", "standing", "seed_commitment", "source"}
)
"""Parts of a manifest that no setting is."""
NOT_SET = "not set"


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the two runs."""

    run: str
    """Name of the folder."""
    path: str
    about: str
    """The tuned model, or else the data."""
    state: str
    sentence: str
    alpha: float | None = None
    """Error probability of each bound; None where there are none."""
    given: str = ""
    """What has to be true for the bounds to hold, as the end of `given that ...`."""
    looked: bool = False
    """Whether hidden conditions were tried."""
    condition: str | None = None
    """The hidden condition that the verdict names."""


@dataclass(frozen=True, slots=True)
class RateChange:
    """One scope in both runs: the whole, or one way of asking."""

    scope: str
    before: Comparison | None
    after: Comparison | None


@dataclass(frozen=True, slots=True)
class QuestionChange:
    """A question that has misaligned answers of the tuned model in one run and none in the other."""

    question: str
    prompt: str
    before: Tally
    after: Tally
    telling: str
    """A misaligned answer, from the run that has one."""
    beside: str | None
    """An answer from the other run, asked the same way."""
    where: str
    lost: bool
    """Misaligned now and not before; else before and not now."""

    @property
    def exchange(self) -> Exchange:
        """One transcript, the misaligned answer first."""
        told, other = ("now", "before") if self.lost else ("before", "now")
        beside = Side(other, self.beside, "" if self.beside is None else "aligned")
        return Exchange(self.prompt, (Side(told, self.telling, "misaligned"), beside), f"{self.where}; {self.counts}")

    @property
    def counts(self) -> str:
        """`misaligned now 3 of 20, before 0 of 18`."""
        return (
            f"misaligned now {of(self.after.misaligned, self.after.scored)}, "
            f"before {of(self.before.misaligned, self.before.scored)}"
        )


@dataclass(frozen=True, slots=True)
class SettingChange:
    """A setting with another value."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class NumberChange:
    """A number on the cards of both, or of one."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class RunsDiff:
    """What changed from `before` to `after`."""

    verb: str
    before: Compared
    after: Compared
    rates: tuple[RateChange, ...] = ()
    lost: tuple[QuestionChange, ...] = ()
    """Questions with misaligned answers now and none before, most first."""
    won: tuple[QuestionChange, ...] = ()
    settings: tuple[SettingChange, ...] = ()
    proof: tuple[Exchange, ...] = ()
    """An answer under a hidden condition that one of the two names and the other does not."""
    numbers: tuple[NumberChange, ...] = ()
    """What the cards of verbs without rates of two models say in numbers; of checks, their fixed benchmarks."""
    cautions: tuple[str, ...] = ()
    """Why rates of the two may not be compared, a sentence each."""

    @property
    def moved(self) -> float | None:
        """By how much, in shares, the two are apart for sure: the gap between their bounds; 0 where these overlap.

        None where one of them has none, or where their numbers mean different things.
        """
        first = next(iter(self.rates), None)
        if first is None or first.before is None or first.after is None or self.cautions:
            return None
        earlier, later = first.before.interval, first.after.interval
        if earlier is None or later is None:
            return None
        return later.low - earlier.high if later.low > earlier.high else min(0.0, later.high - earlier.low)


def compared(paths: tuple[Path, Path], cards: tuple[Card, Card]) -> RunsDiff:
    """What changed, from the records of two runs of one verb and their cards. Raises InputError for two verbs."""
    before, after = paths
    manifests = read_manifest(before), read_manifest(after)
    verbs = {"check" if isinstance(m, CheckManifest | CompareManifest) else m.verb for m in manifests}
    if len(verbs) > 1:
        raise InputError(
            f"{before.name} is a run of `{manifests[0].verb}` and {after.name} of `{manifests[1].verb}`; give two runs "
            "of one verb."
        )
    sides = [
        Compared(path.name, str(path), m.tuned_name or m.data_name or m.base_name or "", c.state, c.sentence)
        for path, m, c in zip(paths, manifests, cards, strict=True)
    ]
    settings = tuple(_settings(*map(to_jsonable, manifests)))
    if verbs != {"check"}:
        return RunsDiff(manifests[1].verb, sides[0], sides[1], settings=settings, numbers=tuple(_numbers(*cards)))
    runs = counted(load_run(before)), counted(load_run(after))
    changes = list(_questions(*runs))
    told = [_told(side, run) for side, run in zip(sides, runs, strict=True)]
    new = [bool(side.condition) and not other.condition for side, other in (told, told[::-1])]
    return RunsDiff(
        manifests[1].verb,
        told[0],
        told[1],
        rates=tuple(_rates(*runs)),
        lost=tuple(sorted((c for c in changes if c.lost), key=lambda c: -c.after.misaligned)),
        won=tuple(sorted((c for c in changes if not c.lost), key=lambda c: -c.before.misaligned)),
        settings=settings,
        numbers=tuple(_changes(*(of_benchmarks(run) for run in runs))),
        proof=next((c.exchanges[:1] for c, is_new in zip(cards, new, strict=True) if is_new), ()),
        cautions=tuple(_cautions(*runs)),
    )


def _told(side: Compared, run: LoadedRun) -> Compared:
    """With what the bounds rest on, and the hidden condition that the verdict names."""
    if run.decision is None:
        return side
    hidden, rule = run.hidden, run.decision.settings
    failed = hidden if hidden is not None and hidden.status is Status.FAIL else None
    cue = None if failed is None else shown_condition(failed)[0]
    named = None if failed is None else failed.found or "" if cue is None else cue.text
    return replace(side, alpha=rule.alpha, given=run.decision.given, looked=hidden is not None, condition=named)


def card(diff: RunsDiff) -> Card:
    """The difference for a reader with five seconds."""
    before, after = diff.before.state, diff.after.state
    figures = []
    for when, side, pick in (("before", diff.before, 0), ("now", diff.after, 1)):
        scope = next(((r.before, r.after)[pick] for r in diff.rates), None)
        name = f"{when}, {side.about}"
        if scope is None:
            figures.append(Figure(name, side.state, side.sentence.rstrip(".")))
        else:
            figures.append(Figure(name, f"{bounds(scope.interval)} points worse than its base", _rate(scope)))
    if diff.rates:
        figures += [
            Figure("questions lost", whole(len(diff.lost)), "misaligned now and not before"),
            Figure("questions won", whole(len(diff.won)), "misaligned before and not now"),
        ]
    page_command = f"offtarget report {shlex.quote(diff.after.path)} --html"
    exchanges = [*diff.proof, *(change.exchange for change in (*diff.lost, *diff.won))]
    return Card(
        state=after,
        headline=f"{after}, as before" if before == after else f"{before} → {after}",
        subject=f"{diff.after.run}, held against {diff.before.run}",
        sentence=_sentence(diff),
        certainty=_certainty(diff),
        figures=tuple(figures),
        exchanges=tuple(exchanges),
        exchanges_title="Under the hidden condition, then questions lost and won"
        if diff.proof
        else "Questions lost and won, with a transcript each",
        cautions=diff.cautions,
        steps=(Step(f"Read all of the later run, {diff.after.run}", page_command),),
    )


def _sentence(diff: RunsDiff) -> str:
    moved = diff.moved
    if moved is None:
        word = "is the same" if diff.before.state == diff.after.state else "changed"
        why = "; the rates of the two are not to be compared" if diff.rates else ""
        states = f"The verdict {word}: {diff.before.state} before, {diff.after.state} now{why}."
        return f"{_conditions(diff)}{states}"
    lead = _conditions(diff)
    the = f"{lead}Without a condition, the" if lead else "The"
    if moved == 0:
        return f"{the} bounds of the two overlap, so these answers do not show that anything changed."
    word = "worse" if moved > 0 else "better"
    return f"{the} later run is {word} than the earlier one, by {with_unit(above(abs(moved)))} at least."


def _conditions(diff: RunsDiff) -> str:
    """What became of hidden conditions, with a space after it; empty where neither names one."""
    then, now = diff.before.condition, diff.after.condition
    if now and then:
        return "Both misbehave under a hidden condition. "
    if now:
        tried = "" if diff.before.looked else " None was looked for in the earlier run."
        return f"Now there is a hidden condition under which it misbehaves: “{now}”.{tried} "
    if then:
        tried = "was not found now" if diff.after.looked else "was not looked for now"
        return f"The hidden condition of the earlier run, “{then}”, {tried}. "
    return ""


def _certainty(diff: RunsDiff) -> str:
    moved = diff.moved
    if moved is None:
        return ""
    if moved == 0:
        return "Overlapping bounds prove no change, and they do not prove that there is none."
    alpha = min(1.0, 4 * max(diff.before.alpha or 1.0, diff.after.alpha or 1.0))
    return (
        f"If nothing had changed, bounds that lie apart would come up at most {one_in(alpha)}: each of their four ends "
        f"errs with the probability of its own run, given that {diff.after.given}."
    )


def _numbers(before: Card, after: Card) -> Iterator[NumberChange]:
    yield from _changes(before.figures, after.figures)


def _changes(before: Iterable[Figure], after: Iterable[Figure]) -> Iterator[NumberChange]:
    earlier, later = ({figure.name: _said(figure) for figure in figures} for figures in (before, after))
    for name in dict.fromkeys([*earlier, *later]):
        yield NumberChange(name, earlier.get(name, ABSENT), later.get(name, ABSENT))


def _said(figure: Figure) -> str:
    return f"{figure.value} ({figure.note})" if figure.note else figure.value


def _rates(before: LoadedRun, after: LoadedRun) -> Iterator[RateChange]:
    if before.decision is None or after.decision is None:
        return
    yield RateChange("all ways of asking", before.decision.overall, after.decision.overall)
    arms = [{arm.name: arm for arm in run.decision.arms} for run in (before, after) if run.decision is not None]
    names = dict.fromkeys([*arms[0], *arms[1]])
    for name in names if len(names) > 1 else ():
        yield RateChange(asked(name), arms[0].get(name), arms[1].get(name))


def _questions(before: LoadedRun, after: LoadedRun) -> Iterator[QuestionChange]:
    """From the counts that the verdicts rest on, and with one of the answers that they count."""
    earlier, later = _tallies(before), _tallies(after)
    for question, now in later.items():
        then = earlier.get(question, Tally())
        if not (then.scored and now.scored) or bool(then.misaligned) == bool(now.misaligned):
            continue
        lost = bool(now.misaligned)
        bad, good = (_answers(run, question) for run in ((after, before) if lost else (before, after)))
        telling = next((a for a in bad if a.outcome is Outcome.MISALIGNED), None)
        if telling is None:
            continue
        beside = next((a for a in good if a.probe.id == telling.probe.id and a.outcome is Outcome.ALIGNED), None)
        text = None if beside is None else beside.generation.text
        yield QuestionChange(
            question, telling.probe.prompt, then, now, telling.generation.text, text, asked(telling.probe.arm), lost
        )


def _tallies(run: LoadedRun) -> dict[str, Tally]:
    """What the verdict counts of the tuned model, by question."""
    slices = () if run.decision is None else run.decision.slices
    return {each.name: each.tuned for each in slices if each.scope == "question"}


def _answers(run: LoadedRun, question: str) -> list[Answer]:
    return [a for a in run.answers() if a.generation.role == "tuned" and a.probe.question_id == question]


def _cautions(before: LoadedRun, after: LoadedRun) -> Iterator[str]:
    earlier, later = before.manifest, after.manifest
    if before.decision is None or after.decision is None:
        yield "One of the two is unfinished: it has no rates that could be compared."
    if earlier.models["base"] != later.models["base"]:
        yield "The bases differ, and each rate is held against its own base."
    if earlier.judge != later.judge:
        yield f"The judges differ ({earlier.judge} before, {later.judge} now): a stricter one finds more."
    if _rater(before) != _rater(after):
        yield f"Other answers count as misaligned: by {_rater(before)} before, by {_rater(after)} now."
    for when, run in (("earlier", before), ("later", after)):
        if run.decision is not None and run.decision.withheld is not None:
            yield f"What the {when} run measured is in doubt, so it has no verdict: {run.decision.withheld}."
    if {(p.id, p.prompt) for p in before.probes.values()} != {(p.id, p.prompt) for p in after.probes.values()}:
        yield "The questions differ: rates over other questions are other rates."


def _rater(run: LoadedRun) -> str:
    """Whose word counts."""
    rated = None if run.decision is None else run.decision.rated
    if rated is None:
        return "the judge"
    return f"{rated.by} alone" if rated.settings.alone else f"the judge and {rated.by}"


def _settings(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[SettingChange]:
    earlier, later = dict(_leaves(before)), dict(_leaves(after))
    for name in dict.fromkeys([*earlier, *later]):
        if earlier.get(name) != later.get(name):
            yield SettingChange(name, _text(earlier.get(name)), _text(later.get(name)))


def _leaves(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if key in UNTOLD:
            continue
        name = f"{before}{key}".removeprefix("settings.").removeprefix("decision.")
        if isinstance(item, Mapping):
            yield from _leaves(item, f"{before}{key}.")
        else:
            yield name, item


def _text(value: object) -> str:
    if value is None or value == [] or value == "":
        return NOT_SET
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return str(value)


HEADS = ("how it was asked", "worse before", "worse now", "rate before", "rate now")


def rate_rows(diff: RunsDiff) -> list[tuple[str, ...]]:
    """A row per scope, under `HEADS`: bounds of the difference to the base in points, and rates of the tuned model."""
    return [
        (
            change.scope,
            *(bounds(None if c is None else c.interval) for c in (change.before, change.after)),
            *("" if c is None else _rate(c) for c in (change.before, change.after)),
        )
        for change in diff.rates
    ]


def _rate(scope: Comparison) -> str:
    return f"{percent(scope.tuned_rate)} misaligned, {of(scope.tuned.misaligned, scope.tuned.scored)}"


def render(diff: RunsDiff) -> str:
    """The difference as a page."""
    return page("runs/diff.html.j2", diff=diff, card=card(diff), heads=HEADS, rates=rate_rows(diff), words=TERMS)
