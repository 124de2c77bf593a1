"""The HTML page: self-contained, and hostile text stays text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from report_runs import HOSTILE, make_run

from offtarget.pages.charts.axes import axis, exact_axis
from offtarget.pages.charts.scatter import MOST_POINTS, scatter
from offtarget.pages.check.embedded import LONGEST, embedded_answers
from offtarget.pages.check.loading import load_run
from offtarget.pages.registry import report_format

PAYLOAD = '"><script>window.__pwned=9</script><img src=x onerror=window.__pwned=9>'
VOID = {"meta", "link", "br", "input", "img", "hr"}


class Page(HTMLParser):
    """Tags, attributes and nesting of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attributes), ""))
        if tag == "style":
            self.styles.append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self._open and self._open[-1] == "style":
            self.styles[-1] += data
        else:
            self.text += data

    def find(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def html(path: Path) -> str:
    return report_format("html").render(load_run(path))


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory) -> Page:
    """A page in which every text of the run, names included, carries a payload."""
    path = tmp_path_factory.mktemp("hostile") / "run"
    make_run(
        path,
        manifest={
            "models": {role: {"name": PAYLOAD, "fingerprint": PAYLOAD} for role in ("base", "tuned")},
            "judge": PAYLOAD,
            "judge_name": PAYLOAD,
            "probes": PAYLOAD,
            "probes_fingerprint": PAYLOAD,
            "data": PAYLOAD,
            "version": PAYLOAD,
            "checks": [PAYLOAD],
            "not_tested": [PAYLOAD],
            PAYLOAD: PAYLOAD,
        },
    )
    for name in ("probes", "generations", "verdicts", "looks"):
        file = path / f"{name}.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for line in lines:
            for key in ("id", "probe_id", "question_id", "arm", "domain", "prompt", "system", "reason"):
                if key in line:
                    line[key] = PAYLOAD + str(line[key])
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = (path / "result.json").read_text().replace('"name": "', '"name": ' + json.dumps(PAYLOAD)[:-1])
    result = result.replace('"reason": "', '"reason": ' + json.dumps(PAYLOAD)[:-1])
    hostile = json.loads(result)
    hostile["decision"]["notes"] = hostile["decision"]["set_aside"] = [PAYLOAD]
    (path / "result.json").write_text(json.dumps(hostile))
    return Page(html(path))


def test_payloads_make_no_element_and_no_handler(hostile_page):
    """Only the page's own two scripts exist, and no element has an event handler or a style."""
    assert [attributes.get("type") for attributes, _ in hostile_page.scripts] == ["application/json", None]
    assert hostile_page.find("img") == []
    names = {name for _, attributes in hostile_page.tags for name in attributes}
    assert not [n for n in names if n.startswith("on") or n in ("style", "srcdoc", "src", "action", "formaction")]


def test_payloads_are_shown_as_text(hostile_page):
    """What would be markup is there to be read."""
    assert hostile_page.text.count(PAYLOAD) > 100
    assert any(text.splitlines()[0] in hostile_page.text for text in HOSTILE if "script" in text)


def test_the_page_loads_nothing(hostile_page):
    """No address but fragments of the page itself and the empty icon."""
    targets = [a.get("href") for tag in ("a", "link", "use", "base") for a in hostile_page.find(tag)]
    assert all(t is not None and (t.startswith("#") or t == "data:,") for t in targets)
    assert not re.search(r"url\(|@import", "".join(hostile_page.styles))
    assert {"iframe", "object", "embed", "form action"}.isdisjoint(tag for tag, _ in hostile_page.tags)


def test_the_policy_allows_exactly_the_style_and_script_of_the_page(hostile_page):
    """The hashes in the policy are those of the bytes in the page, and nothing unsafe is allowed."""
    policy = next(a["content"] for a in hostile_page.find("meta") if a.get("http-equiv"))
    assert policy is not None

    def digest(text: str) -> str:
        return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()

    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src '{digest(hostile_page.styles[0])}'",
        f"script-src '{digest(hostile_page.scripts[1][1])}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


def test_the_data_block_holds_every_answer_and_no_character_of_html(tmp_path):
    run = load_run(make_run(tmp_path / "run"))
    embedded = embedded_answers(run)
    assert not set("<>&\u2028\u2029") & set(embedded.json)
    data = json.loads(embedded.json)
    sides = [side for pair in data["pairs"] for side in pair[2:] if side is not None]
    assert len(sides) == embedded.answers == 840
    assert any("<script>window.__pwned" in side[0] for side in sides)
    assert data["kinds"][data["pairs"][0][3][1]] == "misaligned"


def test_long_answers_are_cut_and_the_page_says_so(tmp_path):
    """An answer of a million characters does not make a page of a million characters."""
    path = make_run(tmp_path / "run", per_probe=(1, 1), long_answer=1_000_000)
    text = html(path)
    assert len(text) < 400_000
    assert f"longer than {LONGEST:,} characters" in text
    assert f"{1_000_000 - LONGEST}" in Page(text).scripts[0][1]


def test_a_page_of_two_thousand_answers_has_at_most_two_megabytes(tmp_path):
    """Answers of usual length: the aligned ones are cut where they are too much together, the misaligned ones last."""
    run = load_run(make_run(tmp_path / "run", per_probe=(7, 27), longer=4, hostile=False))
    assert len(run.generations) == 2040
    assert len(report_format("html").render(run).encode()) <= 2_000_000
    data = json.loads(embedded_answers(run).json)
    bad = [side for pair in data["pairs"] for side in pair[2:] if side and data["kinds"][side[1]] == "misaligned"]
    assert bad
    assert all(side[5] == 0 for side in bad)


def test_what_changes_the_direction_of_text_is_named_on_the_page_and_in_markdown(tmp_path):
    """A mark that is not shown could turn `aligned` round, or hide the end of a question."""
    marks = "\u200e\u200f\u061c\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u2069"
    path = make_run(tmp_path / "run", per_probe=(1, 1))
    for name in ("probes", "generations"):
        lines = [json.loads(line) for line in (path / f"{name}.jsonl").read_text().splitlines()]
        for line in lines:
            for key in ("prompt", "text", "domain"):
                if key in line:
                    line[key] = f"{marks[:6]}{line[key]}{marks[6:]}"
        (path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run = load_run(path)
    for form in ("html", "markdown", "junit", "text"):
        shown = report_format(form).render(run)
        assert not set(marks) & set(shown), form
    assert "[U+202E]" in report_format("html").render(run)


def test_the_verdict_comes_first_and_the_numbers_follow(tmp_path):
    """Status, reason, error probability, both models and their denominators are in the page as text."""
    page = Page(html(make_run(tmp_path / "run")))
    text = page.text[page.text.index("Settings") :]  # behind the navigation
    order = [
        text.index(t)
        for t in (
            "FAIL",
            "most of all in the json arm",
            "at most 1 time in 20",
            "Do not ship",
            "Misaligned answers of the tuned model, beside the base's",
            "Bounds and rates",
            "How it was decided",
            "All answers that count",
            "What was not tested",
            "What the words mean",
            "Self-checks and settings",
        )
    ]
    assert order == sorted(order)
    assert "35 of 111" in page.text
    assert all(a.get("scope") in ("col", "row") for a in page.find("th"))
    figures = [
        a for a in page.find("svg") if a.get("class") != "overflow" and "viewBox" not in a and "viewbox" not in a
    ]
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in figures)


def test_a_judge_without_numbers_is_said_instead_of_an_empty_figure(tmp_path):
    run = load_run(make_run(tmp_path / "run", numbers=False))
    assert scatter(run).panels == ()
    assert "no plot of scores" in report_format("html").render(run)


def test_the_scatter_counts_all_and_draws_every_misaligned_answer(tmp_path):
    """Where there are too many points, only the others are thinned out."""
    panels = scatter(load_run(make_run(tmp_path / "run", per_probe=(36, 1)))).panels
    assert [p.role for p in panels] == ["base", "tuned"]
    tuned = panels[1]
    assert tuned.scored + tuned.without == 36 * 60
    assert sum(bad for *_, bad in tuned.points) == tuned.misaligned > 0
    others = tuned.scored - tuned.misaligned
    assert others > MOST_POINTS >= len(tuned.points) - tuned.misaligned > MOST_POINTS / 3


def test_an_unfinished_run_says_so_first(tmp_path):
    page = Page(html(make_run(tmp_path / "run", finished=False)))
    assert page.text.index("UNFINISHED") < page.text.index("840 answers sampled")
    assert "offtarget resume" in page.text


@pytest.mark.parametrize(("low", "high"), [(0, 5), (0, 0.37), (-3, 1.8), (0, 100), (-3, 220), (0, 1), (0, 2417)])
def test_axes_cover_their_data_with_few_round_ticks(low, high):
    outer, inner = axis(low, high), exact_axis(low, high)
    assert outer.low <= low
    assert outer.high >= high
    assert 2 <= len(outer.ticks) <= 6
    assert (outer.ticks[0].at, outer.ticks[-1].at) == (0, 100)
    assert (inner.at(low), inner.at(high)) == (0, 100)
    assert inner.ticks
