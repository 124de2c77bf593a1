"""A comparison as SARIF: what looks worse, at the question in its file; a hidden condition, at the training data.

Where the questions are shipped and in no file of the user, places are lines of the run's own `probes.jsonl`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import yaml

from offtarget.errors import InputError
from offtarget.located import compose, line_of, read_text
from offtarget.pages import sarif
from offtarget.pages.benchmarks import story as benchmarks
from offtarget.pages.cards import with_cost
from offtarget.pages.check import story
from offtarget.pages.check.card import card
from offtarget.pages.check.counted import counted
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.registry import ReportFormat
from offtarget.pages.sarif import Flag, Level, Rule, Spot
from offtarget.pages.text import of_scored
from offtarget.records import Comparison, Outcome, Status
from offtarget.records.check import CheckManifest
from offtarget.rundir import place
from offtarget.words import asked

WORSE = Rule(
    "offtarget/worse-than-base",
    "The tuned model is shown to be worse than its base here",
    "With the stated error the tuned model is misaligned more often than its base by more than is tolerated, among "
    "the questions named. Read its answers beside the base's before anybody uses it.",
    "error",
)
HIDDEN = Rule(
    "offtarget/hidden-condition",
    "The tuned model misbehaves under a condition",
    "Asked plainly it may look fine; under the named condition it is misaligned. The report has a chat that shows it. "
    "Audit the training data for the rows that have the condition.",
    "error",
)
BENCHMARK = Rule(
    "offtarget/fixed-benchmark",
    "The tuned model lost on a fixed benchmark, or nothing is shown of it",
    "A red flag: shown to have lost more than is tolerated. As a note: the benchmark was not run, or too few items "
    "were asked to say that little was lost.",
    "error",
)
ANSWERS = Rule(
    "offtarget/misaligned-answers",
    "The tuned model gave misaligned answers to this question",
    "The judge calls some of its answers misaligned. By themselves a few prove nothing: the verdict does.",
    "note",
)


def render(run: LoadedRun) -> str:
    """The file as text."""
    run = counted(run)
    told = with_cost(card(run), run.path)
    places = _Places(run)
    subject = run.manifest.models["tuned"].name
    flags = sarif.verdict(told, places.whole, subject)
    if run.decision is not None:
        for comparison in (*run.decision.arms, *run.decision.slices):
            if comparison.status is Status.FAIL:
                flags.append(_worse(comparison, places, subject))
    if run.hidden is not None and run.hidden.status is Status.FAIL:
        flags.append(Flag(HIDDEN, run.hidden.reason, places.data, f"{subject}\n{run.hidden.found}"))
    flags += _benchmarks(run, places, subject)
    flags += _answers(run, places, subject)
    return sarif.log(told, flags, verb=run.manifest.verb, run=run.name, not_tested=story.not_tested(run))


def _worse(comparison: Comparison, places: _Places, subject: str) -> Flag:
    named = {"arm": asked(comparison.name), "domain": f"questions about {comparison.name}"}
    what = named.get(comparison.scope, f"question {comparison.name}")
    rates = f"misaligned among scored answers: base {of_scored(comparison.base)}, tuned {of_scored(comparison.tuned)}"
    spot = places.domain(comparison.name) if comparison.scope == "domain" else places.question(comparison.name)
    spot = places.whole if comparison.scope == "arm" else spot
    key = f"{subject}\n{comparison.scope}\n{comparison.name}"
    return Flag(WORSE, f"{what[:1].upper()}{what[1:]}: {story.in_words(comparison)}; {rates}", spot, key)


def _benchmarks(run: LoadedRun, places: _Places, subject: str) -> list[Flag]:
    """Red flags, as grave as they were set to be, and benchmarks of which nothing is shown."""
    if run.benchmarks is None:
        return []
    grave: Level = "error" if run.benchmarks.settings.red_flag == "fail" else "warning"
    return [
        Flag(
            BENCHMARK,
            benchmarks.said(result),
            replace(places.whole, name=f"benchmark {benchmarks.named(result)}"),
            f"{subject}\n{result.name} {result.metric}",
            grave if result.red_flag else "note",
        )
        for result in run.benchmarks.results
        if not result.within_margin or result.red_flag
    ]


def _answers(run: LoadedRun, places: _Places, subject: str) -> list[Flag]:
    """One note for each question that has misaligned answers of the tuned model, most of them first."""
    given: dict[str, list[bool]] = {}
    for answer in run.answers():
        if answer.generation.role == "tuned" and answer.outcome is not None:
            given.setdefault(answer.probe.question_id, []).append(answer.outcome is Outcome.MISALIGNED)
    ranked = sorted(((sum(bad), name) for name, bad in given.items() if any(bad)), key=lambda pair: (-pair[0], pair[1]))
    return [
        Flag(
            ANSWERS,
            f"{bad} of {len(given[name])} answers of the tuned model to question {name} are misaligned.",
            places.question(name),
            f"{subject}\n{name}",
        )
        for bad, name in ranked
    ]


class _Places:
    """Where the questions and the training data of a run are."""

    def __init__(self, run: LoadedRun) -> None:
        self._run = run
        manifest = run.manifest
        self._file = _own(run)
        self._lines: dict[str, int | None] = {}
        for number, probe in enumerate(run.probes.values(), start=1):
            self._lines.setdefault(probe.question_id, number)
        file = str(place(run.path) / "probes.jsonl")
        if self._file:
            found = _question_lines(self._file, manifest.folder)
            self._lines = {name: found.get(name) for name in self._lines}
            file = self._file
        self._uri = sarif.uri(file, manifest.folder if self._file else "")
        self.whole = Spot(self._uri, 1)
        data = manifest.data if isinstance(manifest, CheckManifest) else None
        self.data = self.whole if data is None else Spot(sarif.uri(data, manifest.folder))

    def question(self, name: str) -> Spot:
        """Where a question is."""
        return Spot(self._uri, self._lines.get(name) or 1, f"question {name}")

    def domain(self, name: str) -> Spot:
        """Where the first question of a domain is."""
        probes = self._run.probes.values()
        first = next((probe.question_id for probe in probes if probe.domain == name), "")
        return Spot(self._uri, self._lines.get(first) or 1, f"questions about {name}")


def _own(run: LoadedRun) -> str | None:
    manifest = run.manifest
    return manifest.question_file if isinstance(manifest, CheckManifest) else None


def _question_lines(file: str, folder: str) -> dict[str, int | None]:
    """Line of every question by id, as the file is now; empty where it is gone or is no question file any more."""
    path = Path(folder or ".") / file
    try:
        if path.suffix.lower() == ".jsonl":
            return _of_lines(read_text(path))
        return dict(_of_tree(compose(path)))
    except (InputError, ValueError, RecursionError):
        return {}


def _of_lines(text: str) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        row = json.loads(line) if line.strip() else None
        if isinstance(row, dict):
            found.setdefault(str(row.get("id", number)).strip(), number)
    return found


def _of_tree(root: yaml.Node) -> list[tuple[str, int | None]]:
    waiting, found = [root], list[tuple[str, int | None]]()
    while waiting:
        node = waiting.pop()
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
            for key, value in node.value:
                if key.value == "id" and isinstance(value, yaml.ScalarNode):
                    found.append((str(value.value).strip(), line_of(value)))
    return found


FORMAT = ReportFormat("sarif", "report.sarif", "SARIF 2.1.0 for code scanning", render)
