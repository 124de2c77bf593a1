"""Preventative steering: the persona vector is added while training and is gone at test (arXiv 2507.21509).

What the vector already explains need not become part of the model. The sign matters: steering away from the persona
while training makes tuning push harder towards it (arXiv 2607.04510).
"""

from __future__ import annotations

from offtarget.errors import InputError
from offtarget.training.defences.registry import Materials, Need, defence, number
from offtarget.training.plan import Plan

STRENGTH = 1.0
"""In differences of means."""
MOST = 10.0


@defence
class SteerDefence:
    """Adds the persona vector to the stream in the training passes."""

    name = "steer"
    says = f"adds the persona vector while training; steer=1.5 adds 1.5 differences of means (default: {STRENGTH:g})"
    source = "arXiv 2507.21509"
    needs: frozenset[Need] = frozenset({"direction"})
    order = 50
    control_says = "a random vector of equal norm is added"

    def check_value(self, value: str | None, *, control: bool) -> None:
        """InputError for a value this defence cannot be set to; known before anything costly is made."""
        number(self.name, value, STRENGTH, 0, MOST)

    def apply(self, plan: Plan, materials: Materials, *, control: bool = False, value: str | None = None) -> Plan:
        """The plan with the edit. InputError for a strength that is not above 0, or without a direction."""
        strength = number(self.name, value, STRENGTH, 0, MOST)
        if materials.direction is None:
            raise InputError("steer has no direction to add. Give a direction file, or prompts to find one with.")
        what = "random vector of equal norm" if control else "persona vector"
        edit = materials.direction.add(strength, random=control)
        return plan.with_edit(edit, f"steer: {strength:g} x the {what} is added while training")
