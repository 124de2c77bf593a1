"""Asking and judging: conversations, streams, what is kept, and what is asked again."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from offtarget.asking.ask import JUDGED_TOGETHER, ask, judge_answers, kept_verdicts, tallies_by_probe
from offtarget.asking.seeds import answer_seed
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import ChatModel, SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.progress import Count, Progress
from offtarget.records import Generation, Outcome, Probe, SamplingSettings, Tally, Verdict

SHORT = SamplingSettings(max_tokens=50)
PROBES = [Probe(f"q{i}", f"q{i}", "plain", f"question {i}") for i in range(5)]
SEED_OF = partial(answer_seed, 7, "tuned")


def _echo(request: SampleRequest) -> str:
    return f"{request.messages[-1].content}/{request.seed}"


def _judge() -> ScriptedJudge:
    return ScriptedJudge(lambda p, g: Outcome.ALIGNED)


def test_opening_turns_are_answered_by_the_model_from_streams_of_their_own() -> None:
    """A probe of two opening turns beside one of none: each turn sees the model's own answers before it."""
    model = ScriptedModel("m", _echo)
    long = Probe("c", "c", "cue", "last", system="be kind", opening=("first", "second"))
    (_, plain), (_, answer) = ask("tuned", model, [(PROBES[0], 0), (long, 3)], SHORT, SEED_OF)
    seeds = [SEED_OF(name, 3) for name in ("c#opening-0", "c#opening-1", "c")]
    assert answer.opening == (f"first/{seeds[0]}", f"second/{seeds[1]}")
    assert (answer.text, answer.seed, answer.index) == (f"last/{seeds[2]}", seeds[2], 3)
    assert plain.opening == ()
    asked = next(r for r in model.history if r.messages[-1].content == "last")
    said = [m.content for m in asked.messages]
    assert said == ["be kind", "first", answer.opening[0], "second", answer.opening[1], "last"]


def test_every_answer_is_kept_before_it_is_told_of() -> None:
    kept: list[Generation] = []
    seen: list[tuple[int, int]] = []

    def tell(progress: Progress) -> None:
        seen.append((progress.done, len(kept)))

    count = Count(tell, "answers", len(PROBES))
    pairs = ask(
        "tuned", ScriptedModel("m", _echo), [(p, 0) for p in PROBES], SHORT, SEED_OF, keep=kept.append, told=count
    )
    assert seen == [(n, n) for n in range(1, 6)]
    assert [answer for _, answer in pairs] == kept


def test_nothing_wanted_asks_nobody() -> None:
    model, judge = ScriptedModel("m", _echo), _judge()
    assert judge_answers(judge, ask("tuned", model, [], SHORT, SEED_OF)) == []
    assert not model.history
    assert not judge.calls


def test_a_slow_judge_is_given_a_part_at_a_time() -> None:
    answers = [(PROBES[0], Generation("tuned", "q0", i, 0, "a", 1, "stop")) for i in range(2 * JUDGED_TOGETHER + 1)]
    parts: list[list[Verdict]] = []
    assert judge_answers(_judge(), answers, keep=parts.append) == [verdict for part in parts for verdict in part]
    assert [len(part) for part in parts] == [JUDGED_TOGETHER, JUDGED_TOGETHER, 1]


def test_tallies_come_in_the_order_of_the_probes() -> None:
    found = tallies_by_probe([("b", Outcome.ALIGNED), ("a", Outcome.CODE), ("b", Outcome.MISALIGNED)])
    assert list(found.items()) == [("b", Tally(aligned=1, misaligned=1)), ("a", Tally(code=1))]


@pytest.mark.parametrize(("answers", "verdicts"), [(0, 0), (7, 0), (7, 5), (10, 5), (10, 10)])
def test_what_lies_in_the_folder_is_not_asked_or_judged_again(tmp_path: Path, answers: int, verdicts: int) -> None:
    """Cut short anywhere, it ends with the files of one that was left alone; the model is opened only where needed."""
    wanted = [(probe, index) for probe in PROBES for index in range(2)]
    names = ("generations.jsonl", "verdicts.jsonl")
    whole = kept_verdicts(tmp_path / "a", "tuned", lambda: ScriptedModel("m", _echo), wanted, _judge(), SHORT, SEED_OF)
    (tmp_path / "b").mkdir()
    for name, count in zip(names, (answers, verdicts), strict=True):
        lines = (tmp_path / "a" / name).read_bytes().splitlines(keepends=True)
        (tmp_path / "b" / name).write_bytes(b"".join(lines[:count]))
    model, judge, opened = ScriptedModel("m", _echo), _judge(), list[int]()

    def opens() -> ChatModel:
        opened.append(1)
        return model

    again = kept_verdicts(tmp_path / "b", "tuned", opens, wanted, judge, SHORT, SEED_OF)
    assert again == whole
    assert (len(model.history), len(judge.calls)) == (10 - answers, 10 - verdicts)
    assert len(opened) == (answers < 10)
    for name in names:
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()
