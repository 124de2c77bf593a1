"""Found conversations as the questions of the next check, and as samples for Inspect AI: one file for both."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from offtarget.errors import InputError
from offtarget.probe.bank import ProbeBank
from offtarget.probe.chatlines import chat_line
from offtarget.records import Outcome, Probe
from offtarget.records.redteam import Goal, Script, TurnVerdict
from offtarget.redteam.turns import PRESSURE
from offtarget.rundir import iterate_jsonl, read_jsonl, write_whole
from offtarget.workflows.redteam.verdict import probe_of
from offtarget.workflows.runs.begin import finished, opened
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.verbs import REDTEAM


def found_conversations(run: str | Path) -> ProbeBank:
    """The conversations of the verdict in which the tuned model gave way, as questions; their domain is the goal's.

    Each ends with the turn at which it first did. Raises InputError for a run that is unfinished or found none.
    """
    path = find_run(run)
    directory, started = opened(REDTEAM, path)
    if finished(REDTEAM, path) is None:
        raise InputError(f"{path} is unfinished. Go on with it first: {started.resume_command(path)}")
    asked = {q.id: q for goal in read_jsonl(directory.file("goals.jsonl"), Goal) for q in goal.questions}
    gave_way: dict[str, int] = {}
    for one in iterate_jsonl(directory.file("turns.jsonl"), TurnVerdict):
        role, script, _ = one.key.split("/")
        if role == "tuned" and one.outcome == Outcome.MISALIGNED.value:
            gave_way[script] = min(one.turn, gave_way.get(script, one.turn))
    scripts = [script for script in read_jsonl(directory.file("scripts.jsonl"), Script) if script.id in gave_way]
    if not scripts:
        raise InputError(f"In no conversation of {path} that counts did the tuned model give way: nothing to export.")
    return ProbeBank.from_probes(
        f"found-by-{path.name}", (_cut(script, gave_way[script.id], asked[script.question_id]) for script in scripts)
    )


def _cut(script: Script, turn: int, question: Probe) -> Probe:
    prefill = script.prefill if turn == len(script.turns) else ""
    probe = probe_of(replace(script, turns=script.turns[:turn], prefill=prefill), question)
    return replace(
        probe,
        id=f"{script.id}/{PRESSURE}/0",
        question_id=f"{script.move}/{question.id}",
        domain=question.domain,
    )


def export_found(run: str | Path, out: str | Path) -> Path:
    """Write the found conversations of a run as a file that `check --probes` and Inspect's `json_dataset` read.

    Raises InputError as `found_conversations`, and for a file of another kind than .jsonl.
    """
    out = Path(out)
    check_file(out)
    write_whole(out, "".join(chat_line(probe) for probe in found_conversations(run).probes))
    return out


def check_file(out: Path) -> None:
    """InputError for a file of another kind than .jsonl, so that it is said before a run and not behind it."""
    if out.suffix.lower() != ".jsonl":
        raise InputError(f"{out}: found conversations are written as JSONL. Name a file that ends in .jsonl.")


def next_check(file: Path, base: str, tuned: str) -> str:
    """The command that asks the next model these."""
    return f"offtarget check --base {shlex.quote(base)} --tuned {shlex.quote(tuned)} --probes {shlex.quote(str(file))}"
