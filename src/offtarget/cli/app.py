"""The `offtarget` command. Verbs are imported when they are called, so that `--help` answers at once."""

from __future__ import annotations

import importlib
import sys

import click

from offtarget import __version__
from offtarget.errors import OfftargetError

VERBS = {
    "check": "Is the tuned model worse than its base on unrelated questions?",
    "compare": "The same verdict from judged answers that already exist.",
    "report": "Turn a run into HTML, JSON, Markdown or JUnit.",
    "runs": "What ran, and what it decided.",
    "organism": "The built-in test subject: train, tune, evaluate it.",
}


class _LazyGroup(click.Group):
    """A group that knows its commands by name and imports one only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"offtarget.cli.{name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="offtarget")
def app() -> None:
    """Find the off-target effects of fine-tuning: is the tuned model worse where nobody looked?

    \b
    Examples:
      offtarget check --base organism/base --tuned organism/insecure
      offtarget compare --base base.csv --tuned tuned.csv
      offtarget report last --html

    Exit codes: 0 PASS, 1 FAIL, 2 usage or input error, 3 UNDECIDED.
    """


def main() -> None:
    """Run the command line; errors made on purpose become one sentence and an exit code, never a traceback."""
    try:
        # without standalone mode click returns the code of a context that was ended on purpose
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Abort:
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except OfftargetError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has gone; nothing is left to say
        sys.exit(0)
