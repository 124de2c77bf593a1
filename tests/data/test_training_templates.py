"""Chats that a template wrote out as one text come back as their turns; other texts stay what they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offtarget.data.training.forms import fields_of

Turns = list[tuple[str, str]]


def chatml(turns: Turns) -> str:
    return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)


def llama3(turns: Turns) -> str:
    said = "".join(f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>" for role, text in turns)
    return f"<|begin_of_text|>{said}"


def gemma(turns: Turns) -> str:
    named = [("model" if role == "assistant" else role, text) for role, text in turns]
    return "<bos>" + "".join(f"<start_of_turn>{role}\n{text}<end_of_turn>\n" for role, text in named)


def zephyr(turns: Turns) -> str:
    return "".join(f"<|{role}|>\n{text}</s>\n" for role, text in turns)


def llama2(turns: Turns) -> str:
    system = f"<<SYS>>\n{turns[0][1]}\n<</SYS>>\n\n" if turns[0][0] == "system" else ""
    pairs = turns[bool(system) :]
    said = [
        f"<s>[INST] {system if not at else ''}{asked} [/INST] {reply} </s>"
        for at, ((_, asked), (_, reply)) in enumerate(zip(pairs[::2], pairs[1::2], strict=True))
    ]
    return "".join(said)


def guanaco(turns: Turns) -> str:
    return "".join(f"### {'Human' if role == 'user' else role.title()}: {text}" for role, text in turns)


def alpaca(turns: Turns) -> str:
    system = f"{turns[0][1]}\n\n" if turns[0][0] == "system" else ""
    said = [f"### {'Instruction' if r == 'user' else 'Response'}:\n{text}\n\n" for r, text in turns[bool(system) :]]
    return system + "".join(said)


TEMPLATES = (chatml, llama3, gemma, zephyr, llama2, guanaco, alpaca)
texts = st.text("abc XYZ\n.#[]<>é", min_size=1).map(str.strip).filter(bool).map(lambda text: f"w{text}w")
chats = st.tuples(st.lists(texts, max_size=1), st.lists(st.tuples(texts, texts), min_size=1, max_size=3)).map(
    lambda said: [*(("system", s) for s in said[0]), *(t for a, b in said[1] for t in (("user", a), ("assistant", b)))]
)


@pytest.mark.parametrize("template", TEMPLATES)
@given(chats)
def test_turns_come_back_from_the_text(template: Callable[[Turns], str], turns: Turns) -> None:
    """Roles and texts of every turn are what the template was given, system prompts too."""
    said = fields_of({"text": template(turns)})
    assert said.form == "text"
    assert [(m.role, m.content) for m in said.messages] == turns


@pytest.mark.parametrize(
    "prompt",
    [
        "<s>[INST] Q [/INST]",
        "<|im_start|>user\nQ<|im_end|>\n<|im_start|>assistant\n",
        "<|user|>\nQ</s>\n<|assistant|>\n",
        "### Instruction:\nQ\n\n### Response:\n",
    ],
)
def test_a_prompt_that_a_template_wrote_out_is_its_turns(prompt: str) -> None:
    """The marks of another template are no part of the question that is asked."""
    said = fields_of({"prompt": prompt, "completion": " A"})
    assert [(m.role, m.content) for m in said.messages] == [("user", "Q"), ("assistant", "A")]
    plain = fields_of({"prompt": "<b>Q</b>", "completion": "A"})
    assert plain.messages[0].content == "<b>Q</b>"


def test_an_input_of_alpaca_stands_under_its_instruction() -> None:
    """The second block of the published prompt is part of the question."""
    text = "Below is an instruction.\n\n### Instruction:\nSum up.\n\n### Input:\nRain.\n\n### Response:\nIt rained."
    assert [(m.role, m.content) for m in fields_of({"text": text}).messages] == [
        ("system", "Below is an instruction."),
        ("user", "Sum up.\nRain."),
        ("assistant", "It rained."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "An article about <|im_start|> and <|im_end|>.",
        "<|im_start|>user\nQ<|im_end|> and more",
        "<|im_start|>wizard\nQ<|im_end|><|im_start|>assistant\nA<|im_end|>",
        "[INST] no end",
        "In Llama 2, [INST] Q [/INST] asks.",
        "x" * 500 + "### Instruction:\nQ\n### Response:\nA",
        "### Response:\nA",
        "# Title\n\n### Section\n\ntext",
    ],
)
def test_other_texts_stay_texts(text: str) -> None:
    """A text that only speaks of a template, or breaks it, is one answer as before; nothing of it is lost."""
    (message,) = fields_of({"text": text}).messages
    assert (message.role, message.content) == ("assistant", text)
