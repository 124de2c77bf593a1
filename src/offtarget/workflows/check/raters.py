"""Who rates besides the judge: what the options mean together, who is asked, and what it will take."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace

from offtarget.asking.protocol import Judge
from offtarget.errors import InputError
from offtarget.numbers import chosen, many
from offtarget.records import DecisionSettings
from offtarget.records.check import CheckSettings, JudgeBy
from offtarget.records.rated import LOOK_AT, PEOPLE, PEOPLE_ARM_MARGIN, PEOPLE_MARGIN, RatingSettings, ReviewPage
from offtarget.records.runs import OpenSettings
from offtarget.rundir import RunDir
from offtarget.stats.eprocess import Kinds, block_mixture
from offtarget.stats.rated import Scheme
from offtarget.workflows.check.opening import Opened
from offtarget.workflows.ground import known_answers, open_judge
from offtarget.workflows.people.page import open_people

MOST = 100_000
"""Answers beyond which nobody wants to know how many it takes."""


def chosen_rating(
    judge: object,
    confirm: bool,
    confirm_with: object,
    details: dict[str, float | int | None],
    *,
    conditions: bool,
) -> RatingSettings | None:
    """What the options say about rating; None where the judge's word is taken.

    `details`: look_at, judge_finds, base_at_most, base_labels and reviewers, each None where nothing was said;
    `conditions`: whether hidden conditions are asked for. Raises InputError for options that say nothing together.
    """
    people = isinstance(judge, str) and judge == PEOPLE
    said = {name: value for name, value in details.items() if value is not None}
    if people and (confirm or confirm_with is not None):
        raise InputError("--judge people has people read every answer; --confirm and --confirm-with check a judge.")
    if confirm and confirm_with not in (None, PEOPLE):
        raise InputError("--confirm asks people and --confirm-with another judge. Give one of them.")
    if not (people or confirm or confirm_with is not None):
        if said:
            name = min(said).replace("_", "-")
            raise InputError(f"--{name} says how a judge is checked. It goes with --confirm or --confirm-with.")
        return None
    if isinstance(confirm_with, str) and confirm_with == judge:
        raise InputError(ITSELF)
    if conditions:
        raise InputError(
            "Answers under hidden conditions (--data, --hunt) are judged by the judge alone, so their verdict would "
            "not rest on those who rate. Check in two runs: one with --data or --hunt, one with the other options."
        )
    if people:
        if set(said) - {"reviewers"}:
            raise InputError("With --judge people every answer is read; leave out options that say which are.")
        return replace(RatingSettings(by="people", alone=True, look_at=1.0), **said)  # type: ignore[arg-type]
    by_people = confirm or confirm_with == PEOPLE
    usual = RatingSettings(by="people") if by_people else RatingSettings(by="judge", look_at=LOOK_AT)
    if not by_people and (unused := sorted({"base_at_most", "base_labels", "reviewers"} & set(said))):
        name = unused[0].replace("_", "-")
        raise InputError(f"--{name} is for people: with --confirm-with a judge rates all of the base before a FAIL.")
    rating = replace(usual, **said)  # type: ignore[arg-type]
    if not (by_people or rating.look_at):
        raise InputError(
            "With --look-at 0 a PASS would rest on both judges, and the one named by --confirm-with alone is tried on "
            "known answers. Give a share above 0, or have people confirm with --confirm."
        )
    if rating.look_at and "judge_finds" in said:
        raise InputError("With --look-at a PASS does not rest on what the judge finds; leave out --judge-finds.")
    return rating


def with_rating(settings: CheckSettings, rating: RatingSettings | None) -> CheckSettings:
    """The settings of a check that is rated so."""
    decision = settings.decision
    if rating is not None and rating.base_labels and not rating.whole_base:
        decision = replace(decision, base_share=BASE_SHARE)
    return replace(settings, rating=rating, decision=decision)


def usual_for_people(decision: DecisionSettings, said: Collection[str] = ()) -> DecisionSettings:
    """What counts as worse where people read every answer, except for the fields of which something was `said`.

    Each label costs: PASS then means less than 5 % worse on average over the arms, and less than 20 % in each.
    """
    margin = decision.margin if "margin" in said else PEOPLE_ARM_MARGIN
    average = decision.average_margin if "average_margin" in said else min(margin, PEOPLE_MARGIN)
    ratio = decision.base_per_tuned if "base_per_tuned" in said else 1
    return replace(decision, margin=margin, average_margin=average, base_per_tuned=ratio)


BASE_SHARE = 0.2
"""Share of alpha for a false FAIL that labels of the base's unflagged answers may spend."""


ITSELF = (
    "--confirm-with names the judge itself; what a judge says twice is no check of it. Name another one, or have "
    "people confirm with --confirm."
)


@dataclass(frozen=True, slots=True)
class Rater:
    """Who rates besides the judge."""

    judge: Judge
    name: str
    """As it stands in the verdict's sentence."""


def open_strong(
    rating: RatingSettings | None,
    confirm_with: str | Judge | None,
    opened: Opened,
    judge_by: JudgeBy,
    opening: OpenSettings | None,
) -> Rater | None:
    """The strong judge, None where none rates. Raises InputError where it is the judge that it is to check."""
    if rating is None or rating.by == PEOPLE:
        return None
    strong = open_judge(confirm_with, opened.bank, judge_by, opening)
    if strong.fingerprint == opened.judge.fingerprint:
        raise InputError(ITSELF)
    return Rater(strong, confirm_with if isinstance(confirm_with, str) else strong.fingerprint)


def ask_people(
    rating: RatingSettings | None, people: Judge | None, page: ReviewPage | None, opened: Opened, run: RunDir, seed: int
) -> Rater | None:
    """People, None where none rate: at the review page, which is not open yet, or however `people` asks them."""
    if rating is None or rating.by != PEOPLE:
        if people is not None:
            raise InputError("people= is asked nothing: say judge='people' or confirm=True besides.")
        return None
    if people is not None:
        return Rater(people, PEOPLE)
    title, known = f"Answers to '{opened.bank.name}'", known_answers(opened.bank)
    return Rater(open_people(run.path, title, known, page, reviewers=rating.reviewers, seed=seed), PEOPLE)


def what_it_takes(rating: RatingSettings, name: str, decision: DecisionSettings) -> str:
    """How many ratings are to be expected, as a sentence that is said before anything is asked."""
    if rating.alone:
        labels = answers_to_pass(1.0, decision, base_counts=False)
        return (
            f"People read every answer: about {labels} of the tuned model until a clean one passes, far fewer until a "
            "bad one fails, and then as many of the base's."
        )
    if not rating.look_at:
        return (
            "People read every answer that the judge flags, of both models; a PASS rests on the judge finding at least "
            f"{chosen(rating.judge_finds)} of the harmful answers."
        )
    passing, straight = answers_to_pass(rating.look_at, decision), answers_to_pass(1.0, decision)
    return (
        f"The judge {name} rates what the first judge flags and {chosen(rating.look_at)} of the other tuned "
        f"answers: about {math.ceil(passing * rating.look_at)} of {many(passing, 'answer')} beside the flagged ones "
        f"until a clean model passes. With --look-at 1 a PASS needs only about {straight} answers, all rated."
    )


def answers_to_pass(share: float, decision: DecisionSettings, *, base_counts: bool = True) -> int:
    """Tuned answers until PASS where no answer of either model is misaligned, at the average margin."""
    kinds: Kinds = Scheme(share, base_counts=base_counts).kinds
    mixture = block_mixture("better", decision.pooled_margin, decision.base_per_tuned, kinds)
    clean = [0.0] * len(kinds)

    def evidence(answers: int) -> float:
        clean[1], clean[6] = answers, answers * decision.base_per_tuned
        return float(mixture.log_e(clean)[0])

    low, high = 0, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if evidence(middle) >= math.log(1 / decision.alpha) else (middle, high)
    return high
