"""`offtarget view`: every run of a folder in the browser."""

from __future__ import annotations

from pathlib import Path

import click

from offtarget.cli.help import Sectioned
from offtarget.cli.options import shared


@click.command("view", cls=Sectioned)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@shared("--host")
@shared("--port")
@click.option("--allow-remote", is_flag=True, help="Allow a --host that other machines reach; nothing is encrypted.")
@shared("--no-browser")
def command(folder: Path | None, host: str, port: int, allow_remote: bool, no_browser: bool) -> None:
    """See every run of a folder in the browser: list, filter, two side by side, search over all answers.

    FOLDER holds runs (default: OFFTARGET_RUNS, else ./runs). What is running is kept up to date. Nothing is changed.
    The address holds a secret of this start; Ctrl-C ends the page.

    \b
    Examples:
      offtarget view
      offtarget view /data/runs --port 8090 --no-browser

    Exit codes: 0 ended with Ctrl-C, 2 input error.
    """
    from offtarget.workflows.view.view import view

    def told(address: str) -> None:
        click.echo(address)
        click.echo("Open it to see the runs. Ctrl-C ends the page.", err=True)

    try:
        view(folder, host=host, port=port, allow_remote=allow_remote, open_browser=not no_browser, on_ready=told)
    except KeyboardInterrupt:
        return
