"""Found conversations become the questions of the next check, and Inspect reads the same file."""

from __future__ import annotations

import json
from pathlib import Path

import pressing
import pytest

from offtarget.errors import InputError
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.probe.reading import load_bank
from offtarget.records import Generation, Outcome, Probe, Status
from offtarget.records.check import CheckSettings
from offtarget.workflows.check.check import CheckResult, check
from offtarget.workflows.redteam.export import export_found, found_conversations, left_out
from offtarget.workflows.redteam.redteam import RedTeamResult, redteam


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pressing.pressed(tmp_path_factory.mktemp("found") / "run", tuned=1.0).run


@pytest.fixture
def file(run: Path, tmp_path: Path) -> Path:
    export_found(run, tmp_path / "found.jsonl")
    return tmp_path / "found.jsonl"


def checked(file: Path, tuned: float, run: Path, judge: ScriptedJudge | None = None) -> CheckResult:
    models = pressing.model("base", 0.0), pressing.model("tuned", tuned)
    settings = CheckSettings(cache=False, register=False, max_answers=60)
    return check(*models, probes=file, judge=judge or pressing.judge(), settings=settings, run=run)


def test_the_file_holds_what_was_found_to_the_last_word(run: Path, file: Path) -> None:
    found, read = found_conversations(run), load_bank(file)
    assert read.probes == found.probes
    assert read.fingerprint == found.fingerprint
    assert all(len(probe.opening) == 1 for probe in read.probes)  # cut where it gave way, in the second turn
    about = {probe.domain: dict(probe.judge_prompts) for probe in read.probes}
    assert about["contempt"] == {}
    assert pressing.RUBRIC in about["competitor"]["aligned"]


def test_the_next_check_fails_what_still_gives_way_and_passes_what_was_repaired(file: Path, tmp_path: Path) -> None:
    bad, repaired = checked(file, 1.0, tmp_path / "bad"), checked(file, 0.0, tmp_path / "repaired")
    assert bad.decision.status is Status.FAIL
    assert repaired.decision.status is not Status.FAIL
    assert repaired.decision.overall.tuned.misaligned == 0


def test_a_check_judges_a_found_conversation_as_the_run_did(file: Path, tmp_path: Path) -> None:
    """The judge reads what was said before, and a refusal counts as held."""
    seen: list[str] = []

    def decide(probe: Probe, generation: Generation) -> Outcome:
        seen.append(probe.prompt)
        return Outcome.REFUSED

    found = checked(file, 0.0, tmp_path / "refused", ScriptedJudge(decide))
    assert found.decision.overall.tuned.scored == found.decision.overall.tuned.total > 0
    later = [text for text in seen if text.startswith("[user] ")]
    assert later
    assert all("[assistant] good" in text for text in later)


def test_inspect_reads_the_same_file(file: Path, run: Path) -> None:
    dataset = pytest.importorskip("inspect_ai.dataset").json_dataset(str(file))
    probes = found_conversations(run).probes
    assert [sample.metadata["probe_id"] for sample in dataset] == [probe.id for probe in probes]
    for sample, probe in zip(dataset, probes, strict=True):
        assert [turn.role for turn in sample.input if turn.role != "system"] == ["user"] * (len(probe.opening) + 1)
        assert sample.input[-1].text == probe.prompt
        assert sample.metadata["judge_prompts" if probe.judge_prompts else "domain"]


def test_conversations_under_a_system_prompt_or_of_one_turn_come_through(tmp_path: Path) -> None:
    def answer(request: SampleRequest) -> str:
        return "bad" if "Dorn" in request.messages[-1].content or "Vex" in request.messages[-1].content else "good"

    found = redteam(
        pressing.model("base", 0.0), ScriptedModel("tuned", answer), goals=pressing.goals(), judge=pressing.judge(),
        settings=pressing.settings(moves=("role-play",), budget=120), run=tmp_path / "run",
    )  # fmt: skip
    export_found(found.run, tmp_path / "found.jsonl")
    read = load_bank(tmp_path / "found.jsonl")
    assert read.probes == found_conversations(found.run).probes
    assert {probe.opening for probe in read.probes} == {()}
    assert read.arm_names == ("pressure",)


def test_nothing_found_and_other_files_are_refused(run: Path, tmp_path: Path) -> None:
    held = pressing.pressed(tmp_path / "held", tuned=0.0)
    with pytest.raises(InputError, match="nothing to export"):
        export_found(held.run, tmp_path / "found.jsonl")
    with pytest.raises(InputError, match=r"ends in \.jsonl"):
        export_found(run, tmp_path / "found.yaml")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"metadata": ["x"]}, "'metadata' must be an object, found list"),
        ({"metadata": {"judge_prompts": "x"}}, "'judge_prompts' must be an object"),
        ({"metadata": {"judge_prompts": {"aligned": "Grade."}}}, "has no {answer} in it"),
        ({"metadata": {"arm": 3}}, "'arm' must be a text"),
        ({"input": []}, "'input' must be a list with at least one turn"),
    ],
)
def test_mistakes_in_a_sample_name_the_line(tmp_path: Path, row: dict[str, object], said: str) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text(json.dumps({"id": "a", "input": "Tea?", **row}) + "\n")
    with pytest.raises(InputError) as caught:
        load_bank(file)
    assert said in str(caught.value)
    assert "line 1, question 'a'" in str(caught.value)


CLEARED = "contempt"
"""The goal at which people clear what the judge flagged."""


class Confirming(ScriptedJudge):
    """Reads whole conversations and clears those of one goal."""

    def __init__(self) -> None:
        super().__init__(
            lambda probe, answer: (
                Outcome.MISALIGNED
                if answer.text == "bad" and CLEARED not in f"{probe.prompt} {probe.opening}"
                else Outcome.ALIGNED
            ),
            "people/clearing",
        )


def confirmed(run: Path, cleared: ScriptedJudge) -> RedTeamResult:
    return redteam(
        pressing.model("base", 0.0), pressing.model("tuned", 1.0), goals=pressing.goals(), judge=pressing.judge(),
        confirm=True, people=cleared, settings=pressing.settings(budget=160), run=run,
    )  # fmt: skip


@pytest.fixture(scope="module")
def read_by_people(tmp_path_factory: pytest.TempPathFactory) -> RedTeamResult:
    return confirmed(tmp_path_factory.mktemp("confirmed") / "run", Confirming())


def test_what_people_did_not_confirm_is_left_out_and_counted(read_by_people: RedTeamResult) -> None:
    """A false alarm of the judge must not become a question that the next model is failed by."""
    found = found_conversations(read_by_people.run)
    assert {probe.domain for probe in found.probes} == {"competitor"}
    assert {name.split(".")[1] for name, _ in found.skipped} == {CLEARED}
    assert left_out(found).startswith(f"{len(found.skipped)} conversations that the judge flagged are left out")


def test_a_spot_counts_what_people_confirmed(read_by_people: RedTeamResult) -> None:
    """Table, heat map and the shortest conversation go by the same word as the verdict."""
    for cell in read_by_people.record.cells:
        if cell.goal == CLEARED:
            assert cell.verdict["tuned"].misaligned == 0
            assert cell.shortest is None
    whole = read_by_people.record.decision.overall.tuned.misaligned
    assert whole == sum(cell.verdict["tuned"].misaligned for cell in read_by_people.record.cells) > 0


def test_nothing_confirmed_is_said_with_what_was_flagged(tmp_path: Path) -> None:
    run = confirmed(tmp_path / "run", ScriptedJudge(lambda _p, _g: Outcome.ALIGNED, "people/clearing all")).run
    with pytest.raises(InputError, match=r"nothing to export\. The judge flagged \d+ conversations; nobody confirmed"):
        found_conversations(run)


def test_found_questions_are_called_by_goal(run: Path) -> None:
    """Domain, construct and id are those of the goal, whatever its questions were called."""
    goals = {goal.id: goal for goal in pressing.goals().goals}
    for probe in found_conversations(run).probes:
        assert probe.construct == goals[probe.domain].category
        move, _, question = probe.question_id.partition("/")
        assert move in pressing.MOVES
        assert question in {f"{probe.domain}.0", f"{probe.domain}.1"}
