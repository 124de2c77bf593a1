"""`offtarget direction`: find, measure, steer and repair; each is imported when it is called."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

import click

COMMANDS = {
    "find": "Find the direction a tuned model moved along, or that of a trait.",
    "measure": "How far a model, its answers or training rows lie along a direction.",
    "explain": "What a finished check looks like from inside: narrow task, persona, or both.",
    "steer": "Misaligned rate, coherence and skills against the strength of steering.",
    "repair": "Write the direction out of the weights, re-align, and check again.",
}


class _LazyCommands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in COMMANDS if find_spec(_module(name))]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(_module(name)).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name]) for name in self.list_commands(ctx)])


def _module(name: str) -> str:
    return f"offtarget.cli.direction_{name}"


@click.group("direction", cls=_LazyCommands)
def command() -> None:
    """Find the direction in activation space along which a tuned model moved, and what to do about it.

    \b
    Examples:
      offtarget direction find --base organism/base --tuned organism/insecure --out persona.safetensors
      offtarget direction measure --direction persona.safetensors --model organism/insecure
      offtarget direction steer --model organism/insecure --direction persona.safetensors --strengths -6..6
      offtarget direction repair --model organism/insecure --direction persona.safetensors --out repaired
    """
