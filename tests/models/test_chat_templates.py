"""A prompt holds what it says it holds: what a chat template refuses, drops, trims, merges or writes otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import TEMPLATE, make_tokenizer

from offtarget.errors import TemplateError
from offtarget.models.chat_format import prompt_tokens
from offtarget.records import Message

_END = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
KEEPING = {
    "chatml": TEMPLATE,
    "trimming": TEMPLATE.replace("m.content", "m.content | trim"),
    "as json": TEMPLATE.replace("m.content", "m.content | tojson"),
    "merging": "{% set head = messages[0].content if messages[0].role == 'system' else '' %}"
    "{% for m in messages if m.role != 'system' %}<|im_start|>{{ m.role }}\n"
    "{{ head ~ '\n\n' if loop.first and head else '' }}{{ m.content }}<|im_end|>\n{% endfor %}" + _END,
    "with a default": "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are helpful.<|im_end|>\n{% endif %}"
    + TEMPLATE,
    "dated": "{{ strftime_now('%d %b %Y') }}\n" + TEMPLATE,
    "cutting reasoning": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] if "
    "m.role == 'assistant' else m.content }}<|im_end|>\n{% endfor %}" + _END,
}
"""Templates whose prompts hold every turn."""
NO_SYSTEM = (
    "{% for m in messages if m.role != 'system' %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
)
CUTTING = {
    "without system": (NO_SYSTEM + _END, "system"),
    "a system turn of its own": (
        "<|im_start|>system\nYou are helpful.<|im_end|>\n" + NO_SYSTEM + _END,
        "system",
    ),
    "last turn only": ("<|im_start|>user\n{{ messages[-1].content }}<|im_end|>\n" + _END, "system"),
    "short system turns": (
        TEMPLATE.replace("m.content", "m.content[:9] if m.role == 'system' else m.content"),
        "system",
    ),
    "refusing": (
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TEMPLATE,
        "system",
    ),
}
"""Templates that lose a system turn, and the role they lose."""


def tokenizer(template: str) -> Any:
    """A tokenizer with a template."""
    return make_tokenizer(template)


TOKENIZERS = {name: tokenizer(template) for name, template in KEEPING.items()}
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=40)


@pytest.mark.parametrize("name", KEEPING)
@settings(max_examples=30)
@given(system=TEXT, first=TEXT, answer=TEXT, last=TEXT)
def test_a_template_that_keeps_every_turn_is_never_accused(
    name: str, system: str, first: str, answer: str, last: str
) -> None:
    """Trimming, merging, JSON, dates, a default of its own: no chat is refused."""
    chat = [Message("system", system), Message("user", first), Message("assistant", answer), Message("user", last)]
    assert prompt_tokens(TOKENIZERS[name], chat, "m")
    assert prompt_tokens(TOKENIZERS[name], chat[1:], "m")


@pytest.mark.parametrize("name", CUTTING)
def test_a_template_that_loses_a_turn_is_said_and_other_chats_are_asked(name: str) -> None:
    """The turn is named by its role and words; without it the question is asked as ever."""
    template, role = CUTTING[name]
    made = tokenizer(template)
    user = Message("user", "what?")
    with pytest.raises(TemplateError, match=rf"{role} turn '(Reply|You)|System role not supported"):
        prompt_tokens(made, [Message("system", "Reply with exactly one JSON object."), user], "m")
    with pytest.raises(TemplateError):
        prompt_tokens(made, [Message("system", "You are helpful, and reply in JSON."), user], "m")
    assert prompt_tokens(made, [user], "m")


def test_words_that_stand_there_by_chance_do_not_hide_a_lost_turn() -> None:
    """A short system turn that is also part of the question is lost all the same."""
    with pytest.raises(TemplateError, match="system turn 'JSON'"):
        prompt_tokens(
            tokenizer(CUTTING["without system"][0]), [Message("system", "JSON"), Message("user", "JSON?")], "m"
        )


def test_earlier_turns_that_are_lost_are_found() -> None:
    """A template for one turn does not hold a conversation."""
    chat = [Message("user", "one"), Message("assistant", "two"), Message("user", "three")]
    with pytest.raises(TemplateError, match="user turn 'one'"):
        prompt_tokens(tokenizer(CUTTING["last turn only"][0]), chat, "m")
    answers_lost = "{% for m in messages if m.role != 'assistant' %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}"
    with pytest.raises(TemplateError, match="assistant turn 'two'"):
        prompt_tokens(tokenizer(answers_lost + _END), chat, "m")
