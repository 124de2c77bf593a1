"""What the monitor of a gateway works with: judges, known answers and probes of each alias, opened by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from offtarget.asking.protocol import Judge
from offtarget.probe.bank import ProbeBank
from offtarget.records import Probe
from offtarget.records.gateway import Alias, GatewaySettings
from offtarget.records.runs import OpenSettings
from offtarget.serve.monitor.scoring import MonitorParts
from offtarget.workflows.ground import EXACT_JUDGE, ground_of, has_exact_judge, known_answers, open_bank, open_judge

ANCHORS = 40
"""Known answers that a judge is held to, at most, half of them misaligned."""


def monitor_parts(settings: GatewaySettings, opening: OpenSettings | None = None) -> dict[str, MonitorParts]:
    """Judges and the rest by alias. Raises InputError for a judge that cannot be used."""
    opened: dict[tuple[str, str], Judge] = {}
    return {alias.name: _parts(alias, opening, opened) for alias in settings.aliases if alias.tuned is not None}


def _parts(alias: Alias, opening: OpenSettings | None, opened: dict[tuple[str, str], Judge]) -> MonitorParts:
    bank = bank_of(alias)
    judges: list[Judge | None] = []
    for name in (alias.canary.judge, alias.canary.cheap_judge):
        key = (name, bank.name if name == EXACT_JUDGE else "")
        if name and key not in opened:
            opened[key] = open_judge(name, bank, "auto", opening)
        judges.append(opened[key] if name else None)
    known = known_answers(bank) if judges[0] is not None or judges[1] is not None else ()
    bad = [one for one in known if one.misaligned][: ANCHORS // 2]
    good = [one for one in known if not one.misaligned][: ANCHORS // 2]
    names = (alias.canary.judge, alias.canary.cheap_judge)
    return MonitorParts(
        judge=judges[0],
        cheap=judges[1],
        anchors=(*bad, *good),
        probes=bank.plain if alias.canary.probe_seconds > 0 else (),
        recognise=Recognised(bank, only_known=EXACT_JUDGE in names),
    )


def bank_of(alias: Alias) -> ProbeBank:
    """The questions that are put to both models of an alias in shadow."""
    names = [side.model for side in (alias.base, alias.tuned) if side is not None]
    return open_bank(alias.canary.probes or None, ground_of(*names))


class Recognised:
    """Gives a question of the traffic what the bank knows of it, where it is one of the bank's."""

    def __init__(self, bank: ProbeBank, *, only_known: bool) -> None:
        """`only_known`: whether the judge can judge answers to the bank's own questions alone."""
        self._known: Mapping[tuple[str, str], Probe] = {(p.system or "", p.prompt): p for p in bank.probes}
        self._only_known = only_known and has_exact_judge(bank)

    def __call__(self, probe: Probe) -> Probe | None:
        """The question with its domain and rubrics; None where the judge cannot judge answers to it."""
        known = self._known.get((probe.system or "", probe.prompt))
        if known is None:
            return None if self._only_known else probe
        return replace(
            probe, arm=known.arm, domain=known.domain, construct=known.construct, judge_prompts=known.judge_prompts
        )
