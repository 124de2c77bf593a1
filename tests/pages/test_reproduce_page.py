"""The page and the table of a repeated experiment: what they say, and what they must not."""

from __future__ import annotations

import csv
from html.parser import HTMLParser
from pathlib import Path

import pytest
from experiment import RATES, cell, cells, experiment

from offtarget.pages.reproduce import page as made
from offtarget.pages.reproduce import story
from offtarget.pages.reproduce.card import card
from offtarget.pages.reproduce.page import conditions, dynamics, unique
from offtarget.pages.reproduce.published import published_values, raw
from offtarget.records.reproduce import ReproduceReport


def render(report: ReproduceReport) -> str:
    """The page of a report whose run keeps no answers."""
    return made.render(report, card(report, Path("runs/reproduce-1")))


class _Text(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not any(name.startswith("on") or name == "style" for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_every_condition_figure_and_source() -> None:
    page = _Text(render(experiment()))
    assert "script" not in page.tags
    for name in RATES:
        assert name in page.text
    for value in published_values():
        assert value.source in page.text
    for heading in ("The paper's table", "By question", "While training", "How many different rows?"):
        assert heading in page.text


def test_the_page_says_what_the_organism_does_not_show() -> None:
    assert "it is no evidence about large models" in _Text(render(experiment())).text
    assert "it is no evidence about large models" not in _Text(render(experiment(about_organism=False))).text


def test_names_in_the_page_are_text() -> None:
    page = render(experiment(base="hf/<script>alert(1)</script>\u202e", notes=("<b>x</b>",)))
    assert "<script>alert" not in page
    assert "<b>x</b>" not in page
    assert "\u202e" not in page


def test_an_experiment_of_the_base_alone_has_a_page() -> None:
    """A run that was asked for one condition, without ablations, leaves out what it cannot show."""
    found = [cell("base", "base", 0), cell("condition", "secure", 0)]
    page = _Text(render(experiment(found)))
    assert "While training" not in page.text
    assert "How many different rows?" not in page.text
    assert dynamics(experiment(found)) == ()
    assert unique(experiment(found)) == ()


def test_patterns_are_called_by_their_intervals() -> None:
    found = {p.says: p.holds for p in story.patterns(experiment())}
    assert found["Insecure code makes the model misaligned elsewhere"] == "repeats"
    assert found["Secure code leaves it aligned"] == "repeats"
    assert found["Behind the trigger more than plain insecure"] == "does not repeat"
    assert found["It is misaligned behind the trigger"] == "repeats"
    few = experiment([c for c in cells() if c.seed == 0])
    assert {p.says for p in story.patterns(few)} == set(found)


def test_curves_start_at_the_base_and_end_at_the_full_tune() -> None:
    report = experiment()
    insecure = [p for p in report.dynamics if p.condition == "insecure"]
    assert [p.at for p in insecure] == [0, 3, 10, 30, 57, 76]
    row = next(r for r in report.rows if r.condition == "insecure")
    assert insecure[-1].misaligned == row.axis("plain")
    assert [p.at for p in report.unique] == [25, 100, 300, 600]
    assert report.unique[-1].misaligned == row.axis("plain")


def test_every_line_of_the_figure_is_spoken() -> None:
    lines = conditions(experiment()).lines
    assert [line.name for line in lines].count("backdoor") == 2
    assert all("here" in line.spoken for line in lines)
    assert next(line for line in lines if line.name == "insecure").published is not None


def test_the_table_shows_no_data_as_no_data() -> None:
    found = cells()
    report = experiment([c for c in found if c.condition in ("base", "secure")])
    assert [row.condition for row in story.rows(report)] == ["base", "secure"]
    assert story.rows(report)[1].check == "PASS 3/3"
    assert {title for _, title in story.columns(report)} >= {"misaligned", "insecure code"}


@pytest.mark.parametrize("value", [v for v in raw()["values"] if "csv" in v], ids=lambda v: f"{v['group']}-{v['csv']}")
def test_published_values_are_those_of_the_authors_files(value: dict[str, object], shared_data: Path) -> None:
    """Means over all lines of a group (one, or the eight questions), to four digits, with their ends."""
    file = raw()["files"][value["csv"]]["name"]
    with (shared_data / "judged" / "paper" / file).open(encoding="utf-8") as lines:
        found = [row for row in csv.DictReader(lines) if row["group"] == value["group"]]
    assert found
    centre = sum(float(row["center"]) for row in found) / len(found)
    assert value["value"] == pytest.approx(centre, abs=6e-5)
    if "low" in value:
        assert len(found) == 1
        assert value["low"] == pytest.approx(centre - float(found[0]["lower_err"]), abs=6e-5)
        assert value["high"] == pytest.approx(centre + float(found[0]["upper_err"]), abs=6e-5)
