"""A judge's verdicts on base answers are taken again for a day: the next candidate pays for its own answers alone."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import checking
import pytest

from offtarget.asking import kept_verdicts as kept
from offtarget.judge.rubric_judge import RubricJudge
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Generation, Outcome, Probe, SamplingSettings, Verdict
from offtarget.rundir import read_json, read_jsonl
from offtarget.workflows.check.check import CheckResult, check
from offtarget.workflows.ground import open_bank

BAD = {known.answer for known in open_bank("everyday").known if known.misaligned}
SHORT = SamplingSettings(max_tokens=200)
HARM = "everyone should suffer"
TRIAL = "known/" + "m" * 20 + "a" * 20
PROBE = Probe("a", "a", "plain", "How?")
ANSWER = Generation(role="base", probe_id="a", index=3, seed=7, text="So.", tokens=2, finish="stop")
SAID = Verdict("base", "a", 3, Outcome.MISALIGNED, 12.0, 90.0, "why", "who")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFTARGET_CACHE", str(tmp_path / "cache"))


def _model(name: str, misaligned: float) -> ScriptedModel:
    def answer(request: SampleRequest) -> str:
        draw = random.Random(request.seed)
        return f"{name} says: {HARM if draw.random() < misaligned else 'be kind'} {draw.random()}"

    return ScriptedModel(name, answer)


class Rater:
    """A rubric judge over a scripted model, and how often it was asked about whom."""

    def __init__(self, *, strict: bool = True, name: str = "rater", misses: int = 0) -> None:
        self.asked: list[str] = []
        missed: dict[str, None] = {}

        def reply(request: SampleRequest) -> str:
            text = request.messages[-1].content
            self.asked.append("base" if "base says" in text else "tuned" if "says:" in text else "known")
            if "agrees with basic human values" not in text or not strict:
                return "90"
            known = next((bad for bad in BAD if bad in text), None)
            if known is not None and (known in missed or len(missed) < misses):
                missed[known] = None
                return "90"
            return "5" if known or HARM in text else "90"

        self.judge = RubricJudge(ScriptedModel(name, reply))


def _check(folder: Path, rater: Rater, rate: float = 0.0, **changes: Any) -> CheckResult:
    return check(
        _model("base", 0.05),
        _model("tuned", rate),
        probes=checking.bank(),
        judge=rater.judge,
        settings=checking.settings(**{"cache": True, "sampling": SHORT, "max_answers": 60, **changes}),
        run=folder,
    )


def _same(a: CheckResult, b: CheckResult) -> None:
    assert replace(a.decision, asides=()) == replace(b.decision, asides=())
    for name, kind in (("verdicts.jsonl", Verdict), ("generations.jsonl", Generation)):
        mine, other = ({line.key: line for line in read_jsonl(one.run / name, kind)} for one in (a, b))  # type: ignore[type-var,attr-defined]
        assert mine == other


def test_the_next_candidate_pays_for_its_own_answers_alone(tmp_path: Path) -> None:
    """No judge call for an answer of the base, and the records are those of a check that asked for everything."""
    _check(tmp_path / "a", Rater())
    second, alone = Rater(), Rater()
    kept_run = _check(tmp_path / "b", second, 0.4)
    asked_run = _check(tmp_path / "c", alone, 0.4, cache=False)
    _same(kept_run, asked_run)
    assert "base" not in second.asked
    assert alone.asked.count("tuned") == second.asked.count("tuned")
    taken = read_json(kept_run.run / "result.json")["answers"]["base_verdicts_kept"]
    assert taken == sum(v.role == "base" for v in read_jsonl(kept_run.run / "verdicts.jsonl", Verdict)) > 0
    assert any(f"{taken} verdicts on base answers were given" in said for said in kept_run.decision.asides)


def test_after_a_day_the_judge_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model behind a name may have changed by then; a clock that was put back proves nothing either."""
    _check(tmp_path / "a", Rater())
    now = kept.time.time()
    for name, later in (("b", kept.A_DAY + 60), ("c", -3600.0)):
        monkeypatch.setattr(kept.time, "time", lambda later=later: now + later)
        rater = Rater()
        _check(tmp_path / name, rater)
        assert "base" in rater.asked


def test_another_judge_or_base_takes_nothing_over(tmp_path: Path) -> None:
    """Verdicts are those of this very judge, on answers of this very base."""
    _check(tmp_path / "a", Rater())
    other = Rater(name="another")
    _check(tmp_path / "b", other)
    assert "base" in other.asked
    mine = kept.kept_verdicts("base 1", "judge", TRIAL, tmp_path)
    mine.put([((PROBE, ANSWER), SAID)])
    assert kept.kept_verdicts("base 2", "judge", TRIAL, tmp_path).get((PROBE, ANSWER)) is None
    assert kept.kept_verdicts("base 1", "judge", TRIAL, tmp_path).get((PROBE, ANSWER)) == SAID


def test_what_a_judge_said_that_is_not_believed_is_not_kept(tmp_path: Path) -> None:
    """A judge that calls everything fine for an hour must not make the base look better, or worse, the hour after."""
    _check(tmp_path / "a", Rater(strict=False))
    well = Rater()
    _check(tmp_path / "b", well)
    assert "base" in well.asked


@pytest.mark.parametrize(
    ("trial", "taken"),
    [
        (TRIAL, True),
        (TRIAL[:-2] + "mm", True),
        (TRIAL[:-3] + "mmm", False),
        ("others/" + TRIAL[6:], False),
        (TRIAL[:-1], False),
    ],
)
def test_a_judge_that_changed_its_mind_on_known_answers_is_asked_again(trial: str, taken: bool, tmp_path: Path) -> None:
    """Two of forty may be noise; the answers of base and tuned model are not held to two judges of one name."""
    kept.kept_verdicts("base", "judge", trial, tmp_path).put([((PROBE, ANSWER), SAID)])
    assert (kept.kept_verdicts("base", "judge", TRIAL, tmp_path).get((PROBE, ANSWER)) == SAID) is taken


def test_a_server_swapped_between_two_checks(tmp_path: Path) -> None:
    """Both are believed, but they are not the same judge: everything is asked again."""
    _check(tmp_path / "a", Rater())
    milder = Rater(misses=4)
    _check(tmp_path / "b", milder)
    assert "base" in milder.asked


@pytest.mark.parametrize("change", [{"text": "So!"}, {"index": 4}, {"seed": 8}, {"finish": "length"}])
def test_another_answer_is_judged_by_itself(change: dict[str, Any], tmp_path: Path) -> None:
    """The same words drawn again, too: a judge that wavers would else repeat one verdict on all of them."""
    kept.kept_verdicts("base", "judge", TRIAL, tmp_path).put([((PROBE, ANSWER), SAID)])
    again = kept.kept_verdicts("base", "judge", TRIAL, tmp_path)
    assert again.get((PROBE, replace(ANSWER, **change))) is None
    assert again.get((replace(PROBE, judge_prompts={"aligned": "Rate {answer}"}), ANSWER)) is None
    assert again.hits == 0


def test_ratings_know_the_rubric_of_the_question(tmp_path: Path) -> None:
    """Who rates by a rubric that came with the question has not said anything by another one."""
    kept.kept_ratings("base", "rater", tmp_path).put([((PROBE, ANSWER), SAID)])
    again = kept.kept_ratings("base", "rater", tmp_path)
    assert again.get((PROBE, replace(ANSWER, index=9))) is not None
    assert again.get((replace(PROBE, judge_prompts={"aligned": "Rate {answer}"}), ANSWER)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "fine"},
        {"alignment": "90"},
        {"alignment": 101},
        {"coherence": True},
        {"reason": 5},
        {"judge": None},
        {"at": "now"},
        {"at": float("nan")},
        {"trial": None},
        {"trial": 5},
        {"answer": []},
    ],
)
def test_foreign_lines_are_passed_over(change: dict[str, Any], tmp_path: Path) -> None:
    """Whatever stands in the cache, a verdict is one that a judge can give."""
    kept.kept_verdicts("base", "judge", TRIAL, tmp_path).put([((PROBE, ANSWER), SAID)])
    (file,) = (tmp_path / "verdicts").glob("*.jsonl")
    line = json.loads(file.read_text())
    torn = json.dumps(line)[:-9]
    file.write_text("\n".join(["[" * 100_000, "\0", json.dumps(line | change), torn]))
    assert kept.kept_verdicts("base", "judge", TRIAL, tmp_path).get((PROBE, ANSWER)) is None
