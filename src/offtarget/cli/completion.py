"""`offtarget completion`: the script that makes a shell complete our commands."""

from __future__ import annotations

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.render import must_print

SHELLS = ("bash", "zsh", "fish")


@click.command("completion", cls=Sectioned)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script with which a shell completes commands, options, models, question banks and runs.

    \b
    Examples:
      eval "$(offtarget completion bash)"    # in ~/.bashrc
      eval "$(offtarget completion zsh)"     # in ~/.zshrc, behind compinit
      offtarget completion fish > ~/.config/fish/completions/offtarget.fish

    Exit codes: 0 printed, 2 input error.
    """
    from click.shell_completion import get_completion_class

    must_print()
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(context.find_root().command, {}, "offtarget", "_OFFTARGET_COMPLETE").source())
