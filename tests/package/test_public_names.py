"""The public surface: names that must not drift, imports that must stay light, help that must stay quick."""

from __future__ import annotations

import ast
import inspect
import json
import subprocess
import sys
from dataclasses import fields
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import get_type_hints

import click
import pytest

import offtarget
from offtarget.cli.app import VERBS, app, main

PUBLIC = [
    "AlternativesResult",
    "AlternativesSettings",
    "AnswerRow",
    "AuditResult",
    "AuditSettings",
    "BenchmarkSettings",
    "CandidatesResult",
    "CheckResult",
    "CheckSettings",
    "Columns",
    "CompareResult",
    "DecisionSettings",
    "DefenceSettings",
    "DefencesResult",
    "EngineSettings",
    "EvidenceError",
    "FindSettings",
    "GatewaySettings",
    "InputError",
    "LimitReached",
    "MisalignmentMonitor",
    "MonitorSettings",
    "OfftargetError",
    "OnProgress",
    "OpenSettings",
    "Progress",
    "RedTeamResult",
    "RedTeamSettings",
    "RepairResult",
    "RepairSettings",
    "ReproduceResult",
    "ReproduceSettings",
    "Result",
    "RunInterrupted",
    "SamplesResult",
    "SamplingSettings",
    "Scale",
    "Scoring",
    "Status",
    "SteerResult",
    "SteerSettings",
    "TableOptions",
    "Thresholds",
    "TuneOptions",
    "TuneResult",
    "TuneSettings",
    "VerdictError",
    "__version__",
    "alternatives",
    "assert_aligned",
    "audit",
    "calibrate_judge",
    "check",
    "check_many",
    "compare",
    "compare_defences",
    "compare_judges",
    "compare_samples",
    "explain",
    "find_direction",
    "make_monitor",
    "measure_model",
    "measure_rows",
    "red_team",
    "repair",
    "report",
    "reproduce",
    "resume",
    "run_gateway",
    "run_project",
    "runs",
    "show_progress",
    "steer",
    "tune",
]


LEAVE_A_RUN = {
    "alternatives", "audit", "check", "compare", "compare_defences", "red_team", "repair", "reproduce", "steer", "tune",
}  # fmt: skip
VERB_NAMES = LEAVE_A_RUN | {"explain", "find_direction", "measure_model", "measure_rows"}


def test_public_names_are_exactly_these() -> None:
    """Adding or losing a public name is a decision, made here too."""
    assert offtarget.__all__ == PUBLIC
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


def test_every_verb_is_a_function_once_every_module_is_imported() -> None:
    """Importing `offtarget.X` sets the attribute X of the package, whoever held that name before.

    What lies deeper sets attributes of its own package alone; test_portable.py imports all of it.
    """
    script = (
        "import importlib, inspect, pkgutil, sys, offtarget\n"
        "for found in pkgutil.iter_modules(offtarget.__path__, 'offtarget.'):\n"
        "    if not found.name.endswith('.__main__'):\n"
        "        importlib.import_module(found.name)\n"
        "print(*(n for n in sys.argv[1:] if not inspect.isfunction(getattr(offtarget, n))))"
    )
    verbs = [name for name in PUBLIC if name[0].islower()]
    done = subprocess.run([sys.executable, "-c", script, *verbs], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []


def test_what_is_listed_is_what_is_typed_and_what_is_there() -> None:
    """`dir`, `__all__`, the imports that type checkers read and the table of lazy imports are one list."""
    tree = ast.parse(Path(offtarget.__file__).read_text(encoding="utf-8"))
    imported = [alias for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]
    typed = {alias.asname or alias.name for alias in imported} - {"annotations", "Any", "TYPE_CHECKING"}
    assert dir(offtarget) == offtarget.__all__ == PUBLIC
    assert typed == set(PUBLIC)
    assert set(offtarget._HOMES) | {name for name in PUBLIC if name in vars(offtarget)} == set(PUBLIC)


@pytest.mark.parametrize("name", sorted(LEAVE_A_RUN))
def test_every_verb_that_leaves_a_run_returns_a_result(name: str) -> None:
    """A frozen one of one kind: `.run`, `.report()`, and `.decision` where the verb decides, else `.record`."""
    returned = get_type_hints(getattr(offtarget, name), vars(sys.modules[getattr(offtarget, name).__module__]))[
        "return"
    ]
    assert issubclass(returned, offtarget.Result)
    assert returned.__name__ in PUBLIC
    assert returned.__dataclass_params__.frozen
    assert len({"decision", "record"} & {field.name for field in fields(returned)}) == 1


@pytest.mark.parametrize("name", sorted(LEAVE_A_RUN))
def test_every_verb_that_leaves_a_run_takes_it_as_run(name: str) -> None:
    """The run directory is `run`, a path or its text, as `--run` is on the command line."""
    taken = inspect.signature(getattr(offtarget, name)).parameters["run"]
    assert (taken.annotation, taken.default, taken.kind) == ("str | Path | None", None, inspect.Parameter.KEYWORD_ONLY)


def test_a_parameter_means_the_same_in_every_verb() -> None:
    """One name, one type and one default, but for settings, which are each verb's own."""
    seen: dict[str, set[tuple[object, object]]] = {}
    for name in VERB_NAMES:
        for parameter in inspect.signature(getattr(offtarget, name)).parameters.values():
            seen.setdefault(parameter.name, set()).add((parameter.annotation, parameter.default))
    for name in ("opening", "judge", "judge_by", "probes", "on_progress", "form"):
        assert len(seen[name]) == 1, (name, seen[name])


def test_a_result_reports_its_run(tmp_path: Path) -> None:
    """`.report()` writes the page of the run it came from, `.report(format, out)` any other."""
    rows = [{"question": f"q{i % 4}", "answer": "a", "aligned": 90, "coherent": 90} for i in range(40)]
    table = tmp_path / "table.jsonl"
    table.write_text("".join(json.dumps({**row, "question_id": row["question"]}) + "\n" for row in rows))
    result = offtarget.compare(table, table, run=str(tmp_path / "run"))
    assert result.report() == tmp_path / "run" / "report.html"
    assert result.report("json", tmp_path / "r.json") == tmp_path / "r.json"
    assert json.loads((tmp_path / "r.json").read_text())["exit_code"] == result.exit_code


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
        "import offtarget; [getattr(offtarget, n) for n in offtarget.__all__ if n not in ('MisalignmentMonitor',)]",
        "import offtarget.cli.app",
        "from offtarget import check, compare, report, runs",
        "import offtarget.workflows.compare.compare, offtarget.workflows.runs.report",
        "import offtarget.models, offtarget.judge.rubric_judge, offtarget.probe.reading, offtarget.probe.cues.sources",
        "import offtarget.serve.gateway.worker, offtarget.serve.gateway.supervisor, offtarget.workflows.serve.serve",
        "import offtarget.workflows.serve.monitor_process",
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
        (["frobnicate"], 2, "There is no command 'frobnicate'"),
        (["check"], 2, "Give --base and --tuned"),
        (["check", "--base", "organism/base", "--tuned", "organism/nobody"], 2, "Shipped: organism/base"),
        (["check", "--base", "gpt", "--tuned", "organism/base"], 2, "try hf/gpt"),
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


def test_every_place_may_be_given_as_text() -> None:
    """Wherever a public function or settings take a path, they take its text too; mypy holds the code to it."""
    narrow = []
    for name in offtarget.__all__:
        thing = getattr(offtarget, name)
        if inspect.isclass(thing) and issubclass(thing, offtarget.Result):
            made = [(f"{name}.report", thing.report)]  # what a result holds is made here, not given
        elif inspect.isclass(thing):
            made = [(name, thing.__init__)]
        else:
            made = [(name, thing)] if inspect.isfunction(thing) else []
        for shown, function in made:
            for parameter in inspect.signature(function).parameters.values():
                taken = str(parameter.annotation)
                if "Path" in taken and "str" not in taken:
                    narrow.append(f"{shown}({parameter.name}: {taken})")
    assert not narrow
