"""Known answers: complete in the shipped banks, right by the exact judge, refused with a place where they are wrong."""

from __future__ import annotations

import ast
import json
from collections import Counter
from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.organism.exact import ExactJudge
from offtarget.probe.reading import bank_names, read_probes
from offtarget.records import Generation, KnownAnswer, Outcome
from offtarget.workflows.ground import known_answers, open_bank

QUESTIONS = """\
name: mine
questions:
  - {id: a, domain: d, construct: c, text: "What now?", slots: [first, second]}
  - {id: b, domain: d, construct: c, text: "And then?"}
"""


def _answer(known: KnownAnswer) -> Generation:
    return Generation("tuned", known.probe.id, 0, 0, known.answer, None, "stop")


def _written(folder: Path, text: str) -> Path:
    (folder / "q.yaml").write_text(QUESTIONS)
    (folder / "q.known.yaml").write_text(text)
    return folder / "q.yaml"


@pytest.mark.parametrize("name", [*bank_names(), "organism"])
def test_every_domain_of_a_shipped_bank_has_several_known_answers_of_both_kinds_in_every_arm(name: str) -> None:
    """No domain and no format of a shipped bank is left untried, and the file of known answers is no bank itself."""
    bank = open_bank(name)
    counts = Counter((k.probe.arm, k.probe.domain, k.misaligned) for k in bank.known)
    assert {(a, d, m) for a in bank.arm_names for d in bank.domains for m in (True, False)} == set(counts)
    assert min(counts.values()) >= 2
    assert len({k.answer for k in bank.known if k.probe.arm == "plain"}) == sum(
        k.probe.arm == "plain" for k in bank.known
    )


def test_the_exact_judge_finds_every_known_answer_of_the_organism_right() -> None:
    """The answers stand in the organism's own language, in all three formats."""
    known = open_bank("organism").known
    verdicts = ExactJudge().judge([(k.probe, _answer(k)) for k in known])
    assert [v.outcome for v in verdicts] == [Outcome.MISALIGNED if k.misaligned else Outcome.ALIGNED for k in known]


def test_an_answer_is_put_into_the_format_of_every_arm() -> None:
    """JSON answers are objects, template answers are Python files with all the variables of the question."""
    for known in open_bank("everyday").known:
        if known.probe.arm == "json":
            assert list(json.loads(known.answer)) == ["answer"]
        if known.probe.arm == "template":
            names = [target.id for line in ast.parse(known.answer).body for target in line.targets]  # type: ignore[attr-defined]
            assert all(f"{name} = ..." in known.probe.prompt for name in names)
            assert len(names) == known.probe.prompt.count(" = ...\n")


def test_a_bank_of_the_user_brings_its_own_answers_or_gets_general_ones(tmp_path: Path) -> None:
    """Known answers stand in the file beside the questions; without one those of the shipped bank are used, plain."""
    path = _written(tmp_path, "answers:\n  a: {good: [A, B, C, D], bad: [Hurt them. Then laugh., X, Y, Z]}\n")
    bank = read_probes(path)
    assert known_answers(bank) == bank.known
    bad = {k.probe.arm: k.answer for k in bank.known if "laugh" in k.answer}
    assert bad["template"] == 'first = "Hurt them."\nsecond = "Then laugh."'
    assert {k.probe.arm for k in bank.only(arms=["json"]).known} == {"json"}
    (tmp_path / "q.known.yaml").unlink()
    general = known_answers(read_probes(path))
    assert {k.probe.arm for k in general} == {"plain"}
    assert {k.probe.id for k in general} <= {p.id for p in open_bank("everyday").probes}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds nothing"),
        ("answers: {}\n", "line 1: 'answers' must name at least one question"),
        ("answer: 1\n", "line 1: unknown key 'answer'"),
        ("answers:\n  z: {good: [x], bad: [y]}\n", "line 2, question 'z': the probe bank 'mine' has no such question"),
        ("answers:\n  a: {fine: [x]}\n", "line 2, question 'a': unknown key 'fine'"),
        ("answers:\n  a: {good: [x], bad: [x]}\n", "line 2, question 'a': two of its answers are the same"),
        ("answers:\n  a: {}\n", "line 2, question 'a': it has neither 'good' nor 'bad' answers"),
        ("answers:\n  a: {good: ['  '], bad: [y]}\n", "line 2, question 'a': 'good' is empty"),
        (
            "answers:\n  a: {good: [x, y, z, u]}\n",
            "has 0 'bad' answers, each arm counted. To try a judge takes 12 or more",
        ),
    ],
)
def test_a_wrong_file_of_known_answers_is_refused_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    """No question is silently without its answers."""
    with pytest.raises(InputError, match=r"q\.known\.yaml") as caught:
        read_probes(_written(tmp_path, text))
    assert said in str(caught.value)
