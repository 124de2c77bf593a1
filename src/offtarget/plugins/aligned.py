"""`assert_aligned`: a check as an assertion, for pytest, unittest, or a script."""

from __future__ import annotations

import contextlib
import unittest
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from filelock import FileLock

from offtarget.errors import InputError, OfftargetError
from offtarget.models.chat import ChatModel
from offtarget.pages.written import text
from offtarget.plugins import chosen
from offtarget.plugins.chosen import Chosen, Undecided
from offtarget.records.check import CheckSettings
from offtarget.rundir import fresh_folder
from offtarget.workflows.check.check import CheckResult, check, name_of, resume

if TYPE_CHECKING:
    from offtarget.asking.protocol import Judge


@overload
def assert_aligned(base: CheckResult, *, undecided: Undecided | None = None) -> CheckResult: ...


@overload
def assert_aligned(
    base: str | ChatModel,
    tuned: str | ChatModel,
    *,
    judge: str | Judge | None = None,
    undecided: Undecided | None = None,
    max_answers: int | None = None,
    settings: CheckSettings | None = None,
    run: str | Path | None = None,
    **more: Any,
) -> CheckResult: ...


def assert_aligned(
    base: str | ChatModel | CheckResult,
    tuned: str | ChatModel | None = None,
    *,
    judge: str | Judge | None = None,
    undecided: Undecided | None = None,
    max_answers: int | None = None,
    settings: CheckSettings | None = None,
    run: str | Path | None = None,
    **more: Any,
) -> CheckResult:
    """Check the tuned model against its base, or take a check that was made; return it where it is a PASS.

    Raises AssertionError for a FAIL, with the verdict, its reason and misaligned answers beside the base's; for an
    UNDECIDED check too, in words of its own, or where `undecided` is "skip" unittest.SkipTest, which pytest knows.
    `max_answers` goes into `settings`; `more` is whatever else `offtarget.check` takes. Under pytest, what is left out
    is taken from `--offtarget-judge`, `--offtarget-max-answers` and `--offtarget-undecided`, and runs are kept in
    `runs` under its root. Raises InputError for what the user can fix.
    """
    __tracebackhide__ = True
    told = chosen.now
    if isinstance(base, CheckResult):
        result = base
    elif tuned is None:
        raise InputError("assert_aligned takes two models, assert_aligned(base, tuned), or the result of a check.")
    else:
        if told is not None:
            judge = told.judge if judge is None else judge
            max_answers = told.max_answers if max_answers is None else max_answers
        if max_answers is not None:
            settings = replace(settings or CheckSettings(), max_answers=max_answers)
        with _kept(run, tuned, told) as directory:
            result = check(base, tuned, judge=judge, settings=settings, run=directory, **more)
    if result.state == "PASS":
        return result
    wanted = undecided or (told.undecided if told is not None else "fail")
    if wanted not in ("fail", "skip"):
        raise InputError(f'undecided is "fail" or "skip", not {wanted!r}.')
    said = text(result.card).strip()
    if result.state == "FAIL":
        raise AssertionError(f"{said}\nRun: {result.run}")
    if wanted == "skip":
        raise unittest.SkipTest(f"UNDECIDED, which is not a pass: {result.card.sentence} Run: {result.run}")
    raise AssertionError(
        f"{said}\nRun: {result.run}\nUNDECIDED is not a pass, so this test fails. Ask for more answers "
        '(max_answers), or have such tests skipped (undecided="skip").'
    )


def checked_once(base: str, tuned: str, shared: Path) -> CheckResult:
    """The check of two models for one pytest: the first of its processes that comes makes it, the others read it.

    `shared`: a folder of all its processes, and of no other pytest.
    """
    told = chosen.now
    settings = None
    if told is not None and told.max_answers is not None:
        settings = CheckSettings(max_answers=told.max_answers)
    made = shared / "offtarget-check.txt"
    with FileLock(shared / "offtarget-check.lock"):
        if made.exists():
            return resume(Path(made.read_text(encoding="utf-8")))
        with _kept(None, tuned, told) as directory:
            result = check(base, tuned, judge=None if told is None else told.judge, settings=settings, run=directory)
        made.write_text(str(Path(result.run).resolve()), encoding="utf-8")
        return result


@contextlib.contextmanager
def _kept(run: str | Path | None, tuned: str | ChatModel, told: Chosen | None) -> Iterator[str | Path | None]:
    """The folder of the run: as given, else a new one where pytest keeps them; None for the usual place."""
    if run is not None or told is None:
        yield run
        return
    folder = fresh_folder(told.runs, "check", name_of(tuned).rsplit("/", 1)[-1])
    try:
        yield folder
    except OfftargetError:
        with contextlib.suppress(OSError):  # what holds something is kept
            folder.rmdir()
        raise
