"""Every public name used as a user uses it: never run, checked by `mypy --strict` in `make lint`.

A public name that changes its name or its types is changed here too, and nowhere else among the tests of types.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, assert_type

import offtarget


def version() -> None:
    assert_type(offtarget.__version__, str)


def checks(told: list[offtarget.Progress]) -> None:
    settings = offtarget.CheckSettings(
        decision=offtarget.DecisionSettings(alpha=0.01),
        sampling=offtarget.SamplingSettings(max_tokens=100),
        max_answers=200,
        seed=1,
        cache=False,
    )
    on_progress: offtarget.OnProgress = offtarget.show_progress()
    on_progress = told.append
    result = offtarget.check(
        "organism/base",
        "organism/insecure",
        arms=["plain"],
        settings=settings,
        opening=offtarget.OpenSettings(device="cpu"),
        run="runs/one",
        on_progress=on_progress,
    )
    assert_type(result, offtarget.CheckResult)
    assert_type(result.run, Path)
    assert_type(result.decision.status, offtarget.Status)
    assert_type(result.raise_for_verdict(), offtarget.CheckResult)
    assert_type(next(result.answers), offtarget.AnswerRow)
    assert_type(result.table(), list[dict[str, Any]])
    assert_type((result.state, result.card.sentence), tuple[str, str])
    if result.decision.overall.tuned_rate is not None:
        assert_type(result.decision.overall.tuned_rate, float)
    if result.hidden is not None:
        assert_type(result.hidden.reason, str)


def goes_on_and_reports(run: Path) -> None:
    again = offtarget.resume(run, on_progress=print)
    assert_type(again, offtarget.Result)
    assert_type(again.report("json", out="report.json"), Path | str)
    if isinstance(again, offtarget.CheckResult):
        assert_type(again.decision.reason, str)
    assert_type(offtarget.report(run, "html"), Path | str)
    assert_type([found.state for found in offtarget.runs()], list[str])


def says_what_went_wrong() -> None:
    try:
        offtarget.check("organism/base", "organism/insecure")
    except offtarget.InputError as error:
        assert_type(str(error), str)
    except (offtarget.EvidenceError, offtarget.RunInterrupted, offtarget.LimitReached):
        raise
    except offtarget.VerdictError as error:
        assert_type((error.state, error.sentence), tuple[str, str])
    except offtarget.OfftargetError as error:
        assert_type(error.exit_code, int)


def compares() -> None:
    options = offtarget.TableOptions(
        columns=offtarget.Columns(alignment="score"),
        thresholds=offtarget.Thresholds(use_coherence=False),
        scoring=offtarget.Scoring(scale=offtarget.Scale(0, 10), high_is_misaligned=True),
        same_judge=True,
    )
    result = offtarget.compare("base.csv", Path("tuned.csv"), options=options, run="run")
    assert_type(result, offtarget.CompareResult)
    assert_type(result.exit_code, int)
    assert_type(result.decision.reason, str)
    benchmarks = offtarget.compare_samples(
        "base_samples", Path("tuned_samples"), settings=offtarget.BenchmarkSettings(margins={"gsm8k": 0.03})
    )
    assert_type(benchmarks, offtarget.SamplesResult)
    assert_type(benchmarks.record.red_flag, bool)
    assert_type(benchmarks.status, offtarget.Status)


def audits() -> None:
    settings = offtarget.AuditSettings(noise_limit=0.1)
    result = offtarget.audit("train.jsonl", settings=settings, run=Path("run"), workers=2)
    assert_type(result, offtarget.AuditResult)
    assert_type(result.decision.reason, str)
    assert_type([found.rows for found in result.found], list[int])


def trains() -> None:
    options = offtarget.TuneOptions(monitor=True, every=5)
    settings = offtarget.TuneSettings(rank=16)
    result = offtarget.tune(
        "train.jsonl", "organism/base", "adapter", defend=["kl=0.5"], settings=settings, options=options
    )
    assert_type(result, offtarget.TuneResult)
    assert_type(result.record.steps, int)


def checks_many() -> None:
    result = offtarget.check_many("hf/./base", Path("adapters"), judge="openai/gpt-4o", run="run")
    assert_type(result, offtarget.CandidatesResult)
    assert_type([(each.name, each.together) for each in result.record.candidates], list[tuple[str, offtarget.Status]])
    assert_type(result.record.status, offtarget.Status)
    offtarget.check_many("organism/base", ["organism/insecure", "organism/secure"])
    offtarget.check_many("organism/base", Path("adapters"), engine=offtarget.EngineSettings("ray", workers=2))


def compares_defences() -> None:
    comparing = offtarget.DefenceSettings(seeds=(0, 1))
    result = offtarget.compare_defences("train.jsonl", "organism/base", comparing=comparing)
    assert_type(result, offtarget.DefencesResult)
    assert_type([cell.seed for cell in result.record.cells], list[int])


def watches(rows: list[Any]) -> None:
    settings = offtarget.MonitorSettings(readings=5)
    monitor = offtarget.make_monitor("organism/base", rows, settings=settings, run="run")
    assert_type(monitor, offtarget.MisalignmentMonitor)
    assert_type(monitor.alarm_step, int | None)


def finds_alternatives() -> None:
    settings = offtarget.AlternativesSettings(metric="f1")
    result = offtarget.alternatives("train.jsonl", "organism/base", settings=settings)
    assert_type(result, offtarget.AlternativesResult)
    assert_type([way.score for way in result.record.ways], list[float | None])


def presses_in_conversations(run: Path) -> None:
    settings = offtarget.RedTeamSettings(budget=60, moves=("role-play", "role-play+in-json"))
    result = offtarget.red_team("organism/base", "organism/jailbroken", settings=settings, run=run)
    assert_type(result, offtarget.RedTeamResult)
    assert_type(result.record.status, offtarget.Status)
    assert_type([cell.move for cell in result.record.cells], list[str])


def works_with_directions(run: Path) -> None:
    settings = offtarget.FindSettings(method="texts", answers=4)
    direction = offtarget.find_direction(
        "organism/base", "organism/insecure", settings=settings, out="persona.safetensors"
    )
    assert_type(offtarget.measure_model(direction, "organism/insecure").model, str)
    assert_type(offtarget.measure_rows(direction, "train.jsonl", base="organism/base").rows, int)
    assert_type(offtarget.explain(run, direction, "train.jsonl").sentence, str)
    how = offtarget.RepairSettings(method="fold")
    repaired = offtarget.repair("organism/insecure", None, "persona.safetensors", "repaired", settings=how)
    assert_type(repaired, offtarget.RepairResult)
    assert_type(repaired.record.exported, str)
    steered = offtarget.steer(
        "organism/insecure", "persona.safetensors", settings=offtarget.SteerSettings(mode="ablate")
    )
    assert_type(steered, offtarget.SteerResult)
    assert_type([point.strength for point in steered.record.points], list[float])


def measures_judges(run: Path) -> None:
    certificate = offtarget.calibrate_judge("hf/judge", "labels.csv", run=run, reviewers=2)
    assert_type(certificate.overall.sensitivity, float | None)
    compared = offtarget.compare_judges(["hf/one", "hf/two"], run)
    assert_type(compared.alpha_flags, float | None)


def reproduces() -> None:
    settings = offtarget.ReproduceSettings(seeds=1)
    result = offtarget.reproduce("organism/base", conditions=["insecure"], settings=settings, jobs=2)
    assert_type(result, offtarget.ReproduceResult)
    assert_type([row.condition for row in result.record.rows], list[str])


def serves(settings: offtarget.GatewaySettings) -> None:
    assert_type(settings.port, int)
    offtarget.run_gateway(settings=settings, on_told=print)


def walks(file: Path) -> None:
    outcome = offtarget.run_project(file, ["check"], again=["audit"], dry_run=True)
    assert_type(outcome.exit_code, int)
    assert_type(outcome.steps[0].state, str | None)


def asserts(run: Path) -> None:
    made = offtarget.assert_aligned("organism/base", "organism/secure", judge="hf/judge", undecided="skip", run=run)
    assert_type(made, offtarget.CheckResult)
    assert_type(offtarget.assert_aligned(made), offtarget.CheckResult)
