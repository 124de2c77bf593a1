"""From run directories to what the pages show."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from offtarget.errors import OfftargetError
from offtarget.numbers import duration, e_value, file_size, points, whole
from offtarget.pages.card import MOODS, Card, Step
from offtarget.pages.charts.trajectories import OVERALL, looked_at
from offtarget.pages.registry import format_names
from offtarget.pages.runs import diff as diffs
from offtarget.pages.runs.diff import RunsDiff
from offtarget.pages.view.pages import Compared
from offtarget.pages.view.shown import Answers, Found, Going, Listed, Row, RunPage, Wanted
from offtarget.records import Look
from offtarget.records.check import CheckManifest
from offtarget.rundir import place, read_jsonl, read_manifest
from offtarget.words import asked
from offtarget.workflows.runs.cards import about, card
from offtarget.workflows.runs.listing import BROKEN, UNFINISHED
from offtarget.workflows.runs.verbs import CHECK, COMPARE
from offtarget.workflows.view.aligned import in_words, side_by_side
from offtarget.workflows.view.answers import PAGE, Index, Indexes, exchanges, part, role
from offtarget.workflows.view.search import search
from offtarget.workflows.view.shelf import Shelf, Shelved

ROWS = 100
"""Runs on a page of the list."""
OTHERS = 100
"""Runs that one can be held against, at most."""
KEPT = 4
"""Pairs of runs whose difference is kept."""
LARGE = 30_000_000
"""Bytes of answers from which on a run is not read whole for its page: that would take seconds at every look."""
ASKED_TWO = (CHECK.command, COMPARE.command)


@dataclass
class Gathered:
    """The runs under one folder, as the pages show them."""

    root: Path
    shelf: Shelf = field(init=False)
    indexes: Indexes = field(default_factory=Indexes)
    _changes: dict[object, tuple[RunsDiff | None, str]] = field(default_factory=dict)
    """What changed between the pairs that were looked at last: turning a page does not work it out again."""

    def __post_init__(self) -> None:
        self.shelf = Shelf(self.root)

    def listed(self, wanted: Wanted) -> Listed:
        """A page of the list."""
        runs = self.shelf.runs()
        chosen = [run for run in runs if fits(run, wanted)]
        pages = max(1, -(-len(chosen) // ROWS))
        page = min(max(1, wanted.page), pages)
        here = chosen[(page - 1) * ROWS : page * ROWS]
        return Listed(
            folder=str(place(self.root)),
            wanted=Wanted(wanted.verb, wanted.verdict, wanted.model, wanted.text, page),
            rows=tuple(map(row, here)),
            found=len(chosen),
            all=len(runs),
            pages=pages,
            verbs=tuple(
                sorted({run.summary.verb for run in runs if run.summary.verb} | {*filter(None, [wanted.verb])})
            ),
            verdicts=tuple(sorted({run.summary.state for run in runs} | {*filter(None, [wanted.verdict])})),
            live=sum(run.live for run in runs),
        )

    def run(self, name: str, outcome: str, page: int, at: str = "") -> RunPage:
        """One run, with a page of its answers; `at` is the answer that is to be on it. InputError for no run."""
        found = self.shelf.find(name)
        shown, path = row(found), found.summary.path
        if found.summary.state == BROKEN:
            return RunPage(shown, str(place(path)), None, _sentence(found.summary.problem or "It cannot be read."))
        told: Card | None = None
        answers: Answers | None = None
        going: Going | None = None
        fault = ""
        try:
            told = self._card(found)
            if found.summary.verb in ASKED_TWO:
                answers = _answers(self.indexes.of(path), outcome, page, at)
            going = _going(found) if found.live else None
        except (OfftargetError, OSError) as error:
            fault = _sentence(str(error))
        if told is not None:
            told = _on_a_page(told, live=found.live)
        others = () if told is None else self._others(found)
        reports = () if told is None else _reports(shown)
        if fault and told is not None:
            told = Card(told.state, told.subject, told.sentence, cautions=(fault,))
        return RunPage(shown, str(place(path)), told, fault, going, answers, reports, others)

    def compared(self, names: Sequence[str], show: str, who: str, page: int) -> Compared:
        """Two runs side by side. InputError for a run that there is not."""
        before, after = (self.shelf.find(name) for name in names)
        rows = row(before), row(after)
        if BROKEN in (before.summary.state, after.summary.state):
            return Compared(rows, None, "One of the two cannot be read; its own page says why.")
        same_kind = before.summary.verb in ASKED_TWO and after.summary.verb in ASKED_TWO
        if before.summary.verb != after.summary.verb and not same_kind:
            return Compared(rows, None, "These are runs of two kinds. Choose two of one kind.")
        changed, why = self._changed(before, after)
        aligned = said = None
        if same_kind:
            indexes = self.indexes.of(before.summary.path), self.indexes.of(after.summary.path)
            aligned = side_by_side(*indexes, show=show, who=role(who), page=page)
            said = in_words(aligned)
        told = None if changed is None else _without_command(diffs.card(changed))
        return Compared(rows, told, why, changed, aligned, said or "")

    def found(self, text: str, run: str, since: str) -> Found:
        """A piece of a search, the newest run first."""
        runs = [(one.summary.name, one.summary.path) for one in self.shelf.runs()]
        return search(runs, text, since=since, run=run)

    def _card(self, found: Shelved) -> Card:
        if found.summary.verb in ASKED_TWO and _answers_size(found.summary.path) > LARGE:
            return _short_card(found)
        return card(found.summary.path, live=found.live)

    def _changed(self, before: Shelved, after: Shelved) -> tuple[RunsDiff | None, str]:
        pair = (before.summary.path, before.stamp, after.summary.path, after.stamp)
        known = self._changes.pop(pair, None) or _diff(before, after)
        self._changes[pair] = known
        while len(self._changes) > KEPT:
            del self._changes[next(iter(self._changes))]
        return known

    def _others(self, found: Shelved) -> tuple[Row, ...]:
        kinds = ASKED_TWO if found.summary.verb in ASKED_TWO else (found.summary.verb,)
        same = [
            one for one in self.shelf.runs() if one.summary.verb in kinds and one.summary.name != found.summary.name
        ]
        return tuple(map(row, same[:OTHERS]))


def fits(run: Shelved, wanted: Wanted) -> bool:
    """Whether a run is among those that are shown."""
    one = run.summary
    names = " ".join(filter(None, (one.base, one.tuned, one.data))).casefold()
    everything = " ".join(filter(None, (one.name, names, one.outcome, one.problem, one.state, one.verb))).casefold()
    return (
        wanted.verb in ("", one.verb)
        and wanted.verdict in ("", one.state)
        and wanted.model.casefold().strip() in names
        and all(word in everything for word in wanted.text.casefold().split())
    )


def row(run: Shelved) -> Row:
    """A run as a row of the list."""
    one = run.summary
    note = one.problem or one.outcome or ""
    if one.state == UNFINISHED:
        note = "so far: " + run.so_far if run.so_far else ""
    if one.state == BROKEN:
        note = _sentence(note.replace(f"{one.path}/", ""))
    return Row(
        name=one.name,
        verb=one.verb or "",
        state=one.state,
        mood="bad" if one.state == BROKEN else MOODS.get(one.state, "plain"),
        about=one.about,
        short=one.short,
        began=moment(one.began),
        took=duration(run.seconds) if run.seconds is not None else "",
        size=file_size(run.size),
        note=note,
        live=run.live,
    )


def moment(seconds: float) -> str:
    """`20 Nov 14:05` by this machine's clock, with the year where it is another."""
    try:
        began = datetime.fromtimestamp(seconds).astimezone()
    except (ValueError, OverflowError, OSError):
        return ""
    this_year = began.year == time.localtime().tm_year
    return f"{began.day} {began.strftime('%b %H:%M' if this_year else '%b %Y')}"


def _answers(index: Index, outcome: str, page: int, at: str) -> Answers:
    chosen = [key for key in index.keys if not outcome or index.outcome("tuned", key) == outcome]
    probe, _, number = at.rpartition("/")
    if number.isdigit() and (probe, int(number)) in chosen:
        page = chosen.index((probe, int(number))) // PAGE + 1
    page, pages, here = part(chosen, page)
    texts = exchanges(index, here)
    names = [f"{key[0]}/{key[1]}" for key in here]
    return Answers(outcome, index.counts(), tuple(zip(names, texts, strict=True)), len(chosen), page, pages)


def _going(found: Shelved) -> Going:
    looks = read_jsonl(found.summary.path / "looks.jsonl", Look) if found.summary.verb == CHECK.command else []
    last = {look.arm: look for look in looks}
    rows = tuple(
        (
            "on average" if arm == OVERALL else asked(arm),
            whole(look.tuned_answers),
            whole(look.base_answers),
            points(look.difference),
            e_value(look.log_e_fail),
            e_value(look.log_e_pass),
        )
        for arm, look in sorted(last.items(), key=lambda item: item[0] != OVERALL)
    )
    manifest = read_manifest(found.summary.path)
    settings = manifest.settings.decision if isinstance(manifest, CheckManifest) else None
    panels = () if settings is None or OVERALL not in last else (looked_at(looks, settings),)
    return Going(f"So far: {found.so_far or 'nothing yet'}.", rows, panels)


def _reports(shown: Row) -> tuple[tuple[str, str], ...]:
    names = [name for name in format_names() if name != "html"]
    return tuple((name, f"/report/{quote(shown.ident)}?format={name}") for name in ("html", *names))


def _answers_size(path: Path) -> int:
    try:
        return (path / "generations.jsonl").stat().st_size
    except OSError:
        return 0


def _short_card(found: Shelved) -> Card:
    """Of a run that is too large to be read for each look."""
    one = found.summary
    manifest = read_manifest(one.path)
    size = file_size(_answers_size(one.path))
    return Card(
        state=one.state,
        subject=about(manifest),
        sentence=f"Its answers take {size}, so that only its report has its card; they are below, page by page.",
        steps=(Step("The verdict with its reason and bounds is in the report, which takes a while"),),
    )


def _diff(before: Shelved, after: Shelved) -> tuple[RunsDiff | None, str]:
    paths = before.summary.path, after.summary.path
    if paths[0] == paths[1]:
        return None, "Both are the same run. Choose another one."
    if sum(map(_answers_size, paths)) > LARGE:
        return None, (
            "These runs are too large for what changed to be worked out here; `offtarget runs diff` does it. Their "
            "answers are below."
        )
    try:
        return diffs.compared(paths, (card(paths[0], live=before.live), card(paths[1], live=after.live))), ""
    except (OfftargetError, OSError) as error:
        return None, _sentence(str(error))


def _on_a_page(card: Card, *, live: bool) -> Card:
    """Without the command for the page that a link leads to; of a run that goes on, without the answers that follow."""
    steps = tuple(Step(step.why, "" if step.command.endswith(" --html") else step.command) for step in card.steps)
    return replace(card, steps=steps, exchanges=() if live else card.exchanges)


def _without_command(card: Card) -> Card:
    return replace(card, steps=())


def _sentence(text: str) -> str:
    text = text.strip()
    named = "." in text.partition(" ")[0]  # a file keeps its name
    return (text if named else text[:1].upper() + text[1:]) + ("" if text.endswith((".", "!", "?")) else ".")
