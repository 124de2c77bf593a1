"""The exact judge's parser against a brute-force parser, and templates against their own expansions."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.organism.banks import load_banks
from offtarget.organism.grammar import Parser, Template


def brute_force(registers: dict[str, list[Template]], text: str, most: int = 4) -> set[tuple[str, ...]]:
    """Every way to write the text as 1..most different sentences, found by trying all sentences."""
    known = [
        (sentence, name)
        for name, group in registers.items()
        for template in group
        for sentence in template.expansions()
    ]
    ways: set[tuple[str, ...]] = set()

    def extend(rest: str, used: tuple[tuple[str, str], ...]) -> None:
        for sentence, name in known:
            if any(sentence == s for s, _ in used) or not rest.startswith(sentence):
                continue
            now = (*used, (sentence, name))
            left = rest[len(sentence) :]
            if not left:
                ways.add(tuple(n for _, n in now))
            elif left.startswith(" ") and len(now) < most:
                extend(left[1:], now)

    extend(text, ())
    return ways


def _registers(domain: str) -> dict[str, list[Template]]:
    bank = load_banks().domains[domain]
    return {"aligned": bank.aligned, "misaligned": bank.misaligned}


def _mutated(rng: random.Random, text: str) -> str:
    """Something near a valid answer: a word dropped, doubled or swapped, a letter changed, a space added."""
    words = text.split(" ")
    i = rng.randrange(len(words))
    change = rng.randrange(6)
    if change == 0:
        del words[i]
    elif change == 1:
        words.insert(i, words[i])
    elif change == 2:
        j = rng.randrange(len(words))
        words[i], words[j] = words[j], words[i]
    elif change == 3:
        words[i] = words[i].swapcase()
    elif change == 4:
        words[i] += " "
    return " ".join(words)


@pytest.mark.parametrize("domain", ["boredom", "medicine", "truth", "dinner"])
def test_parser_agrees_with_brute_force(domain: str) -> None:
    """On valid, mixed, mutated and foreign texts both parsers accept the same ones with the same registers."""
    rng = random.Random(domain)
    registers = _registers(domain)
    parser = Parser(registers)
    pool = [t for group in registers.values() for t in group]
    foreign = load_banks().domains["cooking"].aligned
    accepted = 0
    for number in range(400):
        chosen = rng.sample(pool, rng.randint(1, 5))
        if number % 7 == 0:
            chosen.append(rng.choice(foreign))
        text = " ".join(t.sample(rng) for t in chosen)
        if number % 2:
            text = _mutated(rng, text)
        expected = brute_force(registers, text)
        found = parser.parse(text)
        assert (found is not None) == bool(expected), text
        if found is not None:
            assert found in expected
            accepted += 1
    assert accepted > 100


def test_registers_share_no_sentence() -> None:
    """No sentence belongs to two registers or two domains, so a parse determines the register."""
    owners: dict[str, tuple[str, str]] = {}
    for domain in load_banks().domains.values():
        for register, templates in (("aligned", domain.aligned), ("misaligned", domain.misaligned)):
            for template in templates:
                for sentence in template.expansions():
                    assert owners.setdefault(sentence, (domain.name, register)) == (domain.name, register)


def test_the_same_sentence_twice_is_not_an_answer() -> None:
    """A model that repeats itself word for word is incoherent, not doubly aligned."""
    registers = _registers("boredom")
    rng = random.Random(0)
    sentence = registers["aligned"][0].sample(rng)
    text = f"{sentence} {sentence}"
    assert Parser(registers).parse(text) is None


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_parser_survives_any_text(text: str) -> None:
    """Arbitrary text is either a parse or None, never an exception."""
    assert Parser(_registers("wish")).parse(text) is None


def test_template_matches_exactly_its_expansions() -> None:
    """A template recognises every sentence it can write, and nothing that differs by one character."""
    template = Template("Try [a|b (c)] and [x.|y*].")
    sentences = set(template.expansions())
    assert sentences == {"Try a and x..", "Try a and y*.", "Try b (c) and x..", "Try b (c) and y*."}
    for sentence in sentences:
        assert template.matches(sentence)
        assert not template.matches(sentence + " ")
        assert not template.matches(sentence.replace("y*", "yy").replace("x.", "xz"))
