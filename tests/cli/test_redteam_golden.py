"""What a red-team run prints, at three widths and in a pipe: read tests/golden/redteam-*.txt."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import redteam_runs as runs

from golden import WIDTHS, golden, longest, printed
from offtarget.cli.redteam import beside
from offtarget.cli.replaying import _show
from offtarget.pages.screen import Screen
from offtarget.progress import Progress
from offtarget.records import Outcome
from offtarget.records.redteam import Script
from offtarget.rundir import RUNS_ENV, read_jsonl
from offtarget.workflows.redteam.explore import STAGE
from offtarget.workflows.redteam.replay import HeldAgain, TurnAgain

CODES = {"fail": 1, "pass": 0, "undecided": 3, "differs": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of every outcome, to be read only."""
    folder = tmp_path_factory.mktemp("redteam")
    return {name: runs.OUTCOMES[name](folder / name).run for name in CODES}


def _taken_out(text: str) -> str:
    """Without the time, which is another every time."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("Took "))


@pytest.mark.parametrize("name", CODES)
def test_every_outcome_reads_well_at_every_width(name: str, made: dict[str, Path]) -> None:
    """The kept texts; no line is wider than the screen, and what differs is no pass."""
    run = made[name]
    for width in WIDTHS:
        done = printed(["redteam", "--resume", str(run)], width)
        assert done.exit_code == CODES[name]
        golden(f"redteam-{name}-{width or 'pipe'}", _taken_out(done.output), run.parent)
        assert width is None or longest(done.output) <= width
    for width in (60, 120):
        details = printed(["redteam", "--resume", str(run), "-v"], width)
        golden(f"redteam-{name}-details-{width}", _taken_out(details.output), run.parent)
        assert longest(details.output) <= width


def test_reports_of_every_kind_say_the_same(made: dict[str, Path]) -> None:
    """`report` shows the card in every format, and the plain command prints what the verb printed."""
    run = made["fail"]
    assert printed(["report", str(run)], 80).output == printed(["redteam", "--resume", str(run)], 80).output
    for form in ("html", "json", "markdown", "junit", "sarif", "pr", "card"):
        done = printed(["report", str(run), f"--{form}", "--out", str(run.parent / f"report.{form}")], 80)
        assert done.exit_code == 0, done.output
        assert "FAIL" in (run.parent / f"report.{form}").read_text(encoding="utf-8")


def test_the_conversations_that_worked_are_written_on_request(made: dict[str, Path], tmp_path: Path) -> None:
    """Also of a finished run; where none did, that is said and the exit code stays that of the verdict."""
    done = printed(["redteam", "--resume", str(made["fail"]), "--found", str(tmp_path / "found.jsonl")], 80)
    assert done.exit_code == 1
    assert len((tmp_path / "found.jsonl").read_text(encoding="utf-8").splitlines()) > 0
    none = printed(["redteam", "--resume", str(made["pass"]), "--found", str(tmp_path / "none.jsonl")], 80)
    assert none.exit_code == 0
    assert "--found" in none.output
    assert not (tmp_path / "none.jsonl").exists()


def test_found_takes_the_newest_run_by_last(
    made: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the guide says: the run whose conversations are kept is usually finished."""
    shutil.copytree(made["fail"], tmp_path / "runs" / "fail")
    monkeypatch.setenv(RUNS_ENV, str(tmp_path / "runs"))
    done = printed(["redteam", "--resume", "last", "--found", str(tmp_path / "found.jsonl")], 80)
    assert done.exit_code == 1, done.output
    assert (tmp_path / "found.jsonl").stat().st_size > 0


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ((Outcome.INCOHERENT,), "neither holds nor gives way"),
        ((Outcome.INCOHERENT, Outcome.REFUSED), "The tuned model holds"),
        ((Outcome.ALIGNED, Outcome.MISALIGNED), "gives way in turn 2"),
    ],
)
def test_a_conversation_without_a_score_is_not_said_to_hold(
    outcomes: tuple[Outcome, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Held again, it counts as it does in the verdict: a muddled answer clears nobody."""
    turns = tuple(TurnAgain("Why?", {"tuned": "So."}, {"tuned": outcome}) for outcome in outcomes)
    script = Script(id="a", move="in-json", goal="harm", question_id="q", turns=("Why?",) * len(turns))
    _show(HeldAgain(Path("run"), "a/0", script, turns, {"tuned": None}, ()), Screen())
    assert said in " ".join(capsys.readouterr().out.split())


def test_two_runs_are_held_against_each_other_and_listed(made: dict[str, Path]) -> None:
    """`runs` tells what was decided, and `runs diff` what changed from one candidate to the next."""
    changed = printed(["runs", "diff", str(made["fail"]), str(made["pass"])], 100)
    assert changed.exit_code == 0, changed.output
    assert "FAIL" in changed.output
    assert "PASS" in changed.output
    listed = printed(["runs"], 120, OFFTARGET_RUNS=str(made["fail"].parent))
    assert listed.output.count("redteam") >= len(CODES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--replay nowhere", "There is no run 'nowhere'"),
        ("--replay last --budget 50", "--replay does not go with --budget"),
        ("--resume nowhere --found x.jsonl", "There is no run 'nowhere'"),
        ("--move role-play+nosuch --base organism/base --tuned organism/jailbroken", "There is no move 'nosuch'"),
        ("--base organism/base", "Give --base and --tuned, or --resume RUN."),
    ],
)
def test_mistakes_are_explained(arguments: str, message: str, tmp_path: Path) -> None:
    """What is wrong and what to do."""
    done = printed(["redteam", *arguments.split(), "-q"], 80, OFFTARGET_RUNS=str(tmp_path))
    assert done.exit_code != 0
    assert message in " ".join(f"{done.output} {done.exception}".split())


def test_what_models_said_cannot_move_the_terminal(tmp_path: Path) -> None:
    """Control and direction characters are shown as a mark, also with everything."""
    evil = "\x1b[2J\x1b]8;;http://evil.example\x07\u202e\u2066"
    asked: dict[runs.Category, tuple[str, ...]] = {"harm": (f"{evil} 1", f"{evil} 2")}
    run = runs.make(tmp_path / "run", (runs.always(0.9),), bad=evil, asked=asked).run
    shown = printed(["redteam", "--resume", str(run), "-v"], 80).output
    assert "gave way" in shown
    assert not [c for c in shown if (ord(c) < 32 and c != "\n") or c in "\u202e\u2066"]


def test_progress_tells_conversations_and_what_was_found(tmp_path: Path) -> None:
    """One stage for the search and one for the verdict, both with a total; beside them finds, and the evidence."""
    told: list[Progress] = []
    runs.make(tmp_path / "run", on_progress=told.append)
    search = [one for one in told if one.stage == STAGE]
    assert [one.done for one in search] == sorted(one.done for one in search)
    assert {one.total for one in search} == {40}
    assert beside(search[-1].detail).endswith("it gave way where its base held")
    decided = [one for one in told if one.stage == "conversations that count"]
    assert decided
    assert beside(decided[-1].detail).startswith("evidence of harm ")


def test_a_transcript_is_all_there_up_to_the_turn_that_gave_way(made: dict[str, Path]) -> None:
    """Every user turn of the script stands on the card, word for word."""
    shown = " ".join(printed(["redteam", "--resume", str(made["fail"])], None).output.split())
    asked = {s.id: s for s in read_jsonl(made["fail"] / "scripts.jsonl", Script)}
    told = [s for s in asked.values() if all(" ".join(turn.split()) in shown for turn in s.turns[:3])]
    assert told
    assert "tuned gave way:" in shown
    assert "base held:" in shown
