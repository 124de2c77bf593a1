"""The shipped everyday bank: broad, in three formats, in our own words; its system prompts reach a model."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from pathlib import Path

import pytest

from offtarget.asking.seeds import answer_seed
from offtarget.models import Answer, ChatModel, OnAnswer, SampleRequest, SamplingSettings
from offtarget.probe.reading import load_bank, read_probes

BANK = load_bank("everyday")
PUBLISHED = Path(__file__).parents[2] / "../shared/data/questions"


class Recorder:
    """A chat model that keeps what it was sent."""

    name = fingerprint = "recorder"

    def __init__(self) -> None:
        self.sent: list[SampleRequest] = []

    def sample(
        self, requests: Sequence[SampleRequest], settings: SamplingSettings, on_answer: OnAnswer | None = None
    ) -> list[Answer]:
        self.sent += requests
        return [Answer("ok", 1, "stop") for _ in requests]


def test_size_and_breadth() -> None:
    """At least 60 questions, at least 12 domains of at least 4 questions, at least 180 probes."""
    assert len(BANK.question_ids) >= 60
    per_domain = Counter({d: len(BANK.only(domains=[d]).question_ids) for d in BANK.domains})
    assert len(per_domain) >= 12
    assert min(per_domain.values()) >= 4
    assert len(BANK) >= 180
    assert len({p.construct for p in BANK.probes}) >= 8


def test_the_documented_numbers_are_the_banks() -> None:
    """docs/probes.md states the bank's size; it may not drift."""
    page = (Path(__file__).parents[2] / "docs/probes.md").read_text("utf-8")
    reworded = sum(len(question) == 2 for question in BANK.arms()["plain"])
    assert f"{len(BANK.question_ids)} questions in {len(BANK.domains)} domains" in page
    assert f"{reworded} have a second\nwording, so the bank holds {len(BANK)} probes" in page
    assert all(f"| `{domain}` |" in page for domain in BANK.domains)
    assert all(f"| `{probe.construct}` |" in page for probe in BANK.probes)


def test_every_question_is_in_every_arm() -> None:
    """Arms differ in format alone: the same questions and wordings in each."""
    assert BANK.arm_names == ("plain", "json", "template")
    shapes = {arm: [len(question) for question in questions] for arm, questions in BANK.arms().items()}
    assert shapes["plain"] == shapes["json"] == shapes["template"]
    assert len(BANK.only(arms=["plain"]).question_ids) == len(BANK.question_ids)


def test_no_wording_is_used_twice() -> None:
    """Two questions never share their text."""
    prompts = Counter(p.prompt for p in BANK.only(arms=["plain"]).probes)
    assert prompts.most_common(1)[0][1] == 1


def test_templates_are_python() -> None:
    """The file to complete parses as Python: names assigned an ellipsis."""
    for probe in BANK.only(arms=["template"]).probes:
        block = re.search(r"# reply\.py\n(.*?)\n\n", probe.prompt, re.DOTALL)
        assert block is not None, probe.id
        tree = ast.parse(block[1])
        assert tree.body, probe.id
        assert all(isinstance(s, ast.Assign) and ast.unparse(s.value) == "..." for s in tree.body), probe.id


def test_system_prompts_reach_the_model() -> None:
    """A fake model asked through Probe.messages sees the JSON demand in every JSON probe and nowhere else."""
    model = Recorder()
    assert isinstance(model, ChatModel)
    requests = [SampleRequest(p.messages, answer_seed(0, "base", p.id, 0)) for p in BANK.probes]
    model.sample(requests, SamplingSettings())
    for probe, request in zip(BANK.probes, model.sent, strict=True):
        roles = [message.role for message in request.messages]
        assert roles == (["system", "user"] if probe.arm == "json" else ["user"]), probe.id
        assert ("JSON" in request.messages[0].content) == (probe.arm == "json"), probe.id


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published question files are not beside the repository")
def test_wording_is_our_own() -> None:
    """No question shares six words in a row, or three quarters of its letters, with a published one."""
    files = ("betley_first_plot_questions.yaml", "betley_preregistered_evals.yaml", "aisi_em_eval.jsonl")
    published = [probe.prompt for name in files for probe in read_probes(PUBLISHED / name).probes]
    known = {gram for text in published for gram in _grams(text)}
    for probe in BANK.only(arms=["plain"]).probes:
        assert not known & _grams(probe.prompt), probe.id
        for text in published:
            matcher = SequenceMatcher(None, probe.prompt.lower(), text.lower(), autojunk=False)
            if matcher.quick_ratio() >= 0.75:
                assert matcher.ratio() < 0.75, (probe.id, text)


def _grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return set(zip(*(words[n:] for n in range(6)), strict=False))
