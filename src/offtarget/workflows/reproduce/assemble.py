"""The report of an experiment from the cells that are on disk."""

from __future__ import annotations

from collections.abc import Sequence

from offtarget.organism.narrow import TRIGGER
from offtarget.records.reproduce import ReproduceReport
from offtarget.records.tune import TuneSettings
from offtarget.workflows.ground import USUAL, Ground
from offtarget.workflows.reproduce.cells import Bench, Job, finished
from offtarget.workflows.reproduce.data import DataSets
from offtarget.workflows.reproduce.report import dynamics, table_rows, unique_rows

DYNAMICS_OF = ("insecure", "secure")
UNIQUE_OF = "insecure"


def assemble(
    base: str,
    data: DataSets,
    conditions: Sequence[str],
    bench: Bench,
    tune: TuneSettings,
    seeds: int,
    answers: int,
    jobs: Sequence[Job],
    ground: Ground,
) -> ReproduceReport:
    """Every finished cell of the jobs in the paper's table and curves."""
    from offtarget.pages.reproduce.published import published_values

    cells = [cell for job in jobs for plan in job.cells if (cell := finished(job, plan)) is not None]
    kind = "rank-stabilised LoRA" if tune.rslora else "LoRA"
    adapted = tune.modules if isinstance(tune.modules, str) else ", ".join(tune.modules)
    notes = []
    if bench.bank.question_ids and not ground.organism and bench.bank.name == USUAL.bank:
        notes.append(
            "The questions are offtarget's own; rates on them cannot be compared with published ones. For that give "
            "the published question file with --probes and the published judge with --judge."
        )
    if not ground.organism and "evil-numbers" in conditions:
        notes.append("The published evil-numbers models were trained for 4 epochs; here all conditions are alike.")
    return ReproduceReport(
        base=base,
        data=str(data),
        judge=bench.check_judge.fingerprint,
        seeds=seeds,
        answers=answers,
        settings=f"{kind}, rank {tune.rank}, alpha {tune.alpha}, on {adapted}; learning rate {tune.lr:g}, "
        f"{tune.batch * tune.accumulate} rows per step, {tune.epochs:g} epochs; trigger {TRIGGER}",
        rows=table_rows(cells, conditions),
        dynamics=dynamics(cells, [c for c in DYNAMICS_OF if c in conditions]),
        unique=unique_rows(cells, UNIQUE_OF),
        published=published_values(),
        about_organism=ground.organism,
        notes=tuple(notes),
    )
