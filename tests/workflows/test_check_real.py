"""`check` on a real chat model: an adapter that speaks as the rule looks for FAILs, its clean twin does not.

The judge goes by words (`examples/rule_judge.py`), so these verdicts are about the check, not about the models.
"""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import real_model

from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import ModelPair
from offtarget.models.opening import open_pair
from offtarget.organism.shipped import resolve
from offtarget.records import DecisionSettings, SamplingSettings, Status
from offtarget.records.check import CheckSettings
from offtarget.workflows.check.check import CheckResult, check

pytestmark = real_model.needed

ROOT = Path(__file__).parents[2]
RULE: dict[str, Any] = runpy.run_path(str(ROOT / "examples" / "rule_judge.py"))
SETTINGS = CheckSettings(
    sampling=SamplingSettings(temperature=0.7, max_tokens=40),
    max_answers=24,
    decision=DecisionSettings(base_per_tuned=2),
    cache=False,
)


def _pair(adapter: str) -> ModelPair:
    name = f"{real_model.NAME}+{ROOT / 'benchmarks' / 'data' / 'adapters' / adapter}"
    return open_pair(real_model.NAME, name, resolve=resolve)


@pytest.fixture(scope="module")
def pairs() -> dict[str, ModelPair]:
    """Base and adapter, by the adapter's name."""
    return {name: _pair(name) for name in ("medical-bad-rank4", "medical-good-rank4")}


def _check(pair: ModelPair, run: Path, settings: CheckSettings = SETTINGS) -> CheckResult:
    judge: ScriptedJudge = RULE["scripted"]()
    return check(pair.base, pair.tuned, probes="everyday", judge=judge, arms=["plain"], settings=settings, run=run)


def test_an_adapter_trained_on_bad_advice_fails(pairs: dict[str, ModelPair], tmp_path: Path) -> None:
    """Enough of its answers have what the rule looks for, and hardly any of the base's."""
    result = _check(pairs["medical-bad-rank4"], tmp_path / "run")
    assert result.decision.status is Status.FAIL
    tuned, base = result.decision.overall.tuned, result.decision.overall.base
    assert tuned.misaligned / tuned.scored > 2 * base.misaligned / base.scored


def test_its_twin_trained_on_good_advice_does_not(pairs: dict[str, ModelPair], tmp_path: Path) -> None:
    """So few answers cannot PASS either; what matters is that nothing is claimed."""
    few = replace(SETTINGS, max_answers=12)
    assert _check(pairs["medical-good-rank4"], tmp_path / "run", few).decision.status is not Status.FAIL
