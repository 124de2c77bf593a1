"""The card of an audit: the trigger first where one was found, then what was flagged and read."""

from __future__ import annotations

import shlex
from pathlib import Path

from offtarget.numbers import chosen, duration, many, of, percent, share_range, whole
from offtarget.pages.audit import facts, story
from offtarget.pages.audit.loading import LoadedAudit, load_audit
from offtarget.pages.audit.telling import telling
from offtarget.pages.card import Card, Figure, Step
from offtarget.pages.text import one_line
from offtarget.records import AuditDecision, Status, Suspect
from offtarget.rundir import place

TRIGGER = 300
"""Characters of a trigger that are shown; the page's section of conditions has more of it."""


def card_of_run(path: Path) -> Card:
    """The same, read from its folder."""
    return card(load_audit(path))


def card(run: LoadedAudit, *, on_page: bool = False) -> Card:
    """What an audit came to. `on_page`: without what the page itself shows further down, and without the way to it."""
    title, exchanges = telling(run)
    return Card(
        state=story.status(run),
        subject=facts.data_name(run),
        sentence=story.reason(run),
        certainty=story.error_probability(run),
        figures=_figures(run),
        exchanges=exchanges,
        exchanges_title=title,
        cautions=(*story.cautions(run), *(() if on_page else story.first_unread(run))),
        steps=tuple(step for step in _steps(run) if not (on_page and " --html" in step.command)),
        cost=_cost(run),
    )


def next_step(run: LoadedAudit) -> str:
    """The card's first step in one sentence, for reports that have room for one."""
    step = _steps(run)[0]
    return f"{step.why}: {step.command}" if step.command else f"{step.why}."


def _figures(run: LoadedAudit) -> tuple[Figure, ...]:
    if run.decision is None:
        return ()
    counts = (_flagged(run, run.decision), _read(run, run.decision), _allowed(run, run.decision))
    suspect = story.leading_suspect(run)
    if suspect is None:
        return counts
    trigger = _trigger(run, suspect)
    return (trigger, *counts) if story.is_the_story(run, suspect) else (*counts, trigger)


def _trigger(run: LoadedAudit, suspect: Suspect) -> Figure:
    """The trigger in its own words, whatever stands in it made visible."""
    state = "Confirmed" if suspect.state == "confirmed" else "Suspected"
    same = f"; the same rows have {', '.join(suspect.same_rows[:2])}" if suspect.same_rows else ""
    others = sum(s.state != "dismissed" for s in (run.decision.suspects if run.decision else ())) - 1
    more = f"; {many(others, 'more condition')} beside it" if others > 0 else ""
    kind = suspect.kind.replace("-", " ")
    return Figure(
        f"{state} trigger", one_line(suspect.text, TRIGGER), f"{kind}: {story.goes_with(run, suspect)}{same}{more}"
    )


def _flagged(run: LoadedAudit, decision: AuditDecision) -> Figure:
    flagged = facts.count(run.scan.get("flagged_rows"))
    if flagged is None:
        return Figure("Rows flagged", "not recorded")
    return Figure(
        "Rows flagged", of(flagged, decision.rows), f"{percent(flagged / max(decision.rows, 1))}, by detectors"
    )


def _read(run: LoadedAudit, decision: AuditDecision) -> Figure:
    """What was read of the rows drawn at random, which alone estimate a share."""
    noise = decision.tests[0] if decision.tests else None
    if noise is None or not noise.labelled:
        read = story.labelled(run)
        return Figure("Rows read", f"{whole(read)}, none drawn at random" if read else "none")
    shown = "" if noise.interval is None else f", so {share_range(noise.interval)} of all rows"
    return Figure(
        "Rows read", whole(story.labelled(run)), f"{of(noise.bad, noise.labelled)} drawn at random are bad{shown}"
    )


def _allowed(run: LoadedAudit, decision: AuditDecision) -> Figure:
    if run.cleaned:
        kept, removed = (facts.count(run.cleaned.get(name)) for name in ("kept", "removed"))
        return Figure("Cleaned data", f"{whole(kept)} rows kept, {whole(removed)} removed", _where(run))
    rule = decision.settings
    return Figure(
        "Allowed", f"{chosen(rule.noise_limit)} bad rows", f"{chosen(rule.spreading_limit)} of a kind known to spread"
    )


def _where(run: LoadedAudit) -> str:
    """Where the cleaned data are, and what of the trigger is in them."""
    left = story.left_behind(run)
    return facts.cleaned_to(run) + ("" if left is None else f"; {left[1]} with {one_line(left[0].text, 60)} left in it")


def _steps(run: LoadedAudit) -> tuple[Step, ...]:
    """What to do next, the first first."""
    here = shlex.quote(str(place(run.path)))
    resume = f"offtarget audit --resume {here}"
    if run.decision is None:
        return (_move(run),)
    if run.decision.status is Status.PASS:
        return (_move(run), Step("Keep the evidence", f"offtarget report {here} --html"))
    page = Step("Read what was found, row by row", f"offtarget report {here} --html --open")
    waiting = story.waiting_suspect(run)
    if run.decision.status is Status.FAIL:
        look = [] if waiting is None else [Step(_LOOK, f"{resume} --review")]
        done = _after_cleaning(run) if run.cleaned else (_clean(resume),)
        return (*done, page) if run.cleaned else (page, *look, *done)
    left = _without_trigger(run)
    if waiting is None:
        return (*left, _move(run))
    dismiss = f"{resume} --dismiss-trigger {shlex.quote(waiting.key)} --by YOU --why REASON"
    return (*left, _move(run), Step(f"If you know already that {waiting.condition} is harmless", dismiss))


_LOOK = "Look at rows with the suspected trigger and without it, and say what it is"


def _clean(resume: str) -> Step:
    return Step("Do not train on this data; remove what is bad", f"{resume} --clean cleaned.jsonl")


def _move(run: LoadedAudit) -> Step:
    why, command = story.next_move(run)
    return Step(why.removesuffix("."), command)


def _after_cleaning(run: LoadedAudit) -> tuple[Step, ...]:
    if run.cleaned.get("kept") == 0:
        return (Step("Nothing is left to train on; look for other data"),)
    again = Step("Audit what is left", f"offtarget audit {shlex.quote(facts.cleaned_to(run))} --review")
    return (*_without_trigger(run), again)


def _without_trigger(run: LoadedAudit) -> tuple[Step, ...]:
    """How to clean again without the rows that still have the trigger; one person's word is enough for that."""
    left = story.left_behind(run)
    if left is None or left[0].dismissed_by:
        return ()
    suspect, rows = left
    out = Path(facts.cleaned_to(run))
    stem, dot, ending = out.name.partition(".")
    other = shlex.quote(str(out.with_name(f"{stem}-without-trigger{dot}{ending}")))
    word = f"--confirm-trigger {shlex.quote(suspect.key)} --by YOU"
    command = f"offtarget audit --resume {shlex.quote(str(place(run.path)))} {word} --clean {other}"
    return (Step(f"If {suspect.condition} looks like a backdoor to you, take out the {rows} with it too", command),)


def _cost(run: LoadedAudit) -> str:
    seconds, rows = run.scan.get("seconds"), facts.rows(run)
    if rows is None or not isinstance(seconds, int | float):
        return ""
    since = f" ({whole(facts.known(run))} unchanged since earlier audits)" if facts.known(run) else ""
    return f"{many(rows, 'row')}{since}, {duration(float(seconds))}"
