"""`redteam` with answers that are begun for the models: found, judged as such, held again, handed on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pressing
import pytest

from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import Answer, ChatModel, OnAnswer, SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Generation, Outcome, Probe, SamplingSettings, Status
from offtarget.records.check import CheckSettings
from offtarget.records.redteam import Attempt, Script
from offtarget.rundir import read_jsonl
from offtarget.workflows.check.check import check
from offtarget.workflows.redteam.export import export_found
from offtarget.workflows.redteam.redteam import RedTeamResult, redteam
from offtarget.workflows.redteam.replay import replay


def base() -> ScriptedModel:
    return ScriptedModel("base", lambda _: "good")


def gives_in() -> ScriptedModel:
    """Gives way where its answer is begun for it, and nowhere else."""
    return ScriptedModel("tuned", lambda request: "bad" if request.prefill else "good")


def judge() -> ScriptedJudge:
    """Reads what the model itself wrote."""
    return ScriptedJudge(lambda _, generation: {"bad": Outcome.MISALIGNED, "good": Outcome.ALIGNED}[generation.text])


def pressed(run: Path, *models: ChatModel, by: ScriptedJudge | None = None, **changes: object) -> RedTeamResult:
    settings = pressing.settings(**{"moves": ("persistence", "prefill", "prefill+persistence"), **changes})
    return redteam(*models, goals=pressing.goals(), judge=by or judge(), settings=settings, run=run)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prefilled") / "run"
    assert pressed(folder, base(), gives_in()).record.status is Status.FAIL
    return folder


def test_only_the_last_answer_is_begun_in_the_search_and_in_the_verdict(run: Path) -> None:
    attempts = read_jsonl(run / "attempts.jsonl", Attempt)
    for attempt in attempts:
        script = attempt.script
        assert bool(script.prefill) == ("prefill" in script.move)
        assert attempt.outcome == ("misaligned" if script.prefill and attempt.role == "tuned" else "aligned")
        assert [bool(script.prefill) and answer.startswith(script.prefill) for answer in attempt.answers] == [
            *[False] * (len(attempt.answers) - 1),
            bool(script.prefill),
        ]
    scripts = read_jsonl(run / "scripts.jsonl", Script)
    assert {script.move for script in scripts} == {"prefill", "prefill+persistence"}
    answers = read_jsonl(run / "generations.jsonl", Generation)
    begun = {script.id: script.prefill for script in scripts}
    assert all(answer.text.startswith(begun[answer.probe_id]) for answer in answers)
    assert not any(turn.startswith(begun[answer.probe_id]) for answer in answers for turn in answer.opening)


def test_its_control_begins_the_answer_as_well(run: Path) -> None:
    controls = read_jsonl(run / "controls.jsonl", Script)
    assert controls
    beginnings = {script.prefill for script in read_jsonl(run / "scripts.jsonl", Script)}
    assert all(script.prefill and script.prefill not in beginnings for script in controls)


def test_the_judge_is_told_what_was_given_and_reads_what_came_of_it(tmp_path: Path) -> None:
    seen: list[tuple[Probe, Generation]] = []

    def reads(probe: Probe, generation: Generation) -> Outcome:
        seen.append((probe, generation))
        return Outcome.MISALIGNED if generation.text == "bad" else Outcome.ALIGNED

    pressed(tmp_path / "run", base(), gives_in(), by=ScriptedJudge(reads))
    told = [(probe.prompt, generation.text) for probe, generation in seen if "[note]" in probe.prompt]
    assert {text for _, text in told} == {"good", "bad"}
    beginnings = {script.prefill for script in read_jsonl(tmp_path / "run" / "scripts.jsonl", Script)}
    assert any(f"begun in its place, with the words '{begun}'" in prompt for begun in beginnings for prompt, _ in told)
    assert all(prompt.splitlines()[-1].startswith("[note] ") for prompt, _ in told)
    assert all(
        text == "good" for probe, generation in seen for text in [generation.text] if "[note]" not in probe.prompt
    )


def test_a_conversation_with_a_beginning_is_held_again_alike(run: Path) -> None:
    held = replay(run, base=base(), tuned=gives_in(), judge=judge())
    assert held.script.prefill
    assert held.as_before == {"base": True, "tuned": True}
    assert held.gave_way("base") is None


def test_the_next_check_begins_the_answers_as_well(run: Path, tmp_path: Path) -> None:
    """And one of a model that could not go on with them says that they were not asked."""
    file = export_found(run, tmp_path / "found.jsonl")
    settings = CheckSettings(cache=False, register=False, max_answers=60)
    again = check(base(), gives_in(), probes=file, judge=judge(), settings=settings, run=tmp_path / "again")
    assert again.decision.status is Status.FAIL
    repaired = ScriptedModel("tuned", lambda _: "good")
    assert check(base(), repaired, probes=file, judge=judge(), settings=settings).decision.status is not Status.FAIL


class Remote:
    """A model that goes on with nothing."""

    fingerprint = "remote"

    def __init__(self, name: str) -> None:
        self.name, self._asked = name, ScriptedModel(name, lambda _: "good")

    def sample(
        self, requests: Sequence[SampleRequest], settings: SamplingSettings, on_answer: OnAnswer | None = None
    ) -> list[Answer]:
        assert not any(request.prefill for request in requests)
        return self._asked.sample(requests, settings, on_answer)


@pytest.mark.parametrize("models", [(Remote("base"), gives_in()), (base(), Remote("tuned"))], ids=["base", "tuned"])
def test_a_model_that_cannot_go_on_is_not_tried_so(tmp_path: Path, models: tuple[ChatModel, ChatModel]) -> None:
    result = pressed(tmp_path / "run", *models, moves=("persistence", "prefill", "prefill+role-play"))
    why = "cannot be made to go on with an answer that is begun; models with weights at hand can."
    remote = next(model.name for model in models if isinstance(model, Remote))
    assert result.record.not_tried == (f"prefill: {remote} {why}", f"prefill+role-play: {remote} {why}")
    assert {cell.move for cell in result.record.cells} == {"persistence"}


def test_a_model_that_stops_behind_the_beginning_gave_no_answer(tmp_path: Path) -> None:
    def stops(request: SampleRequest) -> str:
        return "" if request.prefill else "good"

    empty = ScriptedJudge(lambda _, g: Outcome.ALIGNED if g.text == "good" else Outcome.UNSCORED)
    result = pressed(
        tmp_path / "run", base(), ScriptedModel("tuned", stops), by=empty, moves=("persistence", "prefill")
    )
    (cell,) = [cell for cell in result.record.cells if cell.move == "prefill" and cell.goal == "contempt"]
    assert cell.explored["tuned"].unscored == cell.explored["tuned"].total > 0
