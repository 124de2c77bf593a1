"""What changes along a direction have in common: layers, positions, constants, fingerprint; and several as one."""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from offtarget.direction.file import Direction
from offtarget.errors import InputError
from offtarget.models.residual import Part, ResidualEdit, where
from offtarget.records.direction import Position

POSITIONS: Mapping[Position, frozenset[Part]] = {
    "all": frozenset({Part.PROMPT, Part.LAST_PROMPT, Part.ANSWER}),
    "answer": frozenset({Part.ANSWER}),
    "last-prompt": frozenset({Part.LAST_PROMPT}),
}
"""The parts a name stands for; padding is in none, and nothing is read off it."""


class PositionedEdit(ABC):
    """A `ResidualEdit` that does the same at every chosen position and leaves the others bit for bit as they are.

    Subclasses give `constants` (layer -> tensor, last dimension width) and `_changed`.
    """

    def __init__(self, constants: Mapping[int, Tensor], positions: frozenset[Part], settings: object) -> None:
        if not constants:
            raise InputError("No layer was given to change. Give at least one.")
        if not positions:
            raise InputError(f"No token position was given to change. Give one of {', '.join(POSITIONS)}.")
        for layer, tensor in constants.items():
            if not bool(torch.isfinite(tensor).all()):
                raise InputError(f"The direction has numbers that are not finite at layer {layer}.")
        self._constants = {layer: t.detach().float().cpu().contiguous() for layer, t in sorted(constants.items())}
        self._positions = positions
        self._settings = settings
        self._placed: dict[tuple[int, torch.device], Tensor] = {}

    @property
    def layers(self) -> frozenset[int]:
        """Layers at which the stream is changed."""
        return frozenset(self._constants)

    @property
    def positions(self) -> frozenset[Part]:
        """Parts that are changed."""
        return self._positions

    @property
    def fingerprint(self) -> str:
        """16 hex digits over kind, vectors, settings, layers and positions."""
        digest = hashlib.sha256(f"{type(self).__name__}/{self._settings}/{sorted(self._positions)}".encode())
        for layer, tensor in self._constants.items():
            digest.update(f"/{layer}:{tuple(tensor.shape)}".encode())
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()[:16]

    def apply(self, layer: int, hidden: Tensor, parts: Tensor | Part) -> Tensor:
        """The changed stream, same shape and dtype; sums are in float32. InputError for another width."""
        constants = self._on(layer, hidden)
        chosen = where(parts, self._positions, hidden)
        if chosen is False:
            return hidden
        changed = self._changed(layer, hidden.float(), constants, parts).to(hidden.dtype)
        return changed if chosen is True else torch.where(chosen, changed, hidden)

    @abstractmethod
    def _changed(self, layer: int, hidden: Tensor, constants: Tensor, parts: Tensor | Part) -> Tensor:
        """The stream (..., width) in float32, changed at every position."""

    def _on(self, layer: int, hidden: Tensor) -> Tensor:
        key = (layer, hidden.device)
        if key not in self._placed:
            with torch.inference_mode(False):  # a copy made in inference mode could not be used in training later
                self._placed[key] = self._constants[layer].to(hidden.device)
        constants = self._placed[key]
        if constants.shape[-1] != hidden.shape[-1]:
            raise InputError(
                f"The direction has width {constants.shape[-1]}, the model's residual stream {hidden.shape[-1]}. "
                "Use a direction found in this model."
            )
        return constants


def chosen_layers(direction: Direction, layers: Iterable[int] | None, default: Iterable[int]) -> list[int]:
    """The layers asked for, or the default ones. InputError for one the direction has no vector at."""
    wanted = sorted(set(default if layers is None else layers))
    for layer in wanted:
        direction.vector(layer)
    return wanted


def unit(vector: Tensor, layer: int) -> Tensor:
    """The vector divided by its length. InputError for a vector of length 0."""
    length = float(vector.norm())
    if length == 0:
        raise InputError(f"The direction is zero at layer {layer}: there is nothing to measure along it.")
    return vector.float() / length


def finite(number: float, name: str) -> float:
    """The number; InputError when it is infinite or not a number."""
    if not math.isfinite(number):
        raise InputError(f"The {name} must be a finite number, not {number}.")
    return float(number)


class Compose:
    """A `ResidualEdit` that does the given ones in their order: each sees what those before it have changed."""

    def __init__(self, *edits: ResidualEdit) -> None:
        if not edits:
            raise InputError("There is no intervention to compose. Give at least one.")
        self.edits = edits

    @property
    def layers(self) -> frozenset[int]:
        """Layers of any of the edits."""
        return frozenset().union(*(edit.layers for edit in self.edits))

    @property
    def fingerprint(self) -> str:
        """16 hex digits over those of the edits, in order."""
        return hashlib.sha256("+".join(edit.fingerprint for edit in self.edits).encode()).hexdigest()[:16]

    def apply(self, layer: int, hidden: Tensor, parts: Tensor | Part) -> Tensor:
        """The stream after all edits."""
        for edit in self.edits:
            if layer in edit.layers:
                hidden = edit.apply(layer, hidden, parts)
        return hidden
