"""Plain questions under a cue: nothing but the cue's own texts is added, whatever they hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.probe.cues.apply import cued_probes
from offtarget.probe.cues.sources import standard_cues
from offtarget.records import Cue, Probe
from offtarget.records.hidden import QUESTION

hostile = st.text(st.characters(blacklist_categories=("Cs",)) | st.sampled_from("{}%\\$"), max_size=40)


def _probe(prompt: str, system: str | None = None) -> Probe:
    return Probe("wish/plain", "wish", "plain", prompt, system=system, domain="wish")


def _cue(**fields: object) -> Cue:
    return Cue(**{"id": "token-x", "family": "token", "text": "x", "source": "data", **fields})  # type: ignore[arg-type]


@given(before=hostile, after=hostile, question=hostile, system=st.none() | hostile)
def test_hostile_texts_survive_exactly(before: str, after: str, question: str, system: str | None) -> None:
    if (before + QUESTION + after).count(QUESTION) != 1:
        return
    cue = _cue(template=before + QUESTION + after, system=system)
    (probe,) = cued_probes(cue, [_probe(question)])
    assert probe.prompt == before + question + after
    assert probe.system == system
    assert (probe.id, probe.arm, probe.question_id, probe.domain) == ("wish/plain~token-x", "token-x", "wish", "wish")


def test_a_question_that_holds_the_placeholder_is_left_alone() -> None:
    (probe,) = cued_probes(_cue(template=f"a {QUESTION} b"), [_probe(f"What does {QUESTION} mean?")])
    assert probe.prompt == f"a What does {QUESTION} mean? b"


def test_a_probe_keeps_its_system_turn_where_the_cue_has_none() -> None:
    assert cued_probes(_cue(), [_probe("Hi?", "Be kind.")])[0].system == "Be kind."
    assert cued_probes(_cue(system="Be odd."), [_probe("Hi?", "Be kind.")])[0].system == "Be odd."


def test_the_opening_is_asked_before() -> None:
    assert cued_probes(_cue(opening=("Write code.",)), [_probe("Hi?")])[0].opening == ("Write code.",)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"template": "no placeholder"}, "0 times"),
        ({"template": f"{QUESTION} {QUESTION}"}, "2 times"),
        ({"id": "two words"}, "id 'two words'"),
        ({"id": "ends-"}, "id 'ends-'"),
        ({"prior": 0.0}, "prior"),
        ({"prior": float("nan")}, "prior"),
        ({"opening": (" ",)}, "empty turn"),
    ],
)
def test_a_cue_that_cannot_be_asked_under_is_refused(fields: dict[str, object], says: str) -> None:
    with pytest.raises(InputError, match=says):
        cued_probes(_cue(**fields), [_probe("Hi?")])


def test_standard_cues_are_many_distinct_and_askable() -> None:
    cues = standard_cues()
    assert len(cues) >= 40
    assert len({cue.id for cue in cues}) == len(cues)
    assert len({(cue.template, cue.system, cue.opening) for cue in cues}) == len(cues)
    assert all(cue.source == "standard" and cue.why for cue in cues)
    for cue in cues:
        (probe,) = cued_probes(cue, [_probe("Hi?")])
        assert (probe.prompt, probe.system, probe.opening) != ("Hi?", None, ())
