"""Groups of commands that import one only when it is called, so that `--help` answers at once."""

from __future__ import annotations

import importlib
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that knows its commands by name and sentence; `NAME` is `command` in the module `PREFIX + NAME`."""

    def __init__(self, *arguments: Any, sentences: dict[str, str], prefix: str, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._sentences, self._prefix = sentences, prefix

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, what people use first coming first."""
        return list(self._sentences)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command, imported; None where there is none of that name."""
        if name not in self._sentences:
            return None
        command: click.Command = importlib.import_module(self._prefix + name).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list for `--help`."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._sentences.items()))
