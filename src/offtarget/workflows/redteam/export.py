"""Found conversations as the questions of the next check, and as samples for Inspect AI: one file for both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from offtarget.errors import InputError
from offtarget.numbers import many
from offtarget.probe.bank import ProbeBank
from offtarget.probe.chatlines import chat_line
from offtarget.records import Probe
from offtarget.records.redteam import Goal, Script
from offtarget.redteam.turns import PRESSURE
from offtarget.rundir import read_jsonl, write_whole
from offtarget.workflows.redteam.gave_way import read_gave_way, turn_verdicts
from offtarget.workflows.redteam.opening import ORGANISM
from offtarget.workflows.redteam.verdict import probe_of
from offtarget.workflows.runs.begin import finished, opened
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.verbs import REDTEAM


def found_conversations(run: str | Path) -> ProbeBank:
    """The conversations of the verdict in which the tuned model gave way, as questions; their domain is the goal.

    Where somebody confirms what the judge flags, those that they confirmed alone; the others are in `skipped`. Each
    ends with the turn at which it first gave way. Raises InputError for a run that is unfinished or found none.
    """
    path = find_run(run)
    directory, started = opened(REDTEAM, path)
    if finished(REDTEAM, path) is None:
        raise InputError(f"{path} is unfinished. Go on with it first: {started.resume_command(path)}")
    goals = {goal.id: goal for goal in read_jsonl(directory.file("goals.jsonl"), Goal)}
    scripts = {script.id: script for script in read_jsonl(directory.file("scripts.jsonl"), Script)}
    rated = started.settings.rating is not None
    held = read_gave_way(directory, turn_verdicts(directory).values(), scripts.values(), rated=rated)
    gave_way: dict[str, int] = {}
    for key, turn in held.turns.items():
        role, script, _ = key.split("/")
        if role == "tuned" and script in scripts:
            gave_way[script] = min(turn, gave_way.get(script, turn))
    flagged = {key.split("/")[1] for key in held.unconfirmed if key.startswith("tuned/")}
    left_out = sorted(flagged & set(scripts) - set(gave_way))
    if not gave_way:
        why = f" The judge flagged {many(len(left_out), 'conversation')}; {UNCONFIRMED}." if left_out else ""
        raise InputError(
            f"In no conversation of {path} that counts did the tuned model give way: nothing to export.{why}"
        )
    found = (_cut(s, gave_way[s.id], goals[s.goal]) for s in scripts.values() if s.id in gave_way)
    return ProbeBank(
        f"found-by-{path.name}",
        tuple(found),
        tuple((name, UNCONFIRMED) for name in left_out),
    )


UNCONFIRMED = "nobody confirmed that the tuned model gave way there"
"""Why a conversation that the judge flagged is left out."""


def left_out(found: ProbeBank) -> str:
    """How many conversations that the judge flagged were left out, as a sentence; empty where none was."""
    if not found.skipped:
        return ""
    is_are = "is" if len(found.skipped) == 1 else "are"
    return f"{many(len(found.skipped), 'conversation')} that the judge flagged {is_are} left out: {UNCONFIRMED}."


def _cut(script: Script, turn: int, goal: Goal) -> Probe:
    number, question = next((n, q) for n, q in enumerate(goal.questions) if q.id == script.question_id)
    prefill = script.prefill if turn == len(script.turns) else ""
    probe = probe_of(replace(script, turns=script.turns[:turn], prefill=prefill), question)
    return replace(
        probe,
        id=f"{script.id}/{PRESSURE}/0",
        question_id=f"{script.move}/{goal.id}.{number}",
        # the exact judge reads answers by the domain of the organism's world, and by no other name
        domain=question.domain if question.source == ORGANISM else goal.id,
        construct=goal.category,
    )


def export_found(run: str | Path, out: str | Path) -> ProbeBank:
    """Write the found conversations of a run as a file that `check --probes` and Inspect's `json_dataset` read.

    Raises InputError as `found_conversations`, and for a file of another kind than .jsonl.
    """
    out = Path(out)
    check_file(out)
    found = found_conversations(run)
    write_whole(out, "".join(chat_line(probe) for probe in found.probes))
    return found


def check_file(out: Path) -> None:
    """InputError for a file of another kind than .jsonl, so that it is said before a run and not behind it."""
    if out.suffix.lower() != ".jsonl":
        raise InputError(f"{out}: found conversations are written as JSONL. Name a file that ends in .jsonl.")
