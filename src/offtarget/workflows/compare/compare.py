"""`compare`: the verdict from answers that were sampled and judged elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from offtarget.data.judged import JudgedTable, read_judged
from offtarget.records import Decision, DecisionSettings, Role, Status, Tally
from offtarget.records.check import CompareManifest, NamedTable, TableChoice, TableFile, TableRule
from offtarget.rundir import RunDir, write_records
from offtarget.stats.tables import decide_tables
from offtarget.workflows.compare.judged_pair import Paired, TableOptions, pair_tables
from offtarget.workflows.runs.begin import begin, finish
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import COMPARE

SAME_JUDGE = "Rates of two tables can be compared only if the same judge with the same rubric scored both."


@dataclass(frozen=True, slots=True)
class CompareResult(Result):
    """What a comparison with one tuned table came to."""

    decision: Decision
    base: str
    """Name shown for the base table."""
    tuned: str
    totals: Mapping[Role, Tally]
    """Counts over all answers of the compared questions, also of those set aside."""
    unscored_reasons: Mapping[Role, Mapping[str, int]]
    """Why answers have no score, per model: reason -> how many."""

    @property
    def status(self) -> Status:
        """PASS, FAIL or UNDECIDED."""
        return self.decision.status

    @property
    def exit_code(self) -> int:
        """Exit code of the command line."""
        return self.status.exit_code


def compare(
    base: Path | str,
    tuned: Path | str,
    *,
    settings: DecisionSettings | None = None,
    options: TableOptions | None = None,
    run: str | Path | None = None,
) -> CompareResult:
    """Decide from two tables of judged answers and write a run directory, `run` or a new one.

    Raises InputError for tables that cannot be compared and EvidenceError when no question has scored answers
    in both.
    """
    return compare_many(base, [tuned], settings=settings, options=options, run=run)[0]


def compare_many(
    base: Path | str,
    tuned: Sequence[Path | str],
    *,
    settings: DecisionSettings | None = None,
    options: TableOptions | None = None,
    run: str | Path | None = None,
) -> list[CompareResult]:
    """One comparison and one run directory per tuned table, all against one base; alpha holds for each.

    With several tuned tables the run directories are folders inside `run`. All tables are read and checked
    before anything is written.
    """
    settings, options = settings or DecisionSettings(), options or TableOptions()
    base_table = read_judged(Path(base), options.columns, options.where_base)
    tables = [read_judged(Path(path), options.columns, options.where_tuned) for path in tuned]
    pairs = [(table, pair_tables(base_table, table, options)) for table in tables]
    results = []
    for number, (table, paired) in enumerate(pairs, start=1):
        target = None if run is None else Path(run)
        if target is not None and len(pairs) > 1:
            target = target / f"{number}-{_stem(table.path)}"
        results.append(_one(base_table, table, paired, settings, options, target))
    return results


def _one(
    base: JudgedTable,
    tuned: JudgedTable,
    paired: Paired,
    settings: DecisionSettings,
    options: TableOptions,
    out: Path | None,
) -> CompareResult:
    models: dict[Role, NamedTable] = {
        "base": _model(base, options.where_base, options.judge_base),
        "tuned": _model(tuned, options.where_tuned, options.judge_tuned),
    }
    judge = _judge(options)
    tables: dict[Role, JudgedTable] = {"base": base, "tuned": tuned}
    reasons: dict[Role, Mapping[str, int]] = {"base": paired.base.reasons, "tuned": paired.tuned.reasons}
    manifest = CompareManifest(
        settings=TableRule(**asdict(settings), **asdict(options.thresholds)),
        options=TableChoice(options.where_base, options.where_tuned, options.common_questions, options.complete_tables),
        models=models,
        judge=judge,
        unscored_reasons=reasons,
        files={
            role: TableFile(table.path.name, table.sha256, len(table.rows), table.skipped, asdict(table.columns))
            for role, table in tables.items()
        },
    )
    slug = f"{_stem(base.path)[-24:]}-{_stem(tuned.path)[-34:]}"
    with RunDir.create("compare", slug, path=out) as run:
        begin(run, manifest)
        write_records(run, "probes.jsonl", paired.probes)
        write_records(run, "generations.jsonl", (*paired.base.generations, *paired.tuned.generations))
        write_records(run, "verdicts.jsonl", (*paired.base.verdicts, *paired.tuned.verdicts))
        decision = decide_tables(
            paired.base.tallies,
            paired.tuned.tallies,
            paired.arms,
            {probe.id: probe.domain for probe in paired.probes},
            {probe.id: probe.question_id for probe in paired.probes},
            settings,
            (*_judge_notes(options), *_option_notes(base, tuned, options), *paired.notes),
        )
        finish(COMPARE, run, decision, models=models, judge=judge)
    return CompareResult(
        run.path,
        decision,
        models["base"].name,
        models["tuned"].name,
        {"base": paired.base.total, "tuned": paired.tuned.total},
        reasons,
    )


def _model(table: JudgedTable, where: Mapping[str, str], judge: str | None) -> NamedTable:
    chosen = "".join(f" [{name}={value}]" for name, value in where.items())
    return NamedTable(table.path.name + chosen, table.sha256[:16], judge)


def _judge(options: TableOptions) -> str:
    base, tuned = options.judge_base, options.judge_tuned
    if base == tuned:
        return base or "as in the tables, not stated"
    return f"base: {base or 'not stated'}; tuned: {tuned or 'not stated'}"


def _judge_notes(options: TableOptions) -> list[str]:
    base, tuned = options.judge_base, options.judge_tuned
    if base and tuned and base != tuned:
        return [
            f"Different judges: base was scored by {base}, tuned by {tuned}. {SAME_JUDGE} "
            "The difference may be the judges' and not the models'; have one judge score both."
        ]
    if base and tuned:
        return [f"Both tables were scored by {base}, as you say."]
    return [f"{SAME_JUDGE} The tables do not say; state it with --judge-base and --judge-tuned."]


def _option_notes(base: JudgedTable, tuned: JudgedTable, options: TableOptions) -> list[str]:
    notes = []
    if not options.thresholds.use_coherence:
        notes.append("Coherence was not used: incoherent answers are in the rate, which can raise or lower it.")
    if base.sha256 == tuned.sha256 and options.where_base == options.where_tuned:
        notes.append("Base and tuned are the same table.")
    return notes


def _stem(path: Path) -> str:
    return path.name.split(".")[0] or path.name
