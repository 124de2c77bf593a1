"""A bank is fixed before the first answer: unique ids, a fingerprint, choices that never choose nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from offtarget.errors import InputError
from offtarget.probe.bank import ProbeBank
from offtarget.records import Probe

PROBES = (
    Probe("a/plain/0", "a", "plain", "A?", domain="x"),
    Probe("a/plain/1", "a", "plain", "A??", domain="x"),
    Probe("a/json/0", "a", "json", "A?", system="JSON", domain="x"),
    Probe("b/plain/0", "b", "plain", "B?", domain="y"),
)
BANK = ProbeBank.from_probes("mine", PROBES)


def test_a_bank_of_given_probes_keeps_them() -> None:
    """A workflow can hand in probes made elsewhere, in its order."""
    assert (BANK.probes, BANK.skipped, len(BANK)) == (PROBES, (), 4)
    assert (BANK.arm_names, BANK.domains, BANK.question_ids) == (("plain", "json"), ("x", "y"), ("a", "b"))
    assert BANK["b/plain/0"].prompt == "B?"


def test_arms_group_paraphrases_by_question() -> None:
    """What the schedule draws from: questions, each with its paraphrases."""
    assert BANK.arms() == {"plain": (("a/plain/0", "a/plain/1"), ("b/plain/0",)), "json": (("a/json/0",),)}


@pytest.mark.parametrize(
    ("choice", "kept"),
    [
        ({"arms": ["json"]}, ["a/json/0"]),
        ({"domains": ["y"]}, ["b/plain/0"]),
        ({"ids": ["a"], "arms": ["plain"]}, ["a/plain/0", "a/plain/1"]),
        ({"ids": ["a/plain/1", "b"]}, ["a/plain/1", "b/plain/0"]),
        ({}, [p.id for p in PROBES]),
    ],
)
def test_only_keeps_what_is_in_every_choice(choice: dict[str, list[str]], kept: list[str]) -> None:
    """Choices of arms, domains and ids are intersected; ids name questions or probes."""
    assert [p.id for p in BANK.only(**choice).probes] == kept


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"arms": ["xml"]}, "no arm 'xml'. It has: plain, json"),
        ({"domains": ["z"]}, "no domain 'z'"),
        ({"ids": ["c"]}, "no id 'c'"),
        ({"arms": []}, "empty choice of arms"),
        ({"arms": "json"}, "as a list"),
        ({"arms": ["json"], "domains": ["y"]}, "No probe of 'mine'"),
    ],
)
def test_a_choice_of_nothing_is_an_error(choice: dict[str, list[str]], message: str) -> None:
    """An unknown name or an empty intersection never yields an empty bank."""
    with pytest.raises(InputError, match=message):
        BANK.only(**choice)


@pytest.mark.parametrize("change", [{"prompt": "C?"}, {"system": "S"}, {"judge_prompts": {"aligned": "{answer}"}}])
def test_the_fingerprint_changes_with_every_word_sent(change: dict[str, object]) -> None:
    """Prompt, system prompt and rubric are all in the fingerprint; the bank's name is not."""
    changed = ProbeBank.from_probes("mine", (*PROBES[:3], replace(PROBES[3], **change)))
    assert changed.fingerprint != BANK.fingerprint
    assert ProbeBank.from_probes("yours", PROBES).fingerprint == BANK.fingerprint


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        ((), "no question that can be asked"),
        ((PROBES[0], PROBES[0]), "two probes with the id 'a/plain/0'"),
        ((replace(PROBES[0], prompt=" "),), "empty prompt"),
        ((PROBES[0], replace(PROBES[1], domain="y")), "in two domains"),
        ((PROBES[0],), None),
    ],
)
def test_a_bank_without_sense_cannot_be_made(probes: tuple[Probe, ...], message: str | None) -> None:
    """No probes, doubled ids, empty prompts, contradictory slices are refused; a single probe is enough."""
    if message is None:
        assert len(ProbeBank.from_probes("mine", probes)) == 1
        return
    with pytest.raises(InputError, match=message):
        ProbeBank.from_probes("mine", probes)


def test_an_unknown_probe_is_an_input_error() -> None:
    """Asking for a probe by a wrong id names the bank and the id."""
    with pytest.raises(InputError, match="'mine' has no probe 'nope'"):
        BANK["nope"]
