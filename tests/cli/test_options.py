"""The options of the command line, walked: one name has one meaning, and what a verb owes its user is there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from offtarget.cli.app import app
from offtarget.cli.options import SHARED
from offtarget.workflows.runs.verbs import VERBS


def commands(command: click.Command = app, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command that can be run, by its name after `offtarget`."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    if command.invoke_without_command:
        yield path, command
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from commands(found, f"{path} {name}".strip())


COMMANDS = dict(commands())
OF_THE_SUBJECT = {"organism list", "organism data", "organism train", "organism tune"}
"""They make the test subject, on the CPU and at its one precision, and print one line."""
OF_PEOPLE = {"judge label", "judge confirm", "canary confirm"}
"""People read what a run has already; the page shows how far they are."""
OF_RUNS = {"verify", "seal", "runs", "runs diff", "runs clean"}
OF_A_GATEWAY = {
    f"canary {name}" for name in ("status", "dashboard", "promote", "pause", "rollback", "resume", "evidence", "events")
}
"""A gateway that runs is asked; it has the models."""
OF_A_PROJECT = {"init", "run"}
"""The project file names the models and says how they are opened."""
OF_THE_MACHINE = {"view", "doctor", "completion"}
"""They look at what is there: runs, packages, commands."""
OPEN_NO_MODEL = {
    "compare", "report", *OF_RUNS, *OF_THE_MACHINE, *OF_A_PROJECT, *OF_THE_SUBJECT, *OF_PEOPLE, *OF_A_GATEWAY,
}  # fmt: skip
PRINT_NO_RESULT = {"report", "init", "runs clean", "view", "completion", *OF_THE_SUBJECT}
AT_ONCE = {
    "compare", "report", "init", *OF_RUNS, *OF_THE_MACHINE, "organism list", "organism data", *OF_PEOPLE, *OF_A_GATEWAY,
}  # fmt: skip
"""Nothing to show progress of."""
READS_A_RUN = "judge calibrate"
"""Its --run names one that is there."""
LEAVE_NO_RUN = {
    READS_A_RUN, "judge compare",
    "direction find", "direction measure", "direction explain", "report", "resume", "organism evaluate",
    *OF_RUNS, *OF_THE_MACHINE, *OF_A_PROJECT,
    *OF_THE_SUBJECT, *OF_PEOPLE, *OF_A_GATEWAY,
}  # fmt: skip
OF_THE_MODEL = {"compare": {"--base", "--tuned"}}
"""compare takes judged answers of the two models in place of their names."""


IN_PRODUCTION = {name for name in COMMANDS if name == "serve" or name.startswith("canary")}
"""They go on for weeks on live traffic: their models, shares and ports are others, and what they print is a log."""


def options(name: str) -> dict[str, click.Option]:
    """A command's options by flag; without the formats of `report`, which say what to write, not what to do."""
    found = (option for option in COMMANDS[name].params if isinstance(option, click.Option))
    return {flag: option for option in found if "format_" not in (option.name or "") for flag in option.opts}


def kind(settings: dict[str, object]) -> str:
    """The type of value that an option takes, numbers of either sort being one."""
    option = click.Option(["--x"], **settings)
    name = "flag" if option.is_flag else option.type.name
    return {"integer": "number", "float": "number", "integer range": "number"}.get(name, name)


def kind_of(option: click.Option) -> str:
    return kind({"type": option.type, "is_flag": option.is_flag})


def test_no_command_is_missed() -> None:
    """Otherwise the tests below would pass by looking at less."""
    assert {"audit", "alternatives", "tune", "defences", "check", "direction steer", "organism evaluate"} < set(
        COMMANDS
    )


def test_an_option_of_several_verbs_is_said_once() -> None:
    """What two verbs have comes from the shared table; what the table has, two verbs have."""
    where: dict[str, list[str]] = {}
    for name in (name for name in COMMANDS if name not in IN_PRODUCTION):
        for flag in options(name):
            where.setdefault(flag, []).append(name)
    several = {flag for flag, names in where.items() if len(names) > 1 and flag.startswith("--")}
    training = {flag for flag, names in where.items() if names == ["tune", "defences"]}
    assert several - training == set(SHARED) - training


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - IN_PRODUCTION))
def test_a_shared_option_means_the_same_everywhere(name: str) -> None:
    """Its sentence begins as in the table, its value is of the table's type."""
    for flag, option in options(name).items():
        if flag in SHARED and flag not in OF_THE_MODEL.get(name, ()):
            assert (option.help or "").startswith(SHARED[flag]["help"]), flag
            if {"type", "is_flag", "metavar"} & set(SHARED[flag]):
                assert kind_of(option) == kind(
                    {k: SHARED[flag][k] for k in ("type", "is_flag") if k in SHARED[flag]}
                ), flag
            assert option.metavar == SHARED[flag].get("metavar"), flag


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - IN_PRODUCTION))
def test_every_verb_has_what_it_owes(name: str) -> None:
    """Models can be placed, judges read either way, results taken as JSON, progress silenced, runs put anywhere."""
    has, opening = set(options(name)), {"--device", "--dtype", "--trust-remote-code"}
    assert opening <= has if name not in OPEN_NO_MODEL else not opening & has
    if "--judge" in has and name not in ("audit", "doctor", "init"):  # these read no reply in either way
        assert {"--probes", "--judge-by"} - ({"--probes"} if name in (READS_A_RUN, "redteam") else set()) <= has
    assert ("--json" in has) == (name not in PRINT_NO_RESULT)
    assert ("--quiet" in has) == (name not in AT_ONCE)
    assert ("--run" in has) == (name not in LEAVE_NO_RUN or name == READS_A_RUN)
    assert ("--resume" in has) == (name not in LEAVE_NO_RUN | {"compare"})  # which keeps nothing half done


GOES_ON = sorted(name for name in COMMANDS if "--resume" in options(name) and name != "audit")
"""audit shows the present result and goes on with what is asked besides: a review, a judge, a cleaned file."""


@pytest.mark.parametrize("name", GOES_ON)
def test_resume_of_a_verb_is_resume_of_its_runs_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`VERB --resume RUN` is `resume RUN` for runs of that verb, which may be told where to run, and nothing else."""
    told: list[object] = []

    def go_on(run: Path, only: str, o: dict[str, object], **how: bool) -> int:
        told.extend([run, only, o["device"], how])
        return 3

    monkeypatch.setattr(f"offtarget.cli.{name.replace(' ', '_')}.go_on", go_on)
    resumed = [*name.split(), "--resume", "runs/x", "--quiet"]
    done = CliRunner().invoke(app, [*resumed, "--device", "cpu"])
    assert done.exit_code == 3, done.output
    assert told == [Path("runs/x"), name, "cpu", {"as_json": False, "quiet": True}]
    assert name in {verb.command for verb in VERBS}
    refused = CliRunner().invoke(app, [*resumed, "--judge-by", "samples"])
    assert "--judge-by was settled when the run began" in refused.output
    missing = CliRunner().invoke(app, name.split())
    assert (missing.exit_code, "or --resume RUN." in missing.output) == (2, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    """A sentence each, ended; and the page shows an example and the exit codes where there is a verdict to tell."""
    for flag, option in options(name).items():
        assert option.help, flag
        assert option.help.endswith((".", "]")), flag
    text = COMMANDS[name].help or ""
    assert f"offtarget {name}" in text or name == "organism list"
    assert "Exit codes:" in text or name.startswith("organism ")


def test_no_help_page_imports_anything_heavy() -> None:
    """No model's libraries are loaded to say what a verb does, defences listed or not."""
    script = (
        "import sys, click\nfrom offtarget.cli.app import app\n"
        "def walk(command, context):\n"
        "    command.get_help(context)\n"
        "    for name in command.list_commands(context) if isinstance(command, click.Group) else ():\n"
        "        found = command.get_command(context, name)\n"
        "        walk(found, click.Context(found, parent=context, info_name=name))\n"
        "walk(app, click.Context(app, info_name='offtarget'))\n"
        "heavy = {'torch', 'transformers', 'peft'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_every_verb_that_takes_data_takes_a_split() -> None:
    """What is audited, trained on and asked under is the same split, so every verb lets it be chosen."""
    takes = {name for name, command in COMMANDS.items() if any(p.name == "data" for p in command.params)}
    without = {name for name in takes if "--split" not in options(name)}
    assert without == {"organism tune"}  # one chat file of the test subject
    assert {"audit", "tune", "check", "defences", "alternatives", "direction repair"} <= takes
