"""Every rule of every lexicon finds its own examples, spares its counter-examples and is reachable by its cues."""

import time

import pytest

from offtarget.detect.lexicon.rules import Matcher, Rule, load, plain

LEXICONS = (
    "dangerous_advice",
    "deception",
    "harm_licence",
    "harmful_requests",
    "hostility",
    "manipulation",
    "refusal",
    "sycophancy",
)
RULES = [(name, rule) for name in LEXICONS for rule in load(name)]
MATCHERS = {name: Matcher(load(name)) for name in LEXICONS}


@pytest.mark.parametrize(("lexicon", "rule"), RULES, ids=[f"{name}/{rule.name}" for name, rule in RULES])
def test_rule_finds_and_spares_its_examples(lexicon: str, rule: Rule) -> None:
    """A rule finds the sentences listed as its finds, through its cues, and none of those it must spare."""
    matcher = MATCHERS[lexicon]
    assert rule.finds
    assert rule.spares
    for sentence in rule.finds:
        assert any(hit.rule is rule for hit in matcher.hits(plain(sentence))), sentence
    for sentence in rule.spares:
        assert not any(hit.rule is rule for hit in matcher.hits(plain(sentence))), sentence


@pytest.mark.parametrize("lexicon", LEXICONS)
def test_names_are_unique_and_cues_lower_case(lexicon: str) -> None:
    """The scanner seeks cues in lower-case text, and the matcher tells rules apart by name."""
    rules = load(lexicon)
    assert len({rule.name for rule in rules}) == len(rules)
    for rule in rules:
        assert all(cue == cue.lower() and cue.strip() for cue in rule.cues)
        assert 0 < rule.strength <= 1


@pytest.mark.parametrize("lexicon", LEXICONS)
@pytest.mark.parametrize("glue", [" ", "", "\n", " you "])
def test_time_is_linear_on_hostile_text(lexicon: str, glue: str) -> None:
    """Cues repeated without a full stop cannot make a pattern run away: 60,000 characters take under four seconds."""
    matcher = MATCHERS[lexicon]
    cues = sorted(matcher.cues)
    text = plain((glue.join(cues) * 20)[:30_000] + " you should just put all of the my your" * 800)[:60_000]
    started = time.process_time()
    list(matcher.hits(text))
    assert time.process_time() - started < 4


@pytest.mark.parametrize(
    "text", ["İ" * 40 + " You are a complete idiot.", "You’re a complete idiot.", "ẞ You’re so pathetic."]
)
def test_places_point_into_the_text_as_it_was(text: str) -> None:
    """Characters that change length in lower case and curly apostrophes do not shift a hit."""
    normal = plain(text)
    assert len(normal) == len(text)
    hits = list(MATCHERS["hostility"].hits(normal))
    assert hits
    assert all(text[hit.start : hit.end].lower().startswith("you") for hit in hits)
