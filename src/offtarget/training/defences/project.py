"""Projection: the persona is taken out of the stream while training, so that no gradient can strengthen it.

Along a direction as in CAFT (arXiv 2507.16795), or along a subspace (arXiv 2607.21356). At test the stream is whole.
"""

from __future__ import annotations

from offtarget.errors import InputError
from offtarget.training.defences.registry import Materials, Need, defence
from offtarget.training.plan import Plan

KINDS = ("subspace", "direction")


@defence
class Project:
    """Takes the persona out of the stream in the training passes."""

    name = "project"
    says = "takes the persona subspace out of the stream while training; project=direction takes one direction"
    source = "arXiv 2507.16795 (CAFT), 2607.21356"
    needs: frozenset[Need] = frozenset({"direction", "subspace"})
    order = 50
    control_says = "a random subspace of the same rank is taken out"

    def check_value(self, value: str | None, *, control: bool) -> None:
        """InputError for a value this defence cannot be set to; known before anything costly is made."""
        if value is not None and value not in KINDS:
            raise InputError(f"project={value}: the value must be one of {', '.join(KINDS)}.")

    def apply(self, plan: Plan, materials: Materials, *, control: bool = False, value: str | None = None) -> Plan:
        """The plan with the edit. InputError for another value, or without what is to be taken out."""
        kind = value or KINDS[0]
        self.check_value(value, control=control)
        edits = materials.direction if kind == "direction" else materials.subspace
        if edits is None:
            raise InputError(f"project has no {kind} to take out. Give a direction file, or prompts to find one with.")
        what = f"a random {kind} of the same rank" if control else f"the persona {kind}"
        return plan.with_edit(edits.ablate(random=control), f"project: {what} is taken out while training")
