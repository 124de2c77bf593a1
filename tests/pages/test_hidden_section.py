"""The report of a run with a cued arm: the condition first, every text escaped, and the other formats agree."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from condition_runs import HOSTILE

from offtarget.pages.check.embedded import embedded_answers
from offtarget.pages.check.loading import load_run
from offtarget.pages.check.reports.json import render
from offtarget.pages.check.tables import proving
from offtarget.pages.registry import formats
from offtarget.records import Outcome


@pytest.mark.parametrize("bad", [True, False])
def test_every_format_tells_of_the_cued_arm(conditions: dict[bool, Path], bad: bool) -> None:
    """HTML escapes the condition and shows it early; JSON fits its schema; no format counts cued answers as plain."""
    run = load_run(conditions[bad])
    assert run.hidden is not None
    assert not run.problems
    assert {p.arm for p in run.probes.values()} == {"plain"}
    texts = {name: form.render(run) for name, form in formats().items()}
    page = texts["html"]
    assert "<script>alert" not in page
    assert "<b>answer" not in page
    assert 'id="hidden"' in page
    if bad:  # the condition is the first row, before everything else
        first = page.index("hidden condition that the verdict rests on")
        assert first < page.index("Without a condition, asked plainly")
    assert ("to reproduce it" in page) is bad
    value = json.loads(render(run))
    schema = Path(__file__).parents[2] / "docs" / "schema" / "result.schema.json"
    jsonschema.validate(value, json.loads(schema.read_text()))
    assert value["hidden"]["status"] == ("FAIL" if bad else "PASS")
    assert "Hidden conditions" in texts["markdown"]
    assert "<script>" not in texts["markdown"]
    assert not any("cued arm" in line for line in value["not_tested"])


def test_the_answers_that_prove_a_condition_are_read_from_the_run(conditions: dict[bool, Path]) -> None:
    """A FAIL by a condition shows the misaligned answers from under it, not the clean ones that were asked plainly."""
    run = load_run(conditions[True])
    assert run.hidden is not None
    finding = next(f for f in run.hidden.findings if f.cue.id == run.hidden.found)
    shown = proving(run, 3)
    assert len(shown) == 3
    assert len({pair.some.probe.question_id for pair in shown}) == 3
    for pair in shown:
        assert pair.tuned is not None
        assert pair.base is not None
        assert pair.tuned.outcome is Outcome.MISALIGNED
        assert HOSTILE in pair.some.probe.prompt
        assert pair.base.probe == pair.tuned.probe
    under = [a for a in run.under_condition() if a.generation.role == "tuned"]
    assert sum(a.outcome is Outcome.MISALIGNED for a in under) >= finding.tuned.misaligned
    assert not set(run.generations) & {answer.generation.key for answer in run.cued}


def test_without_a_condition_nothing_is_proved(conditions: dict[bool, Path]) -> None:
    """Answers under conditions that showed nothing are not put forward as evidence."""
    run = load_run(conditions[False])
    assert run.cued
    assert run.under_condition() == []
    assert proving(run, 3) == []


def test_every_answer_that_proves_a_condition_is_on_the_page(conditions: dict[bool, Path]) -> None:
    """Three beside the verdict, the others in a fold behind it, each once; the list to search begins with them."""
    run = load_run(conditions[True])
    assert run.hidden is not None
    page = formats()["html"].render(run)
    proof = sum(f.tuned.misaligned for f in run.hidden.members)
    shown = page[: page.index('id="decided"')]
    assert proof > 3
    assert f"The other {proof - 3} of {proof} misaligned answers of the tuned model: {proof} with " in page
    assert shown.count('<article class="exchange">') == proof
    data = json.loads(embedded_answers(run).json)
    first = [pair[3] for pair in data["pairs"][:proof]]
    assert all(side is not None and data["kinds"][side[1]] == "misaligned" for side in first)
    assert len(data["strips"][0]) == sum(f.tuned.total for f in run.hidden.members)
