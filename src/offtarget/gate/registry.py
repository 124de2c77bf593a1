"""The registry of report formats: a new format is a new file in `gate/reports` that holds a `FORMAT`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError
from offtarget.gate.loading import LoadedRun

_FOLDER = Path(__file__).parent / "reports"


@dataclass(frozen=True, slots=True)
class ReportFormat:
    """One way to write a run down."""

    name: str
    """Equal to the name of its file; also its command line flag."""
    filename: str
    """Default file name inside the run directory."""
    summary: str
    """One line of help."""
    render: Callable[[LoadedRun], str]
    """The whole report as text that can be encoded as UTF-8."""


def format_names() -> tuple[str, ...]:
    """Names of all formats, without importing them."""
    return tuple(sorted(m.name for m in pkgutil.iter_modules([str(_FOLDER)]) if not m.name.startswith("_")))


def formats() -> Mapping[str, ReportFormat]:
    """All formats by name; TypeError when a file in `gate/reports` does not name itself."""
    return {name: report_format(name) for name in format_names()}


def report_format(name: str) -> ReportFormat:
    """The format of that name; InputError lists the known ones."""
    if name not in format_names():
        raise InputError(f"There is no report format '{name}'. Known formats: {', '.join(format_names())}.")
    found = getattr(importlib.import_module(f"offtarget.gate.reports.{name}"), "FORMAT", None)
    if not isinstance(found, ReportFormat) or found.name != name:
        raise TypeError(f"offtarget/gate/reports/{name}.py must hold FORMAT = ReportFormat(name={name!r}, ...)")
    return found
