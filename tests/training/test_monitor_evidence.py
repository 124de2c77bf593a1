"""The alarm's guarantee, the choice of a checkpoint, and what is said of the forecast's limit."""

from __future__ import annotations

import math

import numpy as np
import pytest

from offtarget.errors import InputError
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Outcome, Probe, Tally
from offtarget.records.tune import Reading
from offtarget.training.monitor.callback import MisalignmentMonitor
from offtarget.training.monitor.draws import draw
from offtarget.training.monitor.evidence import Evidence
from offtarget.training.monitor.readings import best_step, learnt_steps, sparkline, status_line
from offtarget.training.monitor.settings import Calibration, MonitorSettings, calibration


def _crosses(rng: np.random.Generator, rates: list[float], base: float, tolerance: float, alpha: float) -> bool:
    evidence = Evidence(tolerance, len(rates))
    tuned: list[tuple[int, int]] = []
    verdicts = (rng.random(4 * 16 * len(rates)) < base).tolist()
    for rate in rates:
        bad = int(rng.binomial(16, rate))
        tuned.append((bad, 16 - bad))
        if evidence.log_e(tuned, verdicts) >= -math.log(alpha):
            return True
    return False


@pytest.mark.no_cover
@pytest.mark.parametrize(("base", "tolerance"), [(0.005, 0.02), (0.05, 0.05), (0.0, 0.02)])
def test_false_alarms_in_the_whole_run_stay_below_alpha(base: float, tolerance: float) -> None:
    """At the edge of the null, looked at after every reading, at most alpha of the runs raise an alarm."""
    rng, runs, alpha = np.random.default_rng(1), 400, 0.05
    false = sum(_crosses(rng, [base + tolerance] * 12, base, tolerance, alpha) for _ in range(runs))
    assert false / runs <= alpha + 2 * math.sqrt(alpha * (1 - alpha) / runs)


def test_a_rate_that_wanders_below_the_tolerance_is_no_reason_either() -> None:
    """The null holds reading by reading: the rate may change between them as it likes."""
    rng, runs = np.random.default_rng(2), 300
    false = sum(_crosses(rng, [0.0, 0.02, 0.0, 0.025] * 3, 0.005, 0.02, 0.05) for _ in range(runs))
    assert false / runs <= 0.08


def test_a_late_rise_is_found_after_many_clean_readings() -> None:
    """What was sampled while the model was clean does not drown a rise at the end."""
    rng = np.random.default_rng(3)
    found = sum(_crosses(rng, [0.005] * 10 + [0.5], 0.005, 0.02, 0.025) for _ in range(100))
    assert found >= 80


def _reading(step: int, task: float | None, alarm: str | None = None) -> Reading:
    return Reading(step, task=task, alarm=alarm)  # type: ignore[arg-type]


def test_the_best_checkpoint_is_the_last_learnt_one_before_the_alarm() -> None:
    """Not learnt yet, learnt, and learnt but alarmed: the middle one is kept."""
    readings = [_reading(0, -2.0), _reading(10, -1.5), _reading(20, -1.0), _reading(30, -0.99, "behaviour")]
    assert best_step(readings, [10, 20, 30]) == 20
    assert best_step(readings, [10, 30]) is None


def test_an_alarm_between_checkpoints_disqualifies_the_next_one() -> None:
    """A checkpoint without a reading of its own is judged by the next reading."""
    readings = [_reading(0, -2.0), _reading(10, -1.0), _reading(20, -1.0, "look-ahead")]
    assert best_step(readings, [10, 15]) == 10
    assert best_step(readings, [15]) is None


def test_a_task_the_base_knows_already_is_learnt_from_the_start() -> None:
    """Without anything to gain, small losses do not count against a checkpoint."""
    assert learnt_steps([_reading(0, -0.135), _reading(10, -0.14), _reading(20, -0.3)]) == {0, 10}
    assert learnt_steps([_reading(0, None)]) == frozenset()


def test_calibration_says_what_it_rests_on() -> None:
    """A base without a calibration of its own gets no promise."""
    assert "not known" in calibration("hf/some/model").says
    sentence = Calibration(3.0, "organism/", 19, 17, 2, "made up").says
    assert "Of 17 further clean runs 2 passed it" in sentence


def test_the_line_on_the_terminal_names_what_was_read() -> None:
    """Task, forecast, answers and alarm, with bars of constant width."""
    readings = [_reading(0, -2.0), Reading(5, task=-1.0, forecast=3.2, answers=Tally(14, 2), alarm="forecast")]
    line = status_line(readings)
    assert "misaligned 2 of 16" in line
    assert "ALARM (forecast)" in line
    assert sparkline([1.0, 1.0]) == "▁▁"


def test_settings_and_questions_are_checked() -> None:
    """Nonsense is refused with a sentence."""
    with pytest.raises(InputError, match="no probe questions"):
        MisalignmentMonitor([])
    with pytest.raises(InputError, match="every 1 or more steps"):
        MisalignmentMonitor(["hello?"], every=0)
    with pytest.raises(InputError, match="alpha"):
        MonitorSettings(alpha=1.5)


def test_answers_without_a_score_are_drawn_again_at_their_question() -> None:
    """A question that mostly gets no score, and is always misaligned where it does, weighs as much as the other."""

    def answer(request: SampleRequest) -> str:
        silent = request.seed % 10 < 6
        return "good" if "calm" in request.messages[-1].content else "mumble" if silent else "bad"

    outcomes = {"bad": Outcome.MISALIGNED, "good": Outcome.ALIGNED, "mumble": Outcome.INCOHERENT}
    judge = ScriptedJudge(lambda probe, generation: outcomes[generation.text])
    probes = [Probe(name, name, "plain", f"a {name} question") for name in ("calm", "wild")]
    kept: list[object] = []

    def asked() -> tuple[Tally, list[bool]]:
        model = ScriptedModel("m", answer)
        keep = lambda answers, verdicts: kept.extend(verdicts)  # noqa: E731
        return draw(model, probes, judge, "tuned", 400, 5, 0, "now", 1, keep=keep)  # type: ignore[arg-type]

    tally, scored = asked()
    assert len(kept) == tally.total
    assert len(scored) >= 360  # .6^5 of the wild half never gets a score
    assert 0.42 < sum(scored) / len(scored) < 0.53  # without the redraws .29
    assert tally.scored == len(scored)
    assert tally.incoherent > 100
    assert asked() == (tally, scored)
