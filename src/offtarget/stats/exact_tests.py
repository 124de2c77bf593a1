"""Exact tests of small counts at one look, without scipy."""

from __future__ import annotations

import math


def fisher_greater(a: int, n: int, b: int, m: int) -> float:
    """P of at least `a` of `n` where `a + b` of `n + m` fall anywhere: Fisher (1935), one-sided.

    Small where `a` of `n` is a larger share than `b` of `m`. ValueError outside 0 <= a <= n, 0 <= b <= m.
    """
    if not (0 <= a <= n and 0 <= b <= m):
        raise ValueError(f"no table with {a} of {n} and {b} of {m}")
    k = a + b
    ways = sum(math.comb(n, i) * math.comb(m, k - i) for i in range(max(a, k - m), min(n, k) + 1))
    return ways / math.comb(n + m, k)


def sign_test(up: int, down: int) -> float:
    """Two-sided P of so uneven a split of `up + down` changes when both directions are as likely; 1 without any.

    Exact for two readings of the same things that are exchangeable, whatever their noise: Arbuthnott (1710).
    """
    n, least = up + down, min(up, down)
    if least < 0:
        raise ValueError(f"no changes are counted as {up} and {down}")
    tail: int = 2 * sum(math.comb(n, i) for i in range(least + 1))
    return min(1.0, float(tail / 2**n))
