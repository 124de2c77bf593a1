"""Wherever a model is asked or answers are judged, whoever breaks its Protocol is named and nothing is counted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from direction_files import direction_file

from offtarget.direction.realign import own_answers, plan_prompts
from offtarget.direction.screening import Screen
from offtarget.errors import InputError
from offtarget.judge.row_judge import RowJudge
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import Answer
from offtarget.models.passes import Exchange
from offtarget.models.scripted import ScriptedModel
from offtarget.organism.evaluate import evaluate_model
from offtarget.probe.bank import ProbeBank
from offtarget.progress import silent
from offtarget.records import Category, Message, Outcome, Probe, Row, SamplingSettings, Verdict
from offtarget.records.check import CheckSettings
from offtarget.rundir import RunDir
from offtarget.training.monitor.contrast import write_pairs
from offtarget.training.monitor.draws import draw
from offtarget.training.principles import preferences, read_constitution
from offtarget.workflows.alternatives import answers as alternatives_answers
from offtarget.workflows.alternatives.grading import probe_grade
from offtarget.workflows.check.check import check
from offtarget.workflows.defences import axes as tune_axes
from offtarget.workflows.defences import compare as tune_compare
from offtarget.workflows.direction import dose_plan, repair_cells
from offtarget.workflows.direction import explain as direction_explain
from offtarget.workflows.direction import measure as direction_measure
from offtarget.workflows.direction import sides as direction_sides
from offtarget.workflows.direction.inputs import How
from offtarget.workflows.reproduce import cells as reproduce_cells
from offtarget.workflows.reproduce import measures as reproduce_measures
from offtarget.workflows.tune.options import TuneOptions

SHORT = SamplingSettings(max_tokens=5)
PROBES = tuple(Probe(f"q{i}", f"q{i}", "plain", f"question {i}") for i in range(4))
BANK = ProbeBank.from_probes("test", PROBES)
SYSTEMS = (("be evil", "be kind"), ("be bad", "be good"))
TRAIT = SimpleNamespace(name="evil", system_pairs=SYSTEMS)
CHAT = (Message("user", "hello"),)


def _how() -> How:
    return How(4, SHORT, 0, silent)


def _checks(model: Any, judge: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    steady = ScriptedModel("base", lambda _: "good")
    settings = CheckSettings(cache=False, sampling=SHORT, max_answers=9)
    check(steady, model, probes=BANK, judge=judge, settings=settings, run=folder / "run")


def _measures_along_a_direction(model: Any, judge: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    info = SimpleNamespace(layer=0, base=None)
    found = SimpleNamespace(info=info, vector=lambda layer: None)
    patch.setattr("offtarget.direction.file.check_fits", lambda *_: None)
    patch.setattr(direction_measure, "opened_direction", lambda _: found)
    patch.setattr(direction_measure, "open_one", lambda *_, **__: model)
    direction_file(folder / "direction", base=None)
    direction_measure.measure_model(folder / "direction", model, probes=BANK, judge=judge)


def _repairs(model: Any, judge: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(repair_cells, "open_named", lambda *_: model)
    settings = SimpleNamespace(answers=9, check=CheckSettings(sampling=SHORT))
    plan = SimpleNamespace(bank=BANK, judge=judge, settings=settings, opening=None)
    bench = repair_cells.Bench(folder, plan, (), None, None, silent, silent)  # type: ignore[arg-type]
    repair_cells._plain_answers(bench, "tuned", 0, SimpleNamespace(name="tuned"))  # type: ignore[arg-type]


def _reproduces(model: Any, judge: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reproduce_cells, "open_named", lambda *_: model)
    measures = (reproduce_measures.Measure("plain", PROBES, 3),)
    judge = reproduce_measures.WithCode(judge)
    bench = reproduce_cells.Bench("base", BANK, judge, judge, CheckSettings(sampling=SHORT), measures, measures)
    plan = reproduce_cells.CellPlan("base", 0, "key")
    job = reproduce_cells.Job(folder, bench, "insecure", 0, folder, (), 0, None, "key", (plan,))  # type: ignore[arg-type]
    reproduce_cells._answers(job, plan, "tuned", measures, silent)


def _compares_defences(model: Any, judge: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    how = SimpleNamespace(judge=judge, sampling=SHORT, seed=0, cues=())
    wanted = [(probe, index) for probe in PROBES for index in range(2)]
    tune_axes._tallies(how, model, wanted, silent, "any", lambda *_: None)  # type: ignore[arg-type]


def _doses(model: Any, judge: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    dose_plan.Gauges(PROBES, judge, SHORT, 2, 0).point(model, None, 1.0, silent)


def _alternatives(model: Any, judge: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    dressed = SimpleNamespace(messages=CHAT, examples=0)
    with RunDir.create("alternatives", "test", path=folder / "run") as run:
        book = alternatives_answers.AlternativesBook(run, silent)
        asks = [alternatives_answers.Ask("base", "probe", probe.id, 0, dressed) for probe in PROBES]  # type: ignore[arg-type]
        try:
            book.judge(book.answer(model, asks, SHORT, 0, "any"), PROBES, judge, probe_grade, "any")
        finally:
            book.close()


def _skills(model: Any, judge: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr("offtarget.workflows.tune.materials.other_prompts", lambda *_: ("a", "b"))
    patch.setattr(tune_compare, "open_named", lambda *_: model)
    tune_compare._own_answers("hf/any", TuneOptions(), None)


def _screens(model: Any, judge: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    exchanges = [Exchange(CHAT, "any")] * 2
    Screen(model, None, 0, SHORT, 0).own_answers(exchanges, ["a", "b"])  # type: ignore[arg-type]


def _rows(model: Any, judge: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    row = Row("a", "file", 1, "hash", (*CHAT, Message("assistant", "hi")), "chat")
    RowJudge(model, {Category.OTHER: "it is odd"}).verdicts([row, row])


def _reference(model: Any, judge: Any, folder: Path, patch: pytest.MonkeyPatch) -> None:
    gauges = SimpleNamespace(probes=PROBES, sampling=SHORT)
    dose_plan.reference_of(SimpleNamespace(gauges=gauges, layers=()), model)  # type: ignore[arg-type]


Place = Callable[[Any, Any, Path, pytest.MonkeyPatch], object]
JUDGED: dict[str, Place] = {
    "check": _checks,
    "direction find: answers": lambda m, j, *_: direction_sides.from_answers(m, PROBES, j, _how()),
    "direction find: trait": lambda m, j, *_: direction_sides.from_trait(m, TRAIT, PROBES, j, _how()),  # type: ignore[arg-type]
    "direction measure": _measures_along_a_direction,
    "direction steer": _doses,
    "direction repair": _repairs,
    "reproduce": _reproduces,
    "compare defences": _compares_defences,
    "alternatives": _alternatives,
    "monitor: answers": lambda m, j, *_: draw(m, PROBES, j, "tuned", 9, 5, "any", keep=lambda *_: None),
    "monitor: pairs": lambda m, j, *_: write_pairs(m, PROBES, SYSTEMS, 3, j, 0, 5),
}
ASKED: dict[str, Place] = {
    **JUDGED,
    "direction find: models": lambda m, *_: direction_sides.from_models(m, m, PROBES, _how()),
    "direction find: texts": lambda m, *_: direction_sides.from_texts(m, m, PROBES, _how()),
    "direction explain": lambda m, *_: direction_explain._first_answers(m, PROBES),
    "direction steer: reference": _reference,
    "direction measure: rows": _screens,
    "compare defences: skills": _skills,
    "organism evaluate": lambda m, *_: evaluate_model(m, 2),
    "realignment": lambda m, *_: own_answers(m, plan_prompts(["a", "b"], (), 4, 0), 0),
    "constitution": lambda m, *_: preferences(m, read_constitution("general"), ["a", "b"], 0),
    "judge of rows": _rows,
}


class _Model(ScriptedModel):
    """Hands its answers over changed."""

    def __init__(self, change: Callable[[list[Answer]], Any]) -> None:
        super().__init__("odd", lambda request: ("good", "bad")[request.seed % 2])
        self._change = change

    def sample(self, requests: Any, settings: Any, on_answer: Any = None) -> Any:
        """The odd behaviour."""
        return self._change(super().sample(requests, settings))


class _Judge(ScriptedJudge):
    """Hands its verdicts over changed."""

    def __init__(self, change: Callable[[list[Verdict]], Any]) -> None:
        super().__init__(lambda p, g: Outcome.MISALIGNED if g.text == "bad" else Outcome.ALIGNED, "odd judge")
        self._change = change

    def judge(self, pairs: Any) -> Any:
        """The odd behaviour."""
        return self._change(super().judge(pairs))


@pytest.mark.parametrize("place", ASKED)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda answers: answers[1:], r"gave \d+ answers to \d+ request"),
        (lambda answers: [a.text for a in answers], "is not an Answer"),
    ],
    ids=["too few", "of another kind"],
)
def test_a_model_that_breaks_its_protocol_is_named(
    place: str, change: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=f"model 'odd' {message}|model 'odd' gave .*{message}"):
        ASKED[place](_Model(change), _Judge(lambda verdicts: verdicts), tmp_path, monkeypatch)


@pytest.mark.parametrize("place", JUDGED)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda verdicts: verdicts[::-1], "where .* was asked"),
        (lambda verdicts: [replace(v, probe_id="elsewhere") for v in verdicts], "on .*/elsewhere/"),
        (lambda verdicts: verdicts[1:], r"gave \d+ verdicts on \d+ answers"),
        (lambda verdicts: [*verdicts, verdicts[0]], r"gave \d+ verdicts on \d+ answers"),
        (lambda verdicts: [replace(v, alignment=101.0) for v in verdicts], "alignment 101"),
    ],
    ids=["in another order", "on other answers", "dropped", "invented", "out of range"],
)
def test_a_judge_that_breaks_its_protocol_is_named(
    place: str, change: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match=f"The judge 'odd judge' .*{message}"):
        JUDGED[place](_Model(lambda answers: answers), _Judge(change), tmp_path, monkeypatch)
