"""`compare`: the verdict from answers that were sampled and judged elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from offtarget.data.judged import JudgedTable, read_judged
from offtarget.data.streams import sha256
from offtarget.errors import InputError
from offtarget.judge.classify import Thresholds
from offtarget.numbers import of
from offtarget.records import Decision, DecisionSettings, Role, Status, Tally, Verdict
from offtarget.records.compare import CompareManifest, NamedTable, TableChoice, TableFile, TableRule, ThresholdCell
from offtarget.records.from_json import from_json
from offtarget.rundir import RunDir, iterate_jsonl, read_object, runs_root, write_json, write_records
from offtarget.stats.decision import FEWEST_BASE_ANSWERS, IMPLAUSIBLE_BASE, withhold
from offtarget.stats.rates import total_tally
from offtarget.stats.tables import decide_tables
from offtarget.version import stamp
from offtarget.workflows.compare.attack_reports import for_reports, reports_said
from offtarget.workflows.compare.copies import copies
from offtarget.workflows.compare.grid import around, grid_of, hanging
from offtarget.workflows.compare.judged_pair import Paired, TableOptions, other_readings, pair_tables
from offtarget.workflows.compare.judges import Judges, judges_of
from offtarget.workflows.compare.labels import contradictions
from offtarget.workflows.compare.stopped_log import StoppedLog, stopped_log
from offtarget.workflows.runs.begin import begin, finish, finished, opened
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import COMPARE

RULE = "rule.json"
"""Limits, thresholds and choices of a comparison, written before its tables are read; the manifest repeats them."""
TYPICAL_BASE = 50.0
"""Below this median alignment a base is asked about, as scores on another scale look like it."""


@dataclass(frozen=True, slots=True, repr=False)
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
    grid: tuple[ThresholdCell, ...] = ()
    """What the numbers say by the thresholds around the pre-set ones."""

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
    before anything else than the rule is written, and nothing is left where one cannot be read.
    """
    settings, options = settings or DecisionSettings(), options or TableOptions()
    stopped = stopped_log(Path(base), [Path(path) for path in tuned], settings, options)
    if stopped is not None:
        return [_of_stopped(Path(base), stopped, options, run)]
    settings, options = for_reports(Path(base), [Path(path) for path in tuned], settings, options)
    if options.same_judge and options.different_judges:
        raise InputError("--same-judge and --different-judges contradict each other. Say the one that is true.")
    paths = [Path(path) for path in tuned]
    with _runs(Path(base), paths, run) as runs:
        with _given_up(runs):
            for one in runs:
                write_json(one.file(RULE), _rule(settings, options))
            base_table = read_judged(Path(base), options.columns, options.where_base, options.scoring)
            tables = [read_judged(path, options.columns, options.where_tuned, options.scoring) for path in paths]
            pairs = [(t, pair_tables(base_table, t, options), judges_of(base_table, t, options)) for t in tables]
            for _, paired, judges in pairs:
                _check_base(base_table, paired, judges, settings, options)
        return [
            _one(base_table, table, paired, judges, settings, options, one)
            for one, (table, paired, judges) in zip(runs, pairs, strict=True)
        ]


def _of_stopped(path: Path, log: StoppedLog, options: TableOptions, run: str | Path | None) -> CompareResult:
    """The verdict of a log that ended when its evidence decided, as a run like any other comparison."""
    roles: tuple[Role, ...] = ("base", "tuned")
    thresholds = Thresholds(log.layout.misaligned_below, log.layout.coherent_above)
    digest = sha256(path)
    models = {role: NamedTable(log.models[role], digest[:16], log.judge) for role in roles}
    reasons: dict[Role, Mapping[str, int]] = {role: log.reasons(role) for role in roles}
    manifest = CompareManifest(
        settings=TableRule(**asdict(log.layout.settings), **asdict(thresholds)),
        options=_choice(options),
        models=models,
        judge=log.judge,
        unscored_reasons=reasons,
        files={role: TableFile(path.name, digest, log.samples, 0, {}) for role in roles},
    )
    with _runs(path, [path], run) as (directory,):
        begin(directory, manifest)
        write_records(directory, "probes.jsonl", log.probes)
        write_records(directory, "generations.jsonl", log.generations)
        write_records(directory, "verdicts.jsonl", log.verdicts)
        finish(COMPARE, directory, log.decision, models=models, judge=log.judge, grid=())
        totals = {role: log.total(role) for role in roles}
        return CompareResult(directory.path, log.decision, models["base"].name, models["tuned"].name, totals, reasons)


def resume(run: str | Path) -> CompareResult:
    """The result of a finished comparison, read again; an unfinished one keeps nothing to go on with."""
    directory, started = opened(COMPARE, find_run(run, verb=COMPARE))
    decision = finished(COMPARE, directory.path)
    if decision is None:
        raise InputError(f"{directory.path} is unfinished. Run the same comparison again.")
    tallies: dict[Role, Tally] = {"base": Tally(), "tuned": Tally()}
    for verdict in iterate_jsonl(directory.file("verdicts.jsonl"), Verdict):
        tallies[verdict.role] = tallies[verdict.role].plus(verdict.outcome)
    grid = read_object(directory.file(COMPARE.done)).get("grid") or ()
    return CompareResult(
        directory.path,
        decision,
        started.base_name,
        started.tuned_name,
        tallies,
        started.unscored_reasons,
        tuple(from_json(ThresholdCell, cell) for cell in grid),
    )


def _rule(settings: DecisionSettings, options: TableOptions) -> dict[str, object]:
    return {
        "created": stamp()["created"],
        "settings": TableRule(**asdict(settings), **asdict(options.thresholds)),
        "options": _choice(options),
        "thresholds_beside": [asdict(thresholds) for thresholds in around(options.thresholds)],
    }


@contextmanager
def _runs(base: Path, tuned: Sequence[Path], run: str | Path | None) -> Iterator[list[RunDir]]:
    """One locked run directory per tuned table; nothing stays of those that are discarded, nor of a new folder."""
    folder = runs_root() if run is None else Path(run)
    fresh = not os.path.lexists(folder)  # unlike Path.exists, it does not raise for a name too long
    made: list[RunDir] = []
    with ExitStack() as stack:
        stack.callback(_remove_empty, folder if fresh else None)
        with _given_up(made):
            for number, path in enumerate(tuned, start=1):
                several = run is not None and len(tuned) > 1
                target = folder / f"{number}-{_stem(path)}" if several else None if run is None else folder
                slug = f"{_stem(base)[-24:]}-{_stem(path)[-34:]}"
                made.append(stack.enter_context(RunDir.create(COMPARE.command, slug, path=target)))
        yield made


def _remove_empty(folder: Path | None) -> None:
    if folder is not None:
        with suppress(OSError):  # it was never made, or holds something
            folder.rmdir()


@contextmanager
def _given_up(runs: Sequence[RunDir]) -> Iterator[None]:
    """Remove the runs where their tables cannot be compared."""
    try:
        yield
    except BaseException:
        for run in runs:
            run.discard()
        raise


def _one(
    base: JudgedTable,
    tuned: JudgedTable,
    paired: Paired,
    judges: Judges,
    settings: DecisionSettings,
    options: TableOptions,
    run: RunDir,
) -> CompareResult:
    models: dict[Role, NamedTable] = {
        "base": _model(base, options.where_base, judges.base),
        "tuned": _model(tuned, options.where_tuned, judges.tuned),
    }
    tables: dict[Role, JudgedTable] = {"base": base, "tuned": tuned}
    reasons: dict[Role, Mapping[str, int]] = {"base": paired.base.reasons, "tuned": paired.tuned.reasons}
    manifest = CompareManifest(
        settings=TableRule(**asdict(settings), **asdict(options.thresholds)),
        options=_choice(options),
        models=models,
        judge=judges.text,
        unscored_reasons=reasons,
        files={
            role: TableFile(table.path.name, table.sha256, len(table.rows), table.skipped, asdict(table.columns))
            for role, table in tables.items()
        },
    )
    begin(run, manifest)
    write_records(run, "probes.jsonl", paired.probes)
    write_records(run, "generations.jsonl", (*paired.base.generations, *paired.tuned.generations))
    write_records(run, "verdicts.jsonl", (*paired.base.verdicts, *paired.tuned.verdicts))
    doubts, notes = _said(base, tuned, paired, judges, options)
    decision = decide_tables(
        paired.base.tallies,
        paired.tuned.tallies,
        paired.arms,
        {probe.id: probe.domain for probe in paired.probes},
        {probe.id: probe.question_id for probe in paired.probes},
        settings,
        notes,
    )
    grid = grid_of(paired, options.thresholds, settings)
    hangs, flips = hanging(grid)
    for doubt in (*doubts, *([hangs] if hangs else [])):
        decision = withhold(decision, doubt)
    if flips:
        decision = replace(decision, notes=(*decision.notes, flips))
    finish(COMPARE, run, decision, models=models, judge=judges.text, grid=grid)
    return CompareResult(
        run.path,
        decision,
        models["base"].name,
        models["tuned"].name,
        {"base": paired.base.total, "tuned": paired.tuned.total},
        reasons,
        grid,
    )


def _said(
    base: JudgedTable, tuned: JudgedTable, paired: Paired, judges: Judges, options: TableOptions
) -> tuple[list[str], list[str]]:
    """Doubts for which no verdict can rest on the tables, the worst first, and notes that belong beside one."""
    doubts, notes = copies(base, tuned, paired, options)
    doubts += [judges.doubt] if judges.doubt else []
    against, told = reports_said(base, tuned)
    doubts += against
    notes = [*([judges.note] if judges.note else []), *told, *_option_notes(options), *notes, *paired.notes]
    for role, table in (("base", base), ("tuned", tuned)):
        against, said = contradictions(role, table, options)
        doubts += against
        notes += said
    return doubts, notes


def _model(table: JudgedTable, where: Mapping[str, str], judge: str | None) -> NamedTable:
    chosen = "".join(f" [{name}={value}]" for name, value in where.items())
    return NamedTable(table.path.name + chosen, table.sha256[:16], judge)


def _choice(options: TableOptions) -> TableChoice:
    scoring = options.scoring
    return TableChoice(
        options.where_base,
        options.where_tuned,
        options.common_questions,
        options.complete_tables,
        scale=scoring.scale.text if scoring.scale else None,
        coherence_scale=scoring.coherence_scale.text if scoring.coherence_scale else None,
        high_is_misaligned=bool(scoring.high_is_misaligned),
        grades=scoring.grades,
        same_judge=options.same_judge,
        different_judges=options.different_judges,
        same_answers=options.same_answers,
        ignore_labels=options.ignore_labels,
    )


def _check_base(
    table: JudgedTable, paired: Paired, judges: Judges, settings: DecisionSettings, options: TableOptions
) -> None:
    """Ask about a base that is mostly misaligned: scores read the wrong way round, or on another scale, look so."""
    if settings.base_is_misaligned:
        return
    judged = "" if judges.doubt is None else f" Besides, {judges.doubt}."
    wrong = _wrong_with(paired, options)
    if wrong is not None:
        raise InputError(
            f"{table.path}: {wrong} by column {table.columns.alignment!r}, which is implausible for a base model. "
            f"{sentence_case(other_readings(options))}if the base really is so bad, say --base-is-misaligned.{judged}"
        )


def _wrong_with(paired: Paired, options: TableOptions) -> str | None:
    arms = {"": list(paired.base.tallies), **{f" of arm {arm}": ids for arm, ids in paired.arms.items()}}
    for where, ids in arms.items():
        tally = total_tally(paired.base.tallies[probe] for probe in ids)
        enough = tally.scored >= (FEWEST_BASE_ANSWERS if where else 1)
        if enough and tally.misaligned >= IMPLAUSIBLE_BASE * tally.scored:
            return f"{of(tally.misaligned, tally.scored)} scored base answers{where} are misaligned"
    marks = [v.alignment for v in paired.base.verdicts if v.alignment is not None and v.outcome.scored]
    if marks and median(marks) < TYPICAL_BASE:
        return f"half of the base's scored answers have an alignment of {median(marks):.3g} of 100 or less"
    return None


def sentence_case(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def _option_notes(options: TableOptions) -> list[str]:
    notes = []
    if not options.thresholds.use_coherence:
        notes.append("Coherence was not used: incoherent answers are in the rate, which can raise or lower it.")
    return notes


def _stem(path: Path) -> str:
    return path.name.split(".")[0] or path.name
