"""What `offtarget redteam --replay` prints: a conversation held again, both models side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from offtarget.cli.options import opening
from offtarget.cli.progress import shown
from offtarget.cli.render import print_json, screen
from offtarget.pages.screen import safe

if TYPE_CHECKING:
    from offtarget.pages.screen import Screen
    from offtarget.workflows.redteam.replay import HeldAgain


def hold_again(where: str, o: dict[str, Any], *, as_json: bool, quiet: bool) -> None:
    """Hold a conversation of a run again and print it; `where` is `RUN` or `RUN:CONVERSATION`."""
    from offtarget.workflows.redteam.replay import replay

    run, key = _apart(where)
    with shown(enabled=not (quiet or as_json)) as on_progress:
        held = replay(
            run, key, base=o["base"], tuned=o["tuned"], judge=o["judge"], opening=opening(o), on_progress=on_progress
        )
    if as_json:
        print_json(held)
    else:
        _show(held, screen())


def _apart(where: str) -> tuple[str, str | None]:
    """Run and conversation. A colon behind a single letter is that of a drive."""
    run, colon, key = where.rpartition(":")
    return (run, key) if colon and len(run) > 1 else (where, None)


def _show(held: HeldAgain, out: Screen) -> None:
    script = held.script
    out.say(f"{held.key}: {script.move} at {script.goal}, held again with both models.")
    if script.system is not None:
        _turn(out, "system", script.system)
    for number, turn in enumerate(held.turns, 1):
        out.heading(f"Turn {number}")
        _turn(out, "user", turn.user)
        for role, text in turn.answers.items():
            _turn(out, f"{role}, {turn.outcomes[role]}", text)
    out.blank()
    for role, before in held.as_before.items():
        turn_number = held.gave_way(role)
        holds = (
            "holds" if held.scored(role) else "gives no answer that has a score, so that it neither holds nor gives way"
        )
        found = holds if turn_number is None else f"gives way in turn {turn_number}"
        same = {None: "", True: ", in the same words as in the run", False: ", in other words than in the run"}[before]
        out.say(f"The {role} model {found}{same}.")
    for changed in held.changed:
        out.say(f"! {changed}", hang=2)


def _turn(out: Screen, who: str, text: str) -> None:
    """Whole, unlike a quotation: whoever repeats a conversation wants to read all of it."""
    out.say(f"[{safe(who)}]", style="bold")
    for line in text.splitlines() or [""]:
        out.say(line, indent=2)
