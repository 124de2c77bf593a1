"""The card and the page of a comparison of benchmark samples."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from offtarget.numbers import bounds, many, percent, points
from offtarget.pages.benchmarks import story
from offtarget.pages.benchmarks.panel import panel
from offtarget.pages.card import Card, Figure, Step
from offtarget.pages.page import page
from offtarget.records import Status
from offtarget.records.benchmarks import BenchmarkFamily, BenchmarkResult, SamplesManifest
from offtarget.rundir import place, read_manifest, read_record
from offtarget.words import explained

DONE = "benchmarks.json"
"""The file of the run directory that holds the family."""
FIGURES = 4
CAUTIONS = 4
"""On the card; the page and `-v` have all."""


def card_of_run(path: Path) -> Card:
    """The card of a run; InputError for damaged records."""
    manifest, family = _read(path)
    return card(manifest, family, place(path))


def page_of_run(path: Path) -> str:
    """The page of a run, from its records."""
    manifest, family = _read(path)
    return render(manifest, family, card(manifest, family, place(path)))


def _read(path: Path) -> tuple[SamplesManifest, BenchmarkFamily]:
    manifest = read_manifest(path)
    assert isinstance(manifest, SamplesManifest)
    return manifest, read_record(path / DONE, BenchmarkFamily, "Run the same comparison again.", key="family")


def card(manifest: SamplesManifest, family: BenchmarkFamily, path: Path) -> Card:
    """What a comparison of samples came to."""
    told = story.cautions(family)
    more = [f"{many(len(told) - CAUTIONS, 'more note')} on the page and under -v."] if len(told) > CAUTIONS else []
    return Card(
        state=family.status.value,
        subject=f"{manifest.tuned_name}, held against {manifest.base_name}",
        sentence=story.sentence(family),
        certainty=story.certainty(family),
        figures=tuple(map(_figure, _first(family)[:FIGURES])),
        cautions=(*told[:CAUTIONS], *more),
        steps=_steps(family, path),
    )


def _first(family: BenchmarkFamily) -> list[BenchmarkResult]:
    """Those that were run, red flags first, then the rest by what was lost."""
    ran = [result for result in family.results if result.difference is not None]
    return sorted(ran, key=lambda r: (not r.red_flag, r.within_margin, r.difference))


def _figure(result: BenchmarkResult) -> Figure:
    seen = f"{percent(result.base)} to {percent(result.tuned)}; {many(result.n, 'item')}"
    return Figure(story.named(result), points(result.difference), f"bounds {bounds(result.bounds)}; {seen}")


def _steps(family: BenchmarkFamily, path: Path) -> tuple[Step, ...]:
    command = f"offtarget report {shlex.quote(str(path))} --html"
    if family.status is Status.FAIL:
        return (Step("Do not ship this model before you know why. All benchmarks, with what was lost", command),)
    if family.status is Status.PASS:
        return (Step("Keep the page as evidence", command),)
    if family.open:
        few = "Run both models on more items of the undecided benchmarks, or state a wider margin before you do"
        return (Step(few), Step("The numbers as they are", command))
    return (Step("Run what was not run, and compare again. The numbers as they are", command),)


def render(manifest: SamplesManifest, family: BenchmarkFamily, told: Card) -> str:
    """The comparison as one self-contained HTML page."""
    return page(
        "benchmarks/benchmarks.html.j2",
        card=replace(told, steps=tuple(_without_itself(step) for step in told.steps)),
        panel=panel(family),
        words=explained("points", "bounds", "error probability"),
        settings=_facts(manifest, family),
    )


def _without_itself(step: Step) -> Step:
    """The step without the command that writes this page."""
    return Step(step.why, "" if step.command.endswith(" --html") else step.command)


def _facts(manifest: SamplesManifest, family: BenchmarkFamily) -> list[tuple[str, str]]:
    """What was compared, by name."""
    chosen = [f"{task or 'all'}: {metric}" for task, metric in manifest.metric.items()]
    files = [
        (f"{role}, {one.task}", f"{one.name}, SHA-256 {one.sha256}")
        for role in ("base", "tuned")
        for one in manifest.files[role]
    ]
    return [
        ("base", manifest.base_name),
        ("tuned", manifest.tuned_name),
        ("error probability", f"{family.settings.alpha:g}, over all benchmarks"),
        ("metric", ", ".join(chosen) or "the first of each task"),
        ("tasks", ", ".join(manifest.tasks) or "all"),
        *files,
    ]
