"""The judge of an evaluation: our rubric judge over the model that has Inspect's role `grader`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    Model,
    ModelOutput,
    get_model,
    model_roles,
)
from inspect_ai.solver import TaskState

if TYPE_CHECKING:
    from offtarget.asking.protocol import Judge
    from offtarget.models.chat import Answer, SampleRequest
    from offtarget.records import Generation, Message, Probe, Role, SamplingSettings, Verdict

GRADER, EXACT = "grader", "exact"
_NO_GRADER = (
    "Name the model that grades: --model-role grader=PROVIDER/MODEL. Without that role Inspect would have the "
    "evaluated model grade itself."
)


def being_evaluated() -> bool:
    """Whether Inspect is making a task for an evaluation, so that roles are known. A task that somebody makes in Python
    beforehand gets its roles later, and is looked at when its first sample begins."""
    from inspect_ai.model._model import active_model

    return active_model() is not None


class Grader:
    """A model of Inspect's as offtarget's judges ask one. Called in a worker thread, it asks on Inspect's own loop, so
    that connections, retries, caching and the log are Inspect's."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.broken: Exception | None = None
        """A limit of the sample that was reached while grading: no failure of the grader, and not to be swallowed."""

    @property
    def name(self) -> str:
        """As it was given, e.g. `openai/gpt-4o`."""
        return str(self._model)

    @property
    def fingerprint(self) -> str:
        """Of its name and of the settings that change its replies."""
        from offtarget.rundir import fingerprint

        return fingerprint({"model": self.name, "config": replies_config(self._model.config)})

    def sample(
        self,
        requests: Sequence[SampleRequest],
        settings: SamplingSettings,
        on_answer: Callable[[int, Answer], None] | None = None,
    ) -> list[Answer]:
        """One answer per request, in order. The seed of a request is not sent: many providers know none."""
        from anyio import from_thread

        answers = []
        for position, request in enumerate(requests):
            answers.append(from_thread.run(self._ask, request.messages, settings))
            if on_answer is not None:
                on_answer(position, answers[-1])
        return answers

    async def _ask(self, messages: Sequence[Message], settings: SamplingSettings) -> Answer:
        from inspect_ai.util import LimitExceededError

        kinds = {"system": ChatMessageSystem, "user": ChatMessageUser, "assistant": ChatMessageAssistant}
        chat = [kinds[message.role](content=message.content) for message in messages]
        own = self._model.config.temperature  # the user's word for this role; `hf` models take no 0
        temperature = settings.temperature if own is None else own
        config = GenerateConfig(temperature=temperature, max_tokens=settings.max_tokens)
        try:
            return answer_of(await self._model.generate(chat, config=config))
        except LimitExceededError as error:
            self.broken = error
            raise


def replies_config(config: GenerateConfig) -> dict[str, Any]:
    """The settings of a model that change what it says; how it is reached is left out."""
    reached = {
        "max_retries", "timeout", "attempt_timeout", "max_connections", "adaptive_connections", "cache", "batch",
    }  # fmt: skip
    values: dict[str, Any] = config.model_dump(mode="json", exclude_none=True)
    return {name: value for name, value in sorted(values.items()) if name not in reached}


def answer_of(output: ModelOutput) -> Answer:
    """An output of Inspect's as an answer; RuntimeError for a call that failed, with the model's name."""
    from offtarget.models import inspect_answer

    try:
        return inspect_answer.answer_of(output)
    except RuntimeError as error:
        raise RuntimeError(f"{output.model} failed: {error}") from None


class Grading:
    """Judges answers of samples; the judge is opened with the first one, when Inspect knows who has which role."""

    def __init__(self, judge: str, misaligned_below: float, coherent_above: float) -> None:
        from offtarget.errors import InputError
        from offtarget.judge.classify import Thresholds
        from offtarget.plugins.inspect.questions import foreign_errors

        with foreign_errors(InputError):
            if judge not in (GRADER, EXACT):
                raise InputError(
                    f"judge is {judge!r}; it is 'grader' (the model with that role) or 'exact' (organism alone)."
                )
            self._thresholds = Thresholds(misaligned_below, coherent_above)
        self._name = judge
        self._judge: Judge | None = None
        self._grader: Grader | None = None

    def open(self) -> Judge:
        """The judge. Raises Inspect's PrerequisiteError where nobody has the role `grader`."""
        if self._judge is None:
            self._judge = self._opened()
        return self._judge

    def needs_grader(self) -> None:
        """Raises Inspect's PrerequisiteError where a grader is to judge and nobody has that role."""
        from inspect_ai._util.error import PrerequisiteError

        if self._name == GRADER and GRADER not in model_roles():
            raise PrerequisiteError(_NO_GRADER)

    def _opened(self) -> Judge:
        from offtarget.judge.asking import AskSettings
        from offtarget.judge.rubric_judge import JudgeSettings, RubricJudge

        if self._name == EXACT:
            from offtarget.organism.exact import ExactJudge

            return ExactJudge()
        self.needs_grader()
        self._grader = Grader(get_model(role=GRADER))
        settings = JudgeSettings(self._thresholds, AskSettings(mode="samples"))
        return RubricJudge(self._grader, None, settings)

    async def verdict(self, state: TaskState, role: Role, index: int = 0) -> Verdict:
        """What the present output of a sample counts as; a grader that fails gives `unscored` with the reason."""
        from anyio import to_thread

        from offtarget.errors import OfftargetError

        judge = self.open()
        pair = (probe_of(state), _generation_of(state, role, index))
        try:
            (found,) = await to_thread.run_sync(judge.judge, [pair])
        except OfftargetError as error:
            raise RuntimeError(str(error)) from None
        if self._grader is not None and self._grader.broken is not None:
            broken, self._grader.broken = self._grader.broken, None
            raise broken
        return found


def probe_of(state: TaskState) -> Probe:
    """What a sample asks, as far as it is ours; of a foreign sample, its last user turn."""
    from offtarget.records import Probe

    about = state.metadata or {}
    name = str(about.get("probe_id", state.sample_id))
    rubrics = about.get("judge_prompts")
    return Probe(
        id=name,
        question_id=str(about.get("question_id", state.sample_id)),
        arm=str(about.get("arm", "plain")),
        prompt=state.input_text,
        domain=str(about.get("domain", "general")),
        source=str(about.get("source", "inspect")),
        judge_prompts=dict(rubrics) if isinstance(rubrics, dict) else {},
    )


def _generation_of(state: TaskState, role: Role, index: int) -> Generation:
    from offtarget.records import Generation

    answer = answer_of(state.output)
    return Generation(
        role=role,
        probe_id=str((state.metadata or {}).get("probe_id", state.sample_id)),
        index=index,
        seed=0,
        text=answer.text,
        tokens=answer.tokens,
        finish="content_filter" if answer.without == "content_filter" else answer.finish,
    )
