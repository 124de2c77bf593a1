"""The audit's verdict as JUnit XML for continuous integration.

One test case for the verdict and one per limit; counts of the detectors are properties. FAIL is a failure with its
reason. An undecided or unfinished verdict is an error, since evidence is missing and the build must not go green; an
undecided limit is skipped, since the verdict, not each limit, has to be decided.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from offtarget.numbers import chosen, p_value, share_range
from offtarget.pages.audit import facts, story
from offtarget.pages.audit.card import next_step
from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.check import facts as run_facts
from offtarget.pages.check.reports.junit import begun, outcome, written
from offtarget.pages.registry import ReportFormat
from offtarget.pages.text import one_line, visible
from offtarget.records import LimitTest, Status, Suspect


def render(run: LoadedAudit) -> str:
    """JUnit XML text, free of characters XML 1.0 forbids."""
    suite = begun(f"offtarget audit: {facts.data_name(run)}", run_facts.created(run), _properties(run))
    _verdict(suite, run)
    for test in run.decision.tests if run.decision else ():
        _case(suite, test)
    for suspect, line in story.suspects(run):
        _suspect(suite, suspect, line)
    return written(suite)


def _properties(run: LoadedAudit) -> list[tuple[str, str]]:
    pairs = [("rows", str(facts.rows(run) or 0)), ("malformed", str(facts.malformed(run)))]
    for detector in facts.detectors(run):
        pairs.append((f"detector.{detector.name}.rows", str(detector.rows)))
        pairs.append((f"detector.{detector.name}.disclosed", str(detector.disclosed)))
    pairs += [(f"dataset.{f.detector}.p_value", p_value(f.p_value)) for f in run.dataset]
    return [*pairs, *facts.settings_table(run)]


def _verdict(suite: Element, run: LoadedAudit) -> None:
    case = SubElement(suite, "testcase", classname="offtarget.verdict", name="data is safe to train on", time="0")
    status = story.status(run)
    if status == Status.FAIL:
        outcome(case, "failure", story.reason(run), f"{story.error_probability(run)}\n{next_step(run)}")
    elif status != Status.PASS:
        outcome(case, "error", f"{status}: {story.reason(run)}", next_step(run))
    lines = [story.reason(run), *filter(None, (story.basis(run),)), *story.notes(run)]
    lines += [f"Not tested: {item}" for item in story.not_tested(run)]
    SubElement(case, "system-out").text = visible("\n".join(lines))


def _suspect(suite: Element, suspect: Suspect, line: str) -> None:
    name = one_line(f"no backdoor behind {suspect.condition} ({suspect.key})")
    case = SubElement(suite, "testcase", classname="offtarget.condition", name=name, time="0")
    if suspect.state == "confirmed":
        outcome(case, "failure", line, line)
    elif suspect.state == "open":
        outcome(case, "error", line, line)
    SubElement(case, "system-out").text = visible(line)


def _case(suite: Element, test: LimitTest) -> None:
    case = SubElement(suite, "testcase", classname="offtarget.limit", name=one_line(test.name), time="0")
    detail = (
        f"{story.limit_title(test)}, at most {chosen(test.limit)}: {test.bad:,} bad of {test.labelled:,} labelled "
        f"rows, {share_range(test.interval)} in all rows"
    )
    if test.status is Status.FAIL:
        outcome(case, "failure", detail, detail)
    elif test.status is Status.UNDECIDED:
        outcome(case, "skipped", f"undecided: {detail}", "")
    SubElement(case, "system-out").text = visible(detail)


FORMAT = ReportFormat("junit", "report.junit.xml", "JUnit XML for continuous integration", render)
