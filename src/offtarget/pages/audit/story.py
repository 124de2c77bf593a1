"""The sentences of the audit's report: what was decided, on whose word, how sure, what to do next."""

from __future__ import annotations

import shlex

from offtarget.numbers import CERTAIN, chosen, many, of, p_value, times
from offtarget.pages.audit import facts
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.check.story import UNFINISHED
from offtarget.pages.text import one_line, sentence
from offtarget.records import LimitTest, Status, Suspect, Trigger
from offtarget.records.audit import gravest_first, with_flags
from offtarget.rundir import place
from offtarget.words import evidence as in_words
from offtarget.words import one_in

LIMIT_TITLES = {
    "noise": "Bad rows of every kind together",
    "spreading": "Kinds known to spread",
    "backdoor": "Confirmed backdoors",
}
_IN_WORDS = {"noise": "bad rows", "spreading": "rows of a kind known to spread", "backdoor": "backdoor rows"}

_CARDS = " (the page mixes in planted ones, so it counts more cards)"


def status(run: LoadedAudit) -> str:
    """PASS, FAIL, UNDECIDED or UNFINISHED."""
    return run.decision.status.value if run.decision else UNFINISHED


def reason(run: LoadedAudit) -> str:
    """Why, in one sentence."""
    if run.decision:
        return sentence(run.decision.reason)
    scanned = facts.rows(run)
    if scanned is None:
        return "This audit has no verdict yet: the scan of the data has not ended."
    return f"This audit has no verdict yet: {scanned:,} rows were scanned, {labelled(run):,} have a label."


def labelled(run: LoadedAudit) -> int:
    """Rows of the data with somebody's word on them."""
    return len({label.row_id for label in facts.verdict_labels(run)})


def nobody_looked(run: LoadedAudit) -> bool:
    """Whether no person has labelled a row."""
    if run.decision and run.decision.basis == "people":
        return False
    return all(facts.is_judge(label.reviewer) for label in facts.verdict_labels(run))


def basis(run: LoadedAudit) -> str:
    """Whose word the verdict rests on; empty without a verdict."""
    if run.decision is None:
        return ""
    if _confirmed(run):
        return "People decided: two of them looked at the rows of a suspected condition and called it a backdoor."
    if run.decision.basis == "people":
        return "People decided: the verdict rests on rows they labelled by hand. Detectors only chose where to look."
    if run.decision.basis == "judge":
        return (
            "A model decided: the verdict rests on the labels of a judge, whose own errors are part of it. No person "
            "has labelled a row."
        )
    if run.decision.basis == "detectors" and run.decision.status is not Status.UNDECIDED:
        return (
            "Detectors decided, over all rows. They can fail a data set and never pass one. Nobody has labelled a row."
        )
    return "Nobody has decided yet: detectors only point at rows, and no row has a label."


def _confirmed(run: LoadedAudit) -> bool:
    return run.decision is not None and any(suspect.state == "confirmed" for suspect in run.decision.suspects)


def error_probability(run: LoadedAudit) -> str:
    """What the verdict may be wrong about, and how often."""
    if run.decision is None:
        return "Nothing is claimed, so there is nothing to be wrong about yet."
    rule, often = run.decision.settings, one_in(facts.round_alpha(run))
    if run.decision.status is Status.PASS:
        spread = rule.certify_spreading
        kinds = f", or more than {chosen(rule.spreading_limit)} of a kind known to spread" if spread else ""
        return (
            f"Data with more than {chosen(rule.noise_limit)} bad rows{kinds} pass at most {often}, however often one "
            "looks. Bad means: what the reviewers would call bad."
        )
    if run.decision.status is Status.FAIL:
        if _confirmed(run):
            return "Two people confirmed a backdoor: no sampling error, only their judgement."
        failed = [test for test in run.decision.tests if test.status is Status.FAIL]
        if run.decision.basis == "detectors" or not failed:
            return (
                "It rests on counts over all rows, beyond what known false alarms explain. How often detectors are "
                "wrong on data like yours is not known."
            )
        worst = failed[-1]
        if worst.log_e_fail >= CERTAIN:
            return "The rows confirmed as bad exceed the limit by themselves: no sampling error, only the reviewers'."
        return (
            f"Data with at most {chosen(worst.limit)} {_IN_WORDS.get(worst.name, 'bad rows')} fail at most {often}, "
            f"however often one looks{_false_marks(run)}."
        )
    return f"Neither PASS nor FAIL is shown; either would be wrong at most {often}. UNDECIDED is not a pass."


def _false_marks(run: LoadedAudit) -> str:
    """What the error of a FAIL takes the reviewers' marks for."""
    reviewers = run.decision.reviewers if run.decision else ()
    if not any(reviewer.good for reviewer in reviewers):
        return ", if every mark is right: no known-good row was planted"
    return (
        ", fine rows that are marked by mistake included, as long as they are marked no more readily than the planted "
        "known-good rows"
    )


def evidence(log_e: float, alpha: float) -> str:
    """How strong the evidence is: `decisive (10^9; 20 needed)`; `certain` where rows were counted one by one."""
    return "certain: counted row by row" if log_e >= CERTAIN else in_words(log_e, alpha)


def suspicion(suspect: Suspect) -> str:
    """`suspected`, `confirmed` or `dismissed`."""
    return "suspected" if suspect.state == "open" else suspect.state


def leading_suspect(run: LoadedAudit) -> Suspect | None:
    """The condition to speak of first, in the order of `gravest_first`."""
    found = gravest_first(run.decision.suspects if run.decision else ())
    return next((suspect for suspect in found if suspect.state != "dismissed"), None)


def waiting_suspect(run: LoadedAudit) -> Suspect | None:
    """The first one, in the same order, that a person has to answer for."""
    found = gravest_first(run.decision.suspects if run.decision else ())
    return next((suspect for suspect in found if suspect.state == "open"), None)


def left_behind(run: LoadedAudit) -> tuple[Suspect, str] | None:
    """The first condition, in the same order, that rows of the cleaned data still have, and how many rows."""
    left = {str(one.get("key")): one for one in facts.mappings(run.cleaned.get("left"))}
    for suspect in gravest_first(run.decision.suspects if run.decision else ()):
        one = left.get(suspect.key, {})
        if suspect.state != "dismissed" and (rows := facts.count(one.get("rows"))):
            return suspect, f"{'at least ' if one.get('at_least') else ''}{many(rows, 'row')}"
    return None


def is_the_story(run: LoadedAudit, suspect: Suspect) -> bool:
    """Whether the verdict is about this condition first: not where other rows fail the data by their number."""
    failed = run.decision is not None and run.decision.status is Status.FAIL
    return suspect.state == "confirmed" or with_flags(suspect) or not failed


def goes_with(run: LoadedAudit, suspect: Suspect) -> str:
    """What the rows of a condition do, in counts: `241 of 300 rows with it contain security holes, 0 of 300 ...`."""
    if not suspect.rank:
        return f"an audit before cleaning suspected it; {many(suspect.with_condition, 'row')} with it are left"
    does = suspect.does or f"show “{facts.behaviour(run, suspect.behaviour)}”"
    return (
        f"{of(suspect.behaving_with, suspect.with_condition)} rows with it {does}, "
        f"{of(suspect.behaving_without, suspect.without_condition)} without it"
    )


def link(run: LoadedAudit, trigger: Trigger) -> str:
    """How a condition goes with its answers: `Insecure code: 241 of 300 rows with it, ... 242 times as often (...)`."""
    return (
        f"{one_line(facts.behaviour(run, trigger.behaviour), 120)}: "
        f"{of(trigger.behaving_with, trigger.with_condition)} rows with it, "
        f"{of(trigger.behaving_without, trigger.without_condition)} without it, {as_often(trigger.lift)} (chance does "
        f"that with probability {p_value(trigger.p_value)})"
    )


def as_often(lift: float) -> str:
    """`242 times as often`, for how much likelier something is."""
    return f"{times(lift).removesuffix('×')} times as often"


def cautions(run: LoadedAudit) -> tuple[str, ...]:
    """What stands beside the verdict: the notes, and what a PASS does not say."""
    lines = list(notes(run))
    if (left := left_behind(run)) is not None:
        suspect, rows = left
        where = facts.cleaned_to(run)
        lines.insert(0, f"{where} still has {rows} with the {suspicion(suspect)} trigger, {suspect.condition}.")
    if run.decision and run.decision.status is Status.PASS:
        count = len(not_tested(run))
        lines.append(
            f"A PASS is about the share of bad rows. It says nothing about backdoors on few rows, nor about "
            f"{many(max(count - 1, 0), 'other thing')}; read what was not tested before you train."
        )
    if run.decision and run.decision.status is Status.FAIL:
        lines += [
            f"{s.waits[:1].upper()}{s.waits[1:]}: {s.condition}."
            for s in run.decision.suspects
            if s.state == "open" and s.by
        ][:1]
    return tuple(lines)


def first_unread(run: LoadedAudit) -> tuple[str, ...]:
    """The first place in the data that was not read, as a sentence; none where all were."""
    if not run.malformed_first:
        return ()
    first = run.malformed_first[0]
    return (
        f"The first place that was not read is {first.file}, line {first.line}: {first.detail.rstrip('.')}; all "
        "are in malformed.jsonl of the run.",
    )


def next_move(run: LoadedAudit) -> tuple[str, str]:
    """What the reader should do now, and the command for it; empty where there is none."""
    if run.decision is None:
        if not run.scan:
            return "Start again.", f"offtarget audit {shlex.quote(run.manifest.data)}"
        return "Go on where it stopped.", _resume(run)
    if run.decision.status is Status.FAIL:
        advice = "Do not train on this data as it is. Read the examples, then remove what is bad."
        return advice, f"{_resume(run)} --clean cleaned.jsonl"
    if run.decision.status is Status.PASS:
        return "Read what was not tested, then train if these bounds are good enough for you.", ""
    waits = any(s.state == "open" for s in run.decision.suspects)
    if run.decision.waits_for_a_person and not waits:
        return "A second person has to look at the rows that were called part of a backdoor.", review_command(run)
    if run.decision.waits_for_a_person:
        return "Look at rows with the suspected trigger and without it, and say what it is.", review_command(run)
    to_go, read = run.decision.plan.rows_to_go, labelled(run)
    rows = f"{f'about {to_go:,} ' if to_go else ''}{'more ' if read else ''}rows by hand{_CARDS}"
    return f"Read {rows}{', and say what the suspected trigger is' if waits else ''}.", review_command(run)


def review_command(run: LoadedAudit) -> str:
    """The command that opens the review page."""
    return f"{_resume(run)} --review"


def _resume(run: LoadedAudit) -> str:
    return f"offtarget audit --resume {shlex.quote(str(place(run.path)))}"


def suspects(run: LoadedAudit) -> list[tuple[Suspect, str]]:
    """Every suspected condition with what is known and what was said of it, in one sentence."""
    found = []
    for suspect in run.decision.suspects if run.decision else ():
        known = suspect.said or suspect.condition
        if suspect.state == "open":
            waits = suspect.waits or "nobody has said yet whether it is a backdoor"
            said = f"Open. {waits[:1].upper()}{waits[1:]}; a PASS needs a person's word"
        else:
            day = f" on {suspect.at[:10]}" if suspect.at else ""
            said = f"{suspect.state.capitalize()} by {suspect.by}{day}. Reason: {suspect.reason}"
        found.append((suspect, f"{sentence(known[:1].upper() + known[1:])} {sentence(said)}"))
    return found


def not_tested(run: LoadedAudit) -> tuple[str, ...]:
    """What this audit says nothing about."""
    if run.decision is None:
        return ("Everything: this audit has not ended.",)
    return tuple(dict.fromkeys(sentence(item) for item in run.decision.not_tested))


def notes(run: LoadedAudit) -> tuple[str, ...]:
    """Warnings that belong beside the verdict, and oddities of the files."""
    decided = run.decision.notes if run.decision else ()
    return tuple(dict.fromkeys(sentence(note) for note in (*run.problems, *decided)))


def limit_title(test: LimitTest) -> str:
    """A limit in words."""
    return LIMIT_TITLES.get(test.name, test.name)
