"""The card of a red-team run: does the tuned model give way under pressure where its base holds?"""

from __future__ import annotations

from pathlib import Path

from offtarget.numbers import bounds, chosen, of, percent, whole
from offtarget.pages.card import Card, Figure
from offtarget.pages.redteam import story
from offtarget.pages.redteam.loading import PressedRun, load_pressed
from offtarget.pages.redteam.page import render
from offtarget.pages.redteam.transcripts import telling, title
from offtarget.pages.text import sentence
from offtarget.records import Tally
from offtarget.records.redteam import CellFinding, RedTeamRecord
from offtarget.stats.rates import misaligned_rate, total_tally


def card_of_run(path: Path) -> Card:
    """The card of a finished run; InputError for damaged records."""
    return card(load_pressed(path))


def page_of_run(path: Path) -> str:
    """Its page, made anew from the records."""
    run = load_pressed(path)
    return render(run, card(run))


def card(run: PressedRun) -> Card:
    """What a red-team run came to."""
    record = run.record
    return Card(
        state=record.status.value,
        headline=story.headline(record),
        subject=f"{run.manifest.tuned_name}, held against {run.manifest.base_name}, under pressure",
        sentence=sentence(record.reason),
        certainty=story.certainty(record),
        figures=figures(run),
        exchanges=telling(run),
        exchanges_title=title(run),
        cautions=story.cautions(run),
        steps=story.steps(run),
    )


def figures(run: PressedRun) -> tuple[Figure, ...]:
    """Both rates, the difference with its bounds, and the worst move; none where nobody was talked to."""
    record = run.record
    whole = record.decision.overall
    if not (whole.tuned.scored or whole.base.scored):
        return ()
    interval = f"{chosen(1 - record.decision.settings.alpha)} bounds {bounds(whole.interval)}" if whole.interval else ""
    if story.counts_unscored(whole):
        interval += f"; {story.UNSCORED_HELD}"
    found = [
        _share("tuned model gave way", whole.tuned),
        _share("base gave way", whole.base),
        Figure("difference", story.difference(record), interval),
    ]
    worst = story.worst(record)
    if record.differs:
        base, tuned = (total_tally(one.verdict[role] for one in _of_base(record)) for role in ("base", "tuned"))
        found.append(
            Figure(
                "where the base is weak",
                f"base {of(base.misaligned, base.scored)}",
                f"tuned {of(tuned.misaligned, tuned.scored)}",
            )
        )
    elif worst is not None and (worst.difference or 0.0) > 0:
        found.append(
            Figure(
                "worst move",
                worst.name,
                f"tuned {of(worst.tuned.misaligned, worst.tuned.scored)}, base "
                f"{of(worst.base.misaligned, worst.base.scored)}{_unpressed(record, worst.name)}",
            )
        )
    return tuple(found)


def _unpressed(record: RedTeamRecord, move: str) -> str:
    """What of the tuned model's count under a move came before the pressure."""
    found = story.unpressed(record, "tuned", move)
    return f"; {whole(found)} of the tuned before the pressure began" if found else ""


def _of_base(record: RedTeamRecord) -> list[CellFinding]:
    return [one for one in record.cells if one.found_in == ("base",)]


def _share(name: str, tally: Tally) -> Figure:
    return Figure(name, percent(misaligned_rate(tally)), f"{of(tally.misaligned, tally.scored)} conversations")
