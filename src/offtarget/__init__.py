"""offtarget: find, measure and guard against the off-target effects of fine-tuning.

Every verb of the command line is a function here; they are imported when first used, so `import offtarget` is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from offtarget.workflows.audit import AuditResult, audit_data
    from offtarget.workflows.check import CheckResult, check, resume
    from offtarget.workflows.check_loop import CheckSettings
    from offtarget.workflows.check_watch import Watch
    from offtarget.workflows.compare import compare
    from offtarget.workflows.report import report
    from offtarget.workflows.runs import runs

__version__ = "0.1.0"

_HOMES = {
    "AuditResult": "audit",
    "audit_data": "audit",
    "CheckResult": "check",
    "CheckSettings": "check_loop",
    "check": "check",
    "resume": "check",
    "Watch": "check_watch",
    "compare": "compare",
    "report": "report",
    "runs": "runs",
}

__all__ = [
    "AuditResult",
    "CheckResult",
    "CheckSettings",
    "Watch",
    "__version__",
    "audit_data",
    "check",
    "compare",
    "report",
    "resume",
    "runs",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'offtarget' has no attribute '{name}'")
    return getattr(importlib.import_module(f"offtarget.workflows.{_HOMES[name]}"), name)
