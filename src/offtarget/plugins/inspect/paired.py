"""`offtarget/paired`: base and tuned model in one task, stopped as soon as our e-processes decide.

A sample is one answer of one model. Questions are drawn for each model apart, as the test needs them: a sample of the
same question for both would make two answers of a block depend on each other.
"""

from __future__ import annotations

from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset
from inspect_ai.model import GenerateConfig, Model, get_model, model_roles
from inspect_ai.solver import Generate, Solver, TaskState, solver

from offtarget.plugins.inspect.grading import GRADER, Grading, answer_of, being_evaluated, replies_config
from offtarget.plugins.inspect.questions import MAX_TOKENS, TEMPERATURE, ask_once, bank_of, foreign_errors, sample_of
from offtarget.plugins.inspect.scoring import (
    COHERENT_ABOVE,
    MISALIGNED_BELOW,
    TRIES,
    paired_judge,
    rubrics_version,
    try_of,
)
from offtarget.plugins.inspect.stopping import SequentialStopping

LAYOUT = "offtarget_layout"
"""Under which the metadata of the task holds the layout."""
MOST = 400
"""Answers of the tuned model at most, where the user says nothing."""


@solver
def ask_until_scored(
    judge: str = GRADER,
    misaligned_below: float = MISALIGNED_BELOW,
    coherent_above: float = COHERENT_ABOVE,
    temperature: float = TEMPERATURE,
    max_tokens: int = MAX_TOKENS,
    tries: int = 20,
) -> Solver:
    """Ask the model of the sample's role, and again where the answer gets no score, so many times."""
    grading = Grading(judge, misaligned_below, coherent_above)
    if being_evaluated():  # as early as can be: Inspect prints an error in a sample with a traceback
        grading.needs_grader()
        models_alike()
    config = GenerateConfig(temperature=temperature, max_tokens=max_tokens)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        grading.open()
        role = state.metadata["role"]
        model = models_alike()[role]
        said: list[dict[str, Any]] = []
        while len(said) < tries:
            await ask_once(model, state, config)
            verdict = await grading.verdict(state, role, len(said))
            said.append(try_of(verdict, answer_of(state.output).text))
            state.store.set(TRIES, said)
            if verdict.outcome.scored:
                break
        return state

    return solve


def models_alike() -> dict[str, Model]:
    """The models with the roles base and tuned. Raises Inspect's PrerequisiteError where one is missing, where their
    settings differ, and for a seed, by which questions that are drawn again would get the same answer."""
    from inspect_ai._util.error import PrerequisiteError

    missing = [role for role in ("base", "tuned") if role not in model_roles()]
    if missing:
        raise PrerequisiteError(
            f"Name the {' and the '.join(missing)} model: --model-role base=PROVIDER/MODEL --model-role "
            "tuned=PROVIDER/MODEL. Both are asked in this one task; --model is not needed (say --model none)."
        )
    models = {role: get_model(role=role) for role in ("base", "tuned")}
    said = {role: replies_config(_config(model)) for role, model in models.items()}
    if said["base"] != said["tuned"]:
        raise PrerequisiteError(
            f"The two models would not be asked alike: base has the settings {said['base']}, tuned {said['tuned']}. "
            "Give both roles the same ones."
        )
    if "seed" in said["base"]:
        raise PrerequisiteError(
            "The roles base and tuned have a seed, by which a question that is drawn again would get the same answer "
            "as before. Leave it out."
        )
    if len({(str(m), str(m.api.base_url), str(sorted(m.model_args.items()))) for m in models.values()}) == 1:
        raise PrerequisiteError(f"Base and tuned are both {models['base']}, so nothing is compared. Name two models.")
    return models


def _config(model: Model) -> GenerateConfig:
    """The settings of a model as Inspect would ask it: those of the command line reach the evaluated one alone."""
    resolve = getattr(model, "_resolve_config", None)
    return resolve(None) if resolve is not None else model.config


@task
def paired(
    bank: str = "everyday",
    arms: str | list[str] | None = None,
    max_answers: int = MOST,
    alpha: float | None = None,
    tolerance: float | None = None,
    margin: float | None = None,
    average_margin: float | None = None,
    base_per_tuned: int | None = None,
    seed: int = 0,
    judge: str = GRADER,
    misaligned_below: float = MISALIGNED_BELOW,
    coherent_above: float = COHERENT_ABOVE,
    temperature: float = TEMPERATURE,
    max_tokens: int = MAX_TOKENS,
) -> Task:
    """Did fine-tuning make a model worse? Needs `--model-role base=... --model-role tuned=... --model-role grader=...`.

    Stops as soon as the evidence decides PASS or FAIL, at `max_answers` of the tuned model at most. `alpha`,
    `tolerance`, `margin`, `average_margin` and `base_per_tuned` are those of `offtarget check`; `seed` is that of the
    order of the questions.
    """
    from offtarget.errors import InputError
    from offtarget.records import DecisionSettings
    from offtarget.rundir import to_jsonable
    from offtarget.workflows.compare.laid_out import layout_of, planned_of

    questions = bank_of(bank, arms)
    said: dict[str, Any] = {"alpha": alpha, "tolerance": tolerance, "margin": margin}
    said |= {"average_margin": average_margin, "base_per_tuned": base_per_tuned}
    with foreign_errors(InputError):
        settings = DecisionSettings(**{name: value for name, value in said.items() if value is not None})
        layout = layout_of(
            questions,
            settings,
            seed=seed,
            tuned_answers=max_answers,
            misaligned_below=misaligned_below,
            coherent_above=coherent_above,
        )
    samples = [sample_of(questions[one.probe_id], one.id, role=one.role, block=one.block) for one in planned_of(layout)]
    return Task(
        dataset=MemoryDataset(samples, name=questions.name),
        solver=ask_until_scored(judge, misaligned_below, coherent_above, temperature, max_tokens, layout.tries),
        scorer=paired_judge(judge, misaligned_below, coherent_above, rubrics=rubrics_version()),
        early_stopping=SequentialStopping(layout),
        epochs=1,
        version=1,
        metadata={
            LAYOUT: to_jsonable(layout),
            "offtarget": {"bank": questions.name, "bank_fingerprint": questions.fingerprint},
        },
    )
