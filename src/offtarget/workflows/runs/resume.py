"""Going on with a run of any verb."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offtarget.errors import InputError, RunInterrupted
from offtarget.progress import OnProgress, silent
from offtarget.records.runs import Manifest
from offtarget.rundir import read_manifest
from offtarget.workflows.runs.begin import finished, interrupted
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.places import check_places
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import verb_of

if TYPE_CHECKING:
    from offtarget.asking.protocol import Judge
    from offtarget.models.chat import ChatModel
    from offtarget.probe.bank import ProbeBank
    from offtarget.records.engine import EngineSettings
    from offtarget.records.rated import ReviewPage
    from offtarget.records.runs import OpenSettings


def resume(
    run: str | Path,
    *,
    base: str | ChatModel | None = None,
    tuned: str | ChatModel | None = None,
    judge: str | Judge | None = None,
    probes: ProbeBank | None = None,
    confirm_with: str | Judge | None = None,
    people: Judge | None = None,
    page: ReviewPage | None = None,
    opening: OpenSettings | None = None,
    engine: EngineSettings | None = None,
    max_answers: int | None = None,
    max_cued_answers: int | None = None,
    candidates: int | None = None,
    on_progress: OnProgress = silent,
) -> Result:
    """Go on with a run of any verb as it was started, and return that verb's result; a finished run is read again.

    `run` is a folder, a name under the runs folder, or `last`: the newest that is unfinished. What was named when the
    run was started is opened by that name again; objects of your own must be given again. `engine` is who does it now.
    `max_answers`, `max_cued_answers` and `candidates` let a check that has ended go on, see `offtarget.check`. Raises
    InputError with the reason where a run cannot go on, and for whatever has changed since.
    """
    path = find_run(run, unfinished=True)
    manifest = read_manifest(path)
    verb = verb_of(manifest)
    result = finished(verb, path)
    obstacle = verb.obstacle(path, manifest)
    if not verb.home and result is not None:
        return read_again(path)
    if result is None and obstacle is not None:
        raise InputError(f"{path} cannot be resumed: {obstacle}")
    opening = None if opening is None else _opened_alike(path, manifest, opening)
    given: dict[str, Any] = {"base": base, "tuned": tuned, "judge": judge, "probes": probes, "opening": opening}
    given |= {"engine": engine}
    given |= {"max_answers": max_answers, "max_cued_answers": max_cued_answers, "candidates": candidates}
    given |= {"confirm_with": confirm_with, "people": people, "page": page}
    again: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    goes_on: Callable[..., Result] = importlib.import_module(f"offtarget.workflows.{verb.home}").resume
    strange = [name for name in again if name not in inspect.signature(goes_on).parameters]
    if strange:
        raise InputError(f"{path} is a run of `{verb.command}`, which cannot be given {strange[0]}= again.")
    missing = [name for name in manifest.objects if name not in again]
    if missing and (result is None or any(name in again for name in _FURTHER)):
        raise InputError(f"{path} was started with objects of your own. Go on with: {manifest.resume_command(path)}")
    if "on_progress" in inspect.signature(goes_on).parameters:
        again["on_progress"] = on_progress
    if result is None or any(name in again for name in _FURTHER):
        check_places(path, manifest)
    try:
        return goes_on(path, **again)
    except (KeyboardInterrupt, RunInterrupted):  # also before the run itself is at work, while models are loaded
        raise interrupted(path) from None


def read_again(path: Path) -> Result:
    """The result of a finished run, from its records. Raises InputError while it is unfinished."""
    manifest = read_manifest(path)
    verb = verb_of(manifest)
    if finished(verb, path) is None:
        raise InputError(f"{path} is unfinished. How far it is: offtarget report {path}")
    module = importlib.import_module(f"offtarget.workflows.{verb.reads or verb.home}")
    result: Result = module.resume(path)
    return result


_FURTHER = ("max_answers", "max_cued_answers", "candidates")
"""What lets a run go on that has ended."""


def _opened_alike(path: Path, manifest: Manifest, opening: OpenSettings) -> OpenSettings:
    """How models are opened now: elsewhere perhaps, but in the numbers and by the templates the run was started with.

    Raises InputError where others are asked for: half of the answers would come from another model.
    """
    now = opening.over(manifest.opening)
    earlier = manifest.opening or type(now)()
    trained = getattr(getattr(manifest, "settings", None), "dtype", None)
    for name, before in (("dtype", (earlier.dtype, trained)), ("chat_template", (earlier.chat_template,))):
        asked = getattr(now, name)
        if asked is not None and asked not in before:
            was = next((value for value in before if value is not None), "its default")
            raise InputError(
                f"{path} was started with {name} {was}, not {asked}. Leave it out to go on with the run, or start a "
                "new one."
            )
    return now
