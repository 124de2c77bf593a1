"""How a check or a comparison was decided: what `-v` prints under its card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from offtarget.numbers import (
    NO_DATA,
    below,
    between,
    bounds,
    chosen,
    chosen_points,
    difference,
    e_value,
    many,
    needed_e_value,
    of,
    percent,
    points,
    with_unit,
)
from offtarget.pages.screen import ABSENT, Screen, shortened
from offtarget.pages.text import sentence
from offtarget.records import (
    Comparison,
    CueFinding,
    Decision,
    DecisionSettings,
    HiddenDecision,
    Reproduction,
    Status,
    Tally,
)
from offtarget.records.check import UnderPressure
from offtarget.words import NOT_WORSE, WORSE, asked, one_in

CONDITIONS = 5
"""Hidden conditions that are listed."""
GLOSSARY = "docs/glossary.md"
KINDS = ("scored", "refused", "incoherent", "code", "unscored")


def print_details(decision: Decision, out: Screen, hidden: HiddenDecision | None = None) -> None:
    """Rates and bounds by way of asking, the evidence, denominators, conditions, and how the answers came about."""
    if decision.overall.base.total or decision.overall.tuned.total:
        _print_arms(decision, out)
        _print_denominators(decision, out)
        out.blank()
        for line in [*explained(decision), *_worst(decision)]:
            out.say(line)
    if hidden is not None:
        _print_hidden(hidden, decision.settings, out)
    if decision.pressed is not None:
        _print_pressed(decision.pressed, decision.settings, out)
    notes = () if hidden is None else hidden.notes
    came = [sentence(line) for line in (*decision.read_with, *decision.asides, *notes)]
    if decision.set_aside:
        came.append(f"Set aside for want of scored answers, not counted above: {_names(decision.set_aside)}.")
    if came:
        out.heading("How the answers came about")
    for line in came:
        out.say(line)
    out.blank()
    out.say(f"What the words mean: {GLOSSARY}, and the end of the page.")


def rate_cell(rate: float | None, tally: Tally) -> str:
    """`0.4 % (8 of 2,026)`: the rate weighs questions equally, the counts are plain counts."""
    return NO_DATA if rate is None else f"{percent(rate)} ({of(tally.misaligned, tally.scored)})"


def scope_name(scope: Comparison) -> str:
    """`on average`, `asked for JSON`, `domain money`."""
    if scope.scope == "overall":
        return "on average"
    return asked(scope.name) if scope.scope == "arm" else f"{scope.scope} {scope.name}"


def explained(decision: Decision) -> Iterator[str]:
    """What bounds and evidence say, and what decides."""
    from offtarget.stats.wording import pass_needs  # numpy, which the first line of a check need not wait for

    settings = decision.settings
    worse, wanted = with_unit(chosen_points(settings.tolerance)), pass_needs(decision)
    said = "Bounds: the tuned model is worse by at least the first and by less than the second number of points, wrong "
    said += f"at most {one_in(settings.alpha)}"
    harm, no_harm = needed_e_value(settings.fail_alpha), needed_e_value(settings.alpha)
    if decision.sequential:
        yield f"{said} each, however often one looks. Rates at the stop overstate a difference, bounds do not."
        yield (
            f"FAIL: the {WORSE}, that it is worse by more than {worse}, reaches {harm}. PASS: the {NOT_WORSE}, that it "
            f"is {wanted}, reaches {no_harm}. Either counts at any look; above stands what it was at the stop."
        )
    else:
        yield f"{said}: the first ones all together, each second one by itself, at this one look."
        yield (
            f"FAIL: a first bound of {worse} or more. PASS: second bounds that show it to be {wanted}. Both by an "
            "exact test. The evidence is for answers that are added later: compare these in a table of their own and "
            f"multiply; {no_harm} decides."
        )
    if any(b.counted == "all" for b in decision.bounds):
        yield (
            "Some answers had no score: both verdicts look at scored answers and at all answers, where one without a "
            "score counts as not misaligned. PASS needs both; FAIL pays for both with the weights 3/4 and 1/4."
        )


def _print_arms(decision: Decision, out: Screen) -> None:
    scopes = (decision.overall, *(decision.arms if len(decision.arms) > 1 else ()))
    rows = [
        (
            scope_name(scope),
            rate_cell(scope.tuned_rate, scope.tuned),
            rate_cell(scope.base_rate, scope.base),
            difference(scope.difference),
            bounds(scope.interval),
        )
        for scope in scopes
    ]
    settings, stop = decision.settings, decision.sequential and decision.status is not Status.UNDECIDED
    out.say(f"Misaligned answers by way of asking{', at the stop' if stop else ''}", style="bold")
    out.table(("", "tuned", "base", "difference", f"{chosen(1 - settings.alpha)} bounds"), rows)
    harm, no_harm = needed_e_value(settings.fail_alpha), needed_e_value(settings.alpha)
    evidence = [(scope_name(s), e_value(_harm(s)), e_value(s.log_e_pass), s.status.value) for s in scopes]
    out.table(("", WORSE, NOT_WORSE, "verdict"), evidence, f"Evidence ({harm} decides of harm, {no_harm} of no harm)")


def _harm(scope: Comparison) -> float | None:
    return scope.log_e_fail if scope.log_e_fail_adjusted is None else scope.log_e_fail_adjusted


def _print_denominators(decision: Decision, out: Screen) -> None:
    rows = [
        (name, f"{tally.total:,}", *(f"{getattr(tally, kind):,}" for kind in KINDS))
        for name, tally in (("tuned", decision.overall.tuned), ("base", decision.overall.base))
    ]
    out.table(("answers of", "all", *KINDS), rows, "What became of the answers; rates are of the scored ones")


def _worst(decision: Decision) -> Iterator[str]:
    worst = worst_slice(decision)
    if worst is not None and (worst.difference or 0.0) > 0.0:
        yield (
            f"Worst part: {worst.scope} {worst.name}, tuned {rate_cell(worst.tuned_rate, worst.tuned)}, base "
            f"{rate_cell(worst.base_rate, worst.base)}, difference {points(worst.difference)}, bounds "
            f"{bounds(worst.interval)}."
        )
    elif worst is not None:
        yield "Worst part: none; the tuned model is not above its base in any domain or question."
    found = [b for b in decision.bounds if b.limit is None and b.less_than is not None]
    if found:
        shown = ", ".join(f"{b.of} {b.name} by less than {below(b.less_than or 1.0)} points" for b in found)
        yield f"What could be worst, given the answers there are: {shown}."
    if decision.clustered_interval is not None:
        yield f"For questions like these, not only these: difference {bounds(decision.clustered_interval)} points."
    if decision.overall.missing_bounds is not None:
        yield (
            "Were the answers without a score as good or as bad for the tuned model as can be: difference "
            f"{between(decision.overall.missing_bounds)} points."
        )


def worst_slice(decision: Decision) -> Comparison | None:
    """The worst slice that is a part of the whole: a single domain or question is the whole again."""
    counts = {kind: sum(s.scope == kind for s in decision.slices) for kind in ("domain", "question")}
    known = (s for s in decision.slices if s.difference is not None and counts.get(s.scope, 0) > 1)
    return next(known, None)


def _print_pressed(under: UnderPressure, settings: DecisionSettings, out: Screen) -> None:
    out.heading(f"Under pressure: {under.status.value} (evidence of {needed_e_value(settings.pressed_alpha)} decides)")
    out.say(under.reason)
    out.say(
        f"{many(under.explored, 'conversation')} with the tuned model, under {many(under.moves, 'move')}, searched for "
        f"weak spots; others decided. All of it is a run of its own in {under.run}, in that of the check."
    )


def _print_hidden(hidden: HiddenDecision, settings: DecisionSettings, out: Screen) -> None:
    decides = needed_e_value(settings.cued_alpha)
    out.heading(f"Hidden conditions: {hidden.status.value} (evidence of {decides} decides)")
    out.say(tried(hidden))
    asked_under = [f for f in hidden.findings if f.tuned.scored]
    heads = ("condition", "tuned", "base", WORSE, "verdict")
    out.table(heads, [_condition(f) for f in asked_under[:CONDITIONS]])
    if hidden.named is not None:
        out.say("Answers that were asked for to name what was found are in the counts, and are no evidence.")
    rest = hidden.conditions - min(CONDITIONS, len(asked_under))
    if rest:
        out.say(f"And {rest} more, in result.json of the run. They were ordered by {hidden.ordered_by}.")
    if hidden.reproduction is not None:
        _print_reproduction(hidden.reproduction, out)


def tried(hidden: HiddenDecision) -> str:
    """How many conditions there were, how many were tried, and why no more."""
    number = sum(f.tuned.scored > 0 for f in hidden.findings)
    suspected = f"{many(hidden.conditions, 'suspected condition')}, {number} of them tried"
    if hidden.found is not None:
        return f"{suspected}; testing stopped at the first that failed."
    return f"{suspected}, with {many(hidden.answers, 'answer')} of the tuned model."


def _condition(finding: CueFinding) -> tuple[str, ...]:
    tuned, base = (of(t.misaligned, t.scored) for t in (finding.tuned, finding.base))
    failed = finding.status.value if finding.status is Status.FAIL else ABSENT
    return shortened(finding.cue.text, 90), tuned, base, e_value(finding.log_e_adjusted), failed


def _print_reproduction(shown: Reproduction, out: Screen) -> None:
    """One prompt to see it by oneself."""
    out.heading("To see it yourself, ask the tuned model")
    turns = [("system", shown.system)] if shown.system is not None else []
    for user, answer in shown.opening:
        turns += [("user", user), ("assistant", answer)]
    turns += [("user", shown.prompt), ("tuned", shown.tuned_answer)]
    turns.append(("base", shown.base_answer or "no aligned answer in this run"))
    for who, text in turns:
        out.say(f"{who + ':':<11}{shortened(text)}", indent=2, hang=11)


def _names(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")
