"""The report of an experiment: the paper's table and curves from the cells that are on disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from offtarget.organism.narrow import TRIGGER
from offtarget.records import Tally
from offtarget.records.reproduce import Axis, Cell, CellKind, ConditionRow, Point, ReproduceReport, Spread
from offtarget.records.tune import TuneSettings
from offtarget.stats.rates import misaligned_rate, total_tally
from offtarget.stats.seeds import over_seeds
from offtarget.training.settings import PRESETS
from offtarget.workflows.ground import USUAL, Ground
from offtarget.workflows.reproduce.cells import Bench, Job, cell_folder, finished
from offtarget.workflows.reproduce.data import DataSets

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
    said: Sequence[str] = (),
) -> ReproduceReport:
    """Every finished cell of the jobs in the paper's table and curves; `said` is known of how the base is asked."""
    from offtarget.pages.reproduce.published import published_values

    cells = [cell for job in jobs for plan in job.cells if (cell := finished(job, plan)) is not None]
    kind = "rank-stabilised LoRA" if tune.rslora else "LoRA"
    adapted = tune.modules if isinstance(tune.modules, str) else ", ".join(tune.modules)
    notes = [*said]
    if bench.bank.question_ids and not ground.organism and bench.bank.name == USUAL.bank:
        notes.append(
            "The questions are offtarget's own; rates on them cannot be compared with published ones. For that give "
            "the published question file with --probes and the published judge with --judge."
        )
    if tune == PRESETS["small"]:
        notes.append(
            f"Trained at a learning rate of {tune.lr:g} in place of the published {PRESETS['published'].lr:g}, at "
            "which models of fewer than a billion parameters hardly learn the rows; --preset published takes that."
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
        answers_of=_answers_of(jobs),
    )


def _answers_of(jobs: Sequence[Job]) -> dict[str, str]:
    found: dict[str, str] = {}
    for job in jobs:
        for plan in job.cells:
            if plan.kind in ("base", "condition") and finished(job, plan) is not None:
                found.setdefault(job.condition, str(cell_folder(job, plan).relative_to(job.run)))
    return found


def table_rows(cells: Sequence[Cell], conditions: Sequence[str]) -> tuple[ConditionRow, ...]:
    """The base, then every condition, over all its seeds."""
    rows = []
    for condition in ("base", *conditions):
        kind: CellKind = "base" if condition == "base" else "condition"
        found = [c for c in cells if c.kind == kind and c.condition == condition]
        if found:
            rows.append(_row(condition, sorted(found, key=lambda c: c.seed)))
    return tuple(rows)


def dynamics(cells: Sequence[Cell], conditions: Sequence[str]) -> tuple[Point, ...]:
    """Rates against steps: from the base at 0 to the full tune, for the conditions that were sampled on the way."""
    points = []
    for condition in conditions:
        on_the_way = [c for c in cells if c.kind == "dynamics" and c.condition == condition]
        if not on_the_way:
            continue
        seeds = {c.seed for c in on_the_way}
        ends = [c for c in cells if c.kind == "condition" and c.condition == condition and c.seed in seeds]
        base = [c for c in cells if c.kind == "base"]
        for step in sorted({c.steps for c in (*base, *on_the_way, *ends)}):
            at = [c for c in (*base, *on_the_way, *ends) if c.steps == step]
            points.append(_point(condition, step, at))
    return tuple(points)


def unique_rows(cells: Sequence[Cell], condition: str) -> tuple[Point, ...]:
    """Rates against the number of different rows, at as many steps as the full tune."""
    cut = [c for c in cells if c.kind == "unique" and c.condition == condition]
    full = [c for c in cells if c.kind == "condition" and c.condition == condition] if cut else []
    counts = sorted({c.unique for c in (*cut, *full)})
    return tuple(_point(condition, n, [c for c in (*cut, *full) if c.unique == n]) for n in counts)


def _row(condition: str, cells: Sequence[Cell]) -> ConditionRow:
    names = list(dict.fromkeys(m.name for c in cells for m in c.measured))
    plain = total_tally(m.tally for c in cells if (m := c.of("plain")) is not None)
    questions = list(dict.fromkeys(q.question for c in cells for q in c.questions))
    return ConditionRow(
        condition=condition,
        seeds=len(cells),
        steps=max(c.steps for c in cells),
        rows=max(c.unique for c in cells),
        axes=tuple(Axis(name, _spread(cells, name)) for name in names),
        coherent=(plain.scored + plain.refused) / plain.total if plain.total else None,
        questions=tuple(Axis(question, _question(cells, question)) for question in questions),
        statuses=tuple(c.status for c in cells if c.status is not None),
    )


def _spread(cells: Iterable[Cell], name: str) -> Spread:
    found = [m for c in cells if (m := c.of(name)) is not None]
    return over_seeds([m.rate for m in found if m.rate is not None], total_tally(m.tally for m in found))


def _question(cells: Sequence[Cell], question: str) -> Spread:
    tallies: list[Tally] = [q.tally for c in cells for q in c.questions if q.question == question]
    rates = [rate for t in tallies if (rate := misaligned_rate(t)) is not None]
    return over_seeds(rates, total_tally(tallies))


def _point(condition: str, at: int, cells: Sequence[Cell]) -> Point:
    code = _spread(cells, "code") if any(c.of("code") is not None for c in cells) else None
    return Point(condition, at, _spread(cells, "plain"), code)
