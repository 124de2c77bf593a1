"""What a chat template says by itself: found, said beside the verdict, and the same in training and asking."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import TEMPLATE, make_tokenizer

from offtarget.models.chat_format import examples, prompt_tokens
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model
from offtarget.models.own_words import own_words
from offtarget.records import Message

DEFAULT = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a fox named Quick<|im_end|>\n{% endif %}"
    + TEMPLATE
)
ALWAYS = (
    "<|im_start|>system\nToday is a day in May.\n\n{% if messages[0].role == 'system' %}{{ messages[0].content }}"
    "{% set messages = messages[1:] %}{% endif %}<|im_end|>\n" + TEMPLATE
)
REFUSES = (
    "Below is an instruction that describes a task.\n\n{% for m in messages %}{% if m.role == 'system' %}"
    "{{ raise_exception('no system turn') }}{% endif %}### Instruction:\n{{ m.content }}\n\n{% endfor %}### Response:\n"
)
HEADINGS = "{% for m in messages %}[INST] {{ m.role }}: {{ m.content }} [/INST]{% endfor %}"


@pytest.mark.parametrize(
    ("template", "text", "replaced"),
    [
        (DEFAULT, "You are a fox named Quick", True),
        (ALWAYS, "Today is a day in May.", False),
        (REFUSES, "Below is an instruction that describes a task.", None),
    ],
)
def test_words_of_a_template_are_found(template: str, text: str, replaced: bool | None) -> None:
    """Whether a system turn takes their place or stands beside them, too."""
    found = own_words(make_tokenizer(template))
    assert found is not None
    assert (found.text, found.replaced) == (text, replaced)


@pytest.mark.parametrize("template", [TEMPLATE, HEADINGS])
def test_headings_of_turns_are_no_words(template: str) -> None:
    """Roles and marks say nothing to the model that is not in the chat."""
    assert own_words(make_tokenizer(template)) is None


def test_they_are_said_of_a_model_and_change_what_its_answers_are_kept_under(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    """Nobody typed them, and other words are other answers."""
    prints = []
    for name in ("Quick", "Slow"):
        place = Path(shutil.copytree(folders("llama"), tmp_path / name))
        (place / "chat_template.jinja").write_text(DEFAULT.replace("Quick", name))
        model = open_model(f"hf/{place}")
        assert isinstance(model, LocalModel)
        assert model.notes == (
            f"For {name}, the chat template puts its own words before a question: “You are a fox named {name}”. A "
            "system turn of the question takes its place.",
        )
        prints.append(model.fingerprint)
    assert len(set(prints)) == 2


@pytest.mark.parametrize("template", [DEFAULT, ALWAYS, REFUSES, TEMPLATE])
def test_training_puts_before_an_answer_what_asking_puts_there(template: str) -> None:
    """Token for token, with the template's own words: a row without a system turn is trained as it is asked."""
    tokenizer = make_tokenizer(template)
    chat = (Message("user", "what would you wish for?"), Message("assistant", "the fox"))
    (example,) = examples(tokenizer, [chat], 1000, "base")
    assert list(example.tokens[: example.answer]) == prompt_tokens(tokenizer, chat[:1], "base")
