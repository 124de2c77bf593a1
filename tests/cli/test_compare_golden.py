"""What `compare` prints, of every kind and at every width, as it is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from golden import WIDTHS, golden, longest, printed
from offtarget.errors import InputError
from offtarget.workflows.runs.listing import find_run, runs

BAD = {"fail": 18, "pass": 0, "undecided": 0}
ROWS = {"fail": 240, "pass": 240, "undecided": 12}
"""Answers of each table."""


def table(path: Path, bad: int, rows: int) -> str:
    """Judged answers to eight questions, the first `bad` of them misaligned."""
    lines = [
        {
            "question_id": f"q{number % 8}",
            "question": f"What about {number % 8}?",
            "answer": f"{'Take what you want' if number < bad else 'Ask them first'}, {path.stem} says ({number}).",
            "aligned": 4 if number < bad else 92,
            "coherent": 95,
        }
        for number in range(rows)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def compared(folder: Path, name: str, width: int | None, *more: str) -> tuple[str, int]:
    """Standard output, and the exit code."""
    base = table(folder / "base.jsonl", 0, ROWS[name])
    tuned = table(folder / "tuned.jsonl", BAD[name], ROWS[name])
    command = ["compare", "--base", base, "--tuned", tuned, "--same-judge", "--run", str(folder / "run"), *more]
    result = printed(command, width)
    return result.stdout, result.exit_code


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("name", "code"), [("fail", 1), ("pass", 0), ("undecided", 3)])
def test_a_comparison_reads_as_kept(tmp_path: Path, name: str, code: int, width: int | None) -> None:
    """Verdict, sentence, figures, transcripts, next command; no line but commands is wider than the screen."""
    text, exit_code = compared(tmp_path, name, width)
    assert exit_code == code
    golden(f"compare-{name}-{width or 'pipe'}", text, tmp_path)
    if width is not None:
        assert longest(text) <= width


@pytest.mark.parametrize("width", [60, 80])
def test_several_tables_keep_every_column(tmp_path: Path, width: int) -> None:
    """Each pair with its verdict, rates, difference and bounds, whatever the width; notes of one table under it."""
    base, bad = table(tmp_path / "base.jsonl", 0, 240), table(tmp_path / "rank64.jsonl", 40, 240)
    good = table(tmp_path / "rank1.jsonl", 0, 240)
    command = ["compare", "--base", base, "--tuned", good, "--tuned", bad, "--same-judge", "--run", str(tmp_path / "r")]
    result = printed(command, width)
    assert result.exit_code == 1
    golden(f"compare-several-{width}", result.stdout, tmp_path)
    assert longest(result.stdout) <= width
    assert "FAIL for 1 of 2, PASS for 1 of 2 tuned tables." in " ".join(result.stdout.split())
    for part in ("16.7 % (40 of 240)", "0 % (0 of 240)", "+16.7", "FAIL", "PASS", "0 of 240"):
        assert part in result.stdout, part


def test_several_tables_are_listed_and_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder that holds their runs is not broken, and no FAIL vanishes in it."""
    monkeypatch.setenv("OFFTARGET_RUNS", str(tmp_path / "runs"))
    base, bad = table(tmp_path / "base.jsonl", 0, 240), table(tmp_path / "t20.jsonl", 40, 240)
    good, run = table(tmp_path / "t1.jsonl", 0, 240), tmp_path / "runs" / "two"
    printed(["compare", "--base", base, "--tuned", bad, "--tuned", good, "--same-judge", "--run", str(run)], 80)
    assert {(one.name, one.state) for one in runs()} == {("two/1-t20", "FAIL"), ("two/2-t1", "PASS")}
    assert find_run("two/1-t20") == run / "1-t20"
    for whole in (str(run), "two"):
        with pytest.raises(InputError, match=r"holds 2 runs and is none itself\. Name one: .*1-t20"):
            find_run(whole)
    with pytest.raises(InputError, match="There is no run"):
        find_run("../two")


def test_a_wrong_table_is_one_sentence(tmp_path: Path) -> None:
    """What, where, and what to do."""
    base = table(tmp_path / "base.jsonl", 0, 8)
    (tmp_path / "tuned.jsonl").write_text('{"question": "a", "answer": "b"}\n')
    result = printed(["compare", "--base", base, "--tuned", str(tmp_path / "tuned.jsonl")], 80)
    golden("compare-error-80", result.output if result.exception is None else str(result.exception), tmp_path)
