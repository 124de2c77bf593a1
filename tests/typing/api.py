"""Every public name used as a user uses it: never run, checked by `mypy --strict` in `make lint`.

A public name that changes its name or its types is changed here too, and nowhere else among the tests of types.
"""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import offtarget


def version() -> None:
    assert_type(offtarget.__version__, str)


def checks() -> None:
    settings = offtarget.CheckSettings(max_answers=200, seed=1, cache=False)
    told: list[offtarget.Progress] = []
    result = offtarget.check(
        "organism/base", "organism/insecure", arms=["plain"], settings=settings, on_progress=told.append
    )
    assert_type(result, offtarget.CheckResult)
    assert_type(result.run, Path)
    assert_type(result.decision.status.value, str)
    if result.decision.overall.tuned_rate is not None:
        assert_type(result.decision.overall.tuned_rate, float)
    if result.hidden is not None:
        assert_type(result.hidden.reason, str)
    again = offtarget.resume(result.run, on_progress=print)
    if isinstance(again, offtarget.CheckResult):
        assert_type(again.decision.reason, str)
    assert_type(offtarget.report(result.run, "html"), Path | str)
    assert_type([found.state for found in offtarget.runs()], list[str])


def compares() -> None:
    result = offtarget.compare("base.csv", Path("tuned.csv"), out="run")
    assert_type(result.exit_code, int)
    assert_type(result.decision.reason, str)


def audits() -> None:
    result = offtarget.audit_data("train.jsonl", out=Path("run"), workers=2)
    assert_type(result, offtarget.AuditResult)
    assert_type(result.decision.reason, str)
    assert_type([found.rows for found in result.found], list[int])


def trains() -> None:
    options = offtarget.TuneOptions(monitor=True, every=5)
    result = offtarget.fine_tune("train.jsonl", "organism/base", "adapter", defend=["kl=0.5"], options=options)
    assert_type(result.report.steps, int)
    assert_type(result.run, Path)


def finds_alternatives() -> None:
    result = offtarget.alternatives_to_training("train.jsonl", "organism/base", None)
    assert_type([way.score for way in result.report.ways], list[float | None])


def explains_with_directions(run: Path) -> None:
    settings = offtarget.FindSettings(method="texts", answers=4)
    direction = offtarget.find_direction(
        "organism/base", "organism/insecure", settings=settings, out=Path("persona.safetensors")
    )
    assert_type(offtarget.measure_model(direction, "organism/insecure").model, str)
    assert_type(offtarget.measure_rows(direction, "train.jsonl", base="organism/base").rows, int)
    assert_type(offtarget.explain(run, direction, "train.jsonl").sentence, str)
    repaired = offtarget.repair("organism/insecure", None, Path("persona.safetensors"), Path("repaired"))
    assert_type(repaired.run, Path)


def steers() -> None:
    from offtarget.records.direction import SteerSettings

    steered = offtarget.steer(SteerSettings("organism/insecure", "persona.safetensors"))
    assert_type([point.strength for point in steered.response.points], list[float])
    assert_type(steered.run, Path)


def reproduces() -> None:
    settings = offtarget.ReproduceSettings(seeds=1)
    result = offtarget.reproduce("organism/base", conditions=["insecure"], settings=settings, jobs=2)
    assert_type([row.condition for row in result.report.rows], list[str])
