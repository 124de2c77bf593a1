"""The public surface: names that must not drift, imports that must stay light, help that must stay quick."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

import offtarget
from offtarget.cli.app import VERBS, app, main

PUBLIC = [
    "AlternativesResult",
    "AlternativesSettings",
    "AuditResult",
    "AuditSettings",
    "CheckResult",
    "CheckSettings",
    "Columns",
    "CompareResult",
    "DecisionSettings",
    "DefenceSettings",
    "DefencesResult",
    "EvidenceError",
    "FindSettings",
    "InputError",
    "MisalignmentMonitor",
    "MonitorSettings",
    "OfftargetError",
    "OnProgress",
    "OpenSettings",
    "Progress",
    "RepairResult",
    "RepairSettings",
    "ReproduceResult",
    "ReproduceSettings",
    "Result",
    "RunInterrupted",
    "SamplingSettings",
    "Status",
    "SteerResult",
    "SteerSettings",
    "TableOptions",
    "Thresholds",
    "TuneOptions",
    "TuneResult",
    "TuneSettings",
    "__version__",
    "alternatives",
    "audit",
    "check",
    "compare",
    "compare_defences",
    "explain",
    "find_direction",
    "make_monitor",
    "measure_model",
    "measure_rows",
    "repair",
    "report",
    "reproduce",
    "resume",
    "runs",
    "steer",
    "tune",
]


def test_public_names_are_exactly_these() -> None:
    """Adding or losing a public name is a decision, made here too."""
    assert sorted(offtarget.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(offtarget, name) is not None


def test_every_public_name_is_among_the_checked_types() -> None:
    """tests/typing/api.py, which mypy reads, uses each of them as a user would."""
    tree = ast.parse((Path(__file__).parents[1] / "typing" / "api.py").read_text(encoding="utf-8"))
    assert set(PUBLIC) <= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_no_public_name_is_a_package_too() -> None:
    """A function that shares its name with a subpackage would be replaced by it on import."""
    for name in PUBLIC:
        assert find_spec(f"offtarget.{name}") is None


def test_unknown_names_are_attribute_errors() -> None:
    """Lazy loading keeps the usual error."""
    with pytest.raises(AttributeError, match="no attribute 'chekc'"):
        offtarget.chekc  # noqa: B018


def test_the_package_is_typed() -> None:
    """py.typed ships, so that users' type checkers see our annotations."""
    assert resources.files("offtarget").joinpath("py.typed").is_file()


@pytest.mark.parametrize(
    "code",
    [
        "import offtarget",
        "import offtarget.cli.app",
        "from offtarget import check, compare, report, runs",
        "import offtarget.workflows.compare.compare, offtarget.workflows.runs.report",
        "import offtarget.models, offtarget.judge.rubric_judge, offtarget.probe.reading, offtarget.probe.cues.sources",
    ],
)
def test_no_torch_where_none_is_needed(code: str) -> None:
    """Reading reports, comparing tables and importing the package pull neither torch nor transformers."""
    heavy = "{'torch', 'transformers', 'peft', 'openai', 'inspect_ai', 'pyarrow'}"
    script = f"import sys\n{code}\nassert not {heavy} & set(sys.modules), {heavy} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_help_imports_nothing_heavy() -> None:
    """`offtarget --help` answers at once because neither numpy nor rich is imported for it."""
    script = (
        "import sys\nfrom offtarget.cli.app import main\nsys.argv = ['offtarget', '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "assert not {'numpy', 'rich', 'torch', 'yaml', 'jinja2'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_has_help_with_examples(verb: str) -> None:
    """Each verb explains itself and shows a command to copy."""
    command = app.get_command(click.Context(app), verb)
    assert command is not None
    text = command.get_help(click.Context(command, info_name=verb))
    assert f"offtarget {verb}" in text


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["frobnicate"], 2, "No such command"),
        (["check"], 2, "Give --base and --tuned"),
        (["check", "--base", "organism/base", "--tuned", "organism/nobody"], 2, "Shipped: organism/base"),
        (["check", "--base", "gpt", "--tuned", "organism/base"], 2, "--judge"),
        (["check", "--resume", "/nowhere"], 2, "There is no run '/nowhere'"),
        (["organism", "data", "--condition", "evil", "--out", "x.jsonl"], 2, "Known: backdoor"),
        (["report", "/nowhere"], 2, "nowhere"),
        (["compare", "--base", "/nowhere.csv", "--tuned", "/nowhere.csv"], 2, "nowhere.csv"),
    ],
)
def test_mistakes_end_with_one_sentence_and_exit_code_2(
    arguments: list[str], code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistake on the command line is explained on standard error, without a traceback."""
    monkeypatch.setattr(sys, "argv", ["offtarget", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    error = capsys.readouterr().err
    assert end.value.code == code
    assert message in error
    assert "Traceback" not in error
