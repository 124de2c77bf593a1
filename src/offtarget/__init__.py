"""offtarget: find, measure and guard against the off-target effects of fine-tuning.

Every verb of the command line is a function here, with its settings and its result. All are imported when first used,
so `import offtarget` is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from offtarget.errors import EvidenceError, InputError, LimitReached, OfftargetError, RunInterrupted, VerdictError
from offtarget.progress import OnProgress, Progress
from offtarget.version import __version__

if TYPE_CHECKING:
    from offtarget.data.columns import Columns
    from offtarget.data.scales import Scale, Scoring
    from offtarget.judge.classify import Thresholds
    from offtarget.plugins.aligned import assert_aligned
    from offtarget.records.alternatives import AlternativesSettings
    from offtarget.records.answers import SamplingSettings, Status
    from offtarget.records.audit import AuditSettings
    from offtarget.records.benchmarks import BenchmarkSettings
    from offtarget.records.check import CheckSettings, DecisionSettings
    from offtarget.records.direction import FindSettings, SteerSettings
    from offtarget.records.engine import EngineSettings
    from offtarget.records.gateway import GatewaySettings
    from offtarget.records.redteam import RedTeamSettings
    from offtarget.records.repair import RepairSettings
    from offtarget.records.reproduce import ReproduceSettings
    from offtarget.records.runs import OpenSettings
    from offtarget.records.tune import DefenceSettings, TuneSettings
    from offtarget.training.monitor.callback import MisalignmentMonitor
    from offtarget.training.monitor.settings import MonitorSettings
    from offtarget.workflows.alternatives.alternatives import AlternativesResult, alternatives
    from offtarget.workflows.audit.audit import AuditResult, audit
    from offtarget.workflows.check.check import CheckResult, check
    from offtarget.workflows.check.many import CandidatesResult, check_many
    from offtarget.workflows.compare.benchmarks import SamplesResult, compare_samples
    from offtarget.workflows.compare.compare import CompareResult, compare
    from offtarget.workflows.compare.judged_pair import TableOptions
    from offtarget.workflows.defences.compare import DefencesResult, compare_defences
    from offtarget.workflows.direction.explain import explain
    from offtarget.workflows.direction.find import find as find_direction
    from offtarget.workflows.direction.measure import measure_model
    from offtarget.workflows.direction.repair import RepairResult, repair
    from offtarget.workflows.direction.screen import measure_rows
    from offtarget.workflows.direction.steer import SteerResult, steer
    from offtarget.workflows.judge.calibrate import calibrate_judge
    from offtarget.workflows.judge.compare import compare_judges
    from offtarget.workflows.project.project import run_project
    from offtarget.workflows.redteam.redteam import RedTeamResult
    from offtarget.workflows.redteam.redteam import redteam as red_team
    from offtarget.workflows.reproduce.reproduce import ReproduceResult, reproduce
    from offtarget.workflows.runs.answers import AnswerRow
    from offtarget.workflows.runs.listing import runs
    from offtarget.workflows.runs.report import report
    from offtarget.workflows.runs.result import Result
    from offtarget.workflows.runs.resume import resume
    from offtarget.workflows.serve.serve import serve as run_gateway
    from offtarget.workflows.showing import show_progress
    from offtarget.workflows.tune.monitor import make_monitor
    from offtarget.workflows.tune.options import TuneOptions
    from offtarget.workflows.tune.tune import TuneResult, tune

# Name -> module, and after a colon the name there where it is another.
_HOMES = {
    "AlternativesResult": "workflows.alternatives.alternatives",
    "AlternativesSettings": "records.alternatives",
    "AnswerRow": "workflows.runs.answers",
    "AuditResult": "workflows.audit.audit",
    "AuditSettings": "records.audit",
    "BenchmarkSettings": "records.benchmarks",
    "CandidatesResult": "workflows.check.many",
    "CheckResult": "workflows.check.check",
    "CheckSettings": "records.check",
    "Columns": "data.columns",
    "CompareResult": "workflows.compare.compare",
    "DecisionSettings": "records.check",
    "DefenceSettings": "records.tune",
    "DefencesResult": "workflows.defences.compare",
    "EngineSettings": "records.engine",
    "FindSettings": "records.direction",
    "GatewaySettings": "records.gateway",
    "MisalignmentMonitor": "training.monitor.callback",
    "MonitorSettings": "training.monitor.settings",
    "OpenSettings": "records.runs",
    "RedTeamResult": "workflows.redteam.redteam",
    "RedTeamSettings": "records.redteam",
    "RepairResult": "workflows.direction.repair",
    "RepairSettings": "records.repair",
    "ReproduceResult": "workflows.reproduce.reproduce",
    "ReproduceSettings": "records.reproduce",
    "Result": "workflows.runs.result",
    "SamplesResult": "workflows.compare.benchmarks",
    "SamplingSettings": "records.answers",
    "Scale": "data.scales",
    "Scoring": "data.scales",
    "Status": "records.answers",
    "SteerResult": "workflows.direction.steer",
    "SteerSettings": "records.direction",
    "TableOptions": "workflows.compare.judged_pair",
    "Thresholds": "judge.classify",
    "TuneOptions": "workflows.tune.options",
    "TuneResult": "workflows.tune.tune",
    "TuneSettings": "records.tune",
    "alternatives": "workflows.alternatives.alternatives",
    "assert_aligned": "plugins.aligned",
    "audit": "workflows.audit.audit",
    "calibrate_judge": "workflows.judge.calibrate",
    "check": "workflows.check.check",
    "check_many": "workflows.check.many",
    "compare": "workflows.compare.compare",
    "compare_defences": "workflows.defences.compare",
    "compare_judges": "workflows.judge.compare",
    "compare_samples": "workflows.compare.benchmarks",
    "explain": "workflows.direction.explain",
    "find_direction": "workflows.direction.find:find",
    "make_monitor": "workflows.tune.monitor",
    "measure_model": "workflows.direction.measure",
    "measure_rows": "workflows.direction.screen",
    "red_team": "workflows.redteam.redteam:redteam",
    "repair": "workflows.direction.repair",
    "report": "workflows.runs.report",
    "reproduce": "workflows.reproduce.reproduce",
    "resume": "workflows.runs.resume",
    "run_gateway": "workflows.serve.serve:serve",
    "run_project": "workflows.project.project",
    "runs": "workflows.runs.listing",
    "show_progress": "workflows.showing",
    "steer": "workflows.direction.steer",
    "tune": "workflows.tune.tune",
}

__all__ = [
    "AlternativesResult",
    "AlternativesSettings",
    "AnswerRow",
    "AuditResult",
    "AuditSettings",
    "BenchmarkSettings",
    "CandidatesResult",
    "CheckResult",
    "CheckSettings",
    "Columns",
    "CompareResult",
    "DecisionSettings",
    "DefenceSettings",
    "DefencesResult",
    "EngineSettings",
    "EvidenceError",
    "FindSettings",
    "GatewaySettings",
    "InputError",
    "LimitReached",
    "MisalignmentMonitor",
    "MonitorSettings",
    "OfftargetError",
    "OnProgress",
    "OpenSettings",
    "Progress",
    "RedTeamResult",
    "RedTeamSettings",
    "RepairResult",
    "RepairSettings",
    "ReproduceResult",
    "ReproduceSettings",
    "Result",
    "RunInterrupted",
    "SamplesResult",
    "SamplingSettings",
    "Scale",
    "Scoring",
    "Status",
    "SteerResult",
    "SteerSettings",
    "TableOptions",
    "Thresholds",
    "TuneOptions",
    "TuneResult",
    "TuneSettings",
    "VerdictError",
    "__version__",
    "alternatives",
    "assert_aligned",
    "audit",
    "calibrate_judge",
    "check",
    "check_many",
    "compare",
    "compare_defences",
    "compare_judges",
    "compare_samples",
    "explain",
    "find_direction",
    "make_monitor",
    "measure_model",
    "measure_rows",
    "red_team",
    "repair",
    "report",
    "reproduce",
    "resume",
    "run_gateway",
    "run_project",
    "runs",
    "show_progress",
    "steer",
    "tune",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'offtarget' has no attribute '{name}'")
    module, _, other = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f"offtarget.{module}"), other or name)
