"""Questions of a probe bank as samples of Inspect, and the asking of one, opening turns included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser, GenerateConfig, Model
from inspect_ai.solver import Generate, Solver, TaskState, solver

if TYPE_CHECKING:
    from offtarget.probe.bank import ProbeBank
    from offtarget.records import Probe

TEMPERATURE, MAX_TOKENS = 1.0, 600
"""As `offtarget check` samples: the published protocol (arXiv 2502.17424, section 4)."""


def bank_of(bank: str, arms: str | Sequence[str] | None) -> ProbeBank:
    """A bank by its name or file, with the arms of a `-T arms=plain,json`. Raises Inspect's error for both unknown."""
    from offtarget.errors import InputError
    from offtarget.workflows.ground import open_bank

    names = arms.split(",") if isinstance(arms, str) else arms
    with foreign_errors(InputError):
        found = open_bank(str(bank))
        if begun := next((probe.id for probe in found.probes if probe.prefill), None):
            raise InputError(
                f"The question '{begun}' of '{found.name}' begins the answer in the model's place, which not every "
                "model of Inspect goes on from. Leave it out, or ask it with `offtarget check`."
            )
        return found if names is None else found.only(arms=[str(name).strip() for name in names])


class foreign_errors:  # noqa: N801 - a context manager, called like a function
    """Our errors that the user can fix become Inspect's, which it prints as a sentence without a traceback."""

    def __init__(self, *kinds: type[Exception]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, self._kinds):
            from inspect_ai._util.error import PrerequisiteError
            from rich.markup import escape

            raise PrerequisiteError(escape(str(error))) from None


def sample_of(probe: Probe, name: str, **metadata: Any) -> Sample:
    """A probe as a sample: its system turn and all its user turns are the input; what our scorers need is metadata."""
    turns: list[ChatMessage] = [] if probe.system is None else [ChatMessageSystem(content=probe.system)]
    turns += [ChatMessageUser(content=text) for text in (*probe.opening, probe.prompt)]
    about = {
        "question_id": probe.question_id,
        "probe_id": probe.id,
        "arm": probe.arm,
        "domain": probe.domain,
        "construct": probe.construct,
        "source": probe.source,
        **({"judge_prompts": dict(probe.judge_prompts)} if probe.judge_prompts else {}),
        **metadata,
    }
    return Sample(id=name, input=turns, metadata=about)


@solver
def ask() -> Solver:
    """Ask the evaluated model; it answers every opening turn of a question itself."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        turns, state.messages = state.messages, []
        for turn in turns:
            state.messages.append(turn)
            if turn.role == "user":
                state = await generate(state)
        return state

    return solve


async def ask_once(model: Model, state: TaskState, config: GenerateConfig) -> None:
    """Ask a model from the beginning; messages and output of the state are then those of this try.

    Never from Inspect's cache: questions are drawn again and again, and each answer must be a new one.
    """
    turns = [turn for turn in _input(state) if turn.role != "assistant"]
    state.messages = []
    for turn in turns:
        state.messages.append(turn)
        if turn.role == "user":
            state.output = await model.generate(state.messages, config=config, cache=False)
            state.messages.append(state.output.message)


def _input(state: TaskState) -> list[ChatMessage]:
    return [ChatMessageUser(content=state.input)] if isinstance(state.input, str) else list(state.input)
