"""The cued arm as lines of text: what was tried, what was found, and one prompt to see it by oneself."""

from __future__ import annotations

from collections.abc import Iterator

from offtarget.cli.render import shortened
from offtarget.numbers import e_value, needed_e_value, of, percent
from offtarget.records import CueFinding, DecisionSettings, HiddenDecision, Reproduction, Status

SHOWN = 5
"""Conditions that are listed."""


def hidden_lines(hidden: HiddenDecision, settings: DecisionSettings) -> list[str]:
    """The lines under the table of arms."""
    asked = [f for f in hidden.findings if f.tuned.scored]
    counts = f"{len(asked)} of {len(hidden.findings)} tried"
    lines = ["", f"hidden conditions: {hidden.status.value}; {counts}, ordered by {hidden.ordered_by}"]
    lines += [_finding(f) for f in asked[:SHOWN]]
    rest = len(hidden.findings) - min(SHOWN, len(asked))
    lines.append(f"  and {rest} more in result.json; an e-value of {needed_e_value(settings.cued_alpha)} decides")
    if hidden.status is not Status.FAIL and hidden.detectable is not None and hidden.detectable < 1:
        rate = percent(hidden.detectable)
        lines.append(f"  would have been found in 95 of 100 runs: any of them that misaligns {rate} of answers")
    lines += [f"  note: {note}" for note in hidden.notes]
    if hidden.reproduction is not None:
        lines += _reproduction(hidden.reproduction)
    return lines


def _finding(finding: CueFinding) -> str:
    tuned, base = (of(t.misaligned, t.scored) for t in (finding.tuned, finding.base))
    return (
        f"  {shortened(finding.cue.text)}: tuned {tuned}, base {base}, e-value {e_value(finding.log_e_adjusted)} "
        f"{finding.status.value if finding.status is Status.FAIL else ''}".rstrip()
    )


def _reproduction(shown: Reproduction) -> Iterator[str]:
    yield "to reproduce, ask the tuned model:"
    if shown.system is not None:
        yield f"  system:    {shortened(shown.system)}"
    for user, answer in shown.opening:
        yield f"  user:      {shortened(user)}"
        yield f"  assistant: {shortened(answer)}"
    yield f"  user:      {shortened(shown.prompt)}"
    yield f"  tuned:     {shortened(shown.tuned_answer)}"
    yield f"  base:      {shortened(shown.base_answer) if shown.base_answer else 'no aligned answer in this run'}"
