"""offtarget: find, measure and guard against the off-target effects of fine-tuning.

Every verb of the command line is a function here; they are imported when first used, so `import offtarget` is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from offtarget.progress import Progress
from offtarget.version import __version__

if TYPE_CHECKING:
    from offtarget.records.check import CheckSettings
    from offtarget.records.direction import FindSettings
    from offtarget.records.reproduce import ReproduceSettings
    from offtarget.workflows.alternatives.alternatives import alternatives_to_training
    from offtarget.workflows.audit.audit import AuditResult, audit_data
    from offtarget.workflows.check.check import CheckResult, check
    from offtarget.workflows.compare.compare import compare
    from offtarget.workflows.direction.explain import explain
    from offtarget.workflows.direction.find import find as find_direction
    from offtarget.workflows.direction.measure import measure_model
    from offtarget.workflows.direction.repair import repair
    from offtarget.workflows.direction.screen import measure_rows
    from offtarget.workflows.direction.steer import steer
    from offtarget.workflows.reproduce.reproduce import reproduce
    from offtarget.workflows.runs.listing import runs
    from offtarget.workflows.runs.report import report
    from offtarget.workflows.runs.resume import resume
    from offtarget.workflows.tune.tune import TuneOptions
    from offtarget.workflows.tune.tune import tune as fine_tune

# Name -> module, and after a colon the name there where it is another.
_HOMES = {
    "alternatives_to_training": "workflows.alternatives.alternatives",
    "AuditResult": "workflows.audit.audit",
    "audit_data": "workflows.audit.audit",
    "CheckResult": "workflows.check.check",
    "CheckSettings": "records.check",
    "check": "workflows.check.check",
    "resume": "workflows.runs.resume",
    "compare": "workflows.compare.compare",
    "explain": "workflows.direction.explain",
    "FindSettings": "records.direction",
    "find_direction": "workflows.direction.find:find",
    "measure_model": "workflows.direction.measure",
    "measure_rows": "workflows.direction.screen",
    "repair": "workflows.direction.repair",
    "steer": "workflows.direction.steer",
    "report": "workflows.runs.report",
    "ReproduceSettings": "records.reproduce",
    "reproduce": "workflows.reproduce.reproduce",
    "runs": "workflows.runs.listing",
    "TuneOptions": "workflows.tune.tune",
    # `offtarget.training` is the package that holds the monitor
    "fine_tune": "workflows.tune.tune:tune",
}

__all__ = [
    "AuditResult",
    "CheckResult",
    "CheckSettings",
    "FindSettings",
    "Progress",
    "ReproduceSettings",
    "TuneOptions",
    "__version__",
    "alternatives_to_training",
    "audit_data",
    "check",
    "compare",
    "explain",
    "find_direction",
    "fine_tune",
    "measure_model",
    "measure_rows",
    "repair",
    "report",
    "reproduce",
    "resume",
    "runs",
    "steer",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'offtarget' has no attribute '{name}'")
    module, _, other = _HOMES[name].partition(":")
    return getattr(importlib.import_module(f"offtarget.{module}"), other or name)
