"""`compare` of two folders of samples that lm_eval wrote: the verdict on fixed benchmarks that were run before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.data.lm_eval_pairs import MetricChoice, PairedFolders, pair_folders
from offtarget.data.lm_eval_samples import SampleFolder, read_samples
from offtarget.errors import InputError
from offtarget.records import Role, Status
from offtarget.records.benchmarks import BenchmarkFamily, BenchmarkSettings, SampleFile, SamplesManifest
from offtarget.records.runs import NamedModel
from offtarget.rundir import RunDir, write_records
from offtarget.stats.paired_items import decide_benchmarks
from offtarget.workflows.runs.begin import begin, finish, finished, opened
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import BENCHMARKS

ITEMS = "benchmark_items.jsonl"
"""Every item with both scores."""


@dataclass(frozen=True, slots=True, repr=False)
class SamplesResult(Result):
    """What a comparison of two folders of samples came to."""

    record: BenchmarkFamily

    @property
    def status(self) -> Status:
        """PASS: every benchmark within its margin; FAIL: a red flag; else UNDECIDED."""
        return self.record.status

    @property
    def exit_code(self) -> int:
        """Exit code of the command line."""
        return self.status.exit_code


def compare_samples(
    base: Path | str,
    tuned: Path | str,
    *,
    settings: BenchmarkSettings | None = None,
    metric: str | Mapping[str, str] = "",
    tasks: Sequence[str] = (),
    same_answers: bool = False,
    run: str | Path | None = None,
) -> SamplesResult:
    """Decide from two folders of lm_eval samples and write a run directory, `run` or a new one.

    `metric` names one for all tasks, or for each its own (under an empty name that of all others); else each task's
    first is compared. `tasks` are the only ones looked at. Raises InputError for samples that cannot be paired, and,
    without `same_answers`, where both models gave the very same answers to everything.
    """
    settings = settings or BenchmarkSettings()
    chosen = ({"": metric} if metric else {}) if isinstance(metric, str) else dict(metric)
    folders: dict[Role, SampleFolder] = {
        "base": read_samples(Path(base), tasks),
        "tuned": read_samples(Path(tuned), tasks),
    }
    of_task = {task: name for task, name in chosen.items() if task}
    paired = pair_folders(folders["base"], folders["tuned"], MetricChoice(chosen.get("", ""), of_task))
    _known(settings, paired)
    if paired.same_answers and not same_answers:
        raise InputError(
            f"{tuned} holds the very same answers as {base}, to every item of every task: as where an adapter was not "
            "loaded, or a folder was copied. If they really are those of the tuned model, say --same-answers."
        )
    family = decide_benchmarks(paired.benchmarks, settings)
    family = replace(family, notes=(*_doubts(folders, paired), *paired.notes, *_left_out(folders, tasks)))
    manifest = SamplesManifest(
        settings=settings,
        models={role: NamedModel(folder.model, folder.digest) for role, folder in folders.items()},
        files={role: _files(folder) for role, folder in folders.items()},
        metric=chosen,
        tasks=tuple(tasks),
        same_answers=same_answers,
    )
    return _write(manifest, family, paired, run)


def resume(run: str | Path) -> SamplesResult:
    """The result of a finished comparison, read again; an unfinished one keeps nothing to go on with."""
    directory, _ = opened(BENCHMARKS, find_run(run, verb=BENCHMARKS))
    family = finished(BENCHMARKS, directory.path)
    if family is None:
        raise InputError(f"{directory.path} is unfinished. Run the same comparison again.")
    return SamplesResult(directory.path, family)


def _write(
    manifest: SamplesManifest, family: BenchmarkFamily, paired: PairedFolders, run: str | Path | None
) -> SamplesResult:
    from offtarget.pages.benchmarks.card import card, render

    slug = f"{manifest.base_name[-24:]}-{manifest.tuned_name[-34:]}"
    with RunDir.create(BENCHMARKS.command, slug, path=run) as directory:
        begin(directory, manifest)
        write_records(
            directory, ITEMS, (replace(p, benchmark=items.name) for items in paired.benchmarks for p in items.pairs)
        )
        page = render(manifest, family, card(manifest, family, directory.path))
        finish(BENCHMARKS, directory, family, page, status=family.status, models=manifest.models)
    return SamplesResult(directory.path, family)


def _files(folder: SampleFolder) -> tuple[SampleFile, ...]:
    return tuple(SampleFile(task, samples.path.name, samples.sha256) for task, samples in folder.tasks.items())


def _known(settings: BenchmarkSettings, paired: PairedFolders) -> None:
    names = [items.name for items in paired.benchmarks]
    unknown = [name for name in settings.margins if name not in names]
    if unknown:
        raise InputError(f"--benchmark-margin names {unknown[0]!r}, but the benchmarks are {', '.join(names)}.")


def _doubts(folders: Mapping[Role, SampleFolder], paired: PairedFolders) -> list[str]:
    """What may be wrong with the folders though they fit together."""
    base, tuned = folders["base"].model, folders["tuned"].model
    doubts = ["Both models gave the very same answers to every item of every task."] if paired.same_answers else []
    if base == tuned:
        doubts.append(f"Both folders name the same model, {base}. See that one of them is the tuned one.")
    return doubts


def _left_out(folders: Mapping[Role, SampleFolder], tasks: Sequence[str]) -> list[str]:
    named = ", ".join(folders["base"].tasks)
    return [f"Compared, as asked: {named}. Other tasks may say otherwise."] if tasks else []
