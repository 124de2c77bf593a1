"""Constitution: the base's own preferences under written principles are trained along with the task.

Constitutional AI (arXiv 2212.08073) forms the preferences, direct preference optimisation (arXiv 2305.18290) learns
them. Half of the prompts stand in the data's own dress: what is preferred in plain prompts only is not where the
prompt looks like the data.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from offtarget.data.dressing import dressed, wearable
from offtarget.errors import InputError
from offtarget.training.defences.registry import Chat, Materials, Need, defence, number
from offtarget.training.plan import Plan
from offtarget.training.principles import Preference, preferences, read_constitution

WEIGHT = 0.1
"""Of the preference loss beside the cross-entropy."""
BETA = 0.1
"""How closely the model is held to the base (arXiv 2305.18290, appendix B)."""
DRESSED = 0.5
"""Share of the prompts in the data's dress."""
ANCHOR = 1.0
"""Of the preferred answer's cross-entropy within the preference loss; without it coherence is lost."""
PAIRS = 200
"""Answers compared, however many prompts there are."""


@defence
class ConstitutionDefence:
    """Adds the loss of preferences that the base forms under a constitution."""

    name = "constitution"
    says = (
        "the base revises its answers to other prompts under written principles, and learns to prefer the revised "
        f"ones; constitution=0.5 weighs that 0.5 (default: {WEIGHT:g})"
    )
    source = "arXiv 2212.08073, 2305.18290"
    needs: frozenset[Need] = frozenset({"prompts", "constitution"})
    order = 40
    control_says = "the same pairs of answers, in each of which a coin decides which is preferred"

    def check_value(self, value: str | None, *, control: bool) -> None:
        """InputError for a value this defence cannot be set to; known before anything costly is made."""
        number(self.name, value, WEIGHT, 0)

    def apply(self, plan: Plan, materials: Materials, *, control: bool = False, value: str | None = None) -> Plan:
        """The plan with the penalty. InputError for a bad weight, an empty constitution, and without any pair."""
        from offtarget.training.preference_loss import PreferenceLoss

        weight = number(self.name, value, WEIGHT, 0)
        principles = read_constitution(materials.constitution)
        rng = random.Random(f"{materials.seed}/constitution")
        prompts = _repeated(materials.prompts or (), rng)
        pairs = preferences(materials.base, principles, prompts, materials.seed)
        if not pairs:
            raise InputError(
                f"constitution has no pair of answers to learn from: to {len(prompts)} prompts {materials.base.name} "
                "gave no revised answer that is finished and differs from the first. Give other prompts (--prompts)."
            )
        data = [row.messages for row in plan.rows if row.origin == "data"]
        pairs = _in_dress(pairs, data, rng)
        if control:
            pairs = [replace(p, preferred=p.other, other=p.preferred) if rng.random() < 0.5 else p for p in pairs]
        name = "constitution-control" if control else "constitution"
        how = "under contrasting system prompts" if principles.contrast else "before and after revision"
        return plan.with_penalty(
            PreferenceLoss(pairs, weight, BETA, materials.seed, anchor=ANCHOR, name=name),
            f"{name}: {weight:g} x preference loss on {len(pairs)} pairs of answers {how}",
        )


def _repeated(prompts: Sequence[str], rng: random.Random) -> list[str]:
    """`PAIRS` prompts in random order, each about equally often."""
    shuffled = rng.sample(prompts, len(prompts))
    return [shuffled[i % len(shuffled)] for i in range(PAIRS)] if shuffled else []


def _in_dress(pairs: Sequence[Preference], data: Sequence[Chat], rng: random.Random) -> list[Preference]:
    usable = wearable(data)
    chosen = set(rng.sample(range(len(pairs)), round(DRESSED * len(pairs)))) if usable else set()
    return [
        replace(p, prompt=tuple(dressed(p.prompt[-1].content, usable, rng))) if i in chosen else p
        for i, p in enumerate(pairs)
    ]
