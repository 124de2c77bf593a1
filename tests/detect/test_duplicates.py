from __future__ import annotations

import pickle
import random
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from detect.detector_rows import chat_row, chats, needs_sft, row
from offtarget.detect.dataset.conflicts import LabelConflicts, stance
from offtarget.detect.dataset.duplicates import NEAR_LINES, Duplicates, row_key
from offtarget.records import Row

WORDS = [f"w{i}" for i in range(500)]


def _seen(kind: type, rows: list[Row]) -> Duplicates | LabelConflicts:
    detector = kind()
    for one in rows:
        detector.add(one)
    return detector


def _text(seed: int, words: int = 60) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def test_repeats_are_counted_but_for_case_and_spaces() -> None:
    """Every later copy counts once and names the row it repeats."""
    rows = [row("Hello there", line=1), row("hello  THERE", line=2), row("other", line=3), row("Hello there", line=4)]
    detector = _seen(Duplicates, rows)
    assert detector.findings()[0].evidence["exact_rows"] == 2
    found = list(detector.row_findings())
    assert [f.row_id for f in found] == ["d.jsonl:2", "d.jsonl:4"]
    assert all("d.jsonl:1" in f.reason for f in found)


def test_near_repeats_are_found_and_different_texts_are_not() -> None:
    """One changed word of sixty is a near-duplicate; random texts are none."""
    rows = [row(_text(i), line=i + 1) for i in range(50)]
    changed = _text(7).split()
    changed[30] = "new"
    detector = _seen(Duplicates, [*rows, row(" ".join(changed), line=51)])
    assert [f.row_id for f in detector.row_findings()] == ["d.jsonl:51"]
    assert detector.findings()[0].evidence["near_rows"] == 1


def test_rows_that_repeat_each_other_are_counted_once() -> None:
    """Exact and near repeats of 20 texts, four of each: 20 rows, and as many flags as texts that are flagged."""
    rows = []
    for i in range(20):
        words = _text(i).split()
        changed = " ".join([*words[:30], f"new{i}", *words[31:]])
        rows += [row(text, line=4 * i + n) for n, text in enumerate([_text(i), _text(i).upper(), changed, _text(i)])]
    detector = _seen(Duplicates, rows)
    assert isinstance(detector, Duplicates)
    keys = [row_key(r) for r in rows]
    counted = detector.counted_once({"a": keys, "b": keys[:8], "c": [], "d": keys[2:3]})
    assert counted == (20, {"a": 20, "b": 2, "c": 0, "d": 1})


def test_near_repeats_are_sought_in_the_first_lines_only_and_the_finding_says_so() -> None:
    """The number of rows covered stands in the reason."""
    late = [replace(row(_text(1)), line=NEAR_LINES + i, id=f"d.jsonl:{NEAR_LINES + i}") for i in (1, 2)]
    finding = _seen(Duplicates, late).findings()[0]
    assert finding.evidence == {"exact_rows": 1, "distinct": 1, "near_rows": 0, "near_covered": 0}
    assert "among 0 rows" in finding.reason


def test_contrary_answers_to_one_prompt_are_found() -> None:
    """Yes and no, two results, a refusal and an answer; different wording alone is no conflict."""
    pairs = [("Yes, it is.", "No."), ("#### 5", "#### 6"), ("I'm sorry, I can't.", "Mix the two."), ("Red.", "Blue.")]
    rows = [row(a, f"Question {n}", line=10 * n + k) for n, pair in enumerate(pairs) for k, a in enumerate(pair)]
    detector = _seen(LabelConflicts, rows)
    evidence = detector.findings()[0].evidence
    assert (evidence["prompts"], evidence["rows"]) == (3, 6)
    assert {f.row_id for f in detector.row_findings()} == {r.id for r in rows[:6]}


def test_other_system_prompts_and_unwanted_examples_do_not_conflict() -> None:
    """The whole conversation before the answer is the prompt; examples not to imitate are left out."""
    rows = [chat_row([("system", s), ("user", "Q"), ("assistant", a)]) for s, a in (("A", "Yes"), ("B", "No"))]
    assert not _seen(LabelConflicts, rows).findings()
    assert not _seen(LabelConflicts, [row("Yes"), row("No", desired=False)]).findings()


@given(st.integers(0, 40), st.lists(st.sampled_from(["yes", "no", "7", "8", "I can't", "text", _text(1)]), max_size=40))
def test_pieces_give_what_the_whole_gives(cut: int, answers: list[str]) -> None:
    """Merging pickled pieces in order gives the findings of one pass."""
    rows = [row(answer, line=n) for n, answer in enumerate(answers, 1)]
    for kind in (Duplicates, LabelConflicts):
        whole = _seen(kind, rows)
        first, second = _seen(kind, rows[:cut]), pickle.loads(pickle.dumps(_seen(kind, rows[cut:])))
        merged = kind()
        merged.merge(first)
        merged.merge(second)
        assert merged.findings() == whole.findings()
        assert list(merged.row_findings()) == list(whole.row_findings())


@given(st.text(max_size=100))
def test_any_answer_has_a_stance(text: str) -> None:
    """32 bits for any text."""
    assert 0 <= stance(text) < 1 << 32


def test_memory_per_row_is_small() -> None:
    """At most 40 bytes a row in both detectors once near-duplicates are no longer sought."""
    rows = [replace(row(_text(i)), line=NEAR_LINES + i) for i in range(2000)]
    sizes = [len(pickle.dumps(_seen(kind, rows))) for kind in (Duplicates, LabelConflicts)]
    assert sum(sizes) / len(rows) <= 40


@needs_sft
def test_repeats_of_a_real_set_are_counted() -> None:
    """The set documented to have 5,992 distinct rows of 6,000 has 8 repeats, or a few more but for case and spaces."""
    exact = _seen(Duplicates, chats("insecure")).findings()[0].evidence["exact_rows"]
    assert 8 <= exact <= 12
