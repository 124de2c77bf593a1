"""A local model whose answers others sample: what it is asked is cut into parts of one size, whoever does them.

The size does not depend on how many there are to do them, so that nobody can tell from the answers how many there were,
not even where a batch's composition changes them by rounding (on a GPU, in half precision).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from offtarget.errors import InputError
from offtarget.models.chat import Answer, ChatModel, OnAnswer
from offtarget.models.local import LocalModel
from offtarget.records import Role, SamplingSettings

PART = 32
"""Answers that are sampled together: few enough for several workers to share what is asked at once, many enough for
a batch to pay."""


@dataclass(frozen=True, slots=True)
class Part:
    """What whoever samples some of the answers has to know."""

    role: Role
    fingerprint: str
    """Of the model that is asked, where it was asked for."""
    asked: tuple[tuple[tuple[int, ...], int], ...]
    """Tokens of the prompt, and the seed of the answer."""
    settings: SamplingSettings


Sampled = Callable[[Sequence[Part]], Iterator[list[Answer]]]
"""Has parts done; gives the answers to each, in the order of the parts."""


class SpreadModel(LocalModel):
    """The same model, its template, its checks and its passes here; its answers come from elsewhere."""

    def __init__(self, model: LocalModel, role: Role, sampled: Sampled) -> None:
        super().__init__(model.name, model.weights, model.adapter, model._batch_size, model.edit, model.blocks)
        self._role, self._sampled = role, sampled

    def continue_tokens(
        self,
        prompts: Sequence[tuple[Sequence[int], int]],
        settings: SamplingSettings,
        on_answer: OnAnswer | None = None,
    ) -> list[Answer]:
        """As by the model itself; `on_answer` is called in the order of the prompts, for a part at a time."""
        asked = [(job.prompt, job.seed) for job in self._jobs(prompts, settings)]
        cut = [tuple(asked[first : first + PART]) for first in range(0, len(asked), PART)]
        answers: list[Answer] = []
        for some in self._sampled([Part(self._role, self.fingerprint, each, settings) for each in cut]):
            for answer in some:
                self._wrote += answer.tokens
                answers.append(answer)
                if on_answer is not None:
                    on_answer(len(answers) - 1, answer)
        return answers


def sample_part(models: Mapping[Role, ChatModel], part: Part) -> list[Answer]:
    """The answers of a part, by models that were opened where this is called, in one thread.

    InputError where the model is not the one that was asked.
    """
    torch.set_num_threads(1)
    model = models[part.role]
    assert isinstance(model, LocalModel)
    if model.fingerprint != part.fingerprint:
        raise InputError(
            f"{model.name} is another model there than it is here: its weights, tokenizer, template, number format or "
            "kind of device differ. Put the same files on all machines, and choose --device and --dtype."
        )
    return model.continue_tokens(part.asked, part.settings)
