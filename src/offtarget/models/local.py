"""Chat models from local weights; base and base with adapter share one set of weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import torch

from offtarget.errors import InputError
from offtarget.machine import give_back_freed_memory
from offtarget.models.batching import Job, run_batches
from offtarget.models.chat import Answer, OnAnswer, SampleRequest
from offtarget.models.chat_format import begun_tokens, end_tokens, prompt_tokens
from offtarget.models.decoding import Rules, StopStrings
from offtarget.models.decoding_memory import batch_rows, decoding_needs
from offtarget.models.engine import Engine
from offtarget.models.folders import model_fingerprint
from offtarget.models.fused import FusedEngine
from offtarget.models.kept_prefixes import KeptPrefixes
from offtarget.models.named_templates import stops_of
from offtarget.models.own_words import own_words
from offtarget.models.paying import Payer, some
from offtarget.models.residual import ResidualEdit, check_layers, decoder_blocks, edited
from offtarget.models.scoring import reply_probabilities
from offtarget.models.weights import Weights
from offtarget.records import Message, SamplingSettings
from offtarget.records.spent import Spent

_WORTH_GIVING_BACK = 128 << 20
"""Bytes of a batch from which on freed memory is given back after it; for less the call takes longer than it helps."""

_PROMPTS = 50_000
"""Chats whose tokens are remembered."""


class LocalModel:
    """A `ChatModel` and `NumberScorer` over weights in memory, with one of their adapters or none.

    `batch_size` is the most answers decoded together; None chooses by memory. On CPU in float32 answers do not
    depend on it, bit for bit; elsewhere up to rounding of the model's own arithmetic (docs/design/sampling.md).
    """

    def __init__(
        self,
        name: str,
        weights: Weights,
        adapter: str | None = None,
        batch_size: int | None = None,
        edit: ResidualEdit | None = None,
        blocks: str | None = None,
    ) -> None:
        """`edit` changes the residual stream in every pass; `blocks` names the attribute that lists the blocks."""
        if batch_size is not None and batch_size < 1:
            raise InputError(f"The batch size must be at least 1, not {batch_size}.")
        self._name = name
        self._weights = weights
        self._adapter = adapter
        self._batch_size = batch_size
        self._ends = end_tokens(weights.model, weights.tokenizer)
        self._read = self._wrote = 0
        self._prompts: dict[tuple[tuple[Message, ...], str], list[int]] = {}
        self._kept = KeptPrefixes()
        folder = None if adapter is None else weights.adapters[adapter]
        backend = [weights.dtype, weights.device.type, str(self._ends)]
        backend += [] if weights.chat_template is None else [weights.chat_template]
        self._fingerprint = model_fingerprint(weights.folder, folder, backend)
        self.edit, self.blocks = edit, blocks
        if edit is not None:
            check_layers(edit.layers, len(decoder_blocks(weights.model, blocks)))
            self._fingerprint = hashlib.sha256(f"{self._fingerprint}+{edit.fingerprint}".encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"LocalModel({self._name!r})"

    @property
    def name(self) -> str:
        """The name the user gave."""
        return self._name

    @property
    def payer(self) -> Payer | None:
        """Is asked before every answer; that of the weights."""
        return self._weights.payer

    @property
    def spent(self) -> Spent:
        """Tokens read and written so far."""
        return Spent(tokens_in=self._read, tokens_out=self._wrote)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results must know about how the model is asked."""
        words = own_words(self._weights.tokenizer)
        return () if words is None else (f"For {self._weights.folder.name}, {words.said}",)

    @property
    def context(self) -> int:
        """Most tokens of prompt and answer together."""
        return self._weights.context

    @property
    def weights(self) -> Weights:
        """The weights, shared with other models of the same base."""
        return self._weights

    @property
    def adapter(self) -> str | None:
        """Name of the adapter within the weights; None for the base."""
        return self._adapter

    def prompt_length(self, messages: Sequence[Message]) -> int:
        """Tokens of a chat up to where the next answer begins. TemplateError when the template refuses or cuts it."""
        return len(self._prompt(tuple(messages)))

    def prefilled_length(self, messages: Sequence[Message], prefill: str) -> int:
        """Tokens of a chat and of the beginning of its answer. TemplateError as `prompt_length`."""
        return len(self._prompt(tuple(messages), prefill))

    def with_edit(self, edit: ResidualEdit | None, name: str | None = None) -> LocalModel:
        """The same model with (another, or no) change of its residual stream; weights are shared.

        Raises InputError for a layer that does not exist and for a model whose decoder blocks are not found.
        """
        return LocalModel(name or self._name, self._weights, self._adapter, self._batch_size, edit, self.blocks)

    @property
    def fingerprint(self) -> str:
        """16 hex digits over weights, tokenizer, template, adapter, dtype, device kind and sampler version."""
        return self._fingerprint

    def sample(
        self,
        requests: Sequence[SampleRequest],
        settings: SamplingSettings,
        on_answer: OnAnswer | None = None,
    ) -> list[Answer]:
        """One answer per request, in request order; each depends on its own (messages, seed) alone.

        InputError when a prompt does not fit the model, the template refuses it, or memory does not suffice.
        """
        asked = requests[: some(self._weights.payer, self._name, len(requests))]
        prompts = [(self._prompt(request.messages, request.prefill), request.seed) for request in asked]
        if more := stops_of(self._weights.tokenizer.chat_template):
            settings = replace(settings, stop=(*settings.stop, *more))
        answers = self.continue_tokens(prompts, settings, on_answer)
        if len(asked) < len(requests):  # those that were allowed are kept, then it is said that no more are
            some(self._weights.payer, self._name, len(requests) - len(asked))
        return answers

    def continue_tokens(
        self,
        prompts: Sequence[tuple[Sequence[int], int]],
        settings: SamplingSettings,
        on_answer: OnAnswer | None = None,
    ) -> list[Answer]:
        """One continuation per (token numbers, seed), in their order: `sample` below the chat template.

        InputError when a prompt is empty or does not fit the model, or when memory does not suffice.
        """
        weights = self._weights
        answers: list[Answer | None] = [None] * len(prompts)
        jobs = self._jobs(prompts, settings)
        decode_text = weights.tokenizer.decode
        stops = StopStrings(settings.stop, decode_text) if settings.stop else None

        def finish(index: int, tokens: list[int], by_itself: bool) -> None:
            text: str = decode_text(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            if stops is not None:
                text = stops.cut(text)
            answer = Answer(text, len(tokens), "stop" if by_itself else "length")
            self._wrote += len(tokens)
            answers[index] = answer
            if on_answer is not None:
                on_answer(index, answer)

        on_cpu = weights.device.type == "cpu"
        rules = Rules(
            temperature=settings.temperature,
            top_p=settings.top_p,
            end_tokens=self._ends,
            stopped=None if stops is None else stops.completed_at,
            check_every=1 if on_cpu else 8,
            min_rows=min(64, max(16, 8 * torch.get_num_threads())) if on_cpu else 1,
        )
        lengths = [len(prompt) for prompt in {job.prompt for job in jobs}]
        rows = self._batch_size or batch_rows(weights, lengths, len(jobs), settings.max_tokens)
        with self.engine() as engine:
            # A small model's operations are too short to be worth splitting over cores; batches are.
            workers = min(8, torch.get_num_threads()) if isinstance(engine, FusedEngine) else 1
            run_batches(engine, jobs, rules, rows, weights.device, finish, workers, self._kept)
        if on_cpu and decoding_needs(weights, lengths, len(jobs), settings.max_tokens).of(rows) > _WORTH_GIVING_BACK:
            give_back_freed_memory()
        return [answer for answer in answers if answer is not None]

    def _jobs(self, prompts: Sequence[tuple[Sequence[int], int]], settings: SamplingSettings) -> list[Job]:
        """One for each, whose prompt counts as read. InputError for one that is empty or does not fit the model."""
        weights = self._weights
        jobs = []
        for i, (prompt, seed) in enumerate(prompts):
            room = min(settings.max_tokens, weights.context - len(prompt))
            if room < 1 or not prompt:
                text = weights.tokenizer.decode(list(prompt[-40:]))
                raise InputError(
                    f"A prompt of {len(prompt)} tokens leaves no room in the context of {self._name} "
                    f"({weights.context} tokens), or is empty: '...{text}'"
                )
            jobs.append(Job(i, tuple(prompt), seed, room))
            self._read += len(prompt)
        return jobs

    def reply_probabilities(self, messages: Sequence[Message], replies: Sequence[str]) -> dict[str, float]:
        """Probability of each reply as the whole first word of the answer; see `scoring.reply_probabilities`."""
        weights, prompt = self._weights, self._prompt(tuple(messages))
        some(weights.payer, self._name, 1)
        self._read += len(prompt)
        with weights.using(self._adapter) as engine, edited(weights.model, self.edit, self.blocks):
            return reply_probabilities(engine, weights.tokenizer, prompt, replies, weights.device)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """The fastest engine with this model's adapter and edit at work."""
        with self._weights.fastest(self._adapter) as engine, edited(self._weights.model, self.edit, self.blocks):
            yield engine.with_edit(self.edit) if isinstance(engine, FusedEngine) and self.edit else engine

    def _prompt(self, messages: tuple[Message, ...], prefill: str = "") -> list[int]:
        asked = (messages, prefill)
        if asked not in self._prompts:
            if len(self._prompts) >= _PROMPTS:  # a model that is served is asked something new for ever
                self._prompts.clear()
            tokenizer = self._weights.tokenizer
            self._prompts[asked] = (
                begun_tokens(tokenizer, messages, prefill, self._name)
                if prefill
                else prompt_tokens(tokenizer, messages, self._name)
            )
        return self._prompts[asked]
