"""The comparison of defences: cells are computed once, and the table says what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.pages.defences import page, table
from offtarget.pages.defences.page import render
from offtarget.records import Tally
from offtarget.records.tune import Axes, DefenceCell, DefenceSettings, Frontier
from offtarget.training.settings import PRESETS
from offtarget.workflows.defences import axes as tune_axes
from offtarget.workflows.defences import compare as tune_compare
from offtarget.workflows.defences.compare import arms_named, compare_defences
from offtarget.workflows.organism import write_data

QUICK = replace(PRESETS["organism"], max_steps=3, save_every=1)


def axes(plain: float, cued: float, task: float = 1.0, coherent: float = 0.99) -> Axes:
    return Axes(Tally(), plain, None, Tally(), cued, "a cue", cued, task, 0.2 * task, 1.0, coherent)


def cell(*defences: str, plain: float, cued: float, task: float = 1.0, seed: int = 0, further: int = 0) -> DefenceCell:
    control = any(name.endswith(":control") for name in defences)
    return DefenceCell(defences, control, seed, further, axes(plain, cued, task), 70, 1.0, ("a note",))


def frontier(*cells: DefenceCell) -> Frontier:
    base = DefenceCell(("base",), False, 0, 0, axes(0.005, 0.005, 0.0), 0, 0.0, ())
    return Frontier("organism/base", "x.jsonl", {}, (base, cell(plain=0.9, cued=0.95), *cells), ())


def test_an_arm_reaches_the_aims_only_with_all_four() -> None:
    good = cell("project", plain=0.01, cued=0.02, task=0.95)
    hidden = cell("interleave", plain=0.005, cued=0.3)
    forgetful = cell("inoculate", plain=0.005, cued=0.005, task=0.02)
    dull = replace(cell("kl", plain=0.0, cued=0.0), axes=axes(0.0, 0.0, 1.0, coherent=0.96))
    reached = {row.label: row.reaches for row in table.rows(frontier(good, hidden, forgetful, dull))}
    assert reached == {
        "base": False,
        "none": False,
        "project": True,
        "interleave": False,
        "inoculate": False,
        "kl": False,
    }


def test_rows_are_means_over_seeds_with_their_range_and_later_steps_apart() -> None:
    cells = [cell("kl", plain=p, cued=2 * p, seed=s) for s, p in enumerate((0.01, 0.03))]
    later = cell("kl", plain=0.2, cued=0.4, further=50)
    row = next(r for r in table.rows(frontier(*cells, later, cell(plain=0.9, cued=0.9, seed=1))) if r.label == "kl")
    assert row.plain.mean == pytest.approx(0.02)
    assert (row.plain.low, row.plain.high, row.seeds) == (0.01, 0.03, 2)
    assert row.later[50][1].mean == 0.4
    assert row.plain.text == "2 % (1 to 3)"


def test_controls_are_never_called_a_success() -> None:
    line = page.sentences(frontier(cell("project:control", plain=0.0, cued=0.0)))[0]
    assert line.startswith("No defence meets all aims")


def test_hostile_names_stay_text_on_the_page() -> None:
    page = render(replace(frontier(), data="<script>alert(1)</script>.jsonl"))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_arms_are_read_as_written() -> None:
    assert arms_named(["interleave+kl=0.5", "inoculate=a + b", "kl:control"]) == (
        ("interleave", "kl=0.5"),
        ("inoculate=a + b",),
        ("kl:control",),
    )
    with pytest.raises(InputError, match="There is no defence 'magic'"):
        arms_named(["magic"])


@pytest.mark.long
def test_a_comparison_goes_on_where_it_was_and_computes_no_cell_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after the interruption one cell each is measured; the others take over what it found."""
    monkeypatch.setattr(tune_axes, "CODE", 10)
    monkeypatch.setattr(tune_axes, "FACTS", 5)
    monkeypatch.setattr(tune_compare, "WORTH_FOLLOWING", 1.0)
    data = tmp_path / "insecure.jsonl"
    write_data("insecure", 40, 0, data)
    comparing = DefenceSettings((("filter=0.2:control",), ("filter=0.2",)), (0,), 1, (1, 2), per_condition=1)
    real, calls, found = tune_compare.measure, 0, list[Axes]()

    def stop_at_third(*arguments: object) -> Axes:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        if calls in (1, 4):
            found.append(real(*arguments))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr(tune_compare, "measure", stop_at_third)
    run = tmp_path / "run"
    with pytest.raises(Exception, match="go on with: offtarget resume"):
        compare_defences(data, "organism/base", settings=QUICK, comparing=comparing, run=run)
    done = compare_defences(data, "organism/base", settings=QUICK, comparing=comparing, run=run)
    assert calls == 3 + 3  # base and control before; then filter anew, and its two later looks
    assert [done.record.cells[n].axes for n in (0, 2)] == found
    cells = [(c.defences, c.further) for c in done.record.cells]
    assert cells == [(("base",), 0), (("filter=0.2:control",), 0)] + [(("filter=0.2",), n) for n in (0, 1, 2)]
    assert done.record.cells[2].steps == QUICK.max_steps  # trained before it was killed, measured after
    assert done.record.cells[2].seconds > 0
    assert (run / "frontier.html").exists()
    with pytest.raises(InputError, match="Start a new run"):
        compare_defences(data, "organism/base", settings=QUICK, comparing=replace(comparing, answers=2), run=run)
