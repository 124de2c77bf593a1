from __future__ import annotations

import pytest
from tiny_models import ask

from offtarget.errors import InputError
from offtarget.models import Answer, ChatModel, NumberScorer, SamplingSettings
from offtarget.models.scripted import ScriptedModel

PLAIN = SamplingSettings()


def test_answers_are_picked_by_seed_and_requests_are_kept() -> None:
    """Seed n gives answer n mod len, on_answer sees each, history holds the requests in order."""
    model = ScriptedModel("fake", {"hi": ["one", "two"]})
    asked = [ask("hi", n) for n in (0, 1, 2)]
    seen: list[tuple[int, str]] = []
    answers = model.sample(asked, PLAIN, lambda i, a: seen.append((i, a.text)))
    assert [a.text for a in answers] == ["one", "two", "one"]
    assert seen == [(0, "one"), (1, "two"), (2, "one")]
    assert model.history == asked


def test_a_function_sees_the_whole_request() -> None:
    """A callable script can depend on system turn and seed."""
    model = ScriptedModel("fake", lambda r: f"{r.messages[0].role} {r.seed}")
    assert model.sample([ask("hi", 4, system="s")], PLAIN)[0] == Answer("system 4", 2, "stop")


def test_stop_strings_and_max_tokens_apply() -> None:
    """Words count as tokens."""
    model = ScriptedModel("fake", {"hi": ["a b c END d"]})
    assert model.sample([ask("hi", 0)], SamplingSettings(stop=("END",)))[0].text == "a b c "
    assert model.sample([ask("hi", 0)], SamplingSettings(max_tokens=2))[0] == Answer("a b", 2, "length")


def test_an_unknown_turn_is_an_input_error() -> None:
    """A hole in the script shows at once."""
    with pytest.raises(InputError, match="no answer to 'what'"):
        ScriptedModel("fake", {"hi": ["x"]}).sample([ask("what", 0)], PLAIN)


def test_probabilities_come_from_the_script() -> None:
    """Known replies only; an unscripted turn has none."""
    model = ScriptedModel("fake", {}, {"rate": {"85": 0.6, "90": 0.2}})
    assert model.reply_probabilities(ask("rate", 0).messages, ["85", "1"]) == {"85": 0.6}
    assert model.reply_probabilities(ask("other", 0).messages, ["85"]) == {}


def test_it_meets_both_protocols_and_its_fingerprint_follows_the_script() -> None:
    """Other answers, other fingerprint."""
    model = ScriptedModel("fake", {"hi": ["x"]})
    assert isinstance(model, ChatModel)
    assert isinstance(model, NumberScorer)
    assert model.fingerprint != ScriptedModel("fake", {"hi": ["y"]}).fingerprint
