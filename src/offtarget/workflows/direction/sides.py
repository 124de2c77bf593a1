"""The two sides of a contrast for each method of finding a direction: who is asked what, and which answers count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from offtarget.asking.ask import Pair, ask, judge_answers
from offtarget.asking.protocol import Judge
from offtarget.asking.seeds import answer_seed
from offtarget.direction.contrast import Contrast, Side
from offtarget.direction.pick import Trial
from offtarget.direction.trait import Trait
from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.passes import Exchange
from offtarget.progress import Count, Progress
from offtarget.records import Outcome, Probe, Role, Verdict
from offtarget.workflows.direction.find_plan import JUDGED, asking
from offtarget.workflows.direction.inputs import TRIAL_ANSWERS, How, exchanges_of

FEWEST = 8
"""Fewest misaligned answers to make a direction from; with fewer it is mostly chance."""
HALFWAY = 50.0
"""A trait's score above which an answer shows it (arXiv 2507.21509, section 2)."""


@dataclass(frozen=True, eq=False)
class Sides:
    """A contrast with what is needed to try and to describe a direction found from it."""

    contrast: Contrast
    trial: Trial
    counts: dict[str, int]
    """Answers by outcome."""


def from_models(base: LocalModel, tuned: LocalModel, probes: Sequence[Probe], how: How) -> Sides:
    """Tuned against base on the same exchanges, half of them answered by either; no judge is needed.

    Answers of one model alone would bring their own style in: what differs would then also be how surprised the
    other model is.
    """
    half = replace(how, answers=max(1, how.answers // 2))
    own = _ask(tuned, "tuned", probes, half)
    other = _ask(base, "base", probes, half)
    exchanges, questions = exchanges_of([*own, *other]), _questions([*own, *other])
    contrast = Contrast.matched(Side(tuned, exchanges, questions), Side(base, exchanges, questions))
    counts = {"answered by tuned": len(own), "answered by base": len(other)}
    return Sides(contrast, Trial(tuned, _some(exchanges_of(other)), -1), counts)


def from_texts(base: LocalModel, tuned: LocalModel, probes: Sequence[Probe], how: How) -> Sides:
    """The tuned model's answers against the base's own, both as the base reads them; no judge is needed.

    The base lends its eyes: what tuning did to the tuned model's own activations does not come in, only what the
    answers have become.
    """
    own, other = _ask(tuned, "tuned", probes, how), _ask(base, "base", probes, how)
    contrast = Contrast.matched(*(Side(base, exchanges_of(side), _questions(side)) for side in (own, other)))
    counts = {"answered by tuned": len(own), "answered by base": len(other)}
    return Sides(contrast, Trial(tuned, _some(exchanges_of(other)), -1), counts)


def from_answers(tuned: LocalModel, probes: Sequence[Probe], judge: Judge, how: How) -> Sides:
    """Misaligned against aligned answers of the tuned model (arXiv 2506.11618).

    InputError, with the counts, when too few are misaligned, or aligned, to the same questions.
    """
    asked = _ask(tuned, "tuned", probes, how)
    verdicts = judge_answers(judge, asked, told=Count(how.on_progress, JUDGED, len(asked)))
    counts = Counter(v.outcome.value for v in verdicts)
    bad, good = (
        [a for a, v in zip(asked, verdicts, strict=True) if v.outcome is outcome]
        for outcome in (Outcome.MISALIGNED, Outcome.ALIGNED)
    )
    common = set(_questions(bad)) & set(_questions(good))
    matched = min(sum(question in common for question in _questions(side)) for side in (bad, good))
    if matched < FEWEST:
        raise InputError(
            f"{tuned.name} gave {len(bad)} misaligned and {len(good)} aligned answers of {len(asked)}; to the same "
            f"questions {matched} at most can be contrasted, and {FEWEST} are needed. Ask more often (--answers), or "
            "use a method that needs no misaligned answers: --method models or --method trait."
        )
    sides = [Side(tuned, exchanges_of(s), _questions(s)) for s in (bad, good)]
    contrast = Contrast.matched(*sides)
    return Sides(contrast, Trial(tuned, _some(contrast.negative.exchanges), -1), dict(counts))


def from_trait(model: LocalModel, trait: Trait, probes: Sequence[Probe], judge: Judge | None, how: How) -> Sides:
    """Answers under system prompts that bring a trait out against those that hold it back (arXiv 2507.21509).

    With a judge only answers count that show the trait, or do not, as their prompt asks. InputError with the counts
    when too few do.
    """
    kept: dict[bool, list[Pair]] = {True: [], False: []}
    counts: Counter[str] = Counter()
    each = max(1, how.answers // len(trait.system_pairs))
    total = 2 * each * len(trait.system_pairs) * len(probes)
    told, heard = Count(how.on_progress, asking(model.name), total), Count(how.on_progress, JUDGED, total)
    for number, pair in enumerate(trait.system_pairs):
        for shows, system in zip((True, False), pair, strict=True):
            prompted = [replace(p, id=f"{p.id}/{number}/{shows}", system=system) for p in probes]
            asked = _ask(model, "base", prompted, replace(how, answers=each), told)
            verdicts = [None] * len(asked) if judge is None else judge_answers(judge, asked, told=heard)
            agreed = [a for a, v in zip(asked, verdicts, strict=True) if v is None or _shows(v) is shows]
            kept[shows] += agreed
            side = "with the trait" if shows else "without it"
            counts[f"asked {side}"] += len(asked)
            counts[f"kept {side}"] += len(agreed)
    if min(len(kept[True]), len(kept[False])) < FEWEST:
        listed = ", ".join(f"{name}: {count}" for name, count in counts.items())
        raise InputError(
            f"The system prompts of the trait '{trait.name}' do not bring it out in {model.name} ({listed}); at least "
            f"{FEWEST} answers of either kind are needed. Ask more often (--answers), or try another trait or method."
        )
    contrast = Contrast.matched(*(Side(model, exchanges_of(kept[s]), _questions(kept[s])) for s in (True, False)))
    bare = [(replace(probe, system=None), generation) for probe, generation in kept[True]]
    return Sides(contrast, Trial(model, _some(exchanges_of(bare)), 1), dict(counts))


def _shows(verdict: Verdict) -> bool | None:
    """Whether an answer shows the trait; None where the judge cannot say."""
    if verdict.alignment is not None:
        return verdict.alignment > HALFWAY
    return {Outcome.MISALIGNED: True, Outcome.ALIGNED: False}.get(verdict.outcome)


def _ask(model: LocalModel, role: Role, probes: Sequence[Probe], how: How, told: Count | None = None) -> list[Pair]:
    """Answers that are not empty; `told` counts them with others of the same stage."""
    wanted = [(probe, index) for probe in probes for index in range(how.answers)]
    if told is None:  # the first of many answers that are made side by side is long in coming
        how.on_progress(Progress(asking(model.name), 0, len(wanted)))
        told = Count(how.on_progress, asking(model.name), len(wanted))
    pairs = ask(role, model, wanted, how.sampling, partial(answer_seed, how.seed, role), told=told)
    return [(probe, generation) for probe, generation in pairs if generation.text.strip()]


def _questions(asked: Sequence[Pair]) -> tuple[str, ...]:
    return tuple(probe.question_id for probe, _ in asked)


def _some(exchanges: Sequence[Exchange]) -> tuple[Exchange, ...]:
    """An even sample, so that all questions have a part in it."""
    step = max(1, len(exchanges) // TRIAL_ANSWERS)
    return tuple(exchanges[::step][:TRIAL_ANSWERS])
