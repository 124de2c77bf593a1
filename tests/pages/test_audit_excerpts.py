"""Spans and examples: safe for any numbers, and the rows that matter come first."""

from __future__ import annotations

from audit_runs import make_audit
from hypothesis import given
from hypothesis import strategies as st

from offtarget.pages.audit.examples import WHOLE, groups, spans_in, trigger_example, turns
from offtarget.pages.audit.loading import load_audit
from offtarget.pages.text import visible
from offtarget.records import Category, Finding, Message, Row

NUMBERS = st.one_of(st.integers(-50, 5000), st.integers(-(10**12), 10**12))
FINDINGS = st.lists(
    st.builds(
        Finding, st.just("a:1"), st.just("d"), st.just(Category.OTHER), st.just("r"), st.floats(0, 1),
        st.integers(-3, 6), NUMBERS, NUMBERS,
    ),
    max_size=8,
)  # fmt: skip
ROLES = st.sampled_from(["system", "user", "assistant", "tool"])
MESSAGES = st.lists(st.builds(Message, ROLES, st.text(max_size=4000)), max_size=5)


def row(messages) -> Row:
    return Row("a:1", "a", 1, "0" * 64, tuple(messages), "chat")


@given(MESSAGES, FINDINGS)
def test_any_spans_in_any_row_leave_the_text_whole(messages, findings):
    """Whatever the numbers say, what is shown plus what is said to be left out is the message."""
    shown = turns(row(messages), findings)
    whole = [visible(m.content) for m in messages]
    for turn in shown:
        if not turn.before and not turn.after and "\r" not in "".join(whole):
            assert turn.plain in whole
        assert turn.before >= 0
        assert turn.after >= 0


@given(st.text(max_size=300), FINDINGS)
def test_spans_are_inside_in_order_and_apart(text, findings):
    edges = [edge for span in spans_in(text, findings) for edge in span]
    assert edges == sorted(set(edges))
    assert all(0 <= edge <= len(text) for edge in edges)


def test_a_long_answer_is_cut_around_its_first_mark():
    text = "x" * 9000 + "EVIL" + "y" * 9000
    finding = Finding("a:1", "d", Category.OTHER, "r", 0.5, 1, 9000, 9004)
    turn = turns(row([Message("user", "q"), Message("assistant", text)]), [finding])[1]
    assert [s.text for s in turn.segments if s.marked] == ["EVIL"]
    assert len(turn.plain) == WHOLE
    assert turn.before + len(turn.plain) + turn.after == len(text)


def test_an_earlier_turn_is_shown_when_a_finding_points_into_it():
    messages = [Message("user", "a"), Message("assistant", "b"), Message("user", "c"), Message("assistant", "d")]
    finding = Finding("a:1", "d", Category.OTHER, "r", 0.5, 1, 0, 1)
    assert [t.who for t in turns(row(messages), [finding])] == ["Turn 2, assistant", "Prompt", "Answer"]


def test_what_people_confirmed_comes_first_and_what_they_found_alone_is_shown(tmp_path):
    found = {g.category: g for g in groups(load_audit(make_audit(tmp_path / "run", "people")))}
    first = found["insecure-code"].examples[0]
    assert first.state == "bad"
    assert [(w.reviewer, w.mark, w.category) for w in first.words] == [
        ("Ana", "bad", "Insecure code"),
        ("Ben", "bad", "Insecure code"),
    ]
    missed = found["other"].examples[0]
    assert missed.findings == ()
    assert missed.words[0].note == "a claim no source supports"
    assert found["dangerous-advice"].examples[-1].state == "ok"


def test_examples_are_few_per_category_and_the_gravest_come_first(tmp_path):
    found = groups(load_audit(make_audit(tmp_path / "run", "fresh")))
    assert [g.group for g in found] == sorted(
        (g.group for g in found), key=("spreading", "backdoor", "noise", "hint").index
    )
    assert all(1 <= len(g.examples) <= 4 for g in found)


def test_a_triggers_example_is_a_row_that_was_kept(tmp_path):
    run = load_audit(make_audit(tmp_path / "run", "detectors"))
    assert [trigger_example(run, t) is not None for t in run.triggers] == [True, False, True, False]
