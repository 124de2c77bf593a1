"""`run`: walk through the steps of a project file, and do those whose inputs have changed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, chdir, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from offtarget.errors import InputError, LimitReached, OfftargetError, RunInterrupted
from offtarget.pages.cards import card_of
from offtarget.progress import OnProgress, silent
from offtarget.project.keys import FILE_NAME, STEPS
from offtarget.project.reading import Project, read_project
from offtarget.records.project import ProjectOutcome, StepName, StepOutcome, worst
from offtarget.rundir import fresh_folder, remove_if_never_begun, runs_root
from offtarget.words import joined, meant
from offtarget.workflows.project.doing import DO, Job
from offtarget.workflows.project.inputs import Inputs, audit_inputs, check_inputs, redteam_inputs, tune_inputs
from offtarget.workflows.project.ledger import Ledger
from offtarget.workflows.project.plan import VERB_OF, Planned, differences, plan_step
from offtarget.workflows.project.reports import check_formats, report_step
from offtarget.workflows.project.settings import check_named
from offtarget.workflows.runs.begin import begun, finished

Watch = Callable[[StepName], AbstractContextManager[OnProgress]]
"""What shows the progress of a step."""
Tell = Callable[[StepOutcome], None]
CODES = {"PASS": 0, "OK": 0, "DONE": 0, "FAIL": 1, "ALARM": 1, "UNDECIDED": 3}
"""Exit code of each state."""


_NEEDS = {"audit": "data", "tune": "tune", "check": "base", "redteam": "red_team", "report": "reports"}
"""The key that asks for a step."""
OF_THE_TUNED: tuple[StepName, ...] = ("check", "redteam")
"""Steps that ask the tuned model."""


def run_project(
    file: str | Path = FILE_NAME,
    steps: Sequence[str] = (),
    *,
    again: Collection[str] = (),
    dry_run: bool = False,
    watch: Watch | None = None,
    on_begin: Tell | None = None,
    on_end: Tell | None = None,
) -> ProjectOutcome:
    """Do the steps of a project file whose inputs have changed since their last run, in their order.

    `steps` are those to look at, with what they need; by default all. Those in `again` run whatever changed. With
    `dry_run` nothing is done, and the outcome says what would be. Paths begin at the folder of the file, which is the
    current folder of this process meanwhile. `on_begin` and `on_end` are told of each step.
    A step that fails does not keep those from running that do not need it; its error is in the outcome.
    Raises InputError for what is wrong with the file, and RunInterrupted on Ctrl-C.
    """
    path = Path(file)
    for name in (*steps, *again):
        if name not in STEPS:
            raise InputError(f"There is no step '{name}'.{meant(name, STEPS)} Steps: {', '.join(STEPS)}.")
    if not path.is_file() and not path.is_dir():
        raise InputError(f"There is no project file {path}. `offtarget init` writes one.")
    project = read_project(path)
    with chdir(path.absolute().parent):
        check_named(project)
        check_formats(project)
        ledger = Ledger(runs_root())
        chosen = _chosen(project, (*steps, *again) if steps else ())
        with nullcontext() if dry_run else ledger.alone():
            walk = _Walk(project, ledger, frozenset(again), dry_run, watch or _unwatched, on_begin, on_end)
            return ProjectOutcome(str(path), tuple(walk.steps(chosen)), dry_run)


def set_up(project: Project) -> tuple[StepName, ...]:
    """The steps that the file asks for, in their order."""
    asked = {
        "audit": project.has("data"),
        "tune": project.has("tune"),
        "check": project.has("base"),
        "redteam": project.has("red_team"),
        "report": bool(project.texts("reports")),
    }
    return tuple(step for step in STEPS if asked[step])  # type: ignore[misc]  # STEPS are the names


def _chosen(project: Project, steps: Sequence[str]) -> tuple[StepName, ...]:
    there = set_up(project)
    for step in steps:
        if step not in there:
            needs = _NEEDS[step]
            raise InputError(f"{project.path} has no `{needs}`, so there is no step '{step}'. Add it.")
    if not steps:
        return there
    needed = set(steps)
    if needed & {"check", "redteam"} and "tune" in there:
        needed.add("tune")
    if "tune" in needed:  # nothing is trained on data that nobody has looked at
        needed.add("audit")
    return tuple(step for step in there if step in needed)


@contextmanager
def _unwatched(_: StepName) -> Iterator[OnProgress]:
    yield silent


@dataclass
class _Walk:
    """One walk through the steps; what became of each is what the next one goes by."""

    project: Project
    ledger: Ledger
    again: frozenset[str]
    dry_run: bool
    watch: Watch
    on_begin: Tell | None
    on_end: Tell | None

    def __post_init__(self) -> None:
        self.done: dict[StepName, StepOutcome] = {}

    def steps(self, chosen: Sequence[StepName]) -> Iterator[StepOutcome]:
        """Do them, each told as it ends."""
        for step in chosen:
            try:
                outcome = self._report(chosen) if step == "report" else self._step(step, do=not self.dry_run)
            except (KeyboardInterrupt, RunInterrupted):
                raise RunInterrupted(
                    f"Interrupted in the step {step}. What was computed is kept; go on with: offtarget run"
                    f"{'' if self.project.path.name == FILE_NAME else f' --file {self.project.path}'}"
                ) from None
            except LimitReached as error:
                more = (
                    f"{error.said} Raise it under limits in {self.project.path.name} and run again: the step goes on."
                )
                outcome = StepOutcome(step, "failed", "a limit is reached", sentence=more, exit_code=error.exit_code)
            except OfftargetError as error:
                outcome = StepOutcome(step, "failed", "it stopped", sentence=str(error), exit_code=error.exit_code)
            self.done[step] = outcome
            if self.on_end is not None:
                self.on_end(outcome)
            yield outcome

    def _step(self, step: StepName, *, do: bool) -> StepOutcome:
        """A step looked at, and done if need be and `do`."""
        if (missing := self._missing(step)) is not None:
            return StepOutcome(step, "not run", missing)
        before = self.done.get("tune")
        if step in OF_THE_TUNED and before is not None and before.did.startswith("would"):
            return StepOutcome(step, "would run", "the training before it runs")
        inputs = self._inputs(step, fetch=do)
        planned = plan_step(step, inputs, self.ledger, self.project, forced=step in self.again)
        if planned.action == "up to date" and planned.run is not None:
            return self._outcome(step, planned.run, "up to date", planned.why)
        if step == "tune" and (refused := self._audit_forbids()) is not None:
            return StepOutcome(step, "not run", refused)
        if not do:
            return StepOutcome(step, "would go on" if planned.action == "go on" else "would run", planned.why)
        if self.on_begin is not None:
            self.on_begin(StepOutcome(step, "went on" if planned.action == "go on" else "ran", planned.why))
        return self._run(step, planned, inputs)

    def _missing(self, step: StepName) -> str | None:
        """Why a step cannot run; None where it can."""
        if step not in OF_THE_TUNED or not self.project.has("tune"):
            return None
        if self.done["tune"].did in ("not run", "failed"):
            return "there is no tuned model: the training was not brought to its end"
        return None

    def _audit_forbids(self) -> str | None:
        """Why nothing is trained; None where the audit allows it."""
        audit = self.done["audit"]
        if self.project.flag("tune.despite_audit"):
            return None
        if audit.state == "FAIL":
            return "the audit of the data is a FAIL. To train all the same, set despite_audit: true under tune"
        if audit.did == "failed":
            return "the audit of the data was not brought to its end"
        return None

    def _inputs(self, step: StepName, *, fetch: bool) -> Inputs:
        if step == "audit":
            return audit_inputs(self.project, fetch=fetch)
        if step == "tune":
            return tune_inputs(self.project, fetch=fetch)
        inputs = redteam_inputs if step == "redteam" else check_inputs
        return inputs(self.project, self._tuned(), fetch=fetch)

    def _tuned(self) -> str:
        """The tuned model: as named, or as the training made it."""
        made = self.done["tune"].model if "tune" in self.done else None
        return made or self.project.text("tuned") or ""

    def _run(self, step: StepName, planned: Planned, inputs: Inputs) -> StepOutcome:
        run = planned.run or fresh_folder(self.ledger.root, step, self._slug(step))
        self.ledger.begin(step, run.name, inputs)
        try:
            with self.watch(step) as on_progress:
                made = DO[step](Job(self.project, self._tuned(), run, planned, inputs, on_progress))
        finally:
            if not begun(run):
                remove_if_never_begun(run)
        if (after := self._inputs(step, fetch=False)) != inputs:
            self.ledger.begin(step, run.name, {"changed while it ran": differences(inputs, after)})
            raise InputError(
                f"While the step {step} ran, {differences(inputs, after)}: nobody knows what its result is about. Run "
                "again when nothing writes to what it reads."
            )
        self.ledger.end(step, run.name, inputs, made)
        return self._outcome(step, run, "went on" if planned.action == "go on" else "ran", planned.why)

    def _slug(self, step: StepName) -> str:
        name = self.project.text("data") if step in ("audit", "tune") else self._tuned()
        return Path(str(name).rpartition("+")[2]).name

    def _outcome(self, step: StepName, run: Path, did: Any, why: str) -> StepOutcome:
        verb = VERB_OF[step]
        result = finished(verb, run)
        state = verb.state(result)
        outcome = StepOutcome(
            step, did, why, state, card_of(run).sentence, str(run), CODES[state], model=getattr(result, "name", None)
        )
        if step == "audit" and state == "UNDECIDED" and self.project.flag("audit.accept_undecided"):
            return replace(outcome, exit_code=0, accepted=True, why=f"{why}; accept_undecided is set")
        return outcome

    def _report(self, chosen: Sequence[StepName]) -> StepOutcome:
        """Reports of all runs that are up to date, also of steps that nobody asked for: their verdicts count too."""
        others: list[StepName] = [step for step in set_up(self.project) if step not in (*chosen, "report")]
        for step in others:
            try:
                self.done[step] = self._step(step, do=False)
            except OfftargetError as error:
                self.done[step] = StepOutcome(step, "not run", str(error))
        due = [step for step, found in self.done.items() if found.did.startswith("would")]
        if self.dry_run and due:
            return StepOutcome("report", "would run", f"there will be another run of {joined(due)}")
        runs = {step: Path(found.run) for step, found in self.done.items() if found.run is not None}
        outcome = report_step(self.project, runs, self.ledger, do=not self.dry_run, forced="report" in self.again)
        return replace(outcome, exit_code=worst(outcome.exit_code, *(self.done[step].exit_code for step in others)))
