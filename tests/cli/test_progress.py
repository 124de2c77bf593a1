"""Progress off a terminal: lines with the time left, few enough for a log; and no verb without it."""

from __future__ import annotations

import inspect

import pytest

import offtarget
from offtarget.cli import progress as shown_as
from offtarget.progress import Count, Progress, Whole, silent, within
from offtarget.workflows import showing

VERBS = (
    offtarget.alternatives,
    offtarget.audit,
    offtarget.check,
    offtarget.compare_defences,
    offtarget.explain,
    offtarget.find_direction,
    offtarget.measure_model,
    offtarget.measure_rows,
    offtarget.red_team,
    offtarget.repair,
    offtarget.reproduce,
    offtarget.resume,
    offtarget.steer,
    offtarget.tune,
)


class _Clock:
    """Time as the test sets it."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    made = _Clock()
    monkeypatch.setattr(shown_as, "time", made)
    monkeypatch.setattr(showing, "time", made)
    return made


def _lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: f"{verb.__module__}.{verb.__name__}")
def test_every_verb_takes_the_one_callback(verb: object) -> None:
    assert inspect.signature(verb).parameters["on_progress"].default is silent


def test_lines_tell_the_time_left_and_come_every_few_seconds(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with shown_as.shown(enabled=True) as on_progress:
        for second in range(21):
            clock.now = float(second)
            on_progress(Progress("training", second, 40, 0.25))
    lines = _lines(capsys)
    assert lines[0] == "5 s: training 5 of 40, loss 0.250, about 35 s left"
    assert [line.partition(" s:")[0] for line in lines] == ["5", "10", "15", "20"]


def test_what_is_quickly_done_prints_its_messages_only(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with shown_as.shown(enabled=True) as on_progress:
        Count(on_progress, "asking", 2).add(2)
        clock.now = 1.0
        on_progress(Progress("watching: a page"))
    assert _lines(capsys) == ["1 s: watching: a page"]


def test_a_long_silence_is_broken_with_what_is_being_done(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is said of it again within ten seconds, nor before anything was told."""
    lines = shown_as.Lines()
    clock.now = 30.0
    lines.still()
    lines.tell(Progress("loading a model"))
    for second in range(31, 62):
        clock.now = float(second)
        lines.still()
    lines.tell(Progress("training", 3, 19, 2.5))
    assert _lines(capsys) == [
        "30 s: loading a model",
        "40 s: still at it, for 10 s: loading a model",
        "50 s: still at it, for 20 s: loading a model",
        "60 s: still at it, for 30 s: loading a model",
    ]


def test_a_long_silence_within_a_part_names_the_part(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    """A share of the whole alone would say the same for minutes."""
    lines = shown_as.Lines()
    lines.tell(Progress("per cent of the experiment", 0, 100, "the base, answers 3 of 30"))
    clock.now = 12.0
    lines.still()
    assert _lines(capsys) == [
        "12 s: still at it, for 12 s: per cent of the experiment 0 of 100, the base, answers 3 of 30"
    ]


def test_two_stages_in_turns_do_not_flood_a_log(clock: _Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with shown_as.shown(enabled=True) as on_progress:
        for tenth in range(200):
            clock.now = tenth / 10
            on_progress(Progress(f"stage {tenth % 2}", tenth, None))
    assert 3 <= len(_lines(capsys)) <= 6


def test_disabled_is_silent_and_hostile_names_cannot_fake_a_line(
    clock: _Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown_as.shown(enabled=False) as on_progress:
        on_progress(Progress("a"))
    assert _lines(capsys) == []
    with shown_as.shown(enabled=True) as on_progress:
        on_progress(Progress("a\r\x1b[2KFAIL"))
    assert _lines(capsys) == ["0 s: a\ufffd\ufffd[2KFAIL"]


def test_a_count_tells_every_step_under_the_name_of_the_part() -> None:
    told: list[Progress] = []
    count = Count(within(told.append, "base"), "answers", 5, done=2)
    count.add()
    count.add(2)
    assert told == [Progress("base: answers", 3, 5), Progress("base: answers", 5, 5)]


def test_the_time_left_counts_down_in_the_middle_of_a_large_part(clock: _Clock) -> None:
    """Four parts of 20 s: from the second on it is true within a factor of two, where it grew in every part."""
    pace = shown_as.Pace(0)
    for second in range(80):
        clock.now = float(second)
        said = pace.left(Progress("parts", second // 20, 4))
        if second >= 20:
            left = float(said.removeprefix("about ").removesuffix(" s left"))
            assert (80 - second) / 2 <= left <= 2 * (80 - second)


def test_the_whole_is_told_beside_what_is_being_done(capsys: pytest.CaptureFixture[str], clock: _Clock) -> None:
    """Parts have their weight; the share within the part that is going on counts, and a part is finished once."""
    told: list[Progress] = []
    whole = Whole(told.append, "the repair", {"a": 1.0, "b": 3.0})
    part = whole.part("b", "cell 2 of 2 (realigned)", "answers")
    part(Progress("trying the judge", 40, 40))
    part(Progress("answers", 50, 100))
    whole.finished("b")
    whole.finished("b")
    assert [p.done for p in told] == [0, 0, 0, 38, 75, 75]
    assert told[3].detail == "cell 2 of 2 (realigned), answers 50 of 100"
    with shown_as.shown(enabled=True) as on_progress:
        clock.now = 6.0
        on_progress(told[3])
    assert _lines(capsys) == ["6 s: per cent of the repair 38 of 100, cell 2 of 2 (realigned), answers 50 of 100"]


def test_stages_that_come_one_after_another_are_told_as_one_whole() -> None:
    """Each moves the whole by its weight; what is none of the parts is said and moves nothing."""
    told: list[Progress] = []
    tell = Whole(told.append, "the search", {"asking base": 1.0, "reading": 3.0}).by_stage()
    for stage, done, total in (("opening", 0, 0), ("asking base", 5, 10), ("asking base", 10, 10), ("reading", 1, 2)):
        tell(Progress(stage, done, total))
    tell(Progress("reading", 2, 2))
    assert [p.done for p in told] == [0, 0, 12, 25, 62, 100]
    assert told[4].detail == "reading 1 of 2"


def _seconds(text: str) -> float:
    """`about 1.5 min left` -> 90."""
    number, unit = text.removeprefix("about ").removesuffix(" left").split(" ")
    return float(number) * {"s": 1, "min": 60, "h": 3600}[unit]


SCHEDULES = {
    "steady": [1.0] * 80,
    "slowing": [0.5 + 1.5 * n / 80 for n in range(80)],
    "speeding up": [2.0 - 1.5 * n / 80 for n in range(80)],
    "a slow start": [8.0] + [1.0] * 79,
    "bursts of four": [0.05 if n % 4 else 4.0 for n in range(80)],
    "bursts of four, the pause behind": [4.0 if n % 4 == 3 else 0.05 for n in range(80)],
    "noisy": [0.2 + (n * 7919 % 10) / 5 for n in range(80)],
}
"""Seconds that each step takes."""


@pytest.mark.parametrize("name", SCHEDULES)
def test_after_the_first_quarter_the_time_left_is_true_within_a_factor_of_two(name: str, clock: _Clock) -> None:
    """Whenever a line can be printed, in the middle of a step too; the last seconds, where nothing can be, aside."""
    steps, whole = SCHEDULES[name], sum(SCHEDULES[name])
    pace, at, said = shown_as.Pace(0), 0.0, 0
    for done, seconds in enumerate(steps):
        for part in range(4):
            clock.now = at + seconds * part / 4
            words, left = pace.left(Progress("steps", done, len(steps))), whole - clock.now
            if clock.now >= whole / 4 and left > whole / 10:
                assert words, (done, left)
                assert left / 2 <= _seconds(words) <= 2 * left, (done, left, words)
                said += 1
        at += seconds
    assert said > 30


def test_answers_made_side_by_side_are_not_taken_for_as_slow_as_the_first(clock: _Clock) -> None:
    """Two batches of 48, each one's first answer after 20 s, the others within 40 s: half an hour was said."""
    batch = [20 + 40 * n / 47 for n in range(48)]
    ends = [*batch, *(60 + end for end in batch)]
    pace, said = shown_as.Pace(0), 0
    for done, at in enumerate(ends):
        clock.now = at - 0.01
        words = pace.left(Progress("answers", done, len(ends)))
        clock.now = at
        words = words and pace.left(Progress("answers", done + 1, len(ends)))
        if words:
            assert _seconds(words) <= 2.2 * (ends[-1] - at) + 2, (done, words)
            said += 1
    assert said > 60


@pytest.mark.parametrize(("terminal", "bars"), [("dumb", False), ("unknown", False), ("xterm", True)])
def test_a_dumb_terminal_gets_lines(terminal: str, bars: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars that nobody can draw over would show nothing until the end."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", terminal)
    assert shown_as.lively() is bars
