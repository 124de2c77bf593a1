"""Changing the residual stream along a direction: steer, cap, ablate; alone or together, in a `with` block or a model.

Positions are sets of `Part`; `POSITIONS` has those that names stand for. Layers are block numbers from 0.
"""

from __future__ import annotations

from offtarget.direction.intervene.ablate import Ablate, Reference
from offtarget.direction.intervene.cap import Cap
from offtarget.direction.intervene.edit import POSITIONS, Compose
from offtarget.direction.intervene.hooks import intervene
from offtarget.direction.intervene.steer import Steer

__all__ = ["POSITIONS", "Ablate", "Cap", "Compose", "Reference", "Steer", "intervene"]
