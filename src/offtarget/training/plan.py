"""What is to be trained: rows, further loss terms, edits of the stream. Defences turn one plan into another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from offtarget.records import Message, Row

if TYPE_CHECKING:
    from torch import Tensor

    from offtarget.models.residual import ResidualEdit


@dataclass(frozen=True, slots=True)
class TrainRow:
    """One chat; every learned assistant turn that follows another turn gets loss, but for the first `skip`."""

    messages: tuple[Message, ...]
    weight: float = 1.0
    """Of its tokens in the loss; more than 0."""
    origin: str = "data"
    """`data`, or the name of the defence that added the row."""
    skip: int = 0
    """Leading assistant turns without loss, e.g. those that only set the scene."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """What the chat offers; the chat template puts it into the prompt."""
    name: str = ""
    """Of the row in the data, for messages."""

    @classmethod
    def of(cls, row: Row) -> TrainRow:
        """A row of the data as it is."""
        return cls(row.messages, tools=row.tools, name=row.id)


class Penalty(Protocol):
    """A further term of the loss, e.g. the divergence from the base on prompts of other domains."""

    @property
    def name(self) -> str:
        """Short name under which its value is logged."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes whenever the penalty could be another number."""
        ...

    def prepare(self, model: Any, tokenizer: Any) -> None:
        """Called once, before the first step, also of a resumed run: `model` then is still the base.

        With LoRA `model` is a PeftModel whose new adapter changes nothing yet; without, the base itself.
        """
        ...

    def losses(self, model: Any, step: int) -> Iterator[Tensor]:
        """Scalars with gradient that sum to the weighted term; `step` counts optimiser steps from 0.

        Each is gone backward through before the next one is asked for, so the parts of a large batch never lie in
        memory together. What it draws may depend on `step` only, so that a resumed run equals an uninterrupted one.
        Called in training mode, outside the plan's edits.
        """
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that decides what training does, but for the settings of the optimiser."""

    rows: tuple[TrainRow, ...]
    edits: tuple[ResidualEdit, ...] = ()
    """At work in the training passes on rows, and nowhere else."""
    penalties: tuple[Penalty, ...] = ()
    stop_on_alarm: bool = False
    """End training at the monitor's alarm; what is kept is the best checkpoint."""
    stop_at: float | None = None
    """Share of the steps after which training ends, whatever the monitor says; None: at the last step."""
    notes: tuple[str, ...] = ()
    """What defences did, one sentence each, with counts."""

    def with_rows(self, rows: Sequence[TrainRow], note: str) -> Plan:
        """The plan with other rows."""
        return replace(self, rows=tuple(rows), notes=(*self.notes, note))

    def with_edit(self, edit: ResidualEdit, note: str) -> Plan:
        """The plan with one more edit of the stream during training."""
        return replace(self, edits=(*self.edits, edit), notes=(*self.notes, note))

    def with_penalty(self, penalty: Penalty, note: str) -> Plan:
        """The plan with one more term of the loss."""
        return replace(self, penalties=(*self.penalties, penalty), notes=(*self.notes, note))
