"""Opens the page at which people read the answers of a run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from offtarget.errors import InputError
from offtarget.records import KnownAnswer
from offtarget.records.rated import ReviewPage
from offtarget.review.answers.people import PeopleJudge

LABELS = "labels.sqlite"
"""File of a run directory with what people said, and every change of mind."""


def open_people(
    run: Path,
    title: str,
    known: Sequence[KnownAnswer],
    page: ReviewPage | None = None,
    *,
    reviewers: int = 1,
    seed: int = 0,
    can_finish: bool = False,
) -> PeopleJudge:
    """People as a judge of answers of a run, with planted ones among them; the page opens when it is entered.

    Labels are kept in the run's folder. Raises InputError for fewer than one reviewer, PrerequisiteError without the
    extra `review`.
    """
    if reviewers < 1:
        raise InputError(f"At least one reviewer is needed, not {reviewers}.")
    where = page or ReviewPage()
    return PeopleJudge(
        run / LABELS,
        title=title,
        known=known,
        reviewers=reviewers,
        seed=seed,
        host=where.host,
        port=where.port,
        open_browser=where.open_browser,
        on_ready=where.on_ready or _announce,
        say=_say,
        can_finish=can_finish,
    )


def _announce(address: str) -> None:
    _say(f"review page: {address}")
    _say("Open it to read the answers; the command goes on by itself. Ctrl-C stops it, and every label is kept.")


def _say(sentence: str) -> None:
    sys.stderr.write(f"{sentence}\n")
    sys.stderr.flush()
