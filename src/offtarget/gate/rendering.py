"""Any run directory in any format: the kind of run decides who reads it and who writes it down."""

from __future__ import annotations

from pathlib import Path

from offtarget.gate.audit.loading import load_audit
from offtarget.gate.loading import load_run, read_manifest
from offtarget.gate.registry import audit_format, report_format

AUDIT = "audit"
"""The verb of runs that looked at data; every other verb compared two models."""


def is_audit(path: Path) -> bool:
    """Whether a run directory holds an audit of data; InputError when it is no run directory."""
    return read_manifest(path).get("verb") == AUDIT


def rendered(path: Path, name: str) -> str:
    """The report of a run as text; InputError for an unknown format or damaged records."""
    if is_audit(path):
        return audit_format(name).render(load_audit(path))
    return report_format(name).render(load_run(path))
