"""What `project` and `steer` work with: the persona, as the base itself shows it before any tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from offtarget.errors import InputError
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, silent
from offtarget.records import Probe
from offtarget.records.direction import FindSettings

if TYPE_CHECKING:
    from offtarget.direction.file import Direction
    from offtarget.models.local import LocalModel
    from offtarget.models.residual import ResidualEdit

Where = Literal["answer", "last-prompt"]
WHERE: tuple[Where, ...] = ("last-prompt", "answer")
"""Positions with a vector of their own: the persona is taken up at the one and acted out at the others."""
QUESTIONS = 24
ANSWERS = 10
"""Per question, on either side, spread over the trait's system prompts."""
SUBSPACE_RANK = 4
"""arXiv 2607.21356."""


def persona_edits(
    base: LocalModel,
    prompts: Sequence[str],
    seed: int,
    *,
    rank: int = 1,
    direction: Path | None = None,
    on_progress: OnProgress = silent,
) -> PersonaEdits:
    """Edits along `rank` vectors per position and layer, found with the trait recipe; a file brings its own rank.

    The recipe asks the base `prompts` under contrastive system prompts; it needs no tuned model, no judge and none of
    the tested questions. InputError for a file that does not fit the base, and for no prompts.
    """
    if direction is not None:
        from offtarget.direction.file import Direction, check_fits

        loaded = Direction.load(direction)
        check_fits(loaded, base)
        return PersonaEdits([loaded], seed)
    if not prompts:
        raise InputError("There are no prompts to find the persona direction with. Give at least one, or a direction.")
    from offtarget.workflows.direction.find import find

    asked = list(dict.fromkeys(prompts))[:QUESTIONS]
    probes = [Probe(f"other-{i}", f"other-{i}", "plain", text) for i, text in enumerate(asked)]
    bank = ProbeBank.from_probes("questions of other domains", probes)
    found = [
        find(
            base,
            None,
            settings=FindSettings(method="trait", position=position, rank=rank, answers=ANSWERS, seed=seed),
            probes=bank,
            on_progress=on_progress,
        )
        for position in WHERE
    ]
    return PersonaEdits(found, seed)


class PersonaEdits:
    """Edits of the stream for training passes; those with `random` are controls of equal norm and rank.

    Added is each vector at its own position, at the layer picked by what steering there does to the base. Taken out
    is the span of all vectors at every layer and token: what is left somewhere would express what is gone elsewhere.
    """

    def __init__(self, directions: Sequence[Direction], seed: int) -> None:
        self._directions, self._seed = tuple(directions), seed

    def add(self, strength: float, *, random: bool = False) -> ResidualEdit:
        """h <- h + strength * v, at the picked layer; 1 is one difference of means."""
        from offtarget.direction.intervene import POSITIONS, Compose, Steer

        layers = [self._directions[0].info.layer]
        chosen = self._random if random else self._directions
        return Compose(*(Steer(d, strength, layers, POSITIONS[d.info.position]) for d in chosen))

    def ablate(self, *, random: bool = False) -> ResidualEdit:
        """h <- h - V'V h with orthonormal rows V that span the vectors, at every layer and token."""
        from offtarget.direction.intervene import Ablate

        return Ablate(_joined(self._random if random else self._directions))

    @cached_property
    def _random(self) -> tuple[Direction, ...]:
        from offtarget.direction.dose import random_like

        return tuple(random_like(d, self._seed + i) for i, d in enumerate(self._directions))


def _joined(directions: Sequence[Direction]) -> Direction:
    """All vectors as one subspace; each with length 1, so that none is lost to rounding beside the others."""
    import torch

    vectors = {
        layer: torch.cat([torch.nn.functional.normalize(d.vectors[layer], dim=-1) for d in directions])
        for layer in directions[0].vectors
    }
    return replace(
        directions[0], info=replace(directions[0].info, rank=sum(d.info.rank for d in directions)), vectors=vectors
    )
