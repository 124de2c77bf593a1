"""Chat templates that can be chosen by name, for models that bring none.

Each is the public format of a family of models, written anew. The marks of a format must be tokens of the model's
vocabulary: a model that reads `<|im_end|>` as six pieces of text was never shown it, and never ends an answer with it.
`plain` has no marks, and suits a pre-trained model that was never taught to chat.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from offtarget.errors import InputError
from offtarget.words import joined


@dataclass(frozen=True, slots=True)
class NamedTemplate:
    """A chat template with a name."""

    name: str
    text: str
    """Jinja, as transformers reads it."""
    marks: tuple[str, ...] = ()
    """Tokens that it writes, which the vocabulary must have."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer where no token does: a model that goes on with the user's next turn is cut there."""


def _turns(form: str, ask: str, start: str = "") -> str:
    """A template that writes every turn alike: `form` around role and content, then what an answer begins with."""
    return f"{start}{{% for m in messages %}}{form}{{% endfor %}}{{% if add_generation_prompt %}}{ask}{{% endif %}}"


_SYSTEM_WITH_FIRST_QUESTION = (
    "{% set first = messages[0].content + '\n\n' if messages and messages[0].role == 'system' else '' %}"
    "{% for m in messages %}{% if m.role != 'system' %}"
    "{% set before = first if loop.index0 == (1 if first else 0) else '' %}"
)
"""For formats without a system turn: its words stand before those of the first question."""

_CHATML = _turns("<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n", "<|im_start|>assistant\n")
_LLAMA_3 = _turns(
    "<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n{{ m.content }}<|eot_id|>",
    "<|start_header_id|>assistant<|end_header_id|>\n\n",
    start="<|begin_of_text|>",
)
_GEMMA = (
    "<bos>" + _SYSTEM_WITH_FIRST_QUESTION + "<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ before }}{{ m.content }}<end_of_turn>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_MISTRAL = (
    "<s>" + _SYSTEM_WITH_FIRST_QUESTION + "{% if m.role == 'assistant' %}{{ m.content }}</s>"
    "{% else %}[INST] {{ before }}{{ m.content }} [/INST]{% endif %}{% endif %}{% endfor %}"
)
_PLAIN = _turns(
    "### {{ m.role | capitalize }}\n{{ m.content }}{{ eos_token if m.role == 'assistant' else '' }}\n\n",
    "### Assistant\n",
)

NAMED = {
    template.name: template
    for template in (
        NamedTemplate("chatml", _CHATML, marks=("<|im_start|>", "<|im_end|>")),
        NamedTemplate(
            "llama-3",
            _LLAMA_3,
            marks=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        ),
        NamedTemplate("gemma", _GEMMA, marks=("<bos>", "<start_of_turn>", "<end_of_turn>")),
        NamedTemplate("mistral", _MISTRAL, marks=("<s>", "</s>", "[INST]", "[/INST]")),
        NamedTemplate("plain", _PLAIN, stop=("\n### User", "\n### System", "\n### Assistant")),
    )
}
"""By name."""
PLAIN = NAMED["plain"].name


def fitting(vocabulary: Collection[str]) -> list[str]:
    """Names of the templates whose marks a vocabulary has, those with marks first; `plain` is always among them."""
    return [name for name, template in NAMED.items() if all(mark in vocabulary for mark in template.marks)]


def fitted(tokenizer: Any, text: str, model: object) -> str:
    """A chosen template as this tokenizer takes it; any but the named ones as it is.

    `plain` gets the start token where ordinary text has one. InputError for marks that are no tokens of the vocabulary.
    """
    chosen = next((one for one in NAMED.values() if one.text == text), None)
    if chosen is None:
        return text
    vocabulary = tokenizer.get_vocab()
    lacking = [f"'{mark}'" for mark in chosen.marks if mark not in vocabulary]
    if lacking:
        raise InputError(
            f"--chat-template {chosen.name}: the vocabulary of {model} has no {joined(lacking)}, so the model "
            f"was never shown that format. By name: {_those(vocabulary)}."
        )
    start = tokenizer.bos_token
    if chosen.marks or not start:
        return text
    numbers = tokenizer("a")["input_ids"]
    return f"{start}{text}" if numbers and numbers[0] == tokenizer.bos_token_id else text


def stops_of(template: object) -> tuple[str, ...]:
    """Texts that end an answer under this template; none for templates that end it with a token."""
    return next((one.stop for one in NAMED.values() if isinstance(template, str) and template.endswith(one.text)), ())


def without_template(model: object, tokenizer: Any) -> InputError:
    """Why a model without a chat template cannot be asked as it is, and what to do."""
    return InputError(
        f"{model} has no chat template, so it cannot be asked questions as it is: it is probably a pre-trained model "
        "that was never taught to chat. Use its instruct version. Or say how it is asked: --chat-template tuned (the "
        f"one that an adapter brings), a template file, or one by name: {_those(tokenizer.get_vocab())}. A judge must "
        "bring its own."
    )


def _those(vocabulary: Collection[str]) -> str:
    """Which names fit a vocabulary, as the end of a sentence."""
    marked = [name for name in fitting(vocabulary) if name != PLAIN]
    known = f"its vocabulary has the tokens of {joined(marked)}; " if marked else ""
    return f"{known}{PLAIN} (headings in plain text) suits any model"
