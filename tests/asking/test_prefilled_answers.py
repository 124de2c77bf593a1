"""Answers that are begun for a model: asked so, kept whole, and refused where a model could not go on with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from offtarget.asking.ask import ask
from offtarget.asking.cache import BaseCache
from offtarget.errors import InputError
from offtarget.models.chat import Answer, OnAnswer, SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.probe.bank import ProbeBank
from offtarget.probe.chatlines import chat_bank, chat_line
from offtarget.records import Probe, SamplingSettings
from offtarget.rundir import JsonLines, fingerprint, read_jsonl, to_jsonable

PLAIN = Probe("q", "q", "plain", "Tea?", opening=("Hello.",))
BEGUN = Probe("q", "q", "plain", "Tea?", opening=("Hello.",), prefill="Sure,")


class OwnModel:
    """A model of somebody's own, which knows nothing of beginnings."""

    name, fingerprint = "own", "own"

    def sample(
        self, requests: Sequence[SampleRequest], settings: SamplingSettings, on_answer: OnAnswer | None = None
    ) -> list[Answer]:
        return [Answer("Yes.", 1, "stop") for _ in requests]


def answer(text: str) -> str:
    model = ScriptedModel("m", lambda request: text if request.prefill else "Good day.")
    ((_, generation),) = ask("tuned", model, [(BEGUN, 0)], SamplingSettings(), lambda *_: 1)
    assert [request.prefill for request in model.history] == ["", "Sure,"]  # not the opening turns
    return generation.text


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (" I like it.", "Sure, I like it."),
        ("I like it.", "Sure, I like it."),
        ("\nYes", "Sure,\nYes"),
        ("", ""),
        (" ", " "),
    ],
)
def test_an_answer_is_kept_with_its_beginning_and_one_that_does_not_go_on_is_empty(said: str, kept: str) -> None:
    assert answer(said) == kept


def test_a_model_that_could_not_go_on_is_not_asked() -> None:
    """It would ignore the beginning, and the answer would be taken for one that goes on from it."""
    assert ask("base", OwnModel(), [(PLAIN, 0)], SamplingSettings(), lambda *_: 1)
    with pytest.raises(InputError, match=r"The base model 'own' cannot be made to go on with an answer that is begun"):
        ask("base", OwnModel(), [(BEGUN, 0)], SamplingSettings(), lambda *_: 1)


def test_without_a_beginning_nothing_is_written_of_it(tmp_path: Path) -> None:
    """Records and fingerprints of questions from before are what they were."""
    written = to_jsonable(PLAIN)
    assert "prefill" not in written
    assert fingerprint(PLAIN) == fingerprint(written)
    assert to_jsonable(BEGUN) == {**written, "prefill": "Sure,"}
    lines = JsonLines(tmp_path / "probes.jsonl")
    lines.extend([PLAIN, BEGUN])
    lines.close()
    assert read_jsonl(tmp_path / "probes.jsonl", Probe) == [PLAIN, BEGUN]


def test_two_questions_that_differ_in_the_beginning_are_two(tmp_path: Path) -> None:
    banks = [ProbeBank.from_probes("b", [probe]).fingerprint for probe in (PLAIN, BEGUN)]
    assert banks[0] != banks[1]
    cache = BaseCache("m", SamplingSettings(), 0, root=tmp_path)
    model = ScriptedModel("m", lambda _: "Good day.")
    cache.put(ask("base", model, [(PLAIN, 0)], SamplingSettings(), lambda *_: 1))
    assert cache.holds(PLAIN, 0)
    assert not cache.holds(BEGUN, 0)


def test_a_beginning_goes_into_the_file_of_found_conversations_and_comes_out_again(tmp_path: Path) -> None:
    file = tmp_path / "found.jsonl"
    file.write_text(chat_line(PLAIN) + chat_line(BEGUN).replace('"id": "q"', '"id": "other"'))
    plain, begun = chat_bank(file).probes
    assert (plain.prefill, begun.prefill) == ("", "Sure,")
    assert begun.opening == ("Hello.",)


@pytest.mark.parametrize("prefill", [5, None, "Other", ""])
def test_an_answer_at_the_end_that_is_not_said_to_be_a_beginning_is_an_answer(tmp_path: Path, prefill: object) -> None:
    """Chats with answers in them are not asked."""
    row = json.loads(chat_line(BEGUN))
    row["metadata"]["prefill"] = prefill
    file = tmp_path / "found.jsonl"
    file.write_text(json.dumps(row) + "\n" + chat_line(replace(PLAIN, id="other/plain/0")))
    bank = chat_bank(file)
    assert [probe.prefill for probe in bank.probes] == [""]
    assert [name for name, _ in bank.skipped] == ["q"]
