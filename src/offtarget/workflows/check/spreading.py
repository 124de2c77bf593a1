"""The checks of many candidates, one after another in this process or side by side on the workers of a cluster."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from offtarget.asking.cache import CACHE_ENV, cache_root
from offtarget.asking.spending import counted
from offtarget.engines.on_ray import PACKAGES, Cluster
from offtarget.engines.units import Tell
from offtarget.errors import InputError, OfftargetError
from offtarget.numbers import many
from offtarget.progress import OnProgress, Progress, in_words
from offtarget.records.candidates import CandidateName, CandidatesManifest, NotChecked
from offtarget.records.engine import EngineSettings
from offtarget.records.runs import OpenSettings
from offtarget.register import STATE_ENV, state_root
from offtarget.rundir import in_use
from offtarget.workflows import clusters
from offtarget.workflows.check.check import CheckResult
from offtarget.workflows.check.loop import CheckProgress
from offtarget.workflows.check.one_candidate import check_candidate
from offtarget.workflows.ready import memory_of

Outcome = CheckResult | NotChecked | Exception
"""What a candidate came to; an Exception is a fault of our own, which stops no other and is raised in the end."""
OnTold = Callable[[CandidateName, float, str], None]
"""Takes a candidate, the share of its check that is done, and what is being done."""
PATIENCE = 120.0
"""Seconds that a worker waits for one that was thought lost and still holds the folder of a candidate."""


@contextmanager
def workers(
    engine: EngineSettings, opening: OpenSettings | None, on_progress: OnProgress
) -> Iterator[Cluster[Any] | None]:
    """The cluster whose workers check candidates; None where this process does. Raises InputError."""
    limited = opening is not None and (opening.max_cost is not None or opening.max_requests is not None)
    if limited and engine.engine != "local":
        raise InputError(
            "Several workers cannot keep one limit on money or requests. Leave out --max-cost and --max-requests, or "
            "--engine ray."
        )
    with clusters.workers(engine, PACKAGES, on_progress) as cluster:
        yield cluster


def outcomes(
    root: Path, started: CandidatesManifest, cluster: Cluster[Any] | None, tell: OnTold
) -> Iterator[tuple[CandidateName, Outcome]]:
    """What every candidate came to, as soon as it is known. What stops all of them is raised."""
    if cluster is None:
        yield from _here(root, started, tell)
    else:
        yield from _there(root.absolute(), started, cluster, tell)


def _here(root: Path, started: CandidatesManifest, tell: OnTold) -> Iterator[tuple[CandidateName, Outcome]]:
    for candidate in started.candidates:
        try:
            yield candidate, check_candidate(root, started, candidate, as_progress(partial(tell, candidate)))
        except (OfftargetError, OSError):
            raise  # what concerns all of them: a limit, a server that is gone, a full disk
        except Exception as error:
            yield candidate, error
        gc.collect()  # its models refer to themselves, and the next one needs their memory


def _there(
    root: Path, started: CandidatesManifest, cluster: Cluster[Any], tell: OnTold
) -> Iterator[tuple[CandidateName, Outcome]]:
    folders = {"The folder of the run": root}
    if started.settings.register:
        folders[f"The register of checks ({STATE_ENV})"] = state_root().absolute()
    if started.settings.cache:
        folders[f"The cache of base answers ({CACHE_ENV})"] = cache_root().absolute()
    cluster.check_folders(folders)
    by_name = {one.name: one for one in started.candidates}
    ended = cluster.run(
        partial(_check, str(root), started),
        list(by_name),
        notes=root,
        environment=clusters.environment(),
        memory=memory_of(_heaviest(started), started.opening),
        gpu=not (started.opening and (started.opening.device or "").startswith("cpu")),
        on_progress=lambda name, share, said: tell(by_name[name], share, said),
    )
    for one in ended:
        candidate = by_name[one.unit]
        if one.lost is not None:
            reason = f"{one.lost} That happened to all workers that tried. What was sampled is kept."
            yield candidate, NotChecked(candidate.name, candidate.tuned, reason)
        elif isinstance(one.error, OfftargetError | OSError):
            raise one.error
        elif one.error is not None:
            yield candidate, one.error
        else:
            assert one.value is not None
            yield candidate, one.value


def _check(root: str, started: CandidatesManifest, name: str, tell: Tell) -> CheckResult | NotChecked:
    """In a worker: the check of one candidate, whose requests count for the run of all."""
    candidate = next(one for one in started.candidates if one.name == name)
    until = time.monotonic() + PATIENCE
    while in_use(Path(root) / name) and time.monotonic() < until:
        tell(0.0, "waiting for another worker to let go of it")
        time.sleep(0.5)
    try:
        with counted(Path(root), clock=False):
            return check_candidate(Path(root), started, candidate, as_progress(tell))
    finally:
        gc.collect()


def _heaviest(started: CandidatesManifest) -> list[str]:
    """The models that one check holds at once, by name."""
    names = [started.base, started.candidates[0].tuned, started.judge_name, started.confirm_with]
    return [name for name in names if name is not None]


def as_progress(tell: Tell) -> OnProgress:
    """What a check is handed: its progress becomes a share, by its own estimate of the answers that are left."""
    share = 0.0

    def told(progress: Progress) -> None:
        nonlocal share
        found = progress.detail
        if isinstance(found, CheckProgress):
            if found.answers_to_go is not None and found.tuned_answers:
                share = found.tuned_answers / (found.tuned_answers + found.answers_to_go)
            tell(share, many(found.tuned_answers, "answer"))
        else:
            tell(share, in_words(progress))

    return told
