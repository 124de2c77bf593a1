"""How each way of using a model puts a question."""

from __future__ import annotations

from offtarget.prompting.instructions import instructed, with_examples
from offtarget.records import Message
from offtarget.records.alternatives import Demonstration

ASKED = (Message("system", "Customer 17."), Message("user", "And now?"))
NEAREST = [Demonstration((Message("user", f"q{i}"),), f"a{i}") for i in range(3)]


def test_the_nearest_example_stands_last() -> None:
    """Context first, then examples from far to near, then the question."""
    chat, count = with_examples(ASKED, NEAREST, lambda chat: True)
    assert count == 3
    assert [m.content for m in chat] == ["Customer 17.", "q2", "a2", "q1", "a1", "q0", "a0", "And now?"]


def test_what_does_not_fit_is_left_out_from_the_far_end() -> None:
    """The nearest examples stay."""
    chat, count = with_examples(ASKED, NEAREST, lambda chat: len(chat) <= 4)
    assert count == 1
    assert [m.content for m in chat] == ["Customer 17.", "q0", "a0", "And now?"]
    assert with_examples(ASKED, NEAREST, lambda chat: False) == (ASKED, 0)


def test_context_follows_instructions() -> None:
    """There is one system turn, as most chat templates want it."""
    assert instructed(ASKED, "Be brief.")[0] == Message("system", "Be brief.\n\nCustomer 17.")
    assert len(instructed(ASKED, "Be brief.")) == 2


def test_without_system_turns_instructions_stand_in_the_question() -> None:
    """Some chat templates refuse a system turn."""
    assert instructed(ASKED, "Be brief.", as_system=False) == (
        Message("user", "Be brief.\n\nCustomer 17.\n\nAnd now?"),
    )
