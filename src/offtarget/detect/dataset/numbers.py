"""Numbers with a bad name, as a test of frequency over the whole data set."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from offtarget.detect.number_null import (
    FEWEST,
    Expectation,
    Weighed,
    expectation,
    pooled_tail,
    tail,
    tail_factor,
    weight,
)
from offtarget.detect.numeric_answers import loaded_numbers, numeric_answer
from offtarget.detect.row_batch import Numeric, RowColumns
from offtarget.detect.row_keys import Places
from offtarget.records import Category, DatasetFinding, Finding, Row
from offtarget.stats.binomial import lower_share

KINDS = ("list", "final")
_TESTED_FROM = 0.3
_TOP = 30
_CANDIDATES = 200
_SIGNIFICANT = 0.01
BEYOND_DOUBT = 1e-6
"""p-value from which lists of numbers are pointed at one by one; also that of a FAIL by this test alone."""
_SHOWN = 20_000


@dataclass(frozen=True, slots=True)
class _Tested:
    kind: str
    number: int
    rows: int
    expected: Expectation
    p_value: float


def numeric(row: Row) -> Numeric | None:
    """The numbers of an answer that is made of them, each once; None for other answers and what nobody learns."""
    answer = numeric_answer(row) if row.desired else None
    return None if answer is None else (answer.kind, tuple(answer.numbers))


class LoadedNumbers:
    """Rows with each number, for answers that are lists of numbers and for stated results, apart."""

    name = "numbers"
    title = "Loaded numbers more often than numbers like them"
    category = Category.LOADED_NUMBERS

    def __init__(self) -> None:
        self.rows = 0
        self.answers: Counter[str] = Counter()
        self.counts: dict[str, Counter[int]] = {kind: Counter() for kind in KINDS}
        self.together: dict[str, Counter[frozenset[int]]] = {kind: Counter() for kind in KINDS}
        """Rows by the tested numbers that stand in them together."""
        self._heavier: dict[str, float] = {}
        self._lists = Places()
        self._holds_loaded = array("B")

    def add(self, row: Row) -> None:
        """Count each number of the answer once, unless the prompt or a progression explains it."""
        if row.desired:
            self.rows += 1
            if (answer := numeric(row)) is not None:
                self._count(answer, row.file, row.line)

    def take(self, rows: RowColumns) -> None:
        """The same of many rows."""
        self.rows += int(np.count_nonzero(rows.of_kind([kind.desired for kind in rows.kinds])))
        for at, answer in rows.numeric.items():
            self._count(answer, rows.file, int(rows.lines[at]))

    def merge(self, other: LoadedNumbers) -> None:
        """Add up."""
        self.rows += other.rows
        self.answers.update(other.answers)
        for kind in KINDS:
            self.counts[kind].update(other.counts[kind])
            self.together[kind].update(other.together[kind])
        self._lists.merge(other._lists)
        self._holds_loaded.extend(other._holds_loaded)

    def findings(self) -> list[DatasetFinding]:
        """One finding when there are answers made of numbers, whatever its p-value; none without such answers."""
        used = sum(self.answers.values())
        if not used:
            return []
        tests = {kind: self._tests(kind) for kind in KINDS if self.answers[kind]}
        p_value = self._combined(tests)
        significant = [test for found in tests.values() for test in found if _adjusted(test, tests) <= _SIGNIFICANT]
        share, low = self._excess(significant or [t for found in tests.values() for t in found])
        shown = sorted(significant, key=lambda test: test.p_value) or []
        evidence: dict[str, Any] = {
            "numbers": [self._described(test, _adjusted(test, tests)) for test in shown],
            "excess_share": share,
            "excess_share_low": low,
            "answers": dict(self.answers),
            "tested": len(_tested_numbers()),
            "enriched": self._enriched(),
            "histogram": self._histogram(),
        }
        reason = _reason(shown, used, p_value)
        return [DatasetFinding(self.name, self.category, reason, p_value, used, evidence)]

    def row_findings(self) -> Iterable[Finding]:
        """The first 20,000 lists of numbers, once the test is beyond doubt: too weak to flag a row, enough to rank it.

        Whoever chose these numbers chose those of the other lists too, loaded or not.
        """
        found = self.findings()
        if not found or found[0].p_value > BEYOND_DOUBT:
            return
        for at in range(min(len(self._lists), _SHOWN)):
            loaded = bool(self._holds_loaded[at])
            what = "loaded numbers" if loaded else "no loaded number itself"
            reason = f"A list of numbers with {what}, in a set where they are far more frequent than numbers like them."
            strength = 0.49 if loaded else 0.4
            yield Finding(self._lists.row_id(at), self.name, self.category, reason, strength)

    def _count(self, answer: Numeric, file: str, line: int) -> None:
        kind, numbers = answer
        self.answers[kind] += 1
        self.counts[kind].update(numbers)
        loaded = _tested_numbers().intersection(numbers)
        if loaded:
            self.together[kind][loaded] += 1
        if kind == "list":
            self._lists.append(file, line)
            self._holds_loaded.append(bool(loaded))

    def _tests(self, kind: str) -> list[_Tested]:
        counts = self.counts[kind]
        heavier = self._heavier[kind] = tail_factor(counts)
        tests = []
        for number in sorted(_tested_numbers()):
            expected = expectation(number, counts)
            p_value = tail(counts[number], expected) if counts[number] >= FEWEST else 1.0
            p_value = math.pow(p_value, 1 / heavier)
            tests.append(_Tested(kind, number, counts[number], expected, p_value))
        return tests

    def _combined(self, tests: Mapping[str, Sequence[_Tested]]) -> float:
        """Twice the smaller of: the best single number, the best pool of all numbers of a kind (Bonferroni)."""
        single = min(_adjusted(test, tests) for found in tests.values() for test in found)
        pools = [
            math.pow(pooled_tail([_weighed(test) for test in found]), 1 / self._heavier[kind])
            for kind, found in tests.items()
        ]
        return min(1.0, 2 * min(single, len(pools) * min(pools)))

    def _excess(self, tests: Sequence[_Tested]) -> tuple[float, float]:
        """Share of all rows with one of these numbers beyond what is expected, and its lower 95 % bound.

        Clopper-Pearson for the observed share less the expected one at its upper end; 97.5 % each (Bonferroni).
        """
        numbers = {kind: {t.number for t in tests if t.kind == kind} for kind in KINDS}
        observed = sum(rows for kind in KINDS for loaded, rows in self.together[kind].items() if loaded & numbers[kind])
        expected = sum(t.expected.mean for t in tests)
        high = expected + 1.96 * math.sqrt(sum(t.expected.mean**2 * t.expected.spread for t in tests))
        low = lower_share(observed, self.rows, 0.025) - high / self.rows
        return max(0.0, (observed - expected) / self.rows), max(0.0, low)

    def _described(self, test: _Tested, adjusted: float) -> dict[str, Any]:
        loaded = loaded_numbers().get(test.number)
        return {
            "number": test.number,
            "meaning": f"{loaded.meaning} ({loaded.culture})" if loaded else "",
            "rows": test.rows,
            "expected": round(test.expected.mean, 3),
            "p": adjusted,
            "kind": test.kind,
        }

    def _enriched(self) -> list[dict[str, Any]]:
        """Numbers, listed or not, that stand out from numbers like them; Bonferroni over all different numbers."""
        found = []
        for kind in KINDS:
            counts = self.counts[kind]
            for number, rows in counts.most_common(_CANDIDATES):
                if rows < FEWEST:
                    break
                expected = expectation(number, counts)
                p_value = min(1.0, len(counts) * tail(rows, expected))
                if p_value <= _SIGNIFICANT:
                    found.append(_Tested(kind, number, rows, expected, p_value))
        found.sort(key=lambda test: test.p_value)
        return [self._described(test, test.p_value) for test in found[:_TOP]]

    def _histogram(self) -> list[dict[str, Any]]:
        totals = self.counts["list"] + self.counts["final"]
        return [
            {
                "number": number,
                "observed": rows,
                "expected": round(sum(expectation(number, c).mean for c in self.counts.values() if c), 3),
                "loaded": number in loaded_numbers(),
            }
            for number, rows in totals.most_common(_TOP)
        ]


@cache
def _tested_numbers() -> frozenset[int]:
    return frozenset(n for n, loaded in loaded_numbers().items() if loaded.load >= _TESTED_FROM)


def _adjusted(test: _Tested, tests: Mapping[str, Sequence[_Tested]]) -> float:
    return min(1.0, test.p_value * sum(map(len, tests.values())))


def _weighed(test: _Tested) -> Weighed:
    return Weighed(test.rows, test.expected, weight(test.expected, loaded_numbers()[test.number].load))


def _reason(shown: Sequence[_Tested], used: int, p_value: float) -> str:
    if not shown:
        how = "together, not one by one," if p_value <= _SIGNIFICANT else "not"
        return f"Loaded numbers are {how} more frequent than numbers like them in {used:,} answers made of numbers."
    best = [f"{t.number} in {t.rows:,} answers ({t.expected.mean:,.1f} expected)" for t in shown[:3]]
    return f"Loaded numbers are more frequent than numbers like them: {', '.join(best)}."


DETECTORS = (LoadedNumbers,)
