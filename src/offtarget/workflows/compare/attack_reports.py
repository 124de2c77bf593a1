"""Reports of tools that attack models, compared: what they say themselves need not be said, and must be alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from offtarget.data.attacks import tool_of
from offtarget.data.judged import JudgedTable
from offtarget.data.rawrows import shown
from offtarget.data.scales import Scoring
from offtarget.errors import InputError
from offtarget.records import DecisionSettings
from offtarget.workflows.compare.judged_pair import TableOptions


def for_reports(
    base: Path, tuned: Sequence[Path], settings: DecisionSettings, options: TableOptions
) -> tuple[DecisionSettings, TableOptions]:
    """Settings and options for reports of one tool; for other tables as they are.

    A report has no coherence, says which scores are bad, and a base that often gives way to attacks is usual.
    InputError for a report beside another kind of table, and for options that say what the report says.
    """
    tools = {path: tool_of(path) for path in (base, *tuned)}
    if not any(tools.values()):
        return settings, options
    if len(set(tools.values())) > 1:
        kinds = ", ".join(f"{path}: {'a table' if tool is None else tool}" for path, tool in tools.items())
        raise InputError(f"Base and tuned are of different kinds ({kinds}). Compare reports of one tool.")
    usual = TableOptions()
    if options.scoring != Scoring() or options.thresholds.misaligned_below != usual.thresholds.misaligned_below:
        raise InputError(
            f"{base} is a report of {tools[base]}, which says itself which answers are bad. Leave out --scale, "
            "--grade, --high-is-misaligned, --coherence-scale and --misaligned-below."
        )
    return replace(settings, base_is_misaligned=True), replace(
        options,
        thresholds=replace(options.thresholds, use_coherence=False),
        scoring=replace(options.scoring, high_is_misaligned=False),
    )


def reports_said(base: JudgedTable, tuned: JudgedTable) -> tuple[list[str], list[str]]:
    """Doubts for which no verdict can rest on two reports, and notes that belong beside one."""
    doubts = [
        f"{name} is not the same for both models (base: {one}; tuned: {other}), so what it found cannot be compared: "
        "attack both with one version and one configuration"
        for name, one, other in _different(base.how, tuned.how)
    ]
    made = [f"{name} (base {shown([one])}, tuned {shown([other])})" for name, one, other in _all(base.made, tuned.made)]
    notes = [*base.notes, *tuned.notes]
    if made:
        notes.append(
            f"Base and tuned were attacked with different settings, which may be the difference: {', '.join(made)}."
        )
    return doubts[:1], list(dict.fromkeys(notes))


def _different(one: Mapping[str, str], other: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """What both say, and say differently."""
    return [(name, one[name], other[name]) for name in one if name in other and one[name] != other[name]]


def _all(one: Mapping[str, str], other: Mapping[str, str]) -> list[tuple[str, str, str]]:
    names = dict.fromkeys((*one, *other))
    texts = [(name, one.get(name, "not stated"), other.get(name, "not stated")) for name in names]
    return [text for text in texts if text[1] != text[2]]
