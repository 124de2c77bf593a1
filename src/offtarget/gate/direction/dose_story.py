"""What a dose response says, in sentences."""

from __future__ import annotations

from offtarget.numbers import percent
from offtarget.records.direction import DosePoint, DoseResponse
from offtarget.stats.rates import wilson

COHERENCE_LOSS = 0.02
"""A strength that is shown to cost more coherence than this is not offered as the best one."""
MODES = {"add": "Steering", "ablate": "Ablation", "cap": "Capping"}
UNITS = {
    "add": "differences of means added",
    "ablate": "share taken out",
    "cap": "ceiling, in differences of means above the reference",
}


def unchanged(response: DoseResponse) -> DosePoint | None:
    """The model without an intervention, where that was measured."""
    if response.mode == "cap":
        return None
    return next((p for p in response.curve() if p.strength == 0), None)


def best(response: DoseResponse) -> DosePoint | None:
    """The lowest misaligned rate among strengths that are not shown to cost more than 2 points of coherence.

    Shown: the 95 % interval of the share of coherent answers lies below. None without a rate.
    """
    start = unchanged(response)
    rated = [p for p in response.curve() if p.misaligned is not None and p.coherent is not None]
    if start is not None and start.coherent is not None:
        least = start.coherent - COHERENCE_LOSS
        rated = [p for p in rated if wilson(p.coherent or 0.0, p.tally.total).high >= least]
    return min(rated, key=lambda p: (p.misaligned or 0.0, abs(p.strength)), default=None)


def headline(response: DoseResponse) -> str:
    """The main finding with its control, as one sentence."""
    found, start = best(response), unchanged(response)
    if found is None or found.misaligned is None:
        return "No strength left any answer that could be scored."
    if start is None or start.misaligned is None:
        change, coherent = f"to {percent(found.misaligned)}", ""
    elif found.strength == 0 or found.misaligned >= start.misaligned:
        return f"No strength lowers the misaligned rate of {percent(start.misaligned)} and keeps the answers coherent."
    else:
        change = f"from {percent(start.misaligned)} to {percent(found.misaligned)}"
        coherent = f" ({percent(start.coherent)} unchanged)"
    return (
        f"{MODES[response.mode]} at strength {found.strength:g} brings the misaligned rate {change} "
        f"with {percent(found.coherent)} of the answers coherent{coherent}{_beside(response, found)}."
    )


def _beside(response: DoseResponse, found: DosePoint) -> str:
    rates = [
        p.misaligned
        for seed in response.controls
        for p in response.curve(seed)
        if p.strength == found.strength and p.misaligned is not None
    ]
    if not rates:
        return ""
    low, high = percent(min(rates)), percent(max(rates))
    return f"; random directions of the same length have it at {low if low == high else f'{low} to {high}'}"
