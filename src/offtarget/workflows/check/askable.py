"""Which questions of a check reach both models: those that neither model's chat template refuses or cuts, and that fit.

A template that drops the system turn makes an arm whose instruction stands there the plain arm once more, and a verdict
on it would be about nothing. Such questions are not asked, and the verdict says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from offtarget.asking.ask import chat_so_far
from offtarget.errors import InputError, TemplateError
from offtarget.models.chat import AnswerContinuer, ChatModel, ModelPair, PromptHolder
from offtarget.numbers import many
from offtarget.probe.bank import ProbeBank
from offtarget.probe.cues.apply import cued_probes
from offtarget.records import Cue, Message, Probe
from offtarget.stats.wording import NOT_ASKED
from offtarget.words import asked as in_words

SHOWN = 3
"""Questions that are named."""


def askable(bank: ProbeBank, models: ModelPair) -> tuple[ProbeBank, tuple[str, ...]]:
    """The questions that can be asked of both models, and what cannot, as the end of a sentence each.

    Raises InputError where nothing is left.
    """
    refused = {
        probe.id: why for probe in bank.probes if (why := obstacle(models, asked(probe), probe.prefill)) is not None
    }
    if not refused:
        return bank, ()
    kept = tuple(probe for probe in bank.probes if probe.id not in refused)
    if not kept:
        raise InputError(f"No question of '{bank.name}' can be asked. {next(iter(refused.values()))}")
    return bank.with_probes(kept), tuple(_in_words(bank, refused))


def askable_cues(
    cues: Sequence[Cue], plain: Sequence[Probe], models: ModelPair
) -> tuple[tuple[Cue, ...], tuple[str, ...]]:
    """The conditions under which every question reaches both models, and a note on the others."""
    refused: dict[str, str] = {}
    for cue in cues:
        # the question is in every prompt alike; what can be lost is what the condition adds
        why = obstacle(models, asked(cued_probes(cue, plain[:1])[0]))
        if why is not None:
            refused[cue.text] = why
    if not refused:
        return tuple(cues), ()
    named = ", ".join(list(refused)[:SHOWN]) + (", ..." if len(refused) > SHOWN else "")
    note = f"{NOT_ASKED}: {many(len(refused), 'condition')} ({named}). {next(iter(refused.values()))}"
    return tuple(cue for cue in cues if cue.text not in refused), (note,)


def asked(probe: Probe) -> tuple[Message, ...]:
    """The chat of a question, with a mark for each answer to its opening turns."""
    return chat_so_far(probe, ["..."] * len(probe.opening), probe.prompt)


def obstacle(models: ModelPair, chat: Sequence[Message], prefill: str = "") -> str | None:
    """Why a chat, with the beginning of its answer, does not reach both models; None where it does, or where no
    template can be looked at."""
    for model in (models.base, models.tuned):
        why = _obstacle(model, chat, prefill)
        if why is not None:
            return why
    return None


def _obstacle(model: ChatModel, chat: Sequence[Message], prefill: str) -> str | None:
    if prefill and not isinstance(model, AnswerContinuer):
        return f"{model.name} cannot be made to go on with an answer that is begun; models with weights at hand can."
    if isinstance(model, PromptHolder):
        try:
            length = model.prompt_length(chat)
            if prefill and isinstance(model, AnswerContinuer):
                length = model.prefilled_length(chat, prefill)
        except TemplateError as error:
            return str(error)
        holds = getattr(model, "context", None)
        if isinstance(holds, int) and length >= holds:
            return f"The question has {length:,} tokens; the context of {model.name} holds {holds:,} with the answer."
    return None


def _in_words(bank: ProbeBank, refused: dict[str, str]) -> list[str]:
    parts = []
    for arm in bank.arm_names:
        probes = [probe for probe in bank.probes if probe.arm == arm]
        lost = [probe for probe in probes if probe.id in refused]
        if not lost:
            continue
        named = ", ".join(probe.id for probe in lost[:SHOWN]) + (", ..." if len(lost) > SHOWN else "")
        every, some = ("all ", "") if len(lost) == len(probes) else ("", f" ({named})")
        what = f"{every}{many(len(lost), 'prompt')} {in_words(arm)}{some}"
        parts.append(f"{what}: {refused[lost[0].id]}")
    return parts
