"""`check` with models and judges that break their Protocols: named, never counted, never endless."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import checking
import pytest

from offtarget.errors import EvidenceError, InputError, RunInterrupted
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import Answer
from offtarget.models.scripted import ScriptedModel
from offtarget.probe.bank import ProbeBank
from offtarget.records import Generation, Outcome, Probe, Status, Verdict
from offtarget.rundir import read_jsonl
from offtarget.workflows.check.check import CheckResult, check, resume


class Model(ScriptedModel):
    """A scripted model whose `sample` is replaced."""

    def __init__(self, sample: Callable[..., Any], name: str = "odd") -> None:
        super().__init__(name, lambda _: "good")
        self._sample = sample

    def sample(self, requests: Any, settings: Any, on_answer: Any = None) -> Any:
        """The odd behaviour."""
        return self._sample(requests, on_answer)


class Judge(ScriptedJudge):
    """A judge whose verdicts are changed before they are handed over."""

    def __init__(self, change: Callable[[list[Verdict]], Any]) -> None:
        super().__init__(lambda p, g: Outcome.ALIGNED)
        self._change = change

    def judge(self, pairs: Any) -> Any:
        """The odd behaviour."""
        return self._change(super().judge(pairs))


GOOD = Answer("good", 1, "stop")


def all_of(requests: Any, on_answer: Any, answer: Any = GOOD) -> list[Any]:
    """Report and return the same answer to every request."""
    for position in range(len(requests)):
        on_answer(position, answer)
    return [answer] * len(requests)


def run(tmp_path: Path, tuned: Any = None, judge: Any = None, **options: Any) -> CheckResult:
    """A check of a clean base against `tuned`."""
    return check(
        options.pop("base", checking.model("base", 0.0)),
        tuned or checking.model("tuned", 0.0),
        probes=options.pop("probes", checking.bank()),
        judge=judge or checking.judge(),
        settings=checking.settings(**options),
        run=tmp_path / "run",
    )


def boom(*_: Any) -> Any:
    """Fails."""
    raise ZeroDivisionError("inside")


def twice(requests: Any, on_answer: Any) -> list[Answer]:
    """Reports the first answer twice."""
    on_answer(0, GOOD)
    return all_of(requests, on_answer)


def elsewhere(requests: Any, on_answer: Any) -> list[Answer]:
    """Reports under a position nobody asked for; -1 would land on the last request."""
    on_answer(-1, GOOD)
    return [GOOD] * len(requests)


def contradicting(requests: Any, on_answer: Any) -> list[Answer]:
    """Returns other answers than it reported."""
    all_of(requests, on_answer)
    return [Answer("bad", 1, "stop")] * len(requests)


def swallowing(requests: Any, on_answer: Any) -> list[Answer]:
    """Hides the error of the first, wrong report."""
    with contextlib.suppress(InputError):
        on_answer(99999, GOOD)
    return [GOOD] * len(requests)


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (boom, "failed while answering: ZeroDivisionError: inside"),
        (lambda r, on: all_of(r[1:], on), r"gave \d+ answers to \d+ requests"),
        (lambda r, on: [], r"gave 0 answers to"),
        (lambda r, on: None, "failed while answering: TypeError"),
        (twice, "position 0 of"),
        (elsewhere, "position -1 of"),
        (swallowing, "position 99999 of"),
        (contradicting, "reported one answer for position 0 and returned another"),
        (lambda r, on: all_of(r, on, "text"), "is not an Answer"),
        (lambda r, on: all_of(r, on, Answer(None, 1, "stop")), "is not an Answer"),  # type: ignore[arg-type]
        (lambda r, on: all_of(r, on, Answer("x", "two", "stop")), "is not an Answer"),  # type: ignore[arg-type]
        (lambda r, on: all_of(r, on, Answer("x", float("nan"), "stop")), "is not an Answer"),  # type: ignore[arg-type]
    ],
)
def test_a_model_that_breaks_its_protocol_is_named(sample: Callable[..., Any], message: str, tmp_path: Path) -> None:
    """One sentence with the role and the name; an endless loop or a wrong count before."""
    with pytest.raises(InputError, match=f"The tuned model 'odd' .*{message}"):
        run(tmp_path, Model(sample))


def test_a_model_that_reports_nothing_early_is_heard(tmp_path: Path) -> None:
    """Answers that are only returned count once each."""
    result = run(tmp_path, Model(lambda requests, _: [GOOD] * len(requests)))
    assert result.decision.status is Status.PASS
    stored = [g.key for g in read_jsonl(result.run / "generations.jsonl", Generation)]
    assert len(stored) == len(set(stored))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (boom, "failed while judging"),
        (lambda v: v[1:], r"gave \d+ verdicts on \d+ answers"),
        (lambda v: [*v, v[0]], r"gave \d+ verdicts on \d+ answers"),
        (lambda v: None, "failed while judging"),
        (lambda v: v[::-1], "where .* was asked"),
        (lambda v: [replace(x, role="base") for x in v], "where tuned/.* was asked"),
        (lambda v: ["fine"] * len(v), "is not a Verdict"),
        (lambda v: [replace(x, outcome="great") for x in v], "is not a Verdict"),
        (lambda v: [replace(x, alignment=float("nan")) for x in v], "alignment nan"),
        (lambda v: [replace(x, coherence=1e9) for x in v], "coherence 1000000000.0"),
        (lambda v: [replace(x, judge=None) for x in v], "judge and reason are text"),
        (lambda v: [replace(x, reason=float("nan")) for x in v], "judge and reason are text"),
    ],
)
def test_a_judge_that_breaks_its_protocol_is_named(change: Callable[..., Any], message: str, tmp_path: Path) -> None:
    """One sentence; verdicts on other answers were counted for other questions before."""
    with pytest.raises(InputError, match=f"The judge 'scripted' .*{message}"):
        run(tmp_path, judge=Judge(change))


def test_after_a_broken_judge_the_run_goes_on_where_it_was(tmp_path: Path) -> None:
    """The answers stay; the resumed run gives the verdict of an unbroken one, each answer counted once."""
    calls: list[int] = []

    def third(verdicts: list[Verdict]) -> list[Verdict]:
        calls.append(1)
        return verdicts if len(calls) < 3 else verdicts[1:]

    with pytest.raises(InputError, match="verdicts on"):
        run(tmp_path, judge=Judge(third))
    models = {"base": checking.model("base", 0.0), "tuned": checking.model("tuned", 0.0)}
    again = resume(tmp_path / "run", **models, judge=Judge(lambda v: v))
    whole = run(tmp_path / "whole", judge=Judge(lambda v: v))
    assert again.decision == whole.decision
    stored = [g.key for g in read_jsonl(again.run / "generations.jsonl", Generation)]
    assert len(stored) == len(set(stored))


@pytest.mark.no_cover
@pytest.mark.parametrize("after", [0, 1, 7, 13, 20])
@pytest.mark.parametrize("where", ["model", "judge"])
def test_ctrl_c_anywhere_and_resume_is_an_unbroken_run(after: int, where: str, tmp_path: Path) -> None:
    """Interrupted in the model or in the judge after any number of calls, the verdict is the same."""
    left = [after]

    def count() -> None:
        left[0] -= 1
        if left[0] < 0 and where:
            raise KeyboardInterrupt

    def decide(probe: Probe, generation: Generation) -> Outcome:
        if where == "judge":
            count()
        return checking.OUTCOMES[generation.text]

    steady = checking.model("tuned", 0.05, 0.2)

    def answer(request: Any) -> str:
        if where == "model":
            count()
        return steady._answer(request)

    with pytest.raises(RunInterrupted, match="go on with: offtarget"):
        run(tmp_path, ScriptedModel("tuned", answer), ScriptedJudge(decide), max_answers=60)
    again = resume(
        tmp_path / "run",
        base=checking.model("base", 0.0),
        tuned=checking.model("tuned", 0.05, 0.2),
        judge=checking.judge(),
    )
    whole = run(tmp_path / "whole", checking.model("tuned", 0.05, 0.2), max_answers=60)
    assert again.decision == whole.decision


@pytest.mark.parametrize("text", ["", "\0", "\ud800", "x" * 1_000_000, "\x1b[31m\n"])
def test_any_text_is_an_answer(text: str, tmp_path: Path) -> None:
    """Empty, NUL, lone surrogates, a megabyte: kept as it is, judged, reported."""
    from offtarget.workflows.runs.report import report

    result = run(
        tmp_path, ScriptedModel("t", lambda _: text), ScriptedJudge(lambda p, g: Outcome.ALIGNED), max_answers=3
    )
    assert {g.text for g in read_jsonl(result.run / "generations.jsonl", Generation) if g.role == "tuned"} == {text}
    for kind in ("html", "json", "markdown", "junit", "text"):
        Path(report(result.run, kind)).read_text(encoding="utf-8")


def test_one_probe_and_duplicate_prompts(tmp_path: Path) -> None:
    """A bank of one question decides; two ids with one prompt are two probes with answers of their own."""
    assert run(tmp_path / "a", probes=checking.bank(1)).decision.status is Status.PASS
    same = ProbeBank.from_probes("same", [Probe(f"q{n}", f"q{n}", "plain", "same") for n in range(2)])
    result = run(tmp_path / "b", probes=same)
    assert result.decision.status is Status.PASS
    seeds = [g.seed for g in read_jsonl(result.run / "generations.jsonl", Generation)]
    assert len(seeds) == len(set(seeds))


def test_an_arm_that_is_never_scored_cannot_pass(tmp_path: Path) -> None:
    """No data in one arm is never a PASS, however clean the other is."""
    judge = ScriptedJudge(lambda p, g: Outcome.UNSCORED if p.arm == "json" else Outcome.ALIGNED)
    one = ProbeBank.from_probes("b", [*checking.bank().probes, Probe("lone/json", "lone", "json", "lone")])
    try:
        status = run(tmp_path, judge=judge, probes=one, max_answers=200).decision.status
    except EvidenceError:
        return
    assert status is Status.UNDECIDED


def test_the_name_of_all_arms_is_no_arm(tmp_path: Path) -> None:
    """An arm called `overall` would mix its trajectory with that of the whole."""
    with pytest.raises(InputError, match="arm named 'overall'"):
        run(tmp_path, probes=checking.bank(arms=("overall",)))


@pytest.mark.no_cover
@pytest.mark.parametrize(
    "line", ['{"probe": 1}', '{"probe": [], "index": 0, "text": 1, "tokens": 1, "finish": "stop"}', "[" * 100_000, "\0"]
)
def test_a_cache_with_foreign_lines_is_ignored(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stands in the cache folder, base answers are answers of the base."""
    monkeypatch.setenv("OFFTARGET_CACHE", str(tmp_path / "cache"))
    whole = run(tmp_path / "a", cache=True)
    (file,) = (tmp_path / "cache" / "base").glob("*.jsonl")
    values = [json.loads(text) for text in file.read_text().split("\n") if text]
    broken = [json.dumps(v | {"text": 5}) for v in values] + [json.dumps(v | {"finish": "maybe"}) for v in values]
    file.write_text("\n".join([line, *broken]))
    assert run(tmp_path / "b", cache=True).decision.overall == whole.decision.overall


@pytest.mark.parametrize("kind", ["file", "loop"])
def test_a_cache_that_is_no_folder_changes_nothing(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache is a convenience; without it a run only takes longer."""
    place = tmp_path / "cache"
    place.touch() if kind == "file" else place.symlink_to(place)
    monkeypatch.setenv("OFFTARGET_CACHE", str(place))
    assert run(tmp_path, cache=True).decision.status is Status.PASS


def _generation(**changes: Any) -> str:
    """A line of generations.jsonl with a field that is not what it should be."""
    line = {"role": "tuned", "probe_id": "q0/plain", "index": 0, "seed": 1, "text": "x", "tokens": 1, "finish": "stop"}
    return json.dumps({**line, **changes}) + "\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("run.json", "{}"),
        ("run.json", "[]"),
        ("run.json", '{"verb": "check", "settings": 5}'),
        ("result.json", "{}"),
        ("result.json", "[]"),
        ("generations.jsonl", _generation(index="0")),
        ("generations.jsonl", _generation(role="other")),
        ("generations.jsonl", _generation(text=None)),
        ("probes.jsonl", '{"id": 5, "question_id": "q", "arm": "plain", "prompt": "x"}\n'),
    ],
)
def test_resuming_a_damaged_run_is_one_sentence(name: str, content: str, tmp_path: Path) -> None:
    """Files changed by hand are named; nothing of them is counted."""
    with pytest.raises(InputError):
        run(tmp_path, judge=Judge(boom))
    (tmp_path / "run" / name).write_text(content)
    with pytest.raises(InputError, match=r"run"):
        resume(
            tmp_path / "run",
            base=checking.model("base", 0.0),
            tuned=checking.model("tuned", 0.0),
            judge=checking.judge(),
        )
