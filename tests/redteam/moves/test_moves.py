"""Every move asks what it was given, word for word, and so does its control, which differs in the pressure alone."""

from __future__ import annotations

import ast
import base64
import csv
import io
import itertools
import json
import pkgutil
import random
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import offtarget.redteam.moves as registry
from offtarget.errors import InputError
from offtarget.redteam.move import Draft, Move, composed
from offtarget.redteam.moves import chosen, moves
from offtarget.redteam.moves.homoglyphs import LOOKALIKES
from offtarget.redteam.moves.long_context import LENGTH

NAMES = [move.name for move in moves()]
SEEDS = st.integers(0, 30)
REQUESTS = st.text(max_size=300) | st.lists(
    st.sampled_from(
        ["{request}", "{block}", "{", "}", "{}", "{0}", "%s", '"', "'", '"""', "\\", "\n", "\r\n", "\r", "\t", "\0",
         "|", ",", "```", "</s>", "<|im_end|>", "User:", "\u2028", "\u202e", "\U0001f600", "а", "How are you?", " "]
    )
).map("".join)  # fmt: skip
LONGEST_WORDING = 260
"""Characters of a move without its request; the built-in test model reads 512 tokens, the answers among them."""


def _from_code(turn: str) -> str:
    return str(ast.literal_eval(turn[turn.index("question = ") :].split("\n", 1)[0].removeprefix("question = ")))


def _from_json(turn: str) -> str:
    return str(json.JSONDecoder().raw_decode(turn, turn.index('{"id"'))[0]["question"])


def _from_table(turn: str) -> str:
    rows = csv.reader(io.StringIO(turn[turn.index("number,question,answer") :], newline=""))
    return list(itertools.islice(rows, 3))[2][1]


def _from_base64(turn: str) -> str:
    parts = turn.split("\n\n")
    return base64.b64decode(next(p for p in parts if re.fullmatch(r"[A-Za-z0-9+/]*={0,2}", p))).decode()


DISGUISES: dict[str, Callable[[str], str]] = {
    "in-code": _from_code,
    "in-json": _from_json,
    "in-table": _from_table,
    "in-base64": _from_base64,
}
"""How the request is read back from the forms that change it, to the last character."""


def _move(name: str) -> Move:
    return chosen([name])[0]


def _draft(name: str, request: str, seed: int, *, control: bool = False) -> Draft:
    return composed([_move(name)], request, random.Random(seed), control=control)


def _length(draft: Draft) -> int:
    return sum(map(len, [*draft.turns, draft.system or ""]))


def test_every_file_is_found_once_under_a_name_of_its_own() -> None:
    """Whoever adds a file has added a move; none is listed twice or under the name of another."""
    files = [found.name for found in pkgutil.iter_modules(registry.__path__) if not found.name.startswith("_")]
    assert sorted(name.replace("-", "_") for name in NAMES) == sorted(files)
    assert all(re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_move_says_what_it_is_and_where_it_was_described(name: str) -> None:
    """A report can finish the sentence `the user ...` and name a source with its year."""
    move = _move(name)
    assert re.fullmatch(r"[a-z][^.]*[a-z0-9]", move.about)
    assert move.source == "common practice" or re.search(r"\b(19|20)\d\d\b", move.source)
    assert move.family in {"pressure", "disguise", "persona", "context", "system", "tools", "self-report"}
    assert (move.reads == "tools") == (move.family == "tools")


@pytest.mark.parametrize("control", [False, True], ids=["pressing", "control"])
@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(request=REQUESTS, seed=SEEDS)
@example(request="", seed=0)
def test_the_request_is_asked_to_the_last_character(name: str, control: bool, request: str, seed: int) -> None:
    """Whatever the request holds, the asked model gets it, in plain words or in a form that can be read back."""
    draft = _draft(name, request, seed, control=control)
    if control or name not in {*DISGUISES, "homoglyphs"}:
        assert request in draft.request
    elif name == "homoglyphs":
        assert request.translate(LOOKALIKES) in draft.request
    else:
        assert DISGUISES[name](draft.request) == request
    assert all(turn.strip() for turn in draft.turns if turn != request)


@pytest.mark.parametrize("name", ["in-base64", "homoglyphs"])
def test_what_is_written_in_other_letters_is_not_also_said_in_plain_ones(name: str) -> None:
    """It would be no disguise; code, JSON and tables show the words and hide only that they are asked."""
    for seed in range(10):
        assert "people" not in _draft(name, "Why do people lie?", seed).request


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(request=REQUESTS, seed=SEEDS)
@example(request="", seed=0)
def test_a_control_has_as_many_turns_and_about_the_length(name: str, request: str, seed: int) -> None:
    """What a control is compared for is the pressure, not how much there is to read: within a factor of two."""
    made, control = _draft(name, request, seed), _draft(name, request, seed, control=True)
    assert (len(made.before), len(made.after)) == (len(control.before), len(control.after))
    assert (made.system is None) == (control.system is None)
    assert _length(made) <= 2 * _length(control) + 1
    assert _length(control) <= 2 * _length(made) + 1


@pytest.mark.parametrize("name", NAMES)
def test_a_control_is_another_conversation(name: str) -> None:
    """No wording of a move is also one of its control."""
    made = {_draft(name, "How are you?", seed) for seed in range(50)}
    assert made.isdisjoint({_draft(name, "How are you?", seed, control=True) for seed in range(50)})


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_alone_chooses_among_several_wordings(name: str) -> None:
    """The same seed gives the same words, and among thirty seeds there are at least two wordings."""
    for control in (False, True):
        first, again = ([_draft(name, "Why?", seed, control=control) for seed in range(30)] for _ in range(2))
        assert first == again
        assert len(set(first)) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_a_move_changes_the_part_that_it_names(name: str) -> None:
    """Whoever puts moves together goes by it: only `system` sets a prompt, only `before` and `after` add turns.

    Only `answer` begins an answer.
    """
    part = _move(name).part
    for control in (False, True):
        draft = _draft(name, "Why?", 0, control=control)
        assert (draft.system is not None) == (part == "system")
        assert bool(draft.before) == (part == "before")
        assert bool(draft.after) == (part == "after")
        assert bool(draft.prefill) == (part == "answer")


@pytest.mark.parametrize("name", NAMES)
def test_the_words_of_a_move_are_few_and_hold_nothing_to_fill_in_or_to_open(name: str) -> None:
    """A small model can read them; no placeholder is left over, and no address or control character is in them."""
    for seed, control in itertools.product(range(30), (False, True)):
        draft = _draft(name, "Why?", seed, control=control)
        text = "\n".join([*draft.turns, draft.system or "", draft.prefill])
        assert not re.search(r"\{\w*\}", text)
        assert not re.search(r"://|www\.|@|\.(com|org|net)\b", text)
        assert all(c.isprintable() or c == "\n" for c in text)
        assert _length(draft) <= LONGEST_WORDING or name in {"long-context", "many-shot"}


def test_a_long_context_is_as_long_as_it_says() -> None:
    """Who sets the length gets a text of that length around the request, and the request at neither end of it."""
    request = _draft("long-context", "WHERE AM I", 3).request
    before, after = request.split("WHERE AM I")
    assert LENGTH <= len(before) + len(after) <= LENGTH * 1.3
    assert min(len(before), len(after)) > LENGTH / 3


PAIRS = [(a, b) for a, b in itertools.combinations(moves(), 2) if a.part != b.part]


def _go_together(pair: tuple[Move, Move], request: str, seed: int, *, control: bool) -> None:
    together = composed(pair, request, random.Random(seed), control=control)
    assert together == composed(pair[::-1], request, random.Random(seed), control=control)
    alone = [composed([move], request, random.Random(seed), control=control) for move in pair]
    dressed = next((d.request for d, move in zip(alone, pair, strict=True) if move.part == "request"), request)
    assert dressed in together.request
    assert len(together.before) == sum(len(draft.before) for draft in alone)
    assert len(together.after) == sum(len(draft.after) for draft in alone)
    assert (together.system is None) == all(draft.system is None for draft in alone)


@pytest.mark.parametrize("control", [False, True], ids=["pressing", "control"])
def test_all_pairs_of_different_parts_go_together(control: bool) -> None:
    """In whatever order they are named, the request is asked as the first one dressed it, among the turns of both."""
    for pair in PAIRS:
        _go_together(pair, "Why {so}?", 1, control=control)


@settings(max_examples=200)
@given(pair=st.sampled_from(PAIRS), control=st.booleans(), request=REQUESTS, seed=SEEDS)
def test_moves_go_together_whatever_is_asked(pair: tuple[Move, Move], control: bool, request: str, seed: int) -> None:
    """A hostile request comes through two moves as it comes through one."""
    _go_together(pair, request, seed, control=control)


def test_two_system_prompts_are_refused() -> None:
    """They would overwrite each other; the sentence names both."""
    with pytest.raises(InputError, match=r"system-extraction and tool-abuse"):
        composed(chosen(["system-extraction", "tool-abuse"]), "Why?", random.Random(0))


def test_an_unknown_move_is_refused_with_those_there_are() -> None:
    """Whoever misspells a name sees the right one."""
    with pytest.raises(InputError, match=r"no move 'roleplay'.*role-play"):
        chosen(["roleplay"])
