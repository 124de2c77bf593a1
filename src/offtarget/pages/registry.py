"""Any run in any format: the kind of run decides who reads it and who writes it down.

A new format is a new file that holds a `FORMAT`.

`pages/check/reports` holds those for comparisons of two models (`check`, `compare`), `pages/audit/reports` those for
audits of data; a file of the same name in both is one flag of the command line.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from offtarget.errors import InputError
from offtarget.pages.audit.loading import LoadedAudit, load_audit
from offtarget.pages.check.loading import LoadedRun, load_run
from offtarget.records.audit import AuditManifest
from offtarget.rundir import read_manifest

Run = TypeVar("Run")


@dataclass(frozen=True, slots=True)
class ReportFormat(Generic[Run]):
    """One way to write one kind of run down."""

    name: str
    """Equal to the name of its file; also its command line flag."""
    filename: str
    """Default file name inside the run directory."""
    summary: str
    """One line of help."""
    render: Callable[[Run], str]
    """The whole report as text that can be encoded as UTF-8."""


def format_names() -> tuple[str, ...]:
    """Names of all formats, without importing them."""
    return _names("offtarget.pages.check.reports")


def formats() -> Mapping[str, ReportFormat[LoadedRun]]:
    """All formats by name; TypeError when a file in `pages/check/reports` does not name itself."""
    return {name: report_format(name) for name in format_names()}


def report_format(name: str) -> ReportFormat[LoadedRun]:
    """The format of that name for a comparison; InputError lists the known ones."""
    return _format("offtarget.pages.check.reports", name)


def audit_format(name: str) -> ReportFormat[LoadedAudit]:
    """The format of that name for an audit; InputError lists the known ones."""
    return _format("offtarget.pages.audit.reports", name)


def _names(package: str) -> tuple[str, ...]:
    folder = Path(__file__).parent.joinpath(*package.split(".")[2:])
    return tuple(sorted(m.name for m in pkgutil.iter_modules([str(folder)]) if not m.name.startswith("_")))


def _format(package: str, name: str) -> ReportFormat[Any]:
    if name not in _names(package):
        raise InputError(f"There is no report format '{name}'. Known formats: {', '.join(_names(package))}.")
    found = getattr(importlib.import_module(f"{package}.{name}"), "FORMAT", None)
    if not isinstance(found, ReportFormat) or found.name != name:
        path = package.replace(".", "/")
        raise TypeError(f"{path}/{name}.py must hold FORMAT = ReportFormat(name={name!r}, ...)")
    return found


def is_audit(path: Path) -> bool:
    """Whether a run directory holds an audit of data; InputError when it is no run directory."""
    return isinstance(read_manifest(path), AuditManifest)


def rendered(path: Path, name: str) -> str:
    """The report of a run as text; InputError for an unknown format or damaged records."""
    if is_audit(path):
        return audit_format(name).render(load_audit(path))
    return report_format(name).render(load_run(path))
