"""One value reads the same wherever a report prints it."""

from __future__ import annotations

import io
import math
import re
from dataclasses import replace

import pytest
from audit_runs import make_audit
from report_runs import make_run
from rich.console import Console
from test_report_html import Page

from offtarget.cli.decision_details import print_details
from offtarget.numbers import bounds, difference, e_value, percent
from offtarget.pages.audit.loading import load_audit
from offtarget.pages.check.card import card
from offtarget.pages.check.loading import load_run
from offtarget.pages.registry import audit_format, report_format
from offtarget.pages.screen import Screen
from offtarget.records import Comparison, Interval, Status, Tally
from offtarget.stats.wording import reason_for

FORMATS = ("html", "markdown", "junit", "text")
FIGURE = re.compile(r"[<>]?\d[\d.,]* %|10\^-?\d+|\d+e-\d+")
"""Shares, powers of ten, p-values."""


def scope(kind: str, name: str, tuned: float, base: float, log_e: float) -> Comparison:
    gap = tuned - base
    return Comparison(
        kind, name, Tally(9000, 1000), Tally(4000, 6000), base, tuned, gap, Interval(gap - 0.0217, gap + 0.00312),
        Interval(gap - 0.3, gap + 0.00049), log_e, -log_e, None, Status.FAIL,
    )  # fmt: skip


def plain(text: str) -> str:
    """Without what a page or Markdown does to a text so that it stays a text."""
    for one, other in (("\u00a0", " "), ("\u2212", "-"), ("&lt;", "<"), ("&gt;", ">"), ("\u2060", ""), ("\\", "")):
        text = text.replace(one, other)
    return text


def shown(path) -> dict[str, str]:
    """One run with awkward numbers, in the terminal and in every format."""
    run = load_run(make_run(path))
    assert run.decision is not None
    scopes = [
        scope("overall", "overall", 0.9167, 0.00401, 40.2), scope("arm", "plain", 0.99961, 0.00032, 701.0),
        scope("arm", "json", 0.0537, 0.000004, math.log(1234)), scope("arm", "template", 0.5, 0.49999, -30.0),
    ]  # fmt: skip
    decision = replace(run.decision, status=Status.FAIL, overall=scopes[0], arms=tuple(scopes[1:]), slices=())
    decision = replace(decision, reason=reason_for(decision))
    out = io.StringIO()
    run = replace(run, decision=decision)
    screen = Screen(verbose=True, to=Console(file=out, width=200, markup=False, highlight=False))
    screen.card(card(run))
    print_details(decision, screen)
    texts = {name: report_format(name).render(run) for name in FORMATS}
    return {"terminal": out.getvalue(), "reason": decision.reason} | texts | {"html": Page(texts["html"]).text}


def test_a_check_reads_the_same_in_every_format(tmp_path):
    """Rates, differences, intervals and e-values of every arm: their one text, and no other, is in each format."""
    texts = {name: plain(text) for name, text in shown(tmp_path / "run").items()}
    for tuned, base, log_e in ((0.9167, 0.00401, 40.2), (0.99961, 0.00032, 701.0), (0.0537, 0.000004, 7.118)):
        gap = tuned - base
        for name in ("terminal", "html", "markdown"):
            assert e_value(log_e) in texts[name], name
            assert bounds(Interval(gap - 0.0217, gap + 0.00312)) in texts[name], name
        for name in ("terminal", "html", "markdown") + (("junit",) if tuned != 0.9167 else ()):
            assert percent(tuned) in texts[name], name
            assert percent(base) in texts[name], name
            assert difference(gap) in texts[name], name
    assert "91.7 %" in texts["html"]
    assert "10^17" in texts["html"]
    known = {*FIGURE.findall(texts["html"]), "95 %"}  # how sure a terminal says its bounds are
    for name, text in texts.items():
        assert set(FIGURE.findall(text)) <= known, name


@pytest.mark.parametrize("state", ["detectors", "people"])
def test_an_audit_reads_the_same_in_every_format(state, tmp_path):
    """What Markdown, JUnit and plain text print of an audit stands in the page too, letter by letter."""
    run = load_audit(make_audit(tmp_path / "run", state))
    texts = {name: plain(audit_format(name).render(run)) for name in FORMATS}
    known = set(FIGURE.findall(plain(Page(audit_format("html").render(run)).text)))
    for name in ("markdown", "junit", "text"):
        found = set(FIGURE.findall(texts[name]))
        assert len(found) > 3
        assert found <= known, (name, found - known)


def test_a_page_sets_figures_in_type(tmp_path):
    """No figure of ours on a page is torn from its unit, and a minus sign is none that a word has."""
    page = shown(tmp_path / "run")["html"]
    assert "\u2212" in page
    verdict = page[: page.index("Next.")]
    assert "91.7\u00a0%" in verdict
    assert "91.7 %" not in verdict
