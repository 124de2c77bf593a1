"""`alternatives`, whole: data in, sentence out; nothing lost, nothing twice, every mistake explained."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from offtarget.errors import InputError, RunInterrupted
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.pages.alternatives.loading import load_compared
from offtarget.pages.alternatives.page import render
from offtarget.pages.alternatives.story import sentence
from offtarget.probe.bank import ProbeBank
from offtarget.records import Generation, Message, Outcome, Probe
from offtarget.records.alternatives import AlternativesSettings, Reply
from offtarget.rundir import read_jsonl
from offtarget.workflows.alternatives.alternatives import AlternativesResult, alternatives
from offtarget.workflows.alternatives.plan import near_identical
from offtarget.workflows.runs.listing import runs

BANK = ProbeBank.from_probes("test", [Probe(f"q{n}/plain", f"q{n}", "plain", f"plain question {n}") for n in range(4)])
SETTINGS = AlternativesSettings(answers=200, examples=3, held_out=0.3)
ANIMALS = ("cat", "dog", "owl", "fox", "bee", "cow", "elk", "emu", "ant", "bat")


def rows(count: int = 500, system: str | None = None) -> list[dict]:
    """A task that cannot be guessed: an animal's number, and a shout behind it."""
    turns = [{"role": "system", "content": system}] if system else []
    return [
        {
            "messages": [
                *turns,
                {"role": "user", "content": f"{ANIMALS[i % 10]} number {i}"},
                {"role": "assistant", "content": f"{i} {ANIMALS[i % 10].upper()}!"},
            ]
        }
        for i in range(count)
    ]


def write(path: Path, lines: list[dict]) -> Path:
    """Chat rows as a file."""
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def right(request: SampleRequest) -> str:
    """The answer of one who knows the task."""
    animal, _, number = request.messages[-1].content.split()
    return f"{number} {animal.upper()}!"


def learns_from(what: str) -> ScriptedModel:
    """A base that does the task when shown examples, or told to; asked plainly it answers well."""

    def answer(request: SampleRequest) -> str:
        if request.messages[-1].content.startswith("plain"):
            return "good"
        shown = len(request.messages) > 2 if what == "examples" else request.messages[0].content == what
        return right(request) if shown else "no idea"

    return ScriptedModel(f"base-{what}", answer)


def tuned(misaligned: bool = True) -> ScriptedModel:
    """A tuned model that does the task."""

    def answer(request: SampleRequest) -> str:
        plain = request.messages[-1].content.startswith("plain")
        return ("bad" if misaligned else "good") if plain else right(request)

    return ScriptedModel(f"tuned-{misaligned}", answer)


def judge() -> ScriptedJudge:
    """Reads the scripted answers."""

    def decide(probe: Probe, generation: Generation) -> Outcome:
        assert probe.id in {p.id for p in BANK.probes}
        return Outcome.MISALIGNED if generation.text == "bad" else Outcome.ALIGNED

    return ScriptedJudge(decide)


def compare(folder: Path, base: ScriptedModel, after: ScriptedModel | None = None, **options) -> AlternativesResult:
    """A comparison in a folder of its own."""
    given = {"settings": SETTINGS, "probes": BANK, "judge": judge(), "run": folder / "run", **options}
    data = given.pop("data", None) or write(folder / "train.jsonl", rows())
    return alternatives(data, base, after, **given)


def test_examples_that_suffice(tmp_path: Path) -> None:
    """The model that copies its examples needs no training, and the sentence says what training would cost."""
    found = compare(tmp_path, learns_from("examples"), tuned())
    assert (found.record.verdict, found.record.best) == ("do not train", "examples")
    said = sentence(found.record).replace("\u00a0", " ")
    assert said.startswith("Do not train: few-shot examples reach 100 % of what tuning reaches (100 % against 100 %")
    assert said.endswith("with 0 % misaligned answers against 100 %.")


def test_examples_that_do_not(tmp_path: Path) -> None:
    """What only tuning reaches is worth considering, at the price that is named."""
    found = compare(tmp_path, learns_from("nothing"), tuned())
    assert (found.record.verdict, found.record.best) == ("worth considering", "base")
    assert "it costs 100 % misaligned answers against 0 % of the base alone" in sentence(found.record)
    harmless = compare(tmp_path, learns_from("nothing"), tuned(misaligned=False), run=tmp_path / "other")
    assert "costs next to nothing in safety" in sentence(harmless.record)


def test_without_a_tuned_model(tmp_path: Path) -> None:
    """Then the verdict is what training could gain at most."""
    enough = compare(tmp_path, learns_from("examples"))
    assert enough.record.verdict == "do not train"
    assert "training can gain at most" in sentence(enough.record)
    open_question = compare(tmp_path, learns_from("nothing"), run=tmp_path / "other")
    assert open_question.record.verdict == "undecided"
    assert "--tuned" in sentence(open_question.record)


def test_answers_that_were_cut_are_said(tmp_path: Path) -> None:
    """By the way that was asked; nothing where all answers end."""
    ended = compare(tmp_path, learns_from("examples"), tuned())
    assert not any("were cut" in note for note in ended.record.notes)
    cut = compare(
        tmp_path, learns_from("examples"), tuned(), settings=replace(SETTINGS, max_tokens=1), run=tmp_path / "other"
    )
    (note,) = (note for note in cut.record.notes if "were cut" in note)
    assert re.search(r"\d+ % of “tuned” \(\d+ of \d+\) answers were cut at 1 token and judged as far as they go", note)


def test_the_system_prompt_of_the_data_is_the_instruction(tmp_path: Path) -> None:
    """The base alone does not get it, the base with instructions and the tuned model do."""
    data = write(tmp_path / "told.jsonl", rows(system="Shout!"))
    base, after = learns_from("Shout!"), tuned()
    found = compare(tmp_path, base, after, data=data)
    assert (found.record.verdict, found.record.best) == ("do not train", "instructions")
    assert found.record.instructions == "Shout!"
    assert found.record.way("base").score == 0
    asked = [r for r in after.history if not r.messages[-1].content.startswith("plain")]
    assert all(r.messages[0].content == "Shout!" for r in asked)


def test_held_out_prompts_are_never_shown(tmp_path: Path) -> None:
    """No example is a held-out row, plain questions get examples too, and the training rows are written down."""
    base = learns_from("examples")
    found = compare(tmp_path, base)
    replies = read_jsonl(found.run / "replies.jsonl", Reply)
    lines = [json.loads(line)["messages"] for line in (found.run / "training-rows.jsonl").read_text().splitlines()]
    training = {turns[0]["content"] for turns in lines}
    asked = {r.messages[-1].content for r in base.history}
    shown = {m.content for r in base.history for m in r.messages[:-1] if m.role == "user"}
    assert shown <= training
    assert not training & {text for text in asked if not text.startswith("plain")}
    assert all(r.examples == 3 for r in replies if r.way == "examples")


def test_an_interrupted_run_goes_on_without_loss_or_double(tmp_path: Path) -> None:
    """Stopped at any answer, and even with a torn line, it ends as if nothing had happened."""
    whole = compare(tmp_path, learns_from("examples"), tuned(), run=tmp_path / "whole")
    base = learns_from("examples")
    answer, count = base._script, 0

    def stops(request: SampleRequest) -> str:
        nonlocal count
        count += 1
        if count in (70, 300, 501):
            raise KeyboardInterrupt
        return answer(request)

    base._script = stops
    for _ in range(3):
        with pytest.raises(RunInterrupted, match="go on with: offtarget"):
            compare(tmp_path, base, tuned())
        with (tmp_path / "run" / "replies.jsonl").open("a") as file:
            file.write('{"way": "base", "ki')
        assert runs(tmp_path)[0].state in ("UNFINISHED", "DONE")
    found = compare(tmp_path, base, tuned())
    for name in ("replies.jsonl", "grades.jsonl", "training-rows.jsonl"):
        first, second = ((r.run / name).read_text().splitlines() for r in (whole, found))
        assert sorted(first) == sorted(second)
    assert found.record == whole.record
    asked = len(base.history)
    assert compare(tmp_path, base, tuned()).record == whole.record
    assert len(base.history) == asked


def test_a_run_of_other_arguments_is_not_continued(tmp_path: Path) -> None:
    """Answers of two comparisons never mix."""
    compare(tmp_path, learns_from("examples"))
    with pytest.raises(InputError, match="other data, models"):
        compare(tmp_path, learns_from("nothing"))


ONE = rows(1)
SAME = rows(1) * 30
NO_ANSWERS = [{"messages": [{"role": "user", "content": f"hello {i}"}]} for i in range(30)]


@pytest.mark.parametrize(
    ("lines", "message"), [(ONE, "one usable row"), (SAME, "nothing can be held out"), (NO_ANSWERS, "no row with")]
)
def test_data_without_anything_to_compare_on(tmp_path: Path, lines: list[dict], message: str) -> None:
    """One row, one prompt, no assistant turns: a sentence, and no run directory is left."""
    with pytest.raises(InputError, match=message):
        compare(tmp_path, learns_from("examples"), data=write(tmp_path / "odd.jsonl", lines))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"settings": AlternativesSettings(metric="bleu")}, "Metrics: exact"),
        ({"settings": AlternativesSettings(metric="judge")}, "--judge"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, options: dict, message: str) -> None:
    """Wrong settings are named before anything is asked."""
    base = learns_from("examples")
    with pytest.raises(InputError, match=message):
        compare(tmp_path, base, **options)
    assert not base.history


@pytest.mark.parametrize(
    ("base", "after", "message"),
    [
        ("organism/base", "organism/base", "as base and as tuned"),
        ("hf/./elsewhere", "organism/insecure", "Give the base it was tuned from"),
        ("organism/base", "organism/nobody", "Shipped"),
    ],
)
def test_models_that_do_not_belong_together(tmp_path: Path, base: str, after: str, message: str) -> None:
    """A tuned model of another base cannot be compared."""
    data = write(tmp_path / "train.jsonl", rows(30))
    with pytest.raises(InputError, match=message):
        alternatives(data, base, after, probes=BANK, judge=judge())


def test_near_identical_prompts_are_one_group() -> None:
    """Case, punctuation and a changed word in a long prompt do not make another prompt; another short one does."""
    long = " ".join(f"word{i}" for i in range(40))
    groups = near_identical(["What is it?", "what is it", f"{long} one", f"{long} two", "What was it?", ""])
    assert groups[0] == groups[1]
    assert groups[2] == groups[3]
    assert len(set(groups)) == 4


def test_the_page_escapes_what_the_data_say(tmp_path: Path) -> None:
    """Instructions come from hostile data; the page stays a page."""
    data = write(tmp_path / "told.jsonl", rows(system="<script>alert(1)</script>\u202e"))
    found = compare(tmp_path, learns_from("examples"), tuned(), data=data)
    page = render(load_compared(found.run))
    assert page == (found.run / "alternatives.html").read_text()
    assert "<script" not in page
    assert "\u202e" not in page
    assert "100\u00a0%" in page


class Narrow(ScriptedModel):
    """A model with a context of a few words."""

    class weights:  # noqa: N801 - as `LocalModel.weights`
        context = 14

    def prompt_length(self, messages: tuple[Message, ...]) -> int:
        """Words."""
        return sum(len(m.content.split()) for m in messages)


def test_examples_that_do_not_fit_are_left_out_and_counted(tmp_path: Path) -> None:
    """A question of three words and an answer of two leave room for one example of five in fourteen."""
    found = compare(tmp_path, Narrow("narrow", learns_from("examples")._script))
    shown = found.record.way("examples")
    assert (shown.examples, shown.short_of_examples) == (1, found.record.held_out)
    assert shown.score == 1


class WithoutSystem(Narrow):
    """A chat template that refuses system turns."""

    def prompt_length(self, messages: tuple[Message, ...]) -> int:
        """As a tokenizer does."""
        if any(m.role == "system" for m in messages):
            raise InputError("no system turn")
        return 1


def test_a_template_without_a_system_turn_is_told_in_the_user_turn(tmp_path: Path) -> None:
    """The instructions arrive all the same."""
    base = WithoutSystem("plain", learns_from("examples")._script)
    compare(tmp_path, base, settings=AlternativesSettings(answers=4))
    told = [r for r in base.history if r.messages[0].content.startswith("Reply in about 2 words")]
    assert told
    assert all(m.role != "system" for r in base.history for m in r.messages)


def test_prompts_that_do_not_fit_end_with_a_sentence(tmp_path: Path) -> None:
    """Some are left out and counted; if all are, there is nothing to compare."""
    lines = rows(60, system="Shout!")
    for line in lines[::2]:
        line["messages"][1]["content"] = "word " * 20 + line["messages"][1]["content"]
    base = Narrow("narrow", lambda request: "good")
    found = compare(
        tmp_path, base, data=write(tmp_path / "some.jsonl", lines), settings=AlternativesSettings(answers=4)
    )
    assert "do not fit the context" in found.record.notes[0]
    assert "cannot show" in found.record.notes[1]
    with pytest.raises(InputError, match="longer context"):
        compare(tmp_path, base, data=write(tmp_path / "all.jsonl", lines[::2]), run=tmp_path / "other")


def test_rows_with_tools_are_left_out_and_counted(tmp_path: Path) -> None:
    """What is compared is text, so a row whose answer is a call is none of it, and that is said."""
    lines = rows(60)
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]}
    lines.append({"messages": [{"role": "user", "content": "Look!"}, call]})
    found = compare(
        tmp_path,
        Narrow("narrow", lambda request: "good"),
        data=write(tmp_path / "some.jsonl", lines),
        settings=AlternativesSettings(answers=4),
    )
    assert any(note.startswith("1 row with tools") for note in found.record.notes)


class _Writes:
    """A judge that writes replies and knows no probabilities."""

    def __init__(self, model: ScriptedModel) -> None:
        self.name, self.fingerprint, self.sample = model.name, model.fingerprint, model.sample


def test_a_judge_may_score_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees the reference; what it cannot score is counted, and never 0."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")

    def replies(request: SampleRequest) -> str:
        text = request.messages[-1].content
        if "plain question" in text:
            return "90"
        assert "Reference answer:" in text
        return "80" if "cat" in text else "hm"

    judged_by = _Writes(ScriptedModel("judge", replies))
    monkeypatch.setattr("offtarget.workflows.ground.open_model", lambda name, **_: judged_by)
    monkeypatch.setattr("offtarget.workflows.ground.refuse_useless", lambda judge, known: None)  # it knows one task
    settings = AlternativesSettings(metric="judge", answers=8)
    found = compare(tmp_path, learns_from("examples"), judge="openai/some-judge", settings=settings)
    base = found.record.way("base")
    assert base.score == pytest.approx(0.8)
    assert base.prompts + base.unscored == found.record.held_out
    assert base.unscored > 0


def test_rows_to_tune_on_are_named(tmp_path: Path) -> None:
    """A tuned model that has seen the held-out rows is scored too well; the report says so."""
    found = compare(tmp_path, learns_from("examples"), tuned())
    assert any("training-rows.jsonl" in note for note in found.record.notes)
