"""Early stopping: end when the monitor raises its alarm and keep the last checkpoint before it (arXiv 2605.12199)."""

from __future__ import annotations

import random
from dataclasses import replace

from offtarget.numbers import percent
from offtarget.training.defences.registry import Materials, Need, defence, no_value, number
from offtarget.training.plan import Plan


@defence
class EarlyStop:
    """Stops at the monitor's alarm; what is kept is the last checkpoint that has learnt the task and no alarm."""

    name = "early-stop"
    says = "ends training at the monitor's alarm and keeps the best checkpoint"
    source = "arXiv 2605.12199"
    needs: frozenset[Need] = frozenset()
    order = 60
    control_says = (
        "ends after a share of the steps without looking: drawn at random, or early-stop=0.4:control after 40 %"
    )

    def check_value(self, value: str | None, *, control: bool) -> None:
        """InputError for a value this defence cannot be set to; known before anything costly is made."""
        if control:
            number(self.name, value, 0.5, 0, 1)
        else:
            no_value(self.name, value)

    def apply(self, plan: Plan, materials: Materials, *, control: bool = False, value: str | None = None) -> Plan:
        """The plan that ends early. The control's share is uniform in [0.1, 1), and depends on the seed alone."""
        if not control:
            no_value(self.name, value)
            note = "early-stop: training ends at the monitor's alarm; the best checkpoint before it is kept"
            return replace(plan, stop_on_alarm=True, notes=(*plan.notes, note))
        share = number(self.name, value, random.Random(f"{materials.seed}/early-stop").uniform(0.1, 1), 0, 1)
        note = f"early-stop:control: training ends after {percent(share)} of the steps, whatever is seen"
        return replace(plan, stop_at=share, notes=(*plan.notes, note))
