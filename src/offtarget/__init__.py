"""offtarget: find, measure and guard against the off-target effects of fine-tuning.

Every verb of the command line is a function here; they are imported when first used, so `import offtarget` is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from offtarget.progress import Progress
from offtarget.version import __version__

if TYPE_CHECKING:
    from offtarget.workflows.alternatives import alternatives_to_training
    from offtarget.workflows.audit import AuditResult, audit_data
    from offtarget.workflows.check import CheckResult, check, resume
    from offtarget.workflows.check_loop import CheckSettings
    from offtarget.workflows.compare import compare
    from offtarget.workflows.direction import find as find_direction
    from offtarget.workflows.direction_explain import explain
    from offtarget.workflows.direction_measure import measure_model
    from offtarget.workflows.direction_repair import repair
    from offtarget.workflows.direction_screen import measure_rows
    from offtarget.workflows.direction_steer import steer
    from offtarget.workflows.report import report
    from offtarget.workflows.reproduce import ReproduceSettings, reproduce
    from offtarget.workflows.runs import runs
    from offtarget.workflows.tune import TuneOptions
    from offtarget.workflows.tune import tune as fine_tune

# Name -> module of `offtarget.workflows`, and after a colon the name there where it is another.
_HOMES = {
    "alternatives_to_training": "alternatives",
    "AuditResult": "audit",
    "audit_data": "audit",
    "CheckResult": "check",
    "CheckSettings": "check_loop",
    "check": "check",
    "resume": "check",
    "compare": "compare",
    "explain": "direction_explain",
    "find_direction": "direction:find",
    "measure_model": "direction_measure",
    "measure_rows": "direction_screen",
    "repair": "direction_repair",
    "steer": "direction_steer",
    "report": "report",
    "ReproduceSettings": "reproduce",
    "reproduce": "reproduce",
    "runs": "runs",
    "TuneOptions": "tune",
    # `offtarget.tune` is the package that holds the monitor
    "fine_tune": "tune:tune",
}

__all__ = [
    "AuditResult",
    "CheckResult",
    "CheckSettings",
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
    return getattr(importlib.import_module(f"offtarget.workflows.{module}"), other or name)
