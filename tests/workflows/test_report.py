"""`report` and `runs`, as functions and on the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from audit_runs import make_audit
from click.testing import CliRunner
from report_runs import make_run, models

from offtarget.cli.report import command as report_command
from offtarget.cli.runs import command as runs_command
from offtarget.errors import InputError
from offtarget.pages.registry import formats
from offtarget.workflows.runs.listing import find_run, runs
from offtarget.workflows.runs.report import report


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """A runs folder with a finished, an unfinished and several broken runs; the finished one is newest."""
    folder = tmp_path / "runs"
    monkeypatch.setenv("OFFTARGET_RUNS", str(folder))
    make_run(folder / "done", per_probe=(2, 2))
    make_run(folder / "stopped", per_probe=(2, 2), finished=False)
    make_run(folder / "torn", per_probe=(1, 1))
    (folder / "torn" / "result.json").write_text('{"decision": {"sta')
    (folder / "empty").mkdir()
    (folder / "list").mkdir()
    (folder / "list" / "run.json").write_text("[]")
    (folder / "a file").write_text("not a run")
    for age, name in enumerate(("done", "stopped", "torn", "list")):
        os.utime(folder / name / "run.json", (1e9 - age, 1e9 - age))
    os.utime(folder / "empty", (1e8, 1e8))
    return folder


def test_runs_are_listed_newest_first_and_broken_ones_named(root):
    found = runs()
    assert [(r.name, r.state) for r in found] == [
        ("done", "FAIL"),
        ("stopped", "UNFINISHED"),
        ("torn", "BROKEN"),
        ("list", "BROKEN"),
        ("empty", "BROKEN"),
    ]
    assert (found[0].answers, found[0].tuned) == (240, "organism/insecure")
    assert found[1].resume == f"offtarget resume {root / 'stopped'}"
    assert all(r.problem for r in found[2:])


def test_no_runs_folder_is_an_empty_list(tmp_path):
    assert runs(tmp_path / "nowhere") == []


def test_a_run_is_found_by_path_by_name_and_as_last(root):
    assert find_run(root / "done") == root / "done"
    assert find_run("stopped") == root / "stopped"
    assert find_run("last") == root / "done"


@pytest.mark.parametrize("name", ["nothing", "../runs/done", "a file"])
def test_what_is_not_a_run_is_an_input_error(root, name):
    """Names reach only into the runs folder."""
    with pytest.raises(InputError, match="no run"):
        find_run(name)


def test_last_without_runs_says_how_to_make_one(tmp_path):
    with pytest.raises(InputError, match="offtarget check"):
        find_run("last", tmp_path)


@pytest.mark.parametrize("name", sorted(formats()))
def test_each_format_is_written_into_the_run_by_default(root, name):
    path = report("done", name)
    assert path == root / "done" / formats()[name].filename
    assert path.read_text(encoding="utf-8")


def test_the_terminal_format_returns_text_and_writes_nothing(root):
    before = sorted((root / "done").iterdir())
    assert "organism/insecure" in report("done")
    assert sorted((root / "done").iterdir()) == before


def test_out_may_be_a_file_or_a_folder_and_must_be_writable(root, tmp_path):
    assert report("done", "json", tmp_path / "x.json") == tmp_path / "x.json"
    assert report("done", "json", tmp_path) == tmp_path / "report.json"
    with pytest.raises(InputError, match="--out"):
        report("done", "json", tmp_path / "absent" / "x.json")


def test_the_command_prints_the_path_it_wrote(root):
    result = CliRunner().invoke(report_command, ["done", "--html"], catch_exceptions=False)
    assert result.output == f"{root / 'done' / 'report.html'}\n"
    assert result.exit_code == 0


def test_without_a_format_the_verdict_is_printed_and_an_unfinished_run_says_so(root):
    done = CliRunner().invoke(report_command, ["done"], catch_exceptions=False).output
    assert "All numbers, and how it was decided:\n  offtarget report " in done
    assert "plain" not in done
    whole = CliRunner().invoke(report_command, ["done", "-v"], catch_exceptions=False).output
    assert "plain" in whole
    stopped = CliRunner().invoke(report_command, ["stopped"], catch_exceptions=False).output
    assert stopped.startswith(" UNFINISHED ")
    assert f"Go on where it stopped:\n  offtarget resume {root / 'stopped'}\n" in stopped


def test_a_dash_writes_to_standard_output(root):
    result = CliRunner().invoke(report_command, ["done", "--json", "--out", "-"], catch_exceptions=False)
    assert json.loads(result.output)["run"] == "done"


def test_every_registered_format_has_a_flag():
    flags = {flag for parameter in report_command.params for flag in parameter.opts}
    assert {f"--{name}" for name in formats()} <= flags


def test_the_list_on_the_command_line_names_unfinished_and_broken_runs(root):
    output = CliRunner().invoke(runs_command, catch_exceptions=False).output
    assert output.index("done") < output.index("stopped") < output.index("torn")
    assert f"stopped is unfinished; go on with:\n  offtarget resume {root / 'stopped'}\n" in output
    assert "empty is broken: it has no run.json" in output
    listed = json.loads(CliRunner().invoke(runs_command, ["--json"], catch_exceptions=False).output)
    assert [r["name"] for r in listed] == ["done", "stopped", "torn", "list", "empty"]


def test_hostile_names_cannot_rewrite_the_terminal(root):
    make_run(root / "evil", per_probe=(1, 1), manifest={"models": models("\x1b[2Jb", "[bold]t\nx")})
    output = CliRunner().invoke(runs_command, catch_exceptions=False).output
    assert "\x1b" not in output
    assert "[bold]t" in output


def test_a_pipe_is_written_to_and_not_replaced(root, tmp_path):
    """`--out /dev/null` as root once put a regular file in the place of the device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert report("done", "text", pipe) == pipe
        assert os.read(reader, 65536).decode() == report("done")
    finally:
        os.close(reader)
    assert pipe.is_fifo()


def test_audits_are_listed_with_their_data_and_the_command_that_goes_on(root):
    make_audit(root / "audited", "fresh")
    make_audit(root / "half", "people")
    (root / "half" / "result.json").unlink()
    make_audit(root / "scanning", "unfinished")
    found = {r.name: r for r in runs()}
    fresh = found["audited"]
    assert (fresh.state, fresh.verb, fresh.data, fresh.rows, fresh.answers) == (
        "UNDECIDED",
        "audit",
        "train.jsonl",
        6000,
        None,
    )
    assert found["half"].resume == f"offtarget resume {root / 'half'}"
    assert (found["scanning"].state, found["scanning"].resume) == ("UNFINISHED", None)
    assert str(found["scanning"].obstacle).endswith("with: offtarget audit /data/train.jsonl --form chat")
    output = CliRunner().invoke(runs_command, catch_exceptions=False).output
    assert "train.jsonl" in output


@pytest.mark.parametrize("name", sorted(formats()))
def test_the_same_command_reports_an_audit(root, name):
    make_audit(root / "audited", "detectors")
    result = CliRunner().invoke(report_command, ["audited", f"--{name}"], catch_exceptions=False)
    assert result.output == f"{root / 'audited' / formats()[name].filename}\n"
