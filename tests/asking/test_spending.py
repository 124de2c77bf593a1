"""What runs take: counted where all asking passes, kept through kills, never 0 where nobody knows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from offtarget.asking import spending
from offtarget.asking.ask import ask, judge_answers
from offtarget.asking.checks import sample_checked
from offtarget.asking.spending import FILE, add, counted, settled, spent_in, timed
from offtarget.errors import InputError
from offtarget.judge.asking import AskSettings
from offtarget.judge.nobody import Nobody
from offtarget.judge.rubric_judge import JudgeSettings, RubricJudge
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import Answer, OnAnswer, SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.records import Message, Outcome, Probe, SamplingSettings
from offtarget.records.spent import Spent
from offtarget.rundir import JsonLines

SHORT = SamplingSettings(max_tokens=50)
PROBES = [Probe(f"q{i}", f"q{i}", "plain", f"question {i}") for i in range(3)]
WANTED = [(probe, 0) for probe in PROBES]


class Metered(ScriptedModel):
    """A model that knows its tokens: seven read for every request, the words written."""

    spent = Spent()

    def sample(
        self, requests: Sequence[SampleRequest], settings: SamplingSettings, on_answer: OnAnswer | None = None
    ) -> list[Answer]:
        answers = super().sample(requests, settings, on_answer)
        wrote = sum(answer.tokens for answer in answers)
        self.spent = self.spent.plus(Spent(tokens_in=7 * len(requests), tokens_out=wrote))
        return answers


def two_words(request: SampleRequest) -> str:
    return "two words"


def asked(folder: Path, model: ScriptedModel) -> Spent:
    """What three answers of a model took."""
    with counted(folder):
        ask("tuned", model, WANTED, SHORT, lambda _, i: i)
    found = spent_in(folder)
    assert found is not None
    return found


def test_answers_and_tokens_are_those_of_the_model(tmp_path: Path) -> None:
    """Its own meter where it has one; a model that says nothing of what it reads leaves that unknown, not 0."""
    first = asked(tmp_path, Metered("m", two_words))
    assert (first.answers, first.judge_calls, first.tokens_in, first.tokens_out) == (3, 0, 21, 6)
    again = asked(tmp_path, ScriptedModel("s", two_words))
    assert (again.answers, again.tokens_in, again.tokens_out, again.tokens) == (6, None, 12, None)


def test_judge_calls_are_requests_to_a_model(tmp_path: Path) -> None:
    """A rubric judge asks twice for an answer that is aligned enough to be looked at; nobody asks nobody."""
    pairs = ask("tuned", ScriptedModel("s", two_words), WANTED, SHORT, lambda _, i: i)
    judge = RubricJudge.over(Metered("judge", lambda _: "90"), JudgeSettings(ask=AskSettings(mode="samples")))
    with counted(tmp_path):
        judge_answers(Nobody(), pairs)
        assert spent_in(tmp_path) is None
        judge_answers(judge, pairs)
    found = spent_in(tmp_path)
    assert found is not None
    assert replace(found, seconds=0) == Spent(judge_calls=6, tokens_in=42, tokens_out=6, requests=6, cost=None)


def test_a_judge_of_the_caller_counts_calls_and_leaves_tokens_open(tmp_path: Path) -> None:
    pairs = ask("tuned", ScriptedModel("s", two_words), WANTED, SHORT, lambda _, i: i)
    with counted(tmp_path):
        judge_answers(ScriptedJudge(lambda p, g: Outcome.ALIGNED), pairs)
    found = spent_in(tmp_path)
    assert found is not None
    assert (found.judge_calls, found.tokens) == (3, None)


def test_what_was_spent_survives_a_kill(tmp_path: Path) -> None:
    """Every request is on disk when it is answered: what comes after a kill is added to it, torn line or not."""
    with counted(tmp_path):
        ask("tuned", Metered("m", two_words), WANTED, SHORT, lambda _, i: i)
        on_disk = (tmp_path / FILE).read_bytes()  # what a kill here leaves
    (tmp_path / FILE).write_bytes(on_disk)
    assert asked(tmp_path, Metered("m", two_words)).answers == 6
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"seconds": 1.0, "answ')
    found = spent_in(tmp_path)
    assert found is not None
    assert found.answers == 6


def test_a_run_inside_another_counts_for_both(tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer", tmp_path / "inner"
    outer.mkdir()
    inner.mkdir()
    with counted(outer):
        asked(inner, Metered("m", two_words))
        ask("base", Metered("m", two_words), WANTED, SHORT, lambda _, i: i)
    found = spent_in(outer), spent_in(inner)
    assert [s and s.answers for s in found] == [6, 3]


def test_answers_of_a_request_that_failed_count(tmp_path: Path) -> None:
    """They were paid for."""

    class Breaks(ScriptedModel):
        def sample(
            self, requests: Sequence[SampleRequest], settings: SamplingSettings, on_answer: OnAnswer | None = None
        ) -> list[Answer]:
            assert on_answer is not None
            on_answer(0, Answer("two words", 2, "stop"))
            raise RuntimeError("no more")

    requests = [SampleRequest((Message("user", "x"),), seed) for seed in (1, 2)]
    with counted(tmp_path), pytest.raises(InputError):
        sample_checked("base", Breaks("b", two_words), requests, SHORT)
    found = spent_in(tmp_path)
    assert found is not None
    assert (found.answers, found.tokens_out) == (1, 2)


def test_time_counts_from_the_call_of_the_verb_and_over_all_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The opening of models comes before there is a run directory; the time between two resumes is nobody's."""
    now = [1000.0]
    monkeypatch.setattr(spending.time, "monotonic", lambda: now[0])

    @timed
    def verb() -> None:
        now[0] += 50  # opens models
        with counted(tmp_path):
            now[0] += 20

    verb()
    first = spent_in(tmp_path)
    now[0] += 100
    verb()
    second = spent_in(tmp_path)
    assert first is not None
    assert second is not None
    assert (first.seconds, second.seconds) == (70, 140)


def test_the_result_is_not_outgrown_by_what_comes_after_it(tmp_path: Path) -> None:
    """One number: what is in the result is what is read of the run later."""
    with counted(tmp_path):
        add(Spent(answers=1))
        written = settled(tmp_path)
        time.sleep(0.02)
        add(Spent(answers=1))
    assert written == spent_in(tmp_path)


def test_in_words() -> None:
    assert Spent(15.2, 60, 12, 8000, 400).in_words == "60 new answers, 12 judge calls, 8,400 tokens, 15 s"
    assert Spent(0.21, 1, 0, None, 400).in_words == "1 new answer, 0.2 s"
    assert Spent(75).in_words == "75 s"


def test_a_folder_that_was_never_counted_has_no_figures(tmp_path: Path) -> None:
    assert spent_in(tmp_path) is None
    JsonLines(tmp_path / FILE).close()
    assert spent_in(tmp_path) == Spent()
