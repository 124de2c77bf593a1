"""The help of every verb: a screen with the usual options, everything on request, in sections."""

from __future__ import annotations

import re

import click
import pytest
from click.testing import CliRunner
from test_options import COMMANDS

from golden import golden, longest, printed
from offtarget.cli.app import app
from offtarget.cli.help import FIRST, OTHER, SECTIONS, Described, in_sections, name

SCREEN = 40
"""Lines that a help page may have at 80 columns."""
FIRST_PAGE = 50
"""Lines of the page with all verbs."""


@pytest.mark.parametrize("verb", COMMANDS)
def test_help_is_a_screen(verb: str) -> None:
    """What to do and the usual options fit on a screen; where there is more, the last line names it."""
    done = printed([*verb.split(), "--help"], 80)
    lines = done.output.splitlines()
    assert done.exit_code == 0
    assert len(lines) <= SCREEN
    assert longest(done.output) <= 80
    shown = set(re.findall(r"^  (?:-\w, )?--([\w-]+)", done.output, flags=re.MULTILINE))
    rest = {name(o) for o in COMMANDS[verb].params if isinstance(o, click.Option)} - shown
    assert not rest or lines[-1] == f"Everything else: offtarget {verb} --help-all"
    golden(f"help-{verb.replace(' ', '-')}", done.output)


def test_the_first_page_is_a_screen() -> None:
    """Verbs stand under what people want to do; all of them are there, so that it may be a few lines longer."""
    done = printed(["--help"], 80)
    assert len(done.output.splitlines()) <= FIRST_PAGE
    assert done.output.index("Before training") < done.output.index("After training") < done.output.index("Results")
    golden("help", done.output)


@pytest.mark.parametrize("verb", COMMANDS)
def test_help_all_leaves_nothing_out(verb: str) -> None:
    """Every option, every example and every paragraph of its text."""
    text = printed([*verb.split(), "--help-all"], 80).output
    said = Described.of(COMMANDS[verb].help or "")
    flat = " ".join(text.replace("\\\n", " ").split())
    for option in COMMANDS[verb].params:
        assert not isinstance(option, click.Option) or option.opts[0] in flat
    for example in said.examples:
        assert " ".join(example.split()) in flat
    for part in (said.lead, *said.more, said.codes):
        assert re.sub(r"\s", "", part) in re.sub(r"\s", "", text)


def test_every_option_has_a_section() -> None:
    """An option that no section names would end up under `Other`; what is named there is."""
    there = {name(o) for command in COMMANDS.values() for o in command.params if isinstance(o, click.Option)}
    titles = {title for command in COMMANDS.values() for title, _ in in_sections(_options(command))}
    assert OTHER not in titles, "name the option in cli/help.py"
    for verb, first in FIRST.items():
        assert set(first.split()) <= {name(o) for o in _options(COMMANDS[verb])} | EXPECTED, verb
    flags = [flag for section in SECTIONS.values() for flag in section.split()]
    assert len(flags) == len(set(flags))
    assert set(flags) <= there | EXPECTED


EXPECTED = {"verbose"}
"""Options that are on their way."""


def _options(command: click.Command) -> list[click.Option]:
    return [o for o in command.params if isinstance(o, click.Option)]


def test_a_broken_example_can_still_be_pasted() -> None:
    """At 60 columns commands are continued with a backslash, between options."""
    text = CliRunner().invoke(app, ["check", "--help"], terminal_width=58).output
    commands = re.findall(r"^  offtarget .*(?:(?<=\\)\n.*)*", text, flags=re.MULTILINE)
    wanted = Described.of(COMMANDS["check"].help or "").examples
    assert [" ".join(command.replace("\\\n", " ").split()) for command in commands] == list(wanted[: len(commands)])
    assert any("\\\n" in command for command in commands)


@pytest.mark.parametrize("verb", COMMANDS)
@pytest.mark.parametrize("width", [60, 80])
def test_no_sentence_of_the_help_ends_inside(verb: str, width: int) -> None:
    """Where a sentence is too long it ends at a clause: not at `e.g.`, and not inside brackets."""
    # click's runner forces 80 columns whatever the environment says
    text = CliRunner().invoke(app, [*verb.split(), "--help"], terminal_width=width - 2).output
    entries = re.split(r"\n(?=  (?:-|MODEL:)|\n|\S)", text[text.find("\n\n") :])
    for entry in entries:
        assert not re.search(r"(e\.g|i\.e)\.\s*(\Z|\[)", entry.strip()), entry
        if entry.startswith("  -"):
            assert entry.count("(") == entry.count(")"), entry
            assert entry.count("[") == entry.count("]"), entry
    assert longest("\n".join(line for line in text.splitlines() if "MODEL:" in line)) <= width


def test_where_a_server_listens_is_not_said_among_readers() -> None:
    """Host and ports of `serve` stand in a section of their own, with their defaults."""
    text = printed(["serve", "--help"], 80).output
    section = text[text.index("Where it listens:") :].split("\n\n")[0]
    assert all(part in section for part in ("--host", "--port", "--admin-port", "8080", "8081"))
    assert "People who read" not in text
    assert "A JSON object per line" in text
