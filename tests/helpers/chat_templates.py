"""Chat templates of the kinds that models bring, each short and made up: what they know of tools and reasoning."""

from __future__ import annotations

from typing import Any

from tiny_models import make_tokenizer

MARKS = ["[INST]", "[/INST]", "</s>", "<|eot|>", "<|head|>", "<|tail|>", "<|call|>", "<|return|>", "<|channel|>"]

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Knows neither tools nor reasoning and says nothing."""

XML = (
    "{% if tools %}<|im_start|>system\nTools:\n{% for t in tools %}{{ t | tojson }}\n{% endfor %}<|im_end|>\n"
    "{% endif %}{% set ns = namespace(asked=0) %}"
    "{% for m in messages %}{% if m.role == 'user' %}{% set ns.asked = loop.index0 %}{% endif %}{% endfor %}"
    "{% for m in messages %}"
    "{% if m.role == 'tool' %}<|im_start|>user\n<tool_response>\n{{ m.content }}\n</tool_response><|im_end|>\n"
    "{% elif m.role == 'assistant' %}<|im_start|>assistant\n"
    "{% if m.reasoning_content and loop.index0 > ns.asked %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}"
    "{{ m.content }}"
    "{% for c in m.tool_calls or [] %}{% if m.content or not loop.first %}\n{% endif %}<tool_call>\n"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}'
    "<|im_end|>\n"
    "{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Calls as JSON between tags; reasoning of the turns behind the last question only."""

ONE_CALL = (
    "{% if tools %}<|head|>system<|tail|>{% for t in tools %}{{ t | tojson }}{% endfor %}<|eot|>{% endif %}"
    "{% for m in messages %}{% if m.tool_calls %}{% if m.tool_calls | length != 1 %}"
    "{{ raise_exception('one call at a time, please') }}{% endif %}<|head|>assistant<|tail|>"
    '{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}'
    "<|eot|>"
    "{% elif m.role == 'tool' %}<|head|>ipython<|tail|>{{ m.content | tojson }}<|eot|>"
    "{% else %}<|head|>{{ m.role }}<|tail|>{{ m.content | trim }}<|eot|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|head|>assistant<|tail|>{% endif %}"
)
"""One call, without text beside it; what a tool answers as JSON text."""

LISTED = (
    "{% set ns = namespace(asked=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.asked = loop.index0 %}"
    "{% endif %}{% endfor %}{% for m in messages %}{% if m.role == 'user' %}"
    "{% if tools and loop.index0 == ns.asked %}[AVAILABLE_TOOLS]{{ tools | tojson }}[/AVAILABLE_TOOLS]{% endif %}"
    "[INST]{{ m.content }}[/INST]"
    "{% elif m.role == 'tool' %}[TOOL_RESULTS]{{ m.content }}[/TOOL_RESULTS]"
    "{% elif m.tool_calls %}[TOOL_CALLS] [{% for c in m.tool_calls %}{% if c.id is not defined or c.id | length != 9 %}"
    "{{ raise_exception('ids of calls have nine characters') }}{% endif %}"
    '{"name": "{{ c.function.name }}", "arguments": {{ c.function.arguments | tojson }}, "id": "{{ c.id }}"}'
    "{{ ', ' if not loop.last }}{% endfor %}]</s>"
    "{% elif m.role == 'assistant' %} {{ m.content | trim }}</s>{% else %}{{ raise_exception('no system turns') }}"
    "{% endif %}{% endfor %}"
)
"""A list of calls with ids of nine characters; the tools stand before the last question."""

TEXT_ARGUMENTS = (
    "{{ (tools | tojson) if tools }}"
    "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n{{ m.content }}"
    "{% for c in m.tool_calls or [] %}```{{ c.function.name }}\n{{ c.function.arguments + '\n```' }}{% endfor %}"
    "<|im_end|>\n{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""Takes arguments as the text that an API gives them, and stumbles over an object."""

CHANNELS = (
    "{% if tools %}<|head|>developer{{ tools | tojson }}<|tail|>{% endif %}"
    "{% for m in messages %}{% if m.role == 'assistant' %}<|head|>assistant"
    "{% if m.thinking and loop.last %}<|channel|>analysis {{ m.thinking }}<|tail|><|head|>assistant{% endif %}"
    "{% if m.tool_calls %}<|channel|>to {{ m.tool_calls[0].function.name }} "
    "{{ m.tool_calls[0].function.arguments | tojson }}<|call|>{% else %}<|channel|>final {{ m.content }}"
    "{{ '<|return|>' if loop.last else '<|tail|>' }}{% endif %}"
    "{% else %}<|head|>{{ m.role }} {{ m.content }}<|tail|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|head|>assistant{% endif %}"
)
"""Reasoning under the key `thinking`; a call ends in a token of its own."""

AS_PYTHON = XML.replace("c.function.arguments | tojson", "c.function.arguments")
"""Writes an object as Python does, so the text is what it wants."""

FORGETFUL = XML.replace("for c in m.tool_calls or []", "for c in m.tool_calls or [] if m == messages[-1]")
"""Leaves out the calls of earlier turns."""

OPENED = CHATML.replace("<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n<think>\n{% endif %}")
"""Asks with a thought begun, and writes answers without one."""


def tokenizer_with(template: str) -> Any:
    """A byte-level tokenizer with the marks of all templates."""
    tokenizer = make_tokenizer(template)
    tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
    return tokenizer
