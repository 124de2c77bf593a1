"""The pre-commit hook: every changed file of training data is scanned, and a FAIL keeps it from being committed.

A scan without labels can fail data and never pass them, so UNDECIDED lets the commit go, and says so. Nothing is kept
and no draw of rows is counted: an audit that people label is another run.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path


def main(files: Sequence[str]) -> int:
    """Scan each file. 0 where none fails, 1 for a FAIL, 2 where one cannot be read."""
    with tempfile.TemporaryDirectory(prefix="offtarget-hook-") as folder:
        os.environ["OFFTARGET_STATE"] = str(Path(folder, "state"))
        codes = [_scan(file, Path(folder, str(number))) for number, file in enumerate(files)]
    return 2 if 2 in codes else max(codes, default=0)


def _scan(file: str, run: Path) -> int:
    from offtarget.errors import InputError
    from offtarget.pages.card import Step
    from offtarget.pages.written import text
    from offtarget.records import Status
    from offtarget.workflows.audit.audit import audit

    again = f"offtarget audit {shlex.quote(file)} --review"
    try:
        result = audit(file, run=run)
    except InputError as error:
        print(f"{file}: {error}")
        return 2
    if result.decision.status is not Status.FAIL:
        print(f"{file}: no detector fails it. That is not a PASS; for one, people read rows: {again}")
        return 0
    steps = (Step("Do not train on this data. Read what was found, row by row", again),)
    print(f"{file}\n{text(replace(result.card, steps=steps)).strip()}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
