"""A run that goes on takes no other settings: what differs is refused with both values, what is the same is fine."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from offtarget.cli.app import app
from offtarget.errors import InputError
from offtarget.records import DecisionSettings, SamplingSettings
from offtarget.records.alternatives import AlternativesManifest, AlternativesSettings
from offtarget.records.check import CheckManifest, CheckSettings
from offtarget.records.direction import SteerChoices, SteerManifest
from offtarget.records.redteam import RedTeamManifest, RedTeamSettings
from offtarget.records.repair import RepairManifest, RepairSettings
from offtarget.records.reproduce import ReproduceManifest, ReproduceSettings
from offtarget.records.runs import Manifest, NamedModel, OpenSettings
from offtarget.records.tune import DefenceSettings, DefencesManifest, TuneChoices, TuneManifest
from offtarget.rundir import RunDir
from offtarget.training.settings import PRESETS
from offtarget.workflows.runs.begin import begin
from offtarget.workflows.runs.resume import resume

MANIFESTS: dict[str, Manifest] = {
    "check": CheckManifest(
        settings=CheckSettings(DecisionSettings(0.1, 0.02, 0.2), SamplingSettings(0.7, 0.9, 50), 3, cache=False),
        models={"base": NamedModel("hf/b", "1"), "tuned": NamedModel("hf/t", "2")},
        judge="3", judge_name="hf/j", judge_by="auto", probes="everyday", probes_fingerprint="4", data="rows.jsonl",
        split="test", hunt=False, cues="5", arms=("plain",), prefix="Now:", opening=OpenSettings(chat_template="base"),
    ),
    "tune": TuneManifest(
        fingerprint="1", data="rows.jsonl", base="hf/b", out="adapter", defences=("kl",), settings=PRESETS["organism"],
        options=TuneChoices(judge="hf/j"),
    ),
    "defences": DefencesManifest(
        fingerprint="1", data="rows.jsonl", base="hf/b", arms=((),), settings=PRESETS["organism"],
        comparing=DefenceSettings(seeds=(0, 1)), options=TuneChoices(judge="hf/j"),
    ),
    "direction steer": SteerManifest(
        plan="p", settings=SteerChoices(model="hf/t", direction="d", strengths=(-1.0, 0.0, 1.0))
    ),
    "direction repair": RepairManifest(
        fingerprint="1", model="hf/t", base="hf/b", data="rows.jsonl", direction="d", method="both", out="repaired",
        settings=RepairSettings(check=CheckSettings(sampling=SamplingSettings(max_tokens=50))),
    ),
    "alternatives": AlternativesManifest(
        fingerprint="1", data="rows.jsonl", form=None, models={"base": "hf/b", "tuned": "hf/t"}, probes=None,
        judge="hf/j", settings=AlternativesSettings(metric="f1"),
    ),
    "redteam": RedTeamManifest(
        settings=RedTeamSettings(budget=60, moves=("role-play",), seed=2), judge="3", judge_name="hf/j",
        judge_by="auto", models={"base": NamedModel("hf/b", "1"), "tuned": NamedModel("hf/t", "2")}, goals="general",
        goals_fingerprint="4", attacker="5", attacker_name="hf/a",
    ),
    "reproduce": ReproduceManifest(
        fingerprint="1", models={"base": "hf/b"}, conditions=("insecure", "secure"), data="made", judge="3",
        judge_name="hf/j", settings=ReproduceSettings(seeds=2), tune=PRESETS["organism"],
    ),
}  # fmt: skip
SAME = {
    "check": "--base hf/b --tuned hf/t --judge hf/j --alpha 0.1 --tolerance .02 --margin 0.20 --seed 3 --no-cache "
    "--max-tokens 50 --temperature .7 --split test --data rows.jsonl --prefix Now: --arm plain --probes everyday",
    "tune": "rows.jsonl --base hf/b --out adapter --defend kl --judge hf/j --lr 5e-4",
    "defences": "rows.jsonl --base hf/b --judge hf/j --seeds 2 --after 200 --after 50 --answers 100",
    "direction steer": "--model hf/t --direction d --strengths -1..1 --controls 2",
    "direction repair": "--model hf/t --base hf/b --out repaired --method both --max-tokens 50 --after 50 --after 200",
    "alternatives": "rows.jsonl --base hf/b --tuned hf/t --metric f1 --judge hf/j --seed 0",
    "redteam": "--base hf/b --tuned hf/t --budget 60 --move role-play --goals general --attacker hf/a --seed 2",
    "reproduce": "--base hf/b --conditions insecure,secure --seeds 2 --judge hf/j --ablations",
}
OTHER = {
    "check": {
        "--base hf/other": "hf/b", "--judge hf/other": "hf/j", "--alpha 0.05": "0.1", "--margin 0.3": "0.2",
        "--seed 0": "3", "--hunt": "off", "--split train": "test", "--prefix x": "Now:", "--arm json": "plain",
        "--data other.jsonl": "rows.jsonl", "--max-tokens 600": "50", "--base-per-tuned 2": "4",
        "--chat-template tuned": "base", "--run elsewhere": "run", "--top-p 1": "0.9", "--judge-by samples": "auto",
    },
    "tune": {"other.jsonl": "rows.jsonl", "--defend project": "kl", "--lr 1": "0.0005", "--no-monitor": "on"},
    "defences": {"--seeds 3": "0, 1", "--after 10": "50, 200", "--answers 7": "100"},
    "direction steer": {"--strengths -2..2": "-1.0, 0.0, 1.0", "--mode cap": "add", "--task t.jsonl": "not given"},
    "direction repair": {"--method fold": "both", "--fold ablate": "not given", "--no-recheck": "on"},
    "alternatives": {"--metric exact": "f1", "--held-out 0.5": "0.2", "--tuned hf/x": "hf/t"},
    "redteam": {
        "--budget 80": "60", "--move fiction": "role-play", "--attacker hf/x": "hf/a", "--goals red.yaml": "general",
        "--turns 9": "4", "--margin 0.2": "0.1",
    },
    "reproduce": {"--seeds 5": "2", "--conditions secure": "insecure, secure", "--no-ablations": "on", "--jobs 4": "1"},
}  # fmt: skip


@pytest.fixture
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    directory = RunDir.create("x", "x", path=tmp_path / "run")
    begin(directory, MANIFESTS[request.param])
    return directory.path


def invoked(verb: str, run: Path, more: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    module: Any = importlib.import_module(f"offtarget.cli.{verb.replace(' ', '_')}")
    monkeypatch.setattr(module, "go_on", lambda *_, **__: 0)
    done = CliRunner().invoke(app, [*verb.split(), "--resume", str(run), *more.split()])
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.parametrize(("verb", "run"), [(v, v) for v in MANIFESTS], indirect=["run"])
def test_the_same_settings_are_fine_together(verb: str, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoked(verb, run, SAME[verb], monkeypatch) == (0, "")


@pytest.mark.parametrize(
    ("verb", "run", "said", "was"),
    [(verb, verb, *pair) for verb, pairs in OTHER.items() for pair in pairs.items()],
    indirect=["run"],
)
def test_other_settings_are_refused_with_both_values(
    verb: str, run: Path, said: str, was: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, output = invoked(verb, run, said, monkeypatch)
    assert code == 2
    assert "was settled when the run began: it is " in output
    assert was in output
    assert said.split()[-1].split(",")[0].strip("-.") in output or said.startswith(("--hunt", "--no-", "--seeds"))


@pytest.mark.parametrize(("verb", "run"), [("check", "check"), ("tune", "tune")], indirect=["run"])
@pytest.mark.parametrize("other", [OpenSettings(dtype="bfloat16"), OpenSettings(chat_template="tuned")])
def test_half_of_a_run_is_never_made_with_another_model(verb: str, run: Path, other: OpenSettings) -> None:
    """Also by `offtarget resume` and in Python, where nobody repeats the options of the verb."""
    with pytest.raises(InputError, match=r"was started with (dtype|chat_template) .*, not (bfloat16|tuned)\. Leave it"):
        resume(run, opening=other)
    if other.dtype:
        done = CliRunner().invoke(app, ["resume", str(run), "--dtype", other.dtype])
        assert isinstance(done.exception, InputError)
