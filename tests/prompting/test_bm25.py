"""BM25 finds the rows that share a question's telling words."""

from __future__ import annotations

import math

from offtarget.prompting.bm25 import BM25, K1, B, words

TEXTS = ["the cat sat", "the dog sat", "the dog ran after the dog", "a bird"]


def test_scores_follow_the_formula() -> None:
    """The order is that of the published formula, worked out here by hand for every text."""
    index, query = BM25(TEXTS), "dog sat"
    lengths = [len(t.split()) for t in TEXTS]
    mean = sum(lengths) / len(lengths)

    def score(text: str) -> float:
        said, total = text.split(), 0.0
        for word in query.split():
            n = sum(word in t.split() for t in TEXTS)
            idf = math.log(1 + (len(TEXTS) - n + 0.5) / (n + 0.5))
            f = said.count(word)
            total += idf * f * (K1 + 1) / (f + K1 * (1 - B + B * len(said) / mean))
        return total

    by_hand = sorted(range(len(TEXTS)), key=lambda i: -score(TEXTS[i]))
    assert index.nearest(query, 4) == by_hand


def test_rare_words_weigh_more_than_frequent_ones() -> None:
    """A question that shares `the` with all and `bird` with one finds the bird."""
    assert BM25(TEXTS).nearest("the bird", 1) == [3]


def test_a_question_without_a_known_word_gets_the_first_texts() -> None:
    """An unrelated question still gets its examples, the same ones every time."""
    assert BM25(TEXTS).nearest("zebra", 2) == [0, 1]
    assert BM25([]).nearest("zebra", 2) == []


def test_words_of_any_script() -> None:
    """Case does not matter, and scripts without spaces are read by character."""
    assert words("Straße, CAT! 猫が好き x1") == ["strasse", "cat", "猫", "が", "好", "き", "x1"]
