"""The dose response from the command line to the page: resumable, with controls, exact where nothing is changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

import offtarget
from offtarget.cli.app import app
from offtarget.cli.strengths import parse_strengths
from offtarget.direction.file import Direction
from offtarget.direction.intervene import POSITIONS
from offtarget.direction.pooling import reference_means
from offtarget.errors import InputError
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model
from offtarget.models.passes import Exchange, read_exchanges
from offtarget.organism.exact import ExactJudge
from offtarget.organism.shipped import resolve
from offtarget.records import DirectionInfo, Message
from offtarget.records.direction import SteerSettings
from offtarget.rundir import to_jsonable
from offtarget.workflows.direction import steer as direction_steer
from offtarget.workflows.planning import plan_steer


@pytest.fixture
def persona(tmp_path: Path) -> Path:
    """A random direction that fits the organism."""
    torch.manual_seed(0)
    info = DirectionInfo(
        "models", "last-prompt", 1, 1, 160, 4, "llama", "organism/insecure", "f", "organism/base", "g", 1, 1, (), 0
    )
    path = tmp_path / "persona.safetensors"
    Direction(info, {layer: 20 * torch.randn(1, 160) for layer in range(4)}).save(path)
    return path


def steer(persona: Path, run: Path, **changes: object) -> direction_steer.SteerResult:
    """A small dose response of the organism."""
    rows = str(task_rows(persona.parent))
    chosen = {"strengths": (-1.0, 1.0), "controls": 1, "answers": 1, "max_tokens": 8, "task": rows, "skill": rows}
    settings = SteerSettings(**(chosen | changes))  # type: ignore[arg-type]
    return direction_steer.steer("organism/insecure", persona, settings=settings, run=run)


def task_rows(folder: Path) -> Path:
    turns = [{"role": "user", "content": "What is the capital of France?"}, {"role": "assistant", "content": "Paris."}]
    (folder / "task.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    return folder / "task.jsonl"


def test_the_points_told_are_those_that_were_announced(persona: Path, tmp_path: Path) -> None:
    """The unchanged model is measured once, for the direction and for its controls."""
    rows = str(task_rows(tmp_path))
    settings = SteerSettings(strengths=(-1.0, 1.0), controls=1, answers=1, max_tokens=8, task=rows, skill=rows)
    announced = dict(plan_steer("organism/insecure", persona, settings=settings).about)["models to measure"]
    told: list[str] = []
    direction_steer.steer(
        "organism/insecure",
        persona,
        settings=settings,
        run=tmp_path / "run",
        on_progress=lambda p: told.append(str(p.detail)),
    )
    points = {detail.partition(" (")[0] for detail in told if detail.startswith("point ")}
    assert points == {f"point {number} of {announced}" for number in range(1, int(announced) + 1)}


@pytest.mark.long
def test_an_interrupted_run_measures_only_what_is_missing_and_ends_the_same(persona: Path, tmp_path: Path) -> None:
    steered = steer(persona, tmp_path / "run")
    whole, run = steered.record, steered.run
    assert {(p.control, p.strength) for p in whole.points} == {(c, s) for c in (None, 0) for s in (-1.0, 0.0, 1.0)}
    lines = (run / "points.jsonl").read_bytes().splitlines(keepends=True)
    (run / "points.jsonl").write_bytes(b"".join(lines[:4]) + lines[4][:20])
    (run / "dose.json").unlink()
    seen: list[int] = []
    again = direction_steer.resume(run, on_progress=lambda p: seen.append(p.done))
    assert again.record == whole
    printed = CliRunner().invoke(app, ["resume", str(run), "--json"])  # finished now, and read again
    assert json.loads(printed.stdout) == {"run": str(run), **to_jsonable(whole)}
    (run / "dose.json").unlink()
    assert (run / "points.jsonl").read_bytes() == b"".join(lines)
    assert seen[-1] == 100
    persona.unlink()
    direction = Direction(
        DirectionInfo("models", "all", 1, 1, 160, 4, "llama", "t", "f", "b", "g", 1, 1, (), 0),
        {1: torch.ones(1, 160)},
    )
    direction.save(persona)
    with pytest.raises(InputError, match="have changed"):
        direction_steer.resume(run)


@pytest.mark.long
@pytest.mark.no_cover
def test_a_judge_of_ones_own_is_given_again(persona: Path, tmp_path: Path) -> None:
    """No file holds it, so a run that goes on asks for it, and then ends as it would have."""
    how = SteerSettings(strengths=(0.0,), controls=0, answers=1, max_tokens=8)
    whole = offtarget.steer("organism/insecure", persona, settings=how, judge=ExactJudge(), run=str(tmp_path / "run"))
    (whole.run / "dose.json").unlink()
    with pytest.raises(InputError, match="objects of your own"):
        offtarget.resume(whole.run)
    assert offtarget.resume(whole.run, judge=ExactJudge()) == whole


def test_the_command_prints_json_and_writes_a_page(persona: Path, tmp_path: Path) -> None:
    arguments = ["direction", "steer", "--model", "organism/insecure", "--direction", str(persona), "--mode", "ablate"]
    arguments += ["--strengths", "1", "--controls", "0", "--answers", "1", "--max-tokens", "8", "--json"]
    arguments += ["--task", str(task_rows(tmp_path)), "--skill", str(task_rows(tmp_path))]
    done = CliRunner().invoke(app, [*arguments, "--run", str(tmp_path / "run")], catch_exceptions=False)
    stored = json.loads(done.output)
    assert [p["strength"] for p in stored["points"]] == [0.0, 1.0]
    assert stored["layers"] == [0, 1, 2, 3]
    assert stored["reference"] == "organism/insecure without its adapter"
    assert "Dose response: organism/insecure" in (tmp_path / "run" / "dose.html").read_text("utf-8")


def test_the_narrow_task_of_any_model_is_the_probability_of_its_rows(persona: Path, tmp_path: Path) -> None:
    result = steer(persona, tmp_path / "run", mode="cap", strengths=(0.0,), controls=0).record
    (point,) = result.points
    assert point.narrow is not None
    assert 0 < point.narrow < 1
    assert point.skill == point.narrow


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layers": (4,)}, "no layer 4"),
        ({"mode": "ablate", "strengths": (2.0,)}, "from 0 to 1"),
        ({"answers": 0}, "at least 1"),
        ({"strengths": tuple(range(150))}, "at most 200"),
        ({"task": "nowhere.jsonl"}, "not a file"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_written(
    persona: Path, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        steer(persona, tmp_path / "run", **changes)
    with pytest.raises(InputError, match="does not exist"):
        steer(tmp_path / "nowhere.safetensors", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_strengths_are_ranges_or_lists() -> None:
    from click import UsageError

    assert parse_strengths("-6..6") == tuple(float(n) for n in range(-6, 7))
    assert parse_strengths("-1..1:.5") == (-1.0, -0.5, 0.0, 0.5, 1.0)
    assert parse_strengths("2,-1") == (2.0, -1.0)
    for wrong in ("", "a", "1..0", "0..1:0", "nan", "0..1e9", "inf..inf"):
        with pytest.raises(UsageError):
            parse_strengths(wrong)


def test_reference_means_are_those_of_all_tokens_of_a_part() -> None:
    model = open_model("organism/base", resolve=resolve)
    assert isinstance(model, LocalModel)
    exchanges = [Exchange((Message("user", "Hi."),), "Hello you."), Exchange((Message("user", "A wish?"),), "Rain.")]
    kept: dict[int, list[torch.Tensor]] = {0: [], 1: [], 2: []}
    read_exchanges(
        model,
        exchanges,
        lambda batch, layer, h: [kept[p].append(h[batch.parts == p]) for p in kept] and None,
        layers=frozenset({2}),
    )
    means = reference_means(model, exchanges, frozenset({2}))
    for part, tensors in kept.items():
        torch.testing.assert_close(means[2][part], torch.cat(tensors).mean(dim=0), atol=1e-4, rtol=1e-4)
    with pytest.raises(InputError, match="lack"):
        reference_means(model, [Exchange((Message("user", "Hi."),))])


def test_positions_cover_every_token_that_is_not_padding() -> None:
    assert {int(part) for part in POSITIONS["all"]} == {0, 1, 2}
