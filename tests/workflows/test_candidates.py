"""Verdicts on several candidates of one base: what stands when all of them are looked at together."""

from __future__ import annotations

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import checking
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from offtarget.cli.app import app
from offtarget.errors import InputError
from offtarget.records import Status, Tally
from offtarget.records.check import UnderPressure
from offtarget.stats.several import TOTAL, e_benjamini_hochberg, spent_alpha
from offtarget.workflows.check.candidates import log_e_values, together
from offtarget.workflows.check.check import CheckResult, check

LOG_E = st.lists(st.floats(-20, 20) | st.just(-math.inf), max_size=12)


@given(LOG_E, st.sampled_from([0.01, 0.05, 0.2]), st.integers(0, 8))
def test_e_bh_is_the_definition(log_es: list[float], alpha: float, more: int) -> None:
    """The k largest for the largest k whose k-th is at least C/(alpha k), by trying every k."""
    count = len(log_es) + more
    rejected = e_benjamini_hochberg(log_es, alpha, count)
    sizes = [k for k in range(1, len(log_es) + 1) if sum(e >= math.log(count / (alpha * k)) for e in log_es) >= k]
    assert sum(rejected) >= max(sizes, default=0)
    if sizes:
        bar = math.log(count / (alpha * max(sizes)))
        assert all(e >= bar - 1e-9 for e, r in zip(log_es, rejected, strict=True) if r)
    else:
        assert not any(rejected)


@given(st.sampled_from([0.01, 0.05, 0.1, 0.037]), st.integers(1, 60), st.integers(1, 50))
def test_all_checks_and_all_candidates_together_stay_within_what_is_printed(
    alpha: float, checks: int, candidates: int
) -> None:
    spent = [spent_alpha(alpha, number, candidates) for number in range(1, checks + 1)]
    assert candidates * sum(spent) <= TOTAL * alpha * (1 + 1e-9)
    assert candidates * spent[0] <= alpha * (1 + 1e-9)
    assert all(0 < b <= a for a, b in itertools.pairwise(spent))
    assert all(s >= 0.9 * alpha / candidates / (k * (k + 1)) for k, s in enumerate(spent[1:], 2))  # little is lost


def test_false_discoveries_stay_below_alpha_however_the_e_values_depend() -> None:
    """Nulls that all share one draw: e-values of 20 with probability 1/20, all at once or each by itself."""
    rng = np.random.default_rng(3)
    shares = []
    for _ in range(2000):
        common = rng.random() < 0.05
        nulls = [math.log(20) if common else -math.inf] * 10
        real = list(rng.normal(6, 2, size=10))
        rejected = e_benjamini_hochberg(nulls + real, 0.05)
        shares.append(sum(rejected[:10]) / max(1, sum(rejected)))
    assert np.mean(shares) <= 0.05


def made(folder: Path, name: str, tuned: float, **changes: Any) -> CheckResult:
    more = {n: changes.pop(n) for n in ("probes",) if n in changes}
    settings = checking.settings(**{"register": True, **changes})
    return check(
        checking.model("base", 0.0), checking.model(name, tuned), judge=checking.judge(), settings=settings,
        run=folder / f"run-{name}-{len(list(folder.iterdir()))}", **{"probes": checking.bank(), **more},
    )  # fmt: skip


def test_what_failed_under_pressure_alone_is_evidence_too(tmp_path: Path) -> None:
    """Its 1/alpha, by its share of alpha: the check's FAIL stands by itself, and must among one candidate."""
    clean = made(tmp_path, "clean", 0.0)
    pressed = UnderPressure(
        Status.FAIL, "It gave way.", Status.PASS, Tally(aligned=9), Tally(misaligned=9), 20, 3, (), "redteam"
    )
    rule = replace(clean.decision.settings, pressed_share=0.25)
    decision = replace(clean.decision, status=Status.FAIL, settings=rule, pressed=pressed)
    against, clears = log_e_values(clean.run, decision)
    assert against >= -math.log(rule.alpha)
    assert clears == -math.inf
    assert log_e_values(clean.run, clean.decision)[0] < 0


def test_only_what_is_sure_enough_among_all_stands(tmp_path: Path) -> None:
    strong = made(tmp_path, "strong", 0.9)
    weak = made(tmp_path, "weak", 0.09)
    clean = made(tmp_path, "clean", 0.0)
    assert [r.decision.status for r in (strong, weak, clean)] == [Status.FAIL, Status.FAIL, Status.PASS]
    found = together(strong.run, of=20)
    assert {c.tuned: (c.alone, c.together) for c in found.candidates} == {
        "strong": (Status.FAIL, Status.FAIL),
        "weak": (Status.FAIL, Status.UNDECIDED),
        "clean": (Status.PASS, Status.UNDECIDED),
    }
    alone = together(strong.run)
    assert alone.of == 3
    done = CliRunner().invoke(app, ["runs", "--together", str(strong.run), "--of", "20"])
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "20 candidates against base, as far as this machine knows" in text
    assert "Of 20 candidates looked at together, FAIL stands for 1 and PASS for 0" in text
    surer = f"Make the FAIL of weak sure enough for one of 20: offtarget resume {weak.run} --candidates 20"
    assert surer in text
    printed = CliRunner().invoke(app, ["runs", "--together", str(strong.run), "--of", "20", "--json"])
    assert len(json.loads(printed.output)["candidates"]) == 3


def test_what_was_decided_as_one_of_twenty_stands_among_twenty(tmp_path: Path) -> None:
    """Each check alone at a twentieth of alpha: everything that it decided is decided together, too."""
    for name, rate in (("a", 0.09), ("b", 0.0), ("c", 0.3)):
        made(tmp_path, name, rate, candidates=20)
    found = together(next(tmp_path.glob("run-a*")))
    assert found.of == 20
    assert all(c.alone is c.together is not Status.UNDECIDED for c in found.candidates)


@pytest.mark.long
@pytest.mark.no_cover
def test_the_first_check_of_each_model_counts_and_all_that_was_tried(tmp_path: Path) -> None:
    for name in "abc":
        made(tmp_path, name, 0.0)
    second = made(tmp_path, "a", 0.9, seed=1)
    made(tmp_path, "other", 0.0, probes=checking.bank(7))
    made(tmp_path, "unregistered", 0.0, register=False)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    made(elsewhere, "d", 0.0)
    found = together(second.run)
    assert sorted(c.tuned for c in found.candidates) == ["a", "b", "c"]
    assert found.of == 4  # d was tried as well
    assert any("is check 2 of its model" in note for note in found.notes)
    assert any("not in the register" in note for note in found.notes)


def test_bad_input_says_what_to_do(tmp_path: Path) -> None:
    for name in "ab":
        made(tmp_path, name, 0.0)
    run = next(tmp_path.glob("run-a*"))
    with pytest.raises(InputError, match="--of 1 is less than the 2 candidates"):
        together(run, of=1)
    (run / "result.json").unlink()
    with pytest.raises(InputError, match="is not a finished check"):
        together(run)
    assert "--of goes with --together" in CliRunner().invoke(app, ["runs", "--of", "3"]).output
