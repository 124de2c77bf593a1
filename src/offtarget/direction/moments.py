"""Weighted mean and variance of a stream of vectors, in one pass and in constant memory."""

from __future__ import annotations

import torch
from torch import Tensor


class Moments:
    """Total weight, mean and variance per coordinate of all rows added so far, in float64.

    Updated batch by batch: Chan, Golub & LeVeque, "Algorithms for computing the sample variance" (The American
    Statistician 37:242, 1983), equations 2.1, with weights in place of counts.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.weight = 0.0
        self.mean = torch.zeros(shape, dtype=torch.float64)
        self._scatter = torch.zeros(shape, dtype=torch.float64)

    def add(self, rows: Tensor, weights: Tensor) -> None:
        """Add rows (n, *shape) with non-negative weights (n,)."""
        rows, weights = rows.double(), weights.double()
        total = float(weights.sum())
        if total == 0:
            return
        mean = torch.tensordot(weights, rows, dims=1) / total
        self._merge(total, mean, torch.tensordot(weights, (rows - mean) ** 2, dims=1))

    def merge(self, other: Moments) -> None:
        """Add all rows of another."""
        if other.weight:
            self._merge(other.weight, other.mean, other._scatter)

    @property
    def variance(self) -> Tensor:
        """Weighted population variance per coordinate; zeros before the first row."""
        return self._scatter / self.weight if self.weight else self._scatter.clone()

    @property
    def mean_square(self) -> Tensor:
        """Weighted mean of the squares per coordinate."""
        return self.variance + self.mean**2

    def _merge(self, weight: float, mean: Tensor, scatter: Tensor) -> None:
        total = self.weight + weight
        change = mean - self.mean
        self.mean = self.mean + change * (weight / total)
        self._scatter = self._scatter + scatter + change**2 * (self.weight * weight / total)
        self.weight = total
