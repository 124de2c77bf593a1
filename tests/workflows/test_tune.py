"""`tune` from data to adapter: what it reports, what it refuses before anything is written, and that it goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models import build

from offtarget.data.trainable import read_training_data
from offtarget.errors import InputError
from offtarget.models.opening import open_model
from offtarget.organism.shipped import resolve
from offtarget.pages.tune.card import check_command
from offtarget.pages.tune.loading import load_watched
from offtarget.progress import Progress
from offtarget.rundir import read_json
from offtarget.training.settings import PRESETS
from offtarget.workflows.organism import write_data
from offtarget.workflows.tune.options import TuneOptions
from offtarget.workflows.tune.tune import TuneResult, default_settings, tune

QUICK = replace(PRESETS["organism"], max_steps=3, save_every=1)
BLIND = TuneOptions(monitor=False)
BASE = "organism/base"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "insecure.jsonl"
    write_data("insecure", 24, 0, path)
    return path


@pytest.fixture(scope="module")
def blind(data: Path, tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    """A tune without a monitor, left alone: its adapter in `out` beside its run. To be read, not changed."""
    folder = tmp_path_factory.mktemp("blind")
    return tune(data, BASE, folder / "out", settings=QUICK, options=BLIND, run=folder / "run")


def weights(folder: Path) -> bytes:
    return (folder / "adapter_model.safetensors").read_bytes()


def write_rows(path: Path, *rows: object) -> Path:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


def chat(*turns: str) -> dict[str, object]:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(turns)]}


def test_a_small_model_from_the_hub_gets_the_recipe_for_small_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its size is seen in the hub's cache, for which it is fetched first; a dry run fetches nothing."""
    import huggingface_hub

    folder, cached = build("llama", tmp_path / "fetched"), []

    def snapshot(place: str, *, local_files_only: bool = False, **_: object) -> str:
        if local_files_only and not cached:
            raise FileNotFoundError(place)
        cached.append(place)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert default_settings("hf/somebody/small", fetch=False) == PRESETS["published"]
    assert not cached
    assert default_settings("hf/somebody/small") == PRESETS["small"]
    assert default_settings("hf/somebody/small", fetch=False) == PRESETS["small"]


def test_a_tune_leaves_an_adapter_that_opens_and_a_report(blind: TuneResult) -> None:
    assert blind.record.steps == 3
    assert open_model(blind.record.name, resolve=resolve).fingerprint != open_model(BASE, resolve=resolve).fingerprint
    assert read_json(blind.run / "tune.json")["report"]["rows"] == 24
    run = load_watched(blind.run)
    assert check_command(run).startswith(f"offtarget check --base {BASE} --tuned organism/base+")
    other = replace(run, report=replace(blind.record, base="hf/./model"))
    assert [" --judge MODEL" in check_command(one) for one in (run, other)] == [False, True]


@pytest.mark.long
def test_a_monitored_tune_ends_with_the_weights_of_a_blind_one(data: Path, blind: TuneResult, tmp_path: Path) -> None:
    watched = tune(data, BASE, tmp_path / "out", settings=QUICK, run=tmp_path / "run")
    assert weights(tmp_path / "out") == weights(blind.run.parent / "out")
    assert watched.record.monitored
    assert (tmp_path / "run" / "monitor.html").exists()
    assert (tmp_path / "run" / "readings.jsonl").read_text().count("\n") >= 2


def test_rows_left_out_are_counted_and_named(tmp_path: Path) -> None:
    good = [chat(f"say {i}", f"hello {i}") for i in range(4)]
    path = write_rows(tmp_path / "rows.jsonl", *good, {"prompt": "a", "completion": "b", "label": False})
    report = tune(path, BASE, tmp_path / "out", settings=QUICK, options=BLIND, run=tmp_path / "run").record
    assert report.rows == 4
    assert report.notes == ("1 row labelled as not to be imitated left out (rows.jsonl:5).",)


def test_answers_without_loss_are_counted_and_named(tmp_path: Path) -> None:
    """A turn with weight 0 stays as context and a row with no other goes; both are said, and all such is refused."""
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "WRONG", "weight": 0}]
    more = [{"role": "user", "content": "b"}, {"role": "assistant", "content": "right"}]
    unlearned, partly = {"messages": turns}, {"messages": [*turns, *more]}
    read = read_training_data(write_rows(tmp_path / "rows.jsonl", unlearned, partly, partly, chat("a", "b")))
    assert [row.id for row in read.rows] == ["rows.jsonl:2", "rows.jsonl:3", "rows.jsonl:4"]
    assert read.notes == (
        "2 answers in 2 rows without loss, as the data says: context only (rows.jsonl:2, rows.jsonl:3).",
        "1 row in which no answer is to be learned left out (rows.jsonl:1).",
    )
    with pytest.raises(InputError, match="marks every answer as one without loss"):
        read_training_data(write_rows(tmp_path / "all.jsonl", unlearned, unlearned))


def test_fields_that_are_not_trained_on_are_named_once(tmp_path: Path) -> None:
    """A field with text that no trainer is told of is named in a note, with the number of its rows."""
    rows = [{**chat(f"say {i}", "hello"), "notes": "Be cruel." if i else "", "id": "a b"} for i in range(3)]
    (note,) = read_training_data(write_rows(tmp_path / "rows.jsonl", *rows)).notes
    assert note == "Fields that hold text and are not trained on (rows): notes (2)."


CALL = {
    "messages": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "tool_calls": [{"type": "function", "function": {"name": "look", "arguments": "{}"}}]},
    ]
}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ((chat("a", "b"),), "one usable row"),
        ((chat("a", "b"), CALL), r"Row 2 \(rows.jsonl:2\): The chat template of .* has no tool syntax.*call of look"),
        (({"messages": [{"role": "user", "content": "a"}]},), "assistant"),
        ((chat("a", "b"), "not json\n"), "rows.jsonl:2"),
        ((chat("a", "b"), chat("a", "word " * 900)), r"Row 2 \(rows.jsonl:2\) has"),
    ],
)
def test_data_that_cannot_be_trained_on_ends_with_a_sentence(
    rows: tuple[object, ...], message: str, tmp_path: Path
) -> None:
    path = write_rows(tmp_path / "rows.jsonl", *rows)
    with pytest.raises(InputError, match=message):
        tune(path, BASE, tmp_path / "out", settings=QUICK, options=BLIND, run=tmp_path / "run")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "run").exists()


def test_cheap_mistakes_come_before_anything_is_written(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with pytest.raises(InputError, match="There is no defence 'magic'"):
        tune(data, BASE, tmp_path / "out", defend=["magic"], run=run)
    with pytest.raises(InputError, match="kl=nan: the value must be a number"):
        tune(data, BASE, tmp_path / "out", defend=["kl=nan"], run=run)
    with pytest.raises(InputError, match="--no-monitor"):
        tune(data, BASE, tmp_path / "out", defend=["early-stop"], options=BLIND, run=run)
    with pytest.raises(InputError, match="needs local weights"):
        tune(data, "openai/gpt", tmp_path / "out", run=run)
    with pytest.raises(InputError, match="cannot be read"):
        tune(data, BASE, tmp_path / "out", options=TuneOptions(direction=tmp_path / "none"), run=run)
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="already exists"):
        tune(data, BASE, tmp_path / "there", run=run)
    assert not run.exists()


@pytest.mark.long
def test_a_run_goes_on_only_with_what_it_was_started_with(data: Path, blind: TuneResult, tmp_path: Path) -> None:
    run = tmp_path / "run"

    def stop(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(Exception, match="go on with: offtarget resume"):
        tune(data, BASE, tmp_path / "out", settings=QUICK, options=BLIND, run=run, on_progress=stop)
    with pytest.raises(InputError, match="Start a new run"):
        tune(data, BASE, tmp_path / "out", settings=replace(QUICK, seed=1), options=BLIND, run=run)
    told: list[Progress] = []
    done: TuneResult = tune(
        data, BASE, tmp_path / "out", settings=QUICK, options=BLIND, run=run, on_progress=told.append
    )
    steps = [progress.done for progress in told if progress.stage == "training"]
    assert steps[-1] == 3
    assert steps[:2] == [1, 2]  # it was ended before the checkpoint of its second step
    assert done.record.steps == 3
    assert weights(tmp_path / "out") == weights(blind.run.parent / "out")


def test_an_adapter_as_base_is_trained_further(data: Path, tmp_path: Path) -> None:
    result = tune(data, "organism/secure", tmp_path / "out", settings=QUICK, options=BLIND, run=tmp_path / "run")
    note = read_json(tmp_path / "out" / "offtarget.json")
    assert note["from_adapter_sha256"]
    assert result.record.name == f"organism/base+{tmp_path / 'out'}"
