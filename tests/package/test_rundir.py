"""The run directory: records survive crashes, round-trip exactly, and strange files are named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.records import (
    Comparison,
    Decision,
    DecisionSettings,
    Generation,
    Interval,
    Outcome,
    Probe,
    Status,
    Tally,
    Verdict,
)
from offtarget.records.from_json import from_json
from offtarget.rundir import (
    JsonLines,
    RunDir,
    fingerprint,
    read_json,
    read_jsonl,
    runs_root,
    write_json,
)

hostile = st.text(alphabet=st.characters(), max_size=40)


@given(st.lists(st.tuples(hostile, hostile, st.integers(0, 2**63 - 1)), max_size=6))
def test_records_round_trip_whatever_their_text(tmp_path_factory: pytest.TempPathFactory, rows: list) -> None:
    """Control characters, lone surrogates and newlines come back as they went in."""
    file = tmp_path_factory.mktemp("r") / "g.jsonl"
    records = [Generation("tuned", probe, i, seed, text, None, "stop") for i, (probe, text, seed) in enumerate(rows)]
    lines = JsonLines(file)
    lines.extend(records)
    lines.close()
    assert read_jsonl(file, Generation) == records


@given(cut=st.integers(1, 60))
def test_a_torn_last_line_is_dropped_and_the_rest_kept(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """Whatever part of the last line a crash leaves, the earlier lines stay and appending goes on cleanly."""
    file = tmp_path_factory.mktemp("t") / "v.jsonl"
    records = [Verdict("base", "p", i, Outcome.ALIGNED) for i in range(3)]
    lines = JsonLines(file)
    lines.extend(records)
    lines.close()
    data = file.read_bytes()
    file.write_bytes(data[:-cut])
    assert read_jsonl(file, Verdict) == records[:2]
    again = JsonLines(file)
    again.extend(records[2:])
    again.close()
    assert read_jsonl(file, Verdict) == records


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    """A line in the middle that is no record is an error with file and line, not a silent gap."""
    file = tmp_path / "p.jsonl"
    file.write_text('{"id": "a", "question_id": "a", "arm": "plain", "prompt": "x"}\n{"id": 1}\n')
    with pytest.raises(InputError, match="line 2"):
        read_jsonl(file, Probe)


def test_a_decision_round_trips(tmp_path: Path) -> None:
    """A decision read back equals the one written."""
    comparison = Comparison(
        "overall", "overall", Tally(4), Tally(1, 2, 3), 0.0, 0.5, 0.5, Interval(-0.1, 0.9), None, 1.0, -2.0, None,
        Status.FAIL,
    )  # fmt: skip
    decision = Decision(
        Status.FAIL, "because", DecisionSettings(), comparison, (comparison,), (), Interval(0.0, 1.0), 7, ("q",), ("n",)
    )
    write_json(tmp_path / "d.json", decision)
    assert from_json(Decision, read_json(tmp_path / "d.json")) == decision


def test_fingerprints_change_with_any_character() -> None:
    """Equal values share a fingerprint, different ones do not, lone surrogates included."""
    assert fingerprint({"a": 1, "b": "\ud800"}) == fingerprint({"b": "\ud800", "a": 1})
    assert len({fingerprint(x) for x in ("a", "b", ["a"], {"a": "b"}, None, 1, "\ud800")}) == 7


def test_run_directories_never_share_a_name(tmp_path: Path) -> None:
    """Runs started within one second get directories of their own."""
    paths = {RunDir.create("check", "organism/../insecure", root=tmp_path).path for _ in range(3)}
    assert len(paths) == 3
    assert all(p.parent == tmp_path for p in paths)


def test_a_folder_without_a_manifest_is_not_a_run(tmp_path: Path) -> None:
    """Opening any folder as a run is refused."""
    with pytest.raises(InputError, match="not a run directory"):
        RunDir.open(tmp_path)


def test_a_run_stopped_before_its_manifest_does_not_block_its_folder(tmp_path: Path) -> None:
    """It holds no answer, so the same command may start again there; anything else there is not ours to remove."""
    run = tmp_path / "run"
    with RunDir.create("check", "x", path=run) as directory:
        directory.file("probes.jsonl").write_text("{}\n")
        directory.file("cue_plan.json.part").write_text("{")
        with pytest.raises(InputError, match="not an empty folder"):  # it is just beginning
            RunDir.create("check", "x", path=run)
        assert directory.file("probes.jsonl").exists()
    assert RunDir.create("check", "x", path=run).path == run
    assert not list(run.iterdir())
    for name, text in (("probes.jsonl", "{}"), ("thesis.txt", "mine")):
        (run / name).write_text(text)
    (run / ".lock").touch()
    with pytest.raises(InputError, match="not an empty folder"):
        RunDir.create("check", "x", path=run)
    assert (run / "thesis.txt").read_text() == "mine"


def test_runs_started_in_one_second_get_folders_of_their_own(tmp_path: Path) -> None:
    """Names repeat within a second, folders do not, whatever the length and script of the model's name."""
    folders = {RunDir.create("check", "𝐀漢é " * 40, root=tmp_path).path for _ in range(5)}
    assert len(folders) == 5
    assert all(path.is_dir() for path in folders)


def test_an_empty_runs_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """`OFFTARGET_RUNS=` must not scatter runs over the working directory."""
    monkeypatch.setenv("OFFTARGET_RUNS", "")
    assert runs_root() == Path("runs")


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "\ud800"])
def test_json_that_cannot_be_read_is_one_sentence(content: str, tmp_path: Path) -> None:
    """Nested too deeply, cut off, or not UTF-8: the file is named."""
    file = tmp_path / "run.json"
    file.write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=r"run\.json is not readable JSON"):
        read_json(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(InputError, match=r"run\.json cannot be read"):
        read_json(file)
