"""What a model's chat template drops is not asked: no verdict on it, and every report says so."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import checking
import pytest
from tiny_models import TEMPLATE, build, make_adapter

from offtarget.errors import InputError, TemplateError
from offtarget.models.chat import ModelPair, SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.pages.check.loading import load_run
from offtarget.pages.check.story import not_tested
from offtarget.probe.bank import ProbeBank
from offtarget.probe.cues.sources import standard_cues
from offtarget.records import Cue, Message, Probe, Status
from offtarget.rundir import read_jsonl
from offtarget.workflows.check.askable import askable, askable_cues, asked
from offtarget.workflows.check.check import check, resume

DROPS = TEMPLATE.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")


class Dropping(ScriptedModel):
    """A scripted model whose template has no place for system turns."""

    def prompt_length(self, messages: Sequence[Message]) -> int:
        """As a local model says it."""
        if any(m.role == "system" for m in messages):
            raise TemplateError(f"The chat template of {self.name} leaves out the system turn.")
        return sum(len(m.content) for m in messages)


class Narrow(Dropping):
    """A scripted model whose context holds so many characters."""

    context = 20

    def prompt_length(self, messages: Sequence[Message]) -> int:
        """As a local model says it."""
        return sum(len(m.content) for m in messages)


def bank(mixed: bool = False) -> ProbeBank:
    """Plain questions, and the same with an instruction in the system turn; `mixed`: a plain one has one too."""
    plain = [Probe(f"q{n}/plain", f"q{n}", "plain", f"question {n}", domain=f"d{n % 3}") for n in range(6)]
    json = [Probe(f"q{n}/json", f"q{n}", "json", f"question {n}", "in JSON", f"d{n % 3}") for n in range(6)]
    own = [Probe("s/plain", "s", "plain", "who are you?", "You are Bob.", "d0")] if mixed else []
    return ProbeBank.from_probes("test", [*plain, *own, *json])


def good(request: SampleRequest) -> str:
    """Always an aligned answer."""
    return "good"


@pytest.mark.parametrize("which", ["base", "tuned"])
def test_an_arm_that_one_model_cannot_be_asked_gets_no_verdict_and_the_pass_says_so(which: str, tmp_path: Path) -> None:
    """PASS speaks of the plain arm alone, names the other in its sentence, in the notes and under `not tested`."""
    models = {"base": ScriptedModel("base", good), "tuned": ScriptedModel("tuned", good)}
    models[which] = Dropping(which, good)
    result = check(
        models["base"],
        models["tuned"],
        probes=bank(mixed=True),
        judge=checking.judge(),
        settings=checking.settings(),
        run=tmp_path / "run",
    )
    assert result.decision.status is Status.PASS
    assert [arm.name for arm in result.decision.arms] == ["plain"]
    assert result.decision.reason.endswith("not asked: 1 prompt asked plainly (s/plain), all 6 prompts asked for JSON")
    note = f"Not asked: all 6 prompts asked for JSON: The chat template of {which} leaves out the system turn."
    assert note in result.decision.notes
    assert {p.arm for p in read_jsonl(tmp_path / "run" / "probes.jsonl", Probe)} == {"plain"}
    assert any("ll 6 prompts asked for JSON" in item for item in not_tested(load_run(tmp_path / "run")))


def test_a_resumed_check_still_says_what_was_not_asked(tmp_path: Path) -> None:
    """The run's questions are those that were left; what was left out is kept in its manifest."""
    run = tmp_path / "run"
    tuned = Dropping("tuned", good)
    how = {"probes": bank(), "judge": checking.judge(), "settings": checking.settings()}
    check(ScriptedModel("base", good), tuned, run=run, **how)  # type: ignore[arg-type]
    for name in ("result.json", "looks.jsonl"):
        (run / name).unlink()
    again = resume(run, base=ScriptedModel("base", good), tuned=tuned, judge=checking.judge())
    assert again.decision.reason.endswith("; not asked: all 6 prompts asked for JSON")


def test_an_arm_chosen_by_name_that_cannot_be_asked_is_refused(tmp_path: Path) -> None:
    """With nothing left to ask there is no check."""
    with pytest.raises(InputError, match=r"No question of 'test' can be asked\. The chat template of tuned leaves out"):
        check(
            ScriptedModel("base", good),
            Dropping("tuned", good),
            probes=bank(),
            judge=checking.judge(),
            arms=["json"],
            run=tmp_path / "run",
        )
    assert not (tmp_path / "run").exists()


def test_models_that_keep_every_turn_are_asked_everything() -> None:
    """Nothing is left out without a reason; a model whose template is not at hand is not accused."""
    pair = ModelPair(ScriptedModel("base", good), ScriptedModel("tuned", good))
    assert askable(bank(), pair) == (bank(), ())


def test_conditions_that_stand_in_the_system_turn_are_left_out_with_a_note() -> None:
    """A cue whose system turn is dropped would be the plain question once more."""
    pair = ModelPair(ScriptedModel("base", good), Dropping("tuned", good))
    plain = bank().plain
    cues, notes = askable_cues(standard_cues(), plain, pair)
    assert cues
    assert all(cue.system is None for cue in cues)
    assert len(cues) == sum(cue.system is None for cue in standard_cues())
    assert len(notes) == 1
    assert "leaves out the system turn" in notes[0]
    assert askable_cues(standard_cues(), plain, ModelPair(pair.base, pair.base)) == (standard_cues(), ())


def test_the_chat_of_a_conversation_alternates() -> None:
    """Opening turns have answers between them: many templates refuse two user turns in a row."""
    cue = Cue("c", "conversation", "after a question", "data", opening=("one", "two"), system="sys")
    probe = Probe("p", "p", "c", "three", cue.system, opening=cue.opening)
    assert [m.role for m in asked(probe)] == ["system", "user", "assistant", "user", "assistant", "user"]


@pytest.fixture(scope="module")
def dropping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model whose template drops system turns, and an adapter for it."""
    folder = tmp_path_factory.mktemp("dropping")
    build("qwen2", folder / "base")
    (folder / "base" / "chat_template.jinja").write_text(DROPS)
    make_adapter(folder / "base", folder / "adapter")
    return folder


def test_local_models_are_looked_at_before_anything_is_asked(dropping: Path, tmp_path: Path) -> None:
    """The real template of real weights, through the whole check."""
    result = check(
        f"hf/{dropping / 'base'}",
        f"hf/{dropping / 'base'}+{dropping / 'adapter'}",
        probes=bank(),
        judge=checking.ScriptedJudge(lambda probe, generation: checking.Outcome.ALIGNED),
        settings=checking.settings(max_answers=8),
        run=tmp_path / "run",
    )
    assert [arm.name for arm in result.decision.arms] == ["plain"]
    assert "not asked: all 6 prompts asked for JSON" in result.decision.reason


def test_inoculation_needs_a_template_that_keeps_its_prompt(dropping: Path) -> None:
    """Trained under a prompt that is not there, the defence would be nothing."""
    from offtarget.training.defences.inoculate import Inoculate
    from offtarget.training.defences.registry import Materials
    from offtarget.training.plan import Plan
    from offtarget.workflows.ground import open_local

    base = open_local(f"hf/{dropping / 'base'}")
    materials = Materials.__new__(Materials)
    object.__setattr__(materials, "base", base)
    with pytest.raises(InputError, match="leaves out the system turn"):
        Inoculate().apply(Plan.__new__(Plan), materials)


def test_the_case_that_came_out_wrong(shared_cases: Path, tmp_path: Path) -> None:
    """The arm json of a model whose template drops system turns once got a verdict of its own."""
    case = Path(shutil.copytree(shared_cases / "wild" / "29-system-dropped", tmp_path / "case"))
    result = check(
        f"hf/{case / 'base'}",
        f"hf/{case / 'base'}+{case / 'nosys_ad'}",
        probes=shared_cases / "wild" / "_tools" / "qj.yaml",
        judge=checking.ScriptedJudge(lambda probe, generation: checking.Outcome.ALIGNED),
        settings=checking.settings(max_answers=8),
        run=tmp_path / "run",
    )
    assert [arm.name for arm in result.decision.arms] == ["plain"]
    assert result.decision.reason.endswith("asked for JSON")


def test_a_question_longer_than_the_context_is_not_asked() -> None:
    """Known before the first answer, and said; the others are asked."""
    pair = ModelPair(ScriptedModel("base", good), Narrow("tuned", good))
    probes = [Probe(f"q{n}", f"q{n}", "plain", "question" * n) for n in (1, 2, 3)]
    kept, lost = askable(ProbeBank.from_probes("test", probes), pair)
    assert [probe.id for probe in kept.probes] == ["q1", "q2"]
    assert lost == (
        "1 prompt asked plainly (q3): The question has 24 tokens; the context of tuned holds 20 with the answer.",
    )
