"""Two folders of lm_eval samples as pairs of scores: the same items, prompts and right answers, or a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from offtarget.data.lm_eval_samples import Sample, SampleFolder, Settings, TaskSamples
from offtarget.data.rawrows import shown
from offtarget.errors import InputError
from offtarget.numbers import many
from offtarget.records.benchmarks import BenchmarkItems, ItemPair
from offtarget.rundir import fingerprint

NAMED = 5
"""Items that a message names."""
_MORE_IS_BETTER = ("acc", "match", "f1", "mc1", "mc2", "correct", "pass@", "bleu", "rouge", "chrf")
"""Parts of the names of metrics of which more is better: what `toxicity` or `score` is, a file must say."""


@dataclass(frozen=True, slots=True)
class PairedFolders:
    """All benchmarks of two folders."""

    benchmarks: tuple[BenchmarkItems, ...]
    notes: tuple[str, ...]
    same_answers: bool
    """Whether both models gave the very same answers to every item of every task."""


@dataclass(frozen=True, slots=True)
class MetricChoice:
    """Which metric of a task is compared, as somebody chose it."""

    usual: str = ""
    """For every task: `acc_norm`, or with a filter `exact_match,flexible-extract`; empty for each task's first."""
    of_task: Mapping[str, str] | None = None
    """Task -> its own."""

    def of(self, task: str) -> tuple[str, str]:
        """Metric and filter of a task; empty for its first."""
        metric, _, chosen = ((self.of_task or {}).get(task) or self.usual).partition(",")
        return metric.strip(), chosen.strip()


def pair_folders(base: SampleFolder, tuned: SampleFolder, choice: MetricChoice | None = None) -> PairedFolders:
    """Every task of both folders as a benchmark; tasks of a group that has a score of its own are one benchmark.

    A task of one folder alone, or without a metric from 0 to 1, is a benchmark that was not run, with the reason.
    Raises InputError where items, prompts, documents or right answers differ, and for scores that are no numbers.
    """
    choice = choice or MetricChoice()
    tasks = sorted({*base.tasks, *tuned.tasks})
    unknown = [task for task in choice.of_task or {} if task not in tasks]
    if unknown:
        raise InputError(f"--metric names {shown(unknown)}, but the tasks are {shown(tasks)}.")
    same: list[bool] = []
    by_task = {task: _task(task, base, tuned, choice, same) for task in tasks}
    notes = [f"Base: {note}" for note in base.notes] + [f"Tuned: {note}" for note in tuned.notes]
    return PairedFolders(tuple(_grouped(by_task, base)), tuple(notes), bool(same) and all(same))


def _task(task: str, base: SampleFolder, tuned: SampleFolder, choice: MetricChoice, same: list[bool]) -> BenchmarkItems:
    ours, theirs = base.tasks.get(task), tuned.tasks.get(task)
    if ours is None or theirs is None:
        there = base if theirs is None else tuned
        return BenchmarkItems(task, "", why_not=f"Only {there.path} has samples of it.")
    filter_name = _filter(ours, theirs, choice.of(task)[1])
    a, b = ours.filters[filter_name], theirs.filters[filter_name]
    _same_items(ours, theirs, a, b)
    for item in a:
        _same_question(item, a[item], b[item], (ours, theirs), (base.settings[task], tuned.settings[task]))
    same.append(all(a[item].answers == b[item].answers for item in a))
    metric = _metric(ours, a, base.settings[task], choice.of(task)[0])
    if metric is None:
        names = shown(ours.metrics) if ours.metrics else "none at all"
        why = (
            f"None of its metrics ({names}) is a number from 0 to 1 per item of which more is known to be better. "
            f"Where more is better all the same, say so: --metric {task}=NAME."
        )
        return BenchmarkItems(task, "", why_not=why)
    pairs = (ItemPair(item, _score(ours, a[item], metric), _score(theirs, b[item], metric), task) for item in a)
    versions = [said.versions.get(task) for said in (base.settings[task], tuned.settings[task])]
    other = None not in versions and versions[0] != versions[1]
    note = f"The base was run with version {versions[0]} of the task, the tuned model with {versions[1]}."
    return BenchmarkItems(
        task,
        metric if len(ours.filters) == 1 else f"{metric},{filter_name}",
        tuple(pairs),
        ours.sha256[:16],
        theirs.sha256[:16],
        (note,) if other else (),
    )


def _filter(ours: TaskSamples, theirs: TaskSamples, chosen: str) -> str:
    """The filter that is compared: the chosen one, else the first of the base's file."""
    name = chosen or next(iter(ours.filters))
    for samples in (ours, theirs):
        if name not in samples.filters:
            raise InputError(
                f"{samples.path}: task {samples.task} has no filter {name!r}. It has: {shown(samples.filters)}."
            )
    return name


def _same_items(ours: TaskSamples, theirs: TaskSamples, a: Mapping[str, Sample], b: Mapping[str, Sample]) -> None:
    for here, there, samples in ((a, b, ours), (b, a, theirs)):
        alone = [item for item in here if item not in there]
        if alone:
            named = ", ".join(alone[:NAMED]) + (", ..." if len(alone) > NAMED else "")
            first = here[alone[0]].line
            other = theirs if samples is ours else ours
            raise InputError(
                f"{samples.path}, line {first}: task {samples.task} has {many(len(alone), 'item')} (doc_id {named}) "
                f"that {other.path} has not. Run both models on the same items, with the same --limit or --samples."
            )


def _same_question(
    item: str, a: Sample, b: Sample, files: tuple[TaskSamples, TaskSamples], said: tuple[Settings, Settings]
) -> None:
    ours, theirs = files
    differs = (
        "its document" if a.doc != b.doc
        else "its right answer" if a.target != b.target
        else "its prompt" if a.prompt != b.prompt
        else ""
    )  # fmt: skip
    if differs:
        why = _why(ours.task, *said)
        raise InputError(
            f"Task {ours.task}, doc_id {item}: {differs} is not the same for both models ({ours.path}, line {a.line}; "
            f"{theirs.path}, line {b.line}).{why} Scores on different questions cannot be paired: run both with the "
            "same task, few-shot examples, chat template, system prompt and settings of generation."
        )


def _why(task: str, base: Settings, tuned: Settings) -> str:
    """What the results files say is different, as a sentence."""
    for name, a, b in (
        ("few-shot examples", base.shots.get(task), tuned.shots.get(task)),
        ("version of the task", base.versions.get(task), tuned.versions.get(task)),
    ):
        if a is not None and b is not None and a != b:
            return f" The {name}: {shown([a])} for the base, {shown([b])} for the tuned model."
    for name, a, b in (
        ("chat template", base.chat_template, tuned.chat_template),
        ("system prompt", base.system, tuned.system),
    ):
        if a != b:
            who = (
                "only the base was run with one" if not b else "only the tuned model was run with one" if not a else ""
            )
            return f" The {name} differs{': ' + who if who else ''}."
    return ""


def _metric(samples: TaskSamples, items: Mapping[str, Sample], said: Settings, chosen: str) -> str | None:
    """The metric that is compared: the chosen one, else the first whose scores are numbers from 0 to 1.

    Of one that nobody chose it must be known that more is better, by the results file or by its name.
    """
    better = said.more_is_better.get(samples.task)
    better = better if isinstance(better, dict) else {}
    if chosen:
        if chosen not in samples.metrics:
            raise InputError(
                f"{samples.path}: task {samples.task} has no metric {chosen!r}. It has: {shown(samples.metrics)}."
            )
        if better.get(chosen) is False:
            raise InputError(f"Less of {chosen} is better in task {samples.task}. Choose a metric of which more is.")
        return chosen
    first = next(iter(items.values()))
    usable = (m for m in samples.metrics if _more_is_better(m, better) and _number(first.scores.get(m)) is not None)
    return next(usable, None)


def _more_is_better(metric: str, said: Mapping[str, Any]) -> bool:
    """What the results file says; where it says nothing, what the name is known for."""
    known = any(part in metric.lower() for part in _MORE_IS_BETTER)
    return said.get(metric) is True or (known and said.get(metric) is not False)


def _score(samples: TaskSamples, sample: Sample, metric: str) -> float:
    value = _number(sample.scores.get(metric))
    if value is None:
        said = "missing" if sample.scores.get(metric) is None else shown([sample.scores[metric]])
        raise InputError(
            f"{samples.path}, line {sample.line}: {metric} of task {samples.task} is {said}, not a number from 0 to 1. "
            f"Its metrics are {shown(samples.metrics)}; choose another with --metric {samples.task}=NAME."
        )
    return value


def _number(value: Any) -> float | None:
    """A score from 0 to 1; None for anything else."""
    if isinstance(value, bool | int | float) and 0 <= value <= 1:  # not a number is neither
        return float(value)
    return None


def _grouped(by_task: Mapping[str, BenchmarkItems], base: SampleFolder) -> list[BenchmarkItems]:
    """The tasks, those of a group with a score of its own joined to one benchmark in the place of its first."""
    groups = {name: parts for said in base.settings.values() for name, parts in said.groups.items()}
    inner = {part for parts in groups.values() for part in parts}
    joined: dict[str, BenchmarkItems] = {}
    left = dict(by_task)
    for group in sorted(groups.keys() - inner):
        tasks = sorted(set(_leaves(group, groups)))
        members = [left[task] for task in tasks if task in left]
        if len(tasks) > 1 and len(members) == len(tasks) and _alike(members):
            joined[tasks[0]] = _join(group, members)
            left = {task: items for task, items in left.items() if task not in tasks}
    return [joined.get(task) or left[task] for task in by_task if task in joined or task in left]


def _leaves(name: str, groups: Mapping[str, Sequence[str]], seen: frozenset[str] = frozenset()) -> list[str]:
    if name not in groups or name in seen:
        return [name]
    return [leaf for part in groups[name] for leaf in _leaves(part, groups, seen | {name})]


def _alike(members: Sequence[BenchmarkItems]) -> bool:
    return all(not m.why_not and m.metric == members[0].metric for m in members)


def _join(name: str, members: Sequence[BenchmarkItems]) -> BenchmarkItems:
    pairs = (ItemPair(f"{one.name}/{pair.item}", pair.base, pair.tuned, name) for one in members for pair in one.pairs)
    return BenchmarkItems(
        name,
        members[0].metric,
        tuple(pairs),
        fingerprint([one.base_fingerprint for one in members]),
        fingerprint([one.tuned_fingerprint for one in members]),
        (f"Its {len(members)} tasks are one benchmark, each item counting the same.", *_notes(members)),
    )


def _notes(members: Sequence[BenchmarkItems]) -> list[str]:
    return [f"{one.name}: {note}" for one in members for note in one.notes]
