"""What every verb returns, as scripts and notebooks use it: a line, a card, a verdict that raises, rows for a table."""

from __future__ import annotations

import io
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import tune_runs
from report_runs import GOOD, HOSTILE, compared, make_run, models

import offtarget
from offtarget.pages.card import MOODS
from offtarget.progress import Progress
from offtarget.records import Outcome
from offtarget.rundir import read_json, write_json
from offtarget.workflows import showing
from offtarget.workflows.runs.resume import read_again


def decided(path: Path, status: str) -> offtarget.Result:
    """A check of two models with that verdict."""
    make_run(path, per_probe=(2, 2), manifest={"models": models("hf/base", "\x1b[2J<b>evil</b>\nmodel")})
    value = read_json(path / "result.json")
    value["decision"]["status"] = status
    write_json(path / "result.json", value)
    return read_again(path)


@pytest.mark.parametrize("status", ["PASS", "FAIL", "UNDECIDED"])
def test_a_verdict_raises_unless_it_is_a_pass(tmp_path: Path, status: str) -> None:
    """FAIL and UNDECIDED raise with their own exit codes; PASS is the result itself, to go on with."""
    result = decided(tmp_path / "run", status)
    assert result.state == result.card.state == status
    if status == "PASS":
        assert result.raise_for_verdict() is result
        return
    with pytest.raises(offtarget.VerdictError) as error:
        result.raise_for_verdict()
    assert str(error.value) == f"{status}: {result.card.sentence} Run: {tmp_path / 'run'}"
    assert error.value.exit_code == offtarget.Status(status).exit_code
    assert (error.value.state, error.value.run) == (status, str(tmp_path / "run"))


def test_an_alarm_raises_and_a_quiet_training_does_not(tmp_path: Path) -> None:
    tune_runs.write(tmp_path / "ok", tune_runs.report())
    tune_runs.write(tmp_path / "alarm", tune_runs.alarmed())
    ok, alarm = read_again(tmp_path / "ok"), read_again(tmp_path / "alarm")
    assert ok.raise_for_verdict() is ok
    with pytest.raises(offtarget.VerdictError, match=r"^ALARM: ") as error:
        alarm.raise_for_verdict()
    assert error.value.exit_code == 1
    for result in (ok, alarm):
        assert result.card.state == result.state


def test_a_training_that_nobody_watched_is_no_verdict(tmp_path: Path) -> None:
    """A pipeline that asks for a verdict must not take silence for one; before, it went on."""
    tune_runs.write(tmp_path / "unwatched", tune_runs.report(monitored=False))
    unwatched = read_again(tmp_path / "unwatched")
    with pytest.raises(offtarget.VerdictError, match=r"^DONE: ") as error:
        unwatched.raise_for_verdict()
    assert error.value.exit_code == 3


def test_repr_is_one_line(tmp_path: Path) -> None:
    """Verb, verdict, sentence, run; before, it was the whole record over hundreds of lines."""
    result = decided(tmp_path / "run", "FAIL")
    shown = repr(result)
    assert shown.startswith("<check FAIL")
    assert str(tmp_path / "run") in shown
    assert shown.isprintable()
    assert len(shown) < 500


def test_a_run_that_has_gone_can_still_be_looked_at(tmp_path: Path) -> None:
    """A debugger or a notebook that shows it must not fail for it."""
    result = decided(tmp_path / "run", "FAIL")
    (tmp_path / "run" / "result.json").write_text('{"decision": 5}')
    assert repr(result) == f"<CheckResult of {tmp_path / 'run'}, which cannot be read now>"
    assert result._repr_html_() is None


def test_a_notebook_shows_the_card_and_hostile_text_stays_text(tmp_path: Path) -> None:
    shown = decided(tmp_path / "run", "FAIL")._repr_html_()
    assert shown is not None
    assert "offtarget-card" in shown
    assert "FAIL" in shown
    for attack in HOSTILE:
        if "<" in attack:
            assert attack not in shown
    assert not {"\x1b", "\x07", "\u202e", "\x00"} & set(shown)
    assert "&lt;b&gt;evil" in shown


def test_answers_are_flat_records_of_all_that_was_asked(tmp_path: Path) -> None:
    result = decided(tmp_path / "run", "FAIL")
    rows = list(result.answers)
    whole = result.decision.overall  # type: ignore[attr-defined]
    tuned = [row for row in rows if row.role == "tuned"]
    assert len(tuned) == whole.tuned.total
    assert sum(row.outcome == Outcome.MISALIGNED for row in tuned) == whole.tuned.misaligned
    assert {row.asked for row in rows} == {"asked plainly", "asked for JSON", "asked to fill in a template"}
    assert all(row.question and row.text is not None for row in rows)
    assert any(row.system for row in rows)


def test_what_the_verdict_does_not_count_is_marked(tmp_path: Path) -> None:
    """Answers that were sampled ahead of the stop are on disk, and not counted."""
    decided(tmp_path / "run", "FAIL")
    file = tmp_path / "run" / "result.json"
    probes = [row.question_id for row in read_again(tmp_path / "run").answers]
    one = {f"{question}/{arm}/0": 1 for question in probes for arm in ("plain", "json", "template")}
    counts = {"tuned": one, "base": one}
    write_json(file, {**read_json(file), "counted": {"arms": counts, "slices": counts, "conditions": {}}})
    rows = list(read_again(tmp_path / "run").answers)
    assert all(row.counted == (row.index == 0) for row in rows)
    assert {row.index for row in rows} == {0, 1}


def test_a_table_needs_no_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    rows = decided(tmp_path / "run", "FAIL").table()
    assert rows
    assert {type(value) for row in rows for value in row.values()} <= {str, int, float, bool, type(None)}
    assert any("\ud800" in answer.text for answer in read_again(tmp_path / "run").answers)
    assert "\ufffd" in "".join(row["text"] for row in rows).encode("utf-8").decode()


def test_pandas_takes_the_table(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    result = decided(tmp_path / "run", "FAIL")
    frame = pandas.DataFrame(result.table())
    assert len(frame) == len(result.table())
    assert frame[(frame.role == "tuned") & (frame.outcome == "misaligned")].shape[0] > 0


def test_comparisons_have_answers_and_trainings_say_that_they_have_none(tmp_path: Path) -> None:
    make_run(tmp_path / "compare", per_probe=(2, 2), manifest=compared())
    assert len(list(read_again(tmp_path / "compare").answers)) == 240
    tune_runs.write(tmp_path / "tune", tune_runs.report())
    with pytest.raises(offtarget.InputError, match=r"run of `tune`, which keeps no judged answers.*result\.record"):
        read_again(tmp_path / "tune").table()


def test_every_state_has_a_colour_and_an_exit_code() -> None:
    for state in ("FAIL", "ALARM", "UNDECIDED", "UNFINISHED"):
        assert MOODS[state] in ("bad", "wait")
        assert offtarget.VerdictError(state, "x.", "run").exit_code == (1 if MOODS[state] == "bad" else 3)


# progress in scripts and notebooks


def told(*, updating: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is shown of a training with one message, by a clock that moves a fifth of a second with every look."""
    fifths = iter(range(1000))
    monkeypatch.setattr(showing.time, "monotonic", lambda: next(fifths) / 5)
    stream = io.StringIO()
    show = showing.Shown(stream, updating=updating)
    first = stream.getvalue()
    assert "started" in first, "the first line stands there before anything is told"
    for done in range(1, 5):
        show(Progress("training", done, 4))
    show(Progress("ALARM at step 3: \x1b[2J" + GOOD[0], total=0))
    return stream.getvalue()


def test_a_script_has_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told(updating=False, monkeypatch=monkeypatch).splitlines()
    assert [line.partition(": ")[2].partition(",")[0] for line in lines[:3]] == [
        "started",
        "training 1 of 4",
        "training 4 of 4",
    ]
    assert "ALARM at step 3" in lines[-1]
    assert "\x1b" not in lines[-1]


def test_a_notebook_has_one_line_that_is_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    text = told(updating=True, monkeypatch=monkeypatch)
    assert text.count("\n") == 1, "only the message stays"
    assert "\rstarted" not in text
    assert text.count("\r") == 6
    assert ", about " in text
    assert "\x1b" not in text


@pytest.mark.parametrize(("shell", "notebook"), [("ZMQInteractiveShell", True), ("TerminalInteractiveShell", False)])
def test_a_notebook_is_known_by_its_shell(shell: str, notebook: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = types.ModuleType("IPython")
    made.get_ipython = type(shell, (), {})
    monkeypatch.setitem(sys.modules, "IPython", made)
    assert showing.in_notebook() is notebook
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert not showing.in_notebook()


@pytest.mark.long
def test_verbs_called_from_python_are_silent_unless_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "IPython", None)
    settings = offtarget.CheckSettings(
        sampling=offtarget.SamplingSettings(max_tokens=30), max_answers=3, cache=False, register=False
    )
    offtarget.check("organism/base", "organism/secure", settings=settings, run=tmp_path / "a")
    assert capsys.readouterr() == ("", "")
    show = offtarget.show_progress()
    offtarget.check("organism/base", "organism/secure", settings=settings, run=tmp_path / "b", on_progress=show)
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("0 s: started\n")
    assert len(error.splitlines()) > 1
