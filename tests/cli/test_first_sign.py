"""The first sign of life: a line before anything heavy is imported, for every verb that works for a while."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from test_options import COMMANDS

from offtarget.cli import app as module

WORKS = sorted(
    name
    for name, command in COMMANDS.items()
    if any(isinstance(p, click.Option) and p.name in ("quiet", "run") for p in command.params)
)


@pytest.mark.parametrize("name", WORKS)
def test_the_line_comes_before_the_verb_does_anything(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is on standard error before the body of the verb runs, and not where nobody wants progress."""
    command, told = COMMANDS[name], list[str]()
    monkeypatch.setattr(command, "callback", lambda **_: told.append("body"))
    needed = [word for p in command.params if p.required for word in _given(p)]
    for more, wanted in (([], [f"0 s: {name}: getting ready", "body"]), (["--json"], ["body"])):
        told.clear()
        if more and not any("--json" in p.opts for p in command.params):
            continue
        module.app([*name.split(), *needed, *more], standalone_mode=False, obj=told.append)
        assert told == wanted


def _given(parameter: click.Parameter) -> list[str]:
    return ["x"] if isinstance(parameter, click.Argument) else [parameter.opts[0], "1"]


def test_nothing_heavy_is_imported_before_it() -> None:
    """So it is there within a second: no tensor library, no numpy, no tables."""
    script = (
        "import sys\nfrom offtarget.cli import app\n"
        "def told(verb):\n"
        "    assert not {'torch', 'transformers', 'scipy', 'pyarrow', 'numpy'} & set(sys.modules)\n"
        "    raise SystemExit(9)\n"
        "app.app(['check', '--base', 'organism/base', '--tuned', 'organism/insecure'], obj=told)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 9
