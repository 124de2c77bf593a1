"""People label answers of a finished run; the labels become a table that `judge calibrate` reads."""

from __future__ import annotations

import csv
import hashlib
import io
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.asking.ask import Pair
from offtarget.data.labels import as_cell
from offtarget.errors import InputError, RunInterrupted
from offtarget.numbers import many
from offtarget.records import Label
from offtarget.records.audit import one_person_each
from offtarget.records.people import PeopleQuality, Standing
from offtarget.records.rated import ReviewPage
from offtarget.review.answers.cards import card_of
from offtarget.review.store import LabelStore
from offtarget.rundir import write_whole
from offtarget.workflows.people.answers import RunAnswers, answers_of
from offtarget.workflows.people.page import LABELS, open_people
from offtarget.workflows.runs.listing import find_run

COLUMNS = ("key", "drawn", "question", "answer", "label", "reviewer", "seconds", "at", "note")
_WORDS = {"bad": "misaligned", "ok": "fine"}


@dataclass(frozen=True, slots=True)
class LabelResult:
    """What became of an afternoon of reading."""

    run: Path
    out: Path
    answers: int
    """Answers with a label, in this sitting or an earlier one."""
    drawn: int
    """Answers that were to be read."""
    quality: PeopleQuality


def label_answers(
    run: str | Path,
    out: Path,
    *,
    answers: int = 100,
    flagged: bool = False,
    seed: int = 0,
    reviewers: int = 1,
    page: ReviewPage | None = None,
) -> LabelResult:
    """Have people read `answers` of a run, drawn at random over both models, and write their labels to the table `out`.

    `flagged`: also every answer that the run's judge called misaligned; the column `drawn` says which is which. Labels
    are kept in the run and asked for once; the table is written anew from them, whatever ends the reading.
    Raises InputError for a run without answers or a file `out` that is something else, RunInterrupted on Ctrl-C.
    """
    path = find_run(run)
    found = answers_of(path)
    if answers < 1:
        raise InputError(f"At least one answer must be drawn, not {answers}.")
    _refuse_other_files(out)
    drawn = _drawn(found, answers, seed)
    more = [pair for pair in found.pairs if flagged and pair[1].key in found.flagged and pair not in drawn]
    _write(path, out, drawn, more)  # a folder that cannot be written is found out before anybody reads
    people = open_people(path, found.title, found.known, page, reviewers=reviewers, seed=seed, can_finish=True)
    wanted = drawn + more
    try:
        with people:
            people.tell(Standing(f"{many(len(wanted), 'answer')} of this run are to be read; every label is kept."))
            people.judge(in_random_order(wanted, seed))
            people.complete()
            quality = people.quality()
            people.tell(Standing("All answers are read.", over=True))
    except KeyboardInterrupt:
        count = _write(path, out, drawn, more)
        raise RunInterrupted(
            f"Interrupted. Labels of {many(count, 'answer')} are in {out}; go on with: offtarget judge label "
            f"{shlex.quote(str(path))} --out {shlex.quote(str(out))}"
        ) from None
    return LabelResult(path, out, _write(path, out, drawn, more), len(wanted), quality)


def _drawn(found: RunAnswers, answers: int, seed: int) -> list[Pair]:
    return in_random_order(found.pairs, seed)[:answers]


def in_random_order(pairs: Sequence[Pair], seed: int) -> list[Pair]:
    """An order that says nothing of model or judge."""
    return sorted(pairs, key=lambda pair: hashlib.sha256(f"{seed}\x1f{pair[1].key}".encode()).digest())


def _refuse_other_files(out: Path) -> None:
    """A table of labels may be written anew, anything else may not."""
    try:
        if out.exists() and not out.read_text(encoding="utf-8").startswith(",".join(COLUMNS)):
            raise InputError(f"{out} exists and is no table of labels. Name another file with --out.")
        if not out.parent.is_dir():
            raise InputError(f"{out.parent} is no folder. Make it, or name another file with --out.")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{out} cannot be read as a table of labels. Name another file with --out.") from None


def _write(run: Path, out: Path, drawn: Sequence[Pair], more: Sequence[Pair]) -> int:
    """One line per answer and reviewer, in the order of the answers' keys; how many answers have a label."""
    store = LabelStore(run / LABELS)
    try:
        labels = one_person_each(store.labels())
    finally:
        store.close()
    by_card: dict[str, list[Label]] = {}
    for label in labels:
        by_card.setdefault(label.row_id, []).append(label)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)  # the only way that quotes a lone \r
    text.write(",".join(COLUMNS) + "\n")
    count = 0
    every = [(pair, how) for pairs, how in ((drawn, "random"), (more, "flagged")) for pair in pairs]
    for (probe, generation), how in sorted(every, key=lambda one: one[0][1].key):
        card = card_of(probe, generation)
        said = by_card.get(card.id, [])
        count += bool(said)
        for label in said:
            word = _WORDS.get(label.mark, "cannot say")
            seconds = "" if label.seconds is None else f"{label.seconds:g}"
            told = (
                generation.key,
                how,
                card.question,
                card.answer,
                word,
                label.reviewer,
                seconds,
                label.at,
                label.note,
            )
            table.writerow(map(as_cell, told))
    write_whole(out, text.getvalue())
    return count
