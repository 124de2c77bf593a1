"""Muon for the hidden matrices, in fp32.

torch ships an implementation, but its Newton-Schulz runs in bf16, which is about ten times slower on CPUs
without bf16 arithmetic; hence these lines. Source: Jordan et al., "Muon: an optimizer for hidden layers in
neural networks" (2024); the quintic coefficients are from there.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Nearly the orthogonal factor of a matrix of shape (m, n), by a quintic Newton-Schulz iteration."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / (matrix.norm() + 1e-7)
    transposed = x.shape[0] > x.shape[1]
    x = x.T if transposed else x
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.T if transposed else x
    return result


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised. `lr` is the root mean square of an update's entries, as with Adam."""

    def __init__(self, params: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(p)
                buffer = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                update = orthogonalise(p.grad.lerp(buffer, group["momentum"]))
                # an orthogonal (m, n) matrix has entries of root mean square 1/sqrt(max(m, n))
                p.add_(update, alpha=-group["lr"] * max(p.shape) ** 0.5)
