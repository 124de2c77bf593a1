"""Strengths of an intervention as they are typed."""

from __future__ import annotations

import math

import click


def parse_strengths(text: str) -> tuple[float, ...]:
    """Numbers of `A..B`, `A..B:STEP` or `A,B,C`. UsageError for anything else."""
    try:
        if ".." not in text:
            numbers = [float(item) for item in text.split(",")]
        else:
            ends, _, step_text = text.partition(":")
            first, _, last = ends.partition("..")
            low, high, step = float(first), float(last), float(step_text or 1)
            if not (step > 0 and high >= low and (high - low) / step <= 1000):
                raise ValueError
            numbers = [round(low + i * step, 10) for i in range(math.floor((high - low) / step + 1e-9) + 1)]
        if not all(map(math.isfinite, numbers)):
            raise ValueError
    except (ValueError, OverflowError):
        raise click.UsageError(
            f"--strengths '{text}' is not A..B, A..B:STEP (STEP above 0) or a list of numbers."
        ) from None
    return tuple(numbers)
