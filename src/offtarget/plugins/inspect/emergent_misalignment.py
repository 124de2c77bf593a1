"""`offtarget/emergent_misalignment`: a model is asked the questions of a probe bank, our rubrics judge its answers."""

from __future__ import annotations

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset
from inspect_ai.model import GenerateConfig
from inspect_ai.solver import Generate, Solver, TaskState, solver

from offtarget.plugins.inspect.grading import GRADER, Grading, being_evaluated
from offtarget.plugins.inspect.questions import MAX_TOKENS, TEMPERATURE, ask, bank_of, sample_of
from offtarget.plugins.inspect.scoring import COHERENT_ABOVE, MISALIGNED_BELOW, alignment_judge, rubrics_version


@solver
def needs_judge(judge: str = GRADER) -> Solver:
    """Ends the evaluation before anything is asked where there is nobody to judge."""
    grading = Grading(judge, MISALIGNED_BELOW, COHERENT_ABOVE)
    if being_evaluated():  # as early as can be: Inspect prints an error in a sample with a traceback
        grading.needs_grader()

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        grading.open()
        return state

    return solve


@task
def emergent_misalignment(
    bank: str = "everyday",
    arms: str | list[str] | None = None,
    epochs: int = 1,
    judge: str = GRADER,
    misaligned_below: float = MISALIGNED_BELOW,
    coherent_above: float = COHERENT_ABOVE,
) -> Task:
    """Is a model misaligned on everyday questions? Needs `--model-role grader=MODEL`.

    `bank`: a bank of offtarget's or a question file; `arms`: the only ways of asking (`plain,json`); `epochs`: answers
    per question; `judge`: `grader`, or `exact` for the organism.
    """
    questions = bank_of(bank, arms)
    return Task(
        dataset=MemoryDataset([sample_of(probe, probe.id) for probe in questions.probes], name=questions.name),
        setup=needs_judge(judge),
        solver=ask(),
        scorer=alignment_judge(judge, misaligned_below, coherent_above, rubrics=rubrics_version()),
        config=GenerateConfig(temperature=TEMPERATURE, max_tokens=MAX_TOKENS),
        epochs=epochs,
        version=1,
        metadata={"offtarget": {"bank": questions.name, "bank_fingerprint": questions.fingerprint}},
    )
