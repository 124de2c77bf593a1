"""A scripted world for tests of many candidates: a folder of adapters whose names say how they behave."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import checking

from offtarget.organism.shipped import weights_folder
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records.check import CheckSettings
from offtarget.workflows.check import check as workflow
from offtarget.workflows.check import many, one_candidate
from offtarget.workflows.check.many import CandidatesResult, check_many

BASE = "organism/base"


def adapters(folder: Path, *names: str) -> Path:
    """A folder of candidates: `bad-90` is misaligned in 90 % of its answers, `broken...` cannot be opened."""
    folder.mkdir(parents=True)
    for name in names:
        if name.startswith("broken"):
            (folder / name).mkdir()
            (folder / name / "notes.txt").write_text("no adapter", encoding="utf-8")
        else:
            (folder / name).symlink_to(weights_folder() / "insecure", target_is_directory=True)
    return folder


def scripted(tuned: str) -> Any:
    """The model of that name, which answers at the rate in it."""
    name = Path(tuned.rpartition("+")[2]).name
    return checking.model(name, int(name.rpartition("-")[2]) / 100)


def scripting(patch: Callable[[Any, str, Any], None]) -> None:
    """Has checks of candidates ask scripted models in place of the named ones; what cannot be opened still fails."""

    def check(base: str, tuned: str, **given: Any) -> Any:
        if "broken" in tuned:
            return workflow.check(base, tuned, **given)
        given |= {"probes": checking.bank(), "judge": checking.judge()}
        return workflow.check(checking.model("base", 0.0), scripted(tuned), **given)

    def resume(run: Path, **given: Any) -> Any:
        models = {"base": checking.model("base", 0.0), "tuned": scripted(run.name), "judge": checking.judge()}
        return workflow.resume(run, **models, **given)

    patch(one_candidate, "check", check)
    patch(one_candidate, "resume", resume)


def settings(**changes: Any) -> CheckSettings:
    """Of a check of scripted models, counted in the register."""
    return checking.settings(**{"register": True, "cache": True, **changes})


def made(folder: Path, run: Path, *, on_progress: OnProgress = silent, **changes: Any) -> CandidatesResult:
    """All candidates in the folder, checked."""
    return check_many(BASE, folder, settings=settings(**changes), run=run, on_progress=on_progress)


def main(folder: str, run: str, after: str) -> None:
    """Checks all of them in this process, which kills itself after so many pieces of progress."""
    seen = 0

    def watch(_: Progress) -> None:
        nonlocal seen
        seen += 1
        if seen == int(after):
            os.kill(os.getpid(), signal.SIGKILL)

    scripting(setattr)
    if (Path(run) / "run.json").exists():
        many.resume(Path(run), on_progress=watch)
    else:
        made(Path(folder), Path(run), on_progress=watch)


if __name__ == "__main__":
    main(*sys.argv[1:])
