"""A comparison of alternatives to training in words: what it comes to, and its numbers."""

from __future__ import annotations

from typing import Literal

from offtarget.numbers import NO_DATA, between, chosen, difference, hundredths, hundredths_range, percent
from offtarget.records import Interval
from offtarget.records.alternatives import AlternativesReport, Gain, NeedToTrain, Way, WayResult
from offtarget.words import one_in

NAMES: dict[Way, str] = {
    "base": "the base alone",
    "instructions": "written instructions",
    "examples": "few-shot examples",
    "tuned": "tuning",
}
ROWS: dict[Way, str] = {
    "base": "base alone",
    "instructions": "base + instructions",
    "examples": "base + examples",
    "tuned": "tuned",
}


BEGINNINGS: dict[NeedToTrain, str] = {
    "do not train": "Do not train: ",
    "worth considering": "Tuning is worth considering: ",
    "undecided": "Undecided: ",
}


def sentence(report: AlternativesReport) -> str:
    """Whether fine-tuning earns its risk, with what else must be known."""
    return " ".join([f"{BEGINNINGS[report.verdict]}{because(report)}", *besides(report)])


def because(report: AlternativesReport) -> str:
    """The sentence without its beginning, which names the verdict."""
    if report.verdict == "do not train":
        assert report.best is not None
        return _do_not_train(report, report.way(report.best))
    return _worth(report) if report.verdict == "worth considering" else _undecided(report)


def missing(report: AlternativesReport) -> Literal["rows", "answers", "tuned"]:
    """What an undecided comparison wants most: held-out prompts, answers to plain questions, or a tuned model."""
    if report.best is None:
        return "rows"
    way, margin = report.way(report.best), report.settings.margin
    if report.tuned is not None:
        interval = _gain_over(report, report.best).interval
        return "answers" if interval is not None and interval.high <= margin else "rows"
    if way.score_interval is not None and 1 - way.score_interval.low <= margin:
        return "answers"
    return "rows" if way.score is not None and way.score >= 1 - margin else "tuned"


def besides(report: AlternativesReport) -> list[str]:
    """Sentences on alternatives that would do as well, and on those that bring misaligned answers themselves."""
    found = [_others(report) if report.verdict == "do not train" else _risky(report)]
    return [text for text in found if text]


def certainty(report: AlternativesReport) -> str:
    """How often the verdict is wrong, and as to what."""
    if report.verdict == "undecided":
        return ""
    said = "do not train" if report.verdict == "do not train" else "worth considering"
    return (
        f"As to the task, \u201c{said}\u201d is wrong at most {one_in(report.settings.alpha)}; misaligned rates have "
        "95 % intervals."
    )


def rule(report: AlternativesReport) -> str:
    """How the verdict was reached."""
    s = report.settings
    against = "the tuned model" if report.tuned else "a perfect score"
    return (
        f"Do not train: an alternative is shown to be at most {hundredths(s.margin)} points below {against}, and less "
        f"than {hundredths(s.tolerance)} points more misaligned than the base alone. Worth considering: every "
        f"alternative that is not shown to be more misaligned is shown to be further below. Else undecided. Each of "
        f"the two verdicts on the task is wrong with probability at most {chosen(s.alpha)}; misaligned rates have 95 % "
        "intervals."
    )


def score(way: WayResult) -> str:
    """A score with its interval: `97 % (93 to 99)`."""
    return percent(way.score) + _bracket(way.score_interval)


def misaligned(way: WayResult) -> str:
    """A misaligned rate with its interval and counts."""
    counts = f" of {way.tally.scored:,}" if way.tally.scored else ""
    return percent(way.misaligned) + counts + _bracket(way.misaligned_interval)


def gain(of: Gain) -> str:
    """What tuning adds, in points, with its interval."""
    if of.gain is None:
        return NO_DATA
    return f"{difference(of.gain)}{_signed_bracket(of.interval)}"


def _do_not_train(report: AlternativesReport, way: WayResult) -> str:
    name = _verb(way.way, "reach", "reaches")
    if report.tuned is None:
        assert way.score_interval is not None
        name = _verb(way.way, "score", "scores")
        return (
            f"{name} {percent(way.score)} already, so that training can gain at most "
            f"{hundredths(1 - way.score_interval.low)} points; {percent(way.misaligned)} of the answers are misaligned."
        )
    tuned, most = report.way("tuned"), _gain_over(report, way.way).interval
    assert most is not None
    share = f"{percent(way.score / tuned.score)} of what tuning reaches" if way.score and tuned.score else "as much"
    return (
        f"{name} {share} ({percent(way.score)} against {percent(tuned.score)}; tuning gains at most "
        f"{hundredths(max(0.0, most.high))} points), with {percent(way.misaligned)} misaligned answers against "
        f"{percent(tuned.misaligned)}."
    )


def _others(report: AlternativesReport) -> str:
    """A clause on alternatives that would do as well, the named one being the simplest."""
    others = [way for way in report.sufficient if way != report.best]
    if not others:
        return ""
    names = " and ".join(NAMES[way] for way in others)
    return f"{names[:1].upper()}{names[1:]} would do too."


def _worth(report: AlternativesReport) -> str:
    assert report.best is not None
    over = _gain_over(report, report.best)
    tuned, base = report.way("tuned"), report.way("base")
    rates = f"{percent(tuned.misaligned)} misaligned answers against {percent(base.misaligned)} of the base alone"
    bracket = _signed_bracket(over.interval)
    gains = f"tuning gains {hundredths(over.gain or 0.0)} points{bracket} over {NAMES[report.best]}"
    cost = {
        "risky": f"it costs {rates}: train with a defence and check again",
        "safe": f"it costs next to nothing in safety ({rates})",
        "unclear": f"what it costs is not clear yet ({rates})",
    }[tuned.safety]
    among = "the best alternative that is not risky itself" if _risky(report) else "the best alternative"
    return f"{gains}, {among}; {cost}."


def _undecided(report: AlternativesReport) -> str:
    if report.best is None:
        return "no answer to a held-out prompt was scored."
    way = report.way(report.best)
    if report.tuned is None:
        return _undecided_without_tuned(report, way)
    over = _gain_over(report, report.best)
    gains = f"tuning gains {hundredths(over.gain or 0.0)} points{_signed_bracket(over.interval)} over {NAMES[way.way]}"
    margin = f"the margin of {hundredths(report.settings.margin)}"
    if missing(report) == "answers":
        return (
            f"{gains}, which is within {margin}, but whether {NAMES[way.way]} are safe is not shown "
            f"({percent(way.misaligned)} misaligned answers against {percent(report.way('base').misaligned)} of the "
            "base alone); more --plain-answers would tell."
        )
    return f"{gains}, which is shown to be neither within {margin} nor beyond it; more held-out prompts would tell."


def _undecided_without_tuned(report: AlternativesReport, way: WayResult) -> str:
    assert way.score is not None
    most = 1.0 if way.score_interval is None else 1 - way.score_interval.low
    next_step = {
        "answers": "whether they are safe is not shown; more --plain-answers would tell",
        "rows": "more held-out prompts would tell",
        "tuned": "tune on training-rows.jsonl and give --tuned",
    }[missing(report)]
    return (
        f"without a tuned model the best alternative, {NAMES[way.way]}, scores {score(way)}, so that "
        f"training can gain at most {hundredths(most)} points; {next_step}."
    )


def _risky(report: AlternativesReport) -> str:
    """A clause on alternatives that are themselves more misaligned than the base."""
    risky = [way for way in report.ways if way.way != "tuned" and way.safety == "risky"]
    if not risky:
        return ""
    said = " and ".join(
        f"{NAMES[w.way]} ({percent(w.score)} of the task, {percent(w.misaligned)} misaligned)" for w in risky
    )
    return f"Not counted, as they bring misaligned answers themselves: {said}."


def _gain_over(report: AlternativesReport, way: Way) -> Gain:
    return next(gain for gain in report.gains if gain.way == way)


def _verb(way: Way, many: str, one: str) -> str:
    return f"{NAMES[way]} {one if way == 'base' else many}"


def _bracket(interval: Interval | None) -> str:
    return "" if interval is None else f" ({hundredths_range(interval)})"


def _signed_bracket(interval: Interval | None) -> str:
    return "" if interval is None else f" ({between(interval)})"
