"""One random stream per answer, addressed by (seed, step), so that batching cannot change what is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def uniforms(seeds: Sequence[int], start: int, count: int) -> NDArray[np.float64]:
    """Uniform numbers in [0, 1) for steps `start` to `start + count - 1`; shape (len(seeds), count).

    Column t of seed s is output t of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, figure 17) started at the mixed
    seed; 53 bits each. Mixing the seed first keeps neighbouring seeds from being shifted copies of each other.
    """
    state = _mix(np.asarray(seeds, dtype=np.uint64) + _GAMMA)
    steps = np.arange(start + 1, start + count + 1, dtype=np.uint64) * _GAMMA
    bits = _mix(state[:, None] + steps[None, :])
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))
