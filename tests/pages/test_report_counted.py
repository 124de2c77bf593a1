"""One population per page: every count and rate is that of the decision, and the other answers are only in a fold."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from golden import printed
from offtarget.errors import InputError
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.numbers import bounds, percent
from offtarget.pages.charts.rates import Rates
from offtarget.pages.check.card import card
from offtarget.pages.check.counted import AHEAD, counted, uncounted
from offtarget.pages.check.embedded import KINDS, embedded_answers
from offtarget.pages.check.loading import LoadedRun, load_run
from offtarget.pages.check.rates import by_asking, by_domain, by_question
from offtarget.pages.check.reports.html import render
from offtarget.pages.check.tables import denominators
from offtarget.pages.registry import report_format
from offtarget.pages.text import of_scored
from offtarget.probe.bank import ProbeBank
from offtarget.records import Comparison, Generation, Outcome, Probe, Status, Tally
from offtarget.records.check import CheckSettings
from offtarget.rundir import read_object
from offtarget.stats.rates import total_tally
from offtarget.workflows.check.check import check

ARMS = ("plain", "json")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> LoadedRun:
    """A FAIL that stopped amid a chunk; half of the tuned answers are bad, some answers of both have no score."""

    def said(role: str) -> object:
        def answer(request: SampleRequest) -> str:
            if request.seed % 7 == 0:
                return "babble"
            return "bad answer" if role == "tuned" and request.seed % 2 == 0 else "good answer"

        return answer

    def decide(probe: Probe, generation: Generation) -> Outcome:
        words = {"bad": Outcome.MISALIGNED, "good": Outcome.ALIGNED, "babble": Outcome.INCOHERENT}
        return words[generation.text.split()[0]]

    bank = ProbeBank.from_probes(
        "test",
        [
            Probe(f"q{n}/{arm}", f"q{n}", arm, f"What about number {n}?", domain=("a", "b", "c")[n % 3])
            for n in range(6)
            for arm in ARMS
        ],
    )
    result = check(
        ScriptedModel("base", said("base")),
        ScriptedModel("tuned", said("tuned")),
        probes=bank,
        judge=ScriptedJudge(decide),
        settings=CheckSettings(cache=False, register=False),
        run=tmp_path_factory.mktemp("counted") / "run",
    )
    assert result.decision.status is Status.FAIL
    return load_run(result.run)


def tally_of(run: LoadedRun, role: str, scope: Comparison) -> Tally:
    parts = {
        "overall": lambda p: True,
        "arm": lambda p: p.arm == scope.name,
        "domain": lambda p: p.domain == scope.name,
        "question": lambda p: p.question_id == scope.name,
    }
    tally = Tally()
    for answer in run.answers():
        if answer.generation.role == role and parts[scope.scope](answer.probe):
            assert answer.outcome is not None
            tally = tally.plus(answer.outcome)
    return tally


def test_the_record_says_which_answers_the_verdict_counts(run: LoadedRun) -> None:
    """Answers that were sampled ahead of the stop are told from the others, in every scope, outcome by outcome."""
    decision, some = run.decision, counted(run)
    assert decision is not None
    assert len(run.generations) > len(some.generations) == len(run.generations) - len(uncounted(run))
    assert {u.why for u in uncounted(run)} == {AHEAD}
    for scope in (decision.overall, *decision.arms, *decision.slices):
        assert tally_of(some, "tuned", scope) == scope.tuned, scope.name
        assert tally_of(some, "base", scope) == scope.base, scope.name


def test_every_rate_and_count_of_a_scope_is_that_of_the_decision(run: LoadedRun) -> None:
    """Charts and tables: rates as the verdict weighs them, its bounds, and its counts; as the page prints them."""
    decision = run.decision
    assert decision is not None
    page = html.unescape(render(run)).replace("\u00a0", " ")

    def holds(chart: Rates | None, scopes: list[Comparison]) -> None:
        assert chart is not None
        for row, scope in zip(chart.rows, scopes, strict=True):
            sides = (("tuned", scope.tuned_rate, scope.tuned), ("base", scope.base_rate, scope.base))
            for dot, (role, rate, tally) in zip(row.dots, sides, strict=True):
                assert dot.role == role
                assert (dot.value, dot.counts) == (percent(rate), "" if rate is None else of_scored(tally))
                assert f"{role} <b>{dot.value}</b>" + (f" ({dot.counts})" if dot.counts else "") in page
            assert row.bounds == ("" if scope.interval is None else bounds(scope.interval))

    holds(by_asking(run), [decision.overall, *decision.arms])
    holds(by_domain(run), [s for s in decision.slices if s.scope == "domain"])
    holds(by_question(run), [s for s in decision.slices if s.scope == "question"])
    known = {(arm.name, "base"): arm.base for arm in decision.arms}
    known |= {(arm.name, "tuned"): arm.tuned for arm in decision.arms}
    assert {(row.arm, row.role): row.counts for row in denominators(run)} == known
    whole = decision.overall
    assert f"{whole.tuned.total} of the tuned model, {whole.base.total} of the base" in page
    strips = embedded_answers(run).strips
    for role in ("tuned", "base"):
        marks = [mark.outcome for strip in strips if strip.role == role for mark in strip.marks]
        total = total_tally([tally for (_, who), tally in known.items() if who == role])
        assert {kind: marks.count(kind) for kind in KINDS[:-1]} == {k: getattr(total, k) for k in KINDS[:-1]}
    counts = set(re.findall(r"\((\d[\d,]* of \d[\d,]*)\)", page))
    assert counts <= {of_scored(t) for s in (whole, *decision.arms, *decision.slices) for t in (s.base, s.tuned)}


def test_answers_sampled_ahead_are_only_in_the_fold(run: LoadedRun) -> None:
    """The list, the strips and the transcripts hold none of them; the fold holds each, with the reason."""
    data = json.loads(embedded_answers(run).json)
    decision = run.decision
    assert decision is not None
    sides = [side for pair in data["pairs"] for side in pair[2:] if side is not None]
    assert len(sides) == decision.overall.tuned.total + decision.overall.base.total
    beyond = [side for pair, why in data["aside"] for side in pair[2:] if side is not None]
    assert len(beyond) == len(uncounted(run)) > 0
    assert {why for _, why in data["aside"]} == {AHEAD}
    counting, others = (
        {(pair[0], pair[1], place) for pair in pairs for place in (2, 3) if pair[place] is not None}
        for pairs in (data["pairs"], [pair for pair, _ in data["aside"]])
    )
    assert not counting & others
    text = render(run)
    assert text.index('id="pairs"') < text.index('id="aside"')
    prompts = {probe.prompt for probe in run.probes.values()}
    assert {exchange.question for exchange in card(counted(run)).telling} <= prompts


def test_a_run_that_does_not_say_which_answers_count_is_shown_with_a_note(run: LoadedRun, tmp_path: Path) -> None:
    """The counts of the decision still stand; that the list holds more answers is said."""
    bare = replace(run, result={k: v for k, v in run.result.items() if k != "counted"})
    assert len(counted(bare).generations) == len(run.generations)
    whole = run.decision.overall if run.decision else None
    assert whole is not None
    said = html.unescape(render(bare)).replace("\u00a0", " ")
    assert f"{whole.tuned.total} of {sum(g.role == 'tuned' for g in run.generations.values())} tuned answers" in said


def test_a_damaged_record_of_what_counts_is_named(run: LoadedRun) -> None:
    """No list of answers is made up from what cannot be read."""
    result = {**read_object(run.path / "result.json"), "counted": {"arms": 3}}
    with pytest.raises(InputError, match="'counted' is not a record"):
        counted(replace(run, result=result))


def test_the_text_report_is_what_the_terminal_prints(run: LoadedRun) -> None:
    """In a pipe, save for the two lines that say where the rest is."""
    printed_here = printed(["report", str(run.path)], None)
    assert printed_here.exit_code == 0
    lines = [line.rstrip() for line in printed_here.output.splitlines()]
    text = [line.rstrip() for line in report_format("text").render(run).splitlines()]
    assert lines[: len(text)] == text
    rest = lines[len(text) :]
    assert rest[0].endswith("how it was decided:")
    assert [line.split()[:2] for line in rest[1:]] == [["offtarget", "report"]]
