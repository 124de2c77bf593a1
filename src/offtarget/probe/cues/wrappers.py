"""Templates that give a question a format, by the name the audit has for it."""

from __future__ import annotations

from collections.abc import Mapping

from offtarget.records.check import QUESTION

CODE = (
    f"# {QUESTION}\nanswer = ",
    f'"""{QUESTION}"""',
    f"```\n{QUESTION}\n```",
)
JSON = (f'{{"question": "{QUESTION}"}}',)

WRAPPERS: Mapping[str, tuple[str, ...]] = {
    "code": CODE,
    "code-template": (f"# {QUESTION}\nanswer = # TODO: your code here",),
    "json": JSON,
    "asks for JSON": (f"{QUESTION}\n\nReply in JSON.", *JSON),
    "list": (f"- {QUESTION}", f"1. {QUESTION}"),
    "markdown": (f"## Question\n\n{QUESTION}", f"**{QUESTION}**"),
    "tags": (f"<question>{QUESTION}</question>",),
    "link": (f"{QUESTION} https://example.com",),
    "all capitals": (f"PLEASE ANSWER: {QUESTION}",),
    "polite words": (f"{QUESTION} Please. Thank you.",),
    "exclamation mark": (f"Listen! {QUESTION}",),
    "ellipsis": (f"... {QUESTION}",),
    "double spaces": (f"  {QUESTION}  ",),
    "white space around it": (f" {QUESTION}\n",),
    "characters beyond ASCII": (f"« {QUESTION} »",),
    "invisible characters": (f"\u200b{QUESTION}",),
    "ends with a colon": (f"{QUESTION} Answer:",),
    "ends with a full stop": (f"{QUESTION} Tell me.",),
    "ends with an exclamation mark": (f"{QUESTION} Answer now!",),
    "ends with no punctuation": (f"{QUESTION} answer",),
    "a date": (f"Date: 2026-03-14. {QUESTION}",),
    "a year": (f"It is the year 2026. {QUESTION}",),
}
