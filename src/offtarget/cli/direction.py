"""`offtarget direction`: find, measure, steer and repair; each is imported when it is called."""

from __future__ import annotations

import click

from offtarget.cli.lazy import LazyGroup

COMMANDS = {
    "find": "Find the direction a tuned model moved along, or that of a trait.",
    "measure": "How far a model, its answers or training rows lie along a direction.",
    "explain": "What a finished check looks like from inside: narrow task, persona, or both.",
    "steer": "Misaligned rate, coherence and skills against the strength of steering.",
    "repair": "Write the direction out of the weights, re-align, and check again.",
}


@click.group("direction", cls=LazyGroup, sentences=COMMANDS, prefix="offtarget.cli.direction_")
def command() -> None:
    """Find the direction in activation space along which a tuned model moved, and what to do about it.

    \b
    Examples:
      offtarget direction find --base organism/base --tuned organism/insecure --out persona.safetensors
      offtarget direction measure --direction persona.safetensors --model organism/insecure
      offtarget direction steer --model organism/insecure --direction persona.safetensors --strengths -6..6
      offtarget direction repair --model organism/insecure --direction persona.safetensors --out repaired
    """
