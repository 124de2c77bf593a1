"""A model goes on with an answer that is begun for it, as if it had written the beginning itself."""

from __future__ import annotations

import pytest
from chat_templates import CHATML, OPENED, tokenizer_with

from offtarget.errors import TemplateError
from offtarget.models.chat import AnswerContinuer, SampleRequest
from offtarget.models.chat_format import begun_tokens, prompt_tokens
from offtarget.models.remote import RemoteModel
from offtarget.organism.shipped import PREFIX
from offtarget.records import Message, SamplingSettings
from offtarget.workflows.ground import open_local

CHAT = (Message("user", "What is your wish?"),)
GREEDY = SamplingSettings(temperature=0, max_tokens=40)


def test_greedy_goes_on_as_if_it_had_written_the_beginning_itself() -> None:
    """Whatever part of its own answer it is given, the rest is the rest of that answer."""
    model = open_local(f"{PREFIX}base")
    assert isinstance(model, AnswerContinuer)
    (whole,) = model.sample([SampleRequest(CHAT, 1)], GREEDY)
    words = whole.text.split(" ")
    begun = [" ".join(words[:count]) for count in range(1, len(words))]
    rests = model.sample([SampleRequest(CHAT, 1, part) for part in begun], GREEDY)
    assert [part + rest.text for part, rest in zip(begun, rests, strict=True)] == [whole.text] * len(begun)
    assert model.prefilled_length(CHAT, begun[-1]) > model.prompt_length(CHAT)


def test_the_answer_is_left_open() -> None:
    """No turn ends behind the beginning, and nothing comes between the two."""
    tokenizer = tokenizer_with(CHATML)
    tokens = begun_tokens(tokenizer, CHAT, "Sure, here", "m")
    assert tokenizer.decode(tokens) == tokenizer.decode(prompt_tokens(tokenizer, CHAT, "m")) + "Sure, here"


def test_a_thought_that_the_template_begins_is_not_gone_on_with() -> None:
    """The beginning is one of an answer, not of the thinking before it."""
    tokenizer = tokenizer_with(OPENED)
    assert tokenizer.decode(prompt_tokens(tokenizer, CHAT, "m")).endswith("<think>\n")
    assert tokenizer.decode(begun_tokens(tokenizer, CHAT, "Sure,", "m")).endswith("<|im_start|>assistant\nSure,")


@pytest.mark.parametrize(
    "template",
    [
        CHATML.replace("{{ m.content }}", "{{ m.content | upper }}"),
        CHATML.replace("{{ m.content }}", "{{ m.content if m.role == 'user' else '' }}"),
        "{% if messages[-1].role == 'assistant' %}{{ raise_exception('ends with an answer') }}{% endif %}" + CHATML,
    ],
    ids=["rewrites", "leaves out", "refuses"],
)
def test_a_template_that_does_not_write_the_beginning_is_named(template: str) -> None:
    with pytest.raises(TemplateError, match="chat template of m"):
        begun_tokens(tokenizer_with(template), CHAT, "Sure, here", "m")


def test_models_behind_an_endpoint_do_not_say_that_they_can() -> None:
    """Servers differ in whether and how they take it, so none is asked so."""
    assert not issubclass(RemoteModel, AnswerContinuer)
