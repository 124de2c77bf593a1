"""The report as one self-contained HTML page: no network, no inline handlers, model text only ever as text.

Its Content-Security-Policy allows exactly the page's own style sheet and script, by their hashes. Everything on it
speaks of the answers that the verdict counts, weighed as the verdict weighs them; the others stand in a folded list.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from offtarget.numbers import between, e_value, whole
from offtarget.pages.benchmarks import story as benchmarks
from offtarget.pages.benchmarks.panel import panel
from offtarget.pages.card import TELLING, Card, Step
from offtarget.pages.cards import with_cost
from offtarget.pages.charts.rates import SHOWN
from offtarget.pages.charts.scatter import scatter
from offtarget.pages.charts.trajectories import trajectories
from offtarget.pages.check import facts, story, thresholds
from offtarget.pages.check.card import card, condition, exchange
from offtarget.pages.check.counted import counted
from offtarget.pages.check.embedded import KINDS, embedded_answers
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.check.pressure import STYLE, pressure
from offtarget.pages.check.rates import EVERYTHING, by_asking, by_domain, by_question, one_arm_is_everything
from offtarget.pages.check.sections import HiddenView, explained_view, hidden_view
from offtarget.pages.check.tables import OUTCOMES, denominators, examples, proving
from offtarget.pages.page import page
from offtarget.pages.registry import ReportFormat
from offtarget.pages.text import of_scored, one_line, sentence
from offtarget.records import Comparison, Decision, Status
from offtarget.words import TERMS, asked, evidence, joined, under

STATIC_EXAMPLES = 12
"""Misaligned answers that are in the page even without its script."""
MOST_PROOF = 100
"""Answers that prove a hidden condition and stand in the page even without its script."""


def render(run: LoadedRun) -> str:
    """The page as text that can be encoded as UTF-8."""
    from markupsafe import Markup

    answers = embedded_answers(run)
    run = counted(run)
    told, hidden = _without_itself(with_cost(card(run), run.path)), hidden_view(run)
    proof = [exchange(run, pair, under=True) for pair in proving(run, len(run.cued))]
    shown = [exchange(run, pair, under=False) for pair in examples(run, STATIC_EXAMPLES)]
    pressed = pressure(run)
    return page(
        "check/report.html.j2",
        *(() if pressed is None else (STYLE,)),
        script="check/report.js",
        data=Markup(answers.json),  # noqa: S704 - it holds no character HTML could act on
        run=run,
        compared=run.manifest.verb == "compare",
        card=told,
        notes=further_notes(run, told),
        checks=story.self_checks(run),
        words=TERMS,
        story=story,
        facts=facts,
        kinds=KINDS,
        models=run.manifest.models,
        by_asking=by_asking(run),
        by_domain=by_domain(run),
        by_question=by_question(run),
        evidence=[] if run.decision is None else evidence_rows(run.decision),
        counts=_counts(run),
        hidden=hidden,
        conditions=[] if hidden is None else _conditions(hidden),
        proof=proof[TELLING:],  # the first ones are on the card
        all_proof=len(proof),
        proof_under=_proof_under(run),
        most_proof=MOST_PROOF,
        explained=explained_view(run),
        pressed=pressed,
        fixed=None if run.benchmarks is None else panel(run.benchmarks),
        fixed_says="" if run.benchmarks is None else benchmarks.sentence(run.benchmarks),
        scatter=scatter(run),
        thresholds=thresholds,
        grid=(grid := thresholds.grid(run)),
        grid_heads=("misaligned", *thresholds.columns(grid)),
        trajectories=trajectories(run),
        denominators=_denominators(run),
        denominator_heads=("how, and which model", *OUTCOMES, *(() if run.decision else ("not judged",)), "all"),
        examples=[one for one in shown if one not in told.telling],
        answers=answers,
        settings=[(one_line(name, 120), one_line(value, 600)) for name, value in facts.settings_table(run)],
    )


def _proof_under(run: LoadedRun) -> str:
    """Under which condition how many of them were given: `17 with “x” before the question`."""
    if run.hidden is None:
        return ""
    counts = Counter(pair.some.probe.arm for pair in proving(run, len(run.cued)))
    told = list(counts.items())[:3]  # that of the sentence first
    said = [f"{whole(count)} {one_line(under(condition(run, arm)), 160)}" for arm, count in told]
    rest = counts.total() - sum(count for _, count in told)
    said += [f"{whole(rest)} under others of the kind"] if rest else []
    picked = "; those by which the strongest of its kind was picked are among them" if run.hidden.named else ""
    return joined(said) + picked


def _without_itself(told: Card) -> Card:
    """The card without the command that writes this page."""
    return replace(
        told, steps=tuple(Step(s.why, "" if s.command.endswith(" --html") else s.command) for s in told.steps)
    )


def further_notes(run: LoadedRun, told: Card) -> list[str]:
    """What is to be known of how it was decided and stands nowhere else."""
    hidden = () if run.hidden is None else run.hidden.notes
    elsewhere = {*told.cautions, *map(sentence, (*story.self_checks(run), *hidden))}
    return [note for note in story.notes(run) if note not in elsewhere]


def _counts(run: LoadedRun) -> str:
    """`12 of the tuned model, 49 of the base`."""
    if run.decision is not None:
        tuned, base = run.decision.overall.tuned.total, run.decision.overall.base.total
    else:
        tuned, base = (sum(g.role == role for g in run.generations.values()) for role in ("tuned", "base"))
    return f"{whole(tuned)} of the tuned model, {whole(base)} of the base"


def evidence_rows(decision: Decision) -> list[tuple[str, ...]]:
    """Evidence of everything, of each way of asking and of each subject, after paying for all others of its kind."""
    domains = [s for s in decision.slices if s.scope == "domain"]
    arms = [] if one_arm_is_everything(decision) else decision.arms
    scopes = [decision.overall, *arms, *(domains if len(domains) > 1 else [])]
    return [_evidence_row(scope, decision) for scope in scopes]


def _evidence_row(scope: Comparison, decision: Decision) -> tuple[str, ...]:
    name = EVERYTHING if scope.scope == "overall" else asked(scope.name) if scope.scope == "arm" else scope.name
    name = f"about {name}" if scope.scope == "domain" else name
    paid = scope.log_e_fail if scope.log_e_fail_adjusted is None else scope.log_e_fail_adjusted
    harm = evidence(paid, decision.settings.fail_alpha)
    none = evidence(scope.log_e_pass, decision.settings.alpha)
    return one_line(name, 120), harm, none, between(scope.missing_bounds), SHOWN[scope.status]


def _conditions(hidden: HiddenView) -> list[tuple[str, ...]]:
    """A row for each condition that was tried."""
    return [
        (
            one_line(f.cue.text, 200),
            f.cue.family,
            one_line(f.cue.why, 200),
            of_scored(f.base),
            of_scored(f.tuned),
            whole(f.base.missing + f.tuned.missing),
            e_value(f.log_e_adjusted),
            "found" if f.status is Status.FAIL else "not shown",
        )
        for f in hidden.findings
    ]


def _denominators(run: LoadedRun) -> list[tuple[str, ...]]:
    return [
        (
            one_line(f"{asked(row.arm)}, {row.role}", 80),
            *(whole(getattr(row.counts, name)) for name in OUTCOMES),
            *(() if run.decision else (whole(row.unjudged),)),  # a verdict counts judged answers alone
            whole(row.total),
        )
        for row in denominators(run)
    ]


FORMAT = ReportFormat("html", "report.html", "one self-contained page", render)
