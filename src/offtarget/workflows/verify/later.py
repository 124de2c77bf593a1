"""Files that `report` writes into a run: made from its records, so a statement that is older does not speak of them."""

from __future__ import annotations

from offtarget.errors import InputError
from offtarget.evidence.incidents import KINDS
from offtarget.pages.registry import audit_format, format_names, report_format
from offtarget.records.runs import Manifest
from offtarget.workflows.runs.verbs import verb_of


def written_later(manifest: Manifest | None) -> frozenset[str]:
    """Names of the reports of a run of this verb."""
    names = {report_format(name).filename for name in format_names()}
    for name in format_names():
        try:
            names.add(audit_format(name).filename)
        except InputError:
            continue  # a format that audits do not have
    names |= {kind.filename for kind in KINDS.values()}
    page = None if manifest is None else verb_of(manifest).page
    return frozenset(names | ({page} if page else set()))
