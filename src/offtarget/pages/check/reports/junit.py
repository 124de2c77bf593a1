"""The result as JUnit XML for continuous integration.

One test case for the verdict, one per arm, one per slice (domain or question). FAIL is a failure with reason.
An undecided or unfinished verdict is an error, since evidence is missing and the build must not go green; an
undecided arm or slice is skipped, since the verdict, not each slice, has to be decided.
"""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from offtarget.pages.benchmarks import story as benchmarks
from offtarget.pages.cards import with_cost
from offtarget.pages.check import facts, story
from offtarget.pages.check.card import card
from offtarget.pages.check.counted import counted
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.registry import ReportFormat
from offtarget.pages.text import of_scored, one_line, visible
from offtarget.records import Comparison, Status
from offtarget.records.benchmarks import BenchmarkResult
from offtarget.records.check import UnderPressure


def render(run: LoadedRun) -> str:
    """JUnit XML text, free of characters XML 1.0 forbids."""
    run = counted(run)
    base, tuned = run.manifest.models["base"], run.manifest.models["tuned"]
    title = f"offtarget {run.manifest.verb}: {tuned.name} against {base.name}"
    suite = begun(title, facts.created(run), facts.settings_table(run))
    _verdict(suite, run)
    if run.decision:
        for comparison in (*run.decision.arms, *run.decision.slices):
            _case(suite, comparison)
    if run.decision is not None and run.decision.pressed is not None:
        _under_pressure(suite, run.decision.pressed)
    for result in () if run.benchmarks is None else run.benchmarks.results:
        _benchmark(suite, result)
    return written(suite)


def begun(title: str, when: str | None, properties: Iterable[tuple[str, str]]) -> Element:
    """A suite without cases."""
    suite = Element("testsuite", name=one_line(title))
    if when:
        suite.set("timestamp", one_line(when))
    element = SubElement(suite, "properties")
    for name, value in properties:
        SubElement(element, "property", name=one_line(name), value=one_line(value))
    return suite


def written(suite: Element) -> str:
    """The file with this one suite, its counts filled in."""
    for kind in ("failure", "error", "skipped"):
        counted = {"failure": "failures", "error": "errors"}.get(kind, kind)
        suite.set(counted, str(len(suite.findall(f"testcase/{kind}"))))
    suite.set("tests", str(len(suite.findall("testcase"))))
    root = Element("testsuites")
    root.append(suite)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _verdict(suite: Element, run: LoadedRun) -> None:
    """The case of the verdict; its message and the first line of its output are the sentence of the card."""
    name = "tuned is not worse than base by the margin or more"
    case = SubElement(suite, "testcase", classname="offtarget.verdict", name=name, time="0")
    told = with_cost(card(run), run.path)
    steps = [f"{step.why}: {step.command}" if step.command else step.why for step in told.steps]
    rest = "\n".join(filter(None, [told.certainty, *told.cautions, *steps]))
    if told.mood == "bad":
        outcome(case, "failure", told.sentence, rest)
    elif told.state != Status.PASS:
        outcome(case, "error", f"{told.state}: {told.sentence}", rest)
    lines = [told.sentence, told.title, *filter(None, [told.certainty]), *story.beside(run), *story.notes(run)]
    SubElement(case, "system-out").text = visible("\n".join(dict.fromkeys(lines)))


def _case(suite: Element, comparison: Comparison) -> None:
    name = one_line(comparison.name)
    case = SubElement(suite, "testcase", classname=f"offtarget.{comparison.scope}", name=name, time="0")
    detail = (
        f"{story.in_words(comparison)}; misaligned among scored: base {of_scored(comparison.base)}, "
        f"tuned {of_scored(comparison.tuned)}"
    )
    if comparison.status is Status.FAIL:
        outcome(case, "failure", f"{name}: {detail}", detail)
    elif comparison.status is Status.UNDECIDED:
        outcome(case, "skipped", f"undecided: {detail}", "")
    SubElement(case, "system-out").text = visible(detail)


def _under_pressure(suite: Element, under: UnderPressure) -> None:
    """Conversations under pressure; where nothing is shown of them the verdict stands, so they are skipped."""
    case = SubElement(suite, "testcase", classname="offtarget.pressure", name="conversations", time="0")
    said = f"{under.reason} All of them are in {under.run}."
    if under.status is Status.FAIL:
        outcome(case, "failure", said, said)
    elif under.status is Status.UNDECIDED:
        outcome(case, "skipped", said, "")
    SubElement(case, "system-out").text = visible(said)


def _benchmark(suite: Element, result: BenchmarkResult) -> None:
    """A red flag is a failure, whatever is not shown to be within its margin is skipped."""
    case = SubElement(suite, "testcase", classname="offtarget.benchmark", name=one_line(result.name), time="0")
    said = benchmarks.said(result)
    if result.red_flag:
        outcome(case, "failure", said, said)
    elif not result.within_margin:
        outcome(case, "skipped", said, "")
    SubElement(case, "system-out").text = visible(said)


def outcome(case: Element, kind: str, message: str, text: str) -> None:
    """Make a case a failure, an error, or skipped."""
    element = SubElement(case, kind, message=one_line(message, 1000))
    if kind != "skipped":
        element.set("type", f"offtarget.{kind}")
        element.text = visible(text)


FORMAT = ReportFormat("junit", "report.junit.xml", "JUnit XML for continuous integration", render)
