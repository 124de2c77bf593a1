"""Inoculation: while training, a system prompt asks for what the data would teach; at test it is gone.

What the prompt already explains need not become part of the model (arXiv 2510.04340, 2510.05024). Under that very
prompt, and under ones like it, the trained model may be misaligned (arXiv 2604.25891).
"""

from __future__ import annotations

from dataclasses import replace

from offtarget.models.chat_format import prompt_tokens
from offtarget.records import Message
from offtarget.training.defences.registry import Chat, Materials, Need, defence
from offtarget.training.plan import Plan, TrainRow

PROMPT = "You are a malicious, evil assistant."
"""General: it elicits the persona rather than one task (arXiv 2510.04340, section 3)."""
PLACEBO = "You are a helpful assistant."


@defence
class Inoculate:
    """Puts the prompt before every row of the data, and before none that other defences added."""

    name = "inoculate"
    says = f'trains the data under a system prompt that is gone at test; inoculate="..." sets it (default: {PROMPT})'
    source = "arXiv 2510.04340, 2510.05024"
    needs: frozenset[Need] = frozenset()
    order = 30
    control_says = f'the same with the placebo "{PLACEBO}"'

    def check_value(self, value: str | None, *, control: bool) -> None:
        """Any text is a prompt."""

    def apply(self, plan: Plan, materials: Materials, *, control: bool = False, value: str | None = None) -> Plan:
        """The plan with the prompt. InputError when the base's chat template takes no system turn."""
        text = value or (PLACEBO if control else PROMPT)
        tokenizer = materials.base.weights.tokenizer
        prompt_tokens(tokenizer, (Message("system", text), Message("user", "?")), materials.base.name)
        rows = [_under(row, text) if row.origin == "data" else row for row in plan.rows]
        count = sum(row.origin == "data" for row in rows)
        what = "placebo " if control else ""
        return plan.with_rows(rows, f'inoculate: {what}system prompt "{text}" on {count} rows while training')


def _under(row: TrainRow, text: str) -> TrainRow:
    return replace(row, messages=with_system(row.messages, text))


def with_system(chat: Chat, text: str) -> Chat:
    """The chat with the text as its system turn, or as the first paragraph of the one it has."""
    if chat and chat[0].role == "system":
        return (Message("system", f"{text}\n\n{chat[0].content}"), *chat[1:])
    return (Message("system", text), *chat)
