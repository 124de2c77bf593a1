"""Every command that README, docs, examples or a help page show exists and parses: verb, options, values, arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from offtarget.cli.app import app

ROOT = Path(__file__).parents[2]
FENCED = re.compile(r"^ *```[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"(?<![`\\])`(offtarget [^`]+)`(?!`)")
CUT = {"|", "||", "&&", ";", ">", "&"}
PLACEHOLDER = re.compile(r"[A-Z][A-Z0-9_]*|.*\.\.\..*|\$.*")


def lines(text: str) -> Iterator[str]:
    """The commands of a shell's lines, also behind a prompt or a step of the demo, continued lines joined."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        found = re.fullmatch(r'\s*(?:\$ |step \d ".*?" +)?(offtarget (?!\d).*)', line)
        if found and " would do this; " not in line:  # what a dry run prints
            yield found[1]


def written() -> Iterator[tuple[str, str]]:
    """Where it stands, and the command."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        if page.name == "LOG.md":  # says what was, not what is
            continue
        text = page.read_text(encoding="utf-8")
        for block in FENCED.findall(text):
            yield from ((page.name, line) for line in lines(block))
        yield from ((page.name, " ".join(span.split())) for span in INLINE.findall(FENCED.sub("", text)))
    for script in sorted((ROOT / "examples").glob("*.sh")):
        yield from ((script.name, line) for line in lines(script.read_text(encoding="utf-8")))
    yield from helped(app, "offtarget")


def helped(command: click.Command, path: str) -> Iterator[tuple[str, str]]:
    """The examples of a help page and of those below it."""
    yield from ((f"{path} --help", line) for line in lines(command.help or ""))
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from helped(found, f"{path} {name}")


def parse(line: str) -> None:
    """Raise `click.UsageError` unless the command line could be run, placeholders and files aside."""
    words = shlex.split(line.replace("[", " ").replace("]", " "), comments=True)[1:]
    words = words[: next((n for n, word in enumerate(words) if word in CUT), len(words))]
    command: click.Command = app
    context = click.Context(app, info_name="offtarget")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            raise click.UsageError(f"no command {words[0]}")
        command, context = found, click.Context(found, parent=context, info_name=words.pop(0))
    given, left, _ = command.make_parser(context).parse_args(list(words))
    surplus = [word for word in left if word != "..."]
    if surplus and not isinstance(command, click.Group):
        raise click.UsageError(f"unexpected {surplus}")
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name in given:
            check_value(parameter, given[parameter.name], context)


def check_value(option: click.Option, value: object, context: click.Context) -> None:
    """Convert what is no placeholder to the option's type; files need not be there."""
    values = value if option.multiple and isinstance(value, list) else [value]
    for one in values:
        if isinstance(one, str) and not PLACEHOLDER.fullmatch(one) and not isinstance(option.type, click.Path):
            option.type.convert(one, option, context)


COMMANDS = sorted(set(written()))


def test_commands_are_found_in_every_place() -> None:
    """Otherwise the test below would pass by looking at nothing."""
    places = {place for place, _ in COMMANDS}
    assert len(COMMANDS) > 100
    assert {"README.md", "audit.md", "tune.md", "demo.sh", "offtarget check --help"} <= places


@pytest.mark.parametrize(("place", "line"), COMMANDS)
def test_a_command_that_is_shown_could_be_run(place: str, line: str) -> None:
    """Its verb, its options and the values written out are what the command line takes."""
    parse(line)


@pytest.mark.parametrize(
    "line",
    [
        "offtarget chekc --base B",
        "offtarget direction fnd",
        "offtarget check --bas-e B",
        "offtarget check --base",
        "offtarget check --max-answers many",
        "offtarget runs surplus",
        "offtarget direction steer --mode sideways",
    ],
)
def test_what_could_not_be_run_is_noticed(line: str) -> None:
    """An unknown verb, option or value, a missing value and a surplus argument are all errors here."""
    with pytest.raises(click.ClickException):
        parse(line)
