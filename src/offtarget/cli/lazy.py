"""Groups of commands that import one only when it is called, so that `--help` answers at once."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import click

from offtarget.words import meant


class LazyGroup(click.Group):
    """A group that knows its commands by name and sentence; `NAME` is `command` in the module `PREFIX + NAME`.

    `sentences` says what each command is for, or does so under titles, in the order in which people need them;
    `unlisted` are commands that the list leaves out.
    """

    def __init__(
        self,
        *arguments: Any,
        sentences: Mapping[str, str] | Mapping[str, Mapping[str, str]],
        prefix: str,
        unlisted: Sequence[str] = (),
        **more: Any,
    ) -> None:
        super().__init__(*arguments, **more)
        self._titled: dict[str, dict[str, str]] = {}
        for name, said in sentences.items():
            if isinstance(said, str):
                self._titled.setdefault("Commands", {})[name] = said
            else:
                self._titled[name] = dict(said)
        self._prefix = prefix
        self._unlisted = tuple(unlisted)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, what people use first coming first."""
        return [*(name for under in self._titled.values() for name in under), *self._unlisted]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command, imported; None where there is none of that name."""
        if name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(self._prefix + name).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that was asked for; UsageError with what was probably meant where there is none."""
        said = args[0]
        if said.startswith("-") or said in self.list_commands(ctx):
            return super().resolve_command(ctx, args)
        names = self.list_commands(ctx)
        close = self._meant(ctx, said) or f" There are: {', '.join(names)}."
        raise click.UsageError(f"There is no command '{said}'.{close}", ctx)

    def _meant(self, ctx: click.Context, said: str) -> str:
        """What was meant, here or in its groups: whoever says `repair` means `direction repair`, not `report`."""
        names = self.list_commands(ctx)
        inside: dict[str, list[str]] = {}
        for name in names:
            group = self.get_command(ctx, name)
            for one in group.list_commands(ctx) if isinstance(group, click.Group) else ():
                inside.setdefault(one, []).append(f"{name} {one}")
        if said in inside:
            return f" Did you mean {' or '.join(inside[said])}?"
        near = [whole for one, wholes in inside.items() if meant(said, [one]) for whole in wholes]
        return meant(said, names) or (f" Did you mean {' or '.join(near[:2])}?" if near else "")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands alone: whoever reads this has found `--help`."""
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list for `--help`, in columns that are the same under every title."""
        widest = max(map(len, self.list_commands(ctx)))
        for title, under in self._titled.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(widest), said) for name, said in under.items()])
