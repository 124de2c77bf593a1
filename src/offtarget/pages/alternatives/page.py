"""A comparison of alternatives to training: its one sentence, the words around it, and the page."""

from __future__ import annotations

from offtarget.numbers import NO_DATA, between, chosen, difference, hundredths, hundredths_range, percent
from offtarget.pages.page import page
from offtarget.records import Interval
from offtarget.records.alternatives import AlternativesReport, Gain, Way, WayResult

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


def render(report: AlternativesReport) -> str:
    """The comparison as one self-contained HTML page."""
    return page(
        "alternatives/alternatives.html.j2",
        "alternatives/alternatives.css",
        report=report,
        rows=ROWS,
        status=colour(report),
        sentence=sentence(report),
        rule=rule(report),
        score=score,
        misaligned=misaligned,
        gain=gain,
    )


def sentence(report: AlternativesReport) -> str:
    """Whether fine-tuning earns its risk, in one sentence."""
    if report.verdict == "do not train":
        assert report.best is not None
        return _do_not_train(report, report.way(report.best)) + _others(report)
    return _worth(report) if report.verdict == "worth considering" else _undecided(report)


def colour(report: AlternativesReport) -> str:
    """The style of the verdict: red where tuning is worth considering and shown to be risky."""
    if report.verdict == "undecided":
        return "UNDECIDED"
    risky = report.verdict == "worth considering" and report.way("tuned").safety == "risky"
    return "FAIL" if risky else "PASS"


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
    return percent(way.misaligned) + _bracket(way.misaligned_interval) + counts


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
            f"Do not train: {name} {percent(way.score)} already, so that training can gain at most "
            f"{hundredths(1 - way.score_interval.low)} points; {percent(way.misaligned)} of the answers are misaligned."
        )
    tuned, most = report.way("tuned"), _gain_over(report, way.way).interval
    assert most is not None
    share = f"{percent(way.score / tuned.score)} of what tuning reaches" if way.score and tuned.score else "as much"
    return (
        f"Do not train: {name} {share} ({percent(way.score)} against {percent(tuned.score)}; tuning gains at most "
        f"{hundredths(max(0.0, most.high))} points), with {percent(way.misaligned)} misaligned answers against "
        f"{percent(tuned.misaligned)}."
    )


def _others(report: AlternativesReport) -> str:
    """A clause on alternatives that would do as well, the named one being the simplest."""
    others = [way for way in report.sufficient if way != report.best]
    if not others:
        return ""
    names = " and ".join(NAMES[way] for way in others)
    return f" {names[:1].upper()}{names[1:]} would do too."


def _worth(report: AlternativesReport) -> str:
    assert report.best is not None
    over = _gain_over(report, report.best)
    tuned, base = report.way("tuned"), report.way("base")
    rates = f"{percent(tuned.misaligned)} misaligned answers against {percent(base.misaligned)} of the base alone"
    gains = f"it gains {hundredths(over.gain or 0.0)} points{_signed_bracket(over.interval)} over {NAMES[report.best]}"
    cost = {
        "risky": f"it costs {rates}: train with a defence and check again",
        "safe": f"it costs next to nothing in safety ({rates})",
        "unclear": f"what it costs is not clear yet ({rates})",
    }[tuned.safety]
    among = "the best alternative that is not risky itself" if _risky(report) else "the best alternative"
    return f"Tuning is worth considering: {gains}, {among}; {cost}.{_risky(report)}"


def _undecided(report: AlternativesReport) -> str:
    if report.best is None:
        return "Undecided: no answer to a held-out prompt was scored."
    way = report.way(report.best)
    if report.tuned is None:
        return _undecided_without_tuned(report, way)
    over = _gain_over(report, report.best)
    gains = f"tuning gains {hundredths(over.gain or 0.0)} points{_signed_bracket(over.interval)} over {NAMES[way.way]}"
    margin = f"the margin of {hundredths(report.settings.margin)}"
    if over.interval is not None and over.interval.high <= report.settings.margin:
        return (
            f"Undecided: {gains}, which is within {margin}, but whether {NAMES[way.way]} are safe is not shown "
            f"({percent(way.misaligned)} misaligned answers against {percent(report.way('base').misaligned)} of the "
            f"base alone); more --plain-answers would tell.{_risky(report)}"
        )
    return (
        f"Undecided: {gains}, which is shown to be neither within {margin} nor beyond it; more held-out prompts would "
        f"tell.{_risky(report)}"
    )


def _undecided_without_tuned(report: AlternativesReport, way: WayResult) -> str:
    assert way.score is not None
    most = 1.0 if way.score_interval is None else 1 - way.score_interval.low
    if most <= report.settings.margin:
        next_step = "whether they are safe is not shown; more --plain-answers would tell"
    elif way.score >= 1 - report.settings.margin:
        next_step = "more held-out prompts would tell"
    else:
        next_step = "tune on training-rows.jsonl and give --tuned"
    return (
        f"Undecided without a tuned model: the best alternative, {NAMES[way.way]}, scores {score(way)}, so that "
        f"training can gain at most {hundredths(most)} points; {next_step}.{_risky(report)}"
    )


def _risky(report: AlternativesReport) -> str:
    """A clause on alternatives that are themselves more misaligned than the base."""
    risky = [way for way in report.ways if way.way != "tuned" and way.safety == "risky"]
    if not risky:
        return ""
    said = " and ".join(
        f"{NAMES[w.way]} ({percent(w.score)} of the task, {percent(w.misaligned)} misaligned)" for w in risky
    )
    return f" Not counted, as they bring misaligned answers themselves: {said}."


def _gain_over(report: AlternativesReport, way: Way) -> Gain:
    return next(gain for gain in report.gains if gain.way == way)


def _verb(way: Way, many: str, one: str) -> str:
    return f"{NAMES[way]} {one if way == 'base' else many}"


def _bracket(interval: Interval | None) -> str:
    return "" if interval is None else f" ({hundredths_range(interval)})"


def _signed_bracket(interval: Interval | None) -> str:
    return "" if interval is None else f" ({between(interval)})"
