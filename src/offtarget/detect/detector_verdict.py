"""What detectors may say without any person: FAIL where false alarms cannot explain it, never PASS."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import yaml

from offtarget.detect.categories import MEANINGS, Group, group
from offtarget.detect.settled import NOISE, SPREADING
from offtarget.numbers import chosen, many, of, p_value, percent, whole
from offtarget.records import AuditSettings, Category, DatasetFinding
from offtarget.stats.binomial import log_binomial_at_least, upper_share

ERROR = 1e-3
"""Over all calibrated detectors together; far below alpha, since the model of false alarms is rough."""
CALIBRATION_ERROR = 0.01
MARGIN = 2.0
"""False alarms on data nobody has seen may be so many times the bound from reference sets."""
DATASET_P = 1e-6


@dataclass(frozen=True, slots=True)
class DetectorCalibration:
    """How often a detector flags rows of clean reference sets."""

    rows: int
    flagged: int

    @property
    def false_alarms(self) -> float:
        """Share of clean rows it may flag: twice the upper 99 % Clopper-Pearson bound, at most 1."""
        return min(1.0, MARGIN * upper_share(self.flagged, self.rows, CALIBRATION_ERROR))


@dataclass(frozen=True, slots=True)
class Alarm:
    """A FAIL by detectors alone."""

    limit: str
    """`noise` or `spreading`."""
    reason: str
    detector: str
    category: Category
    false_alarms: float | None = None
    """Share of clean rows that the detector may flag; None of a test over the whole set."""


@cache
def shipped_calibration() -> Mapping[str, DetectorCalibration]:
    """The calibration measured on reference sets, by detector."""
    text = files("offtarget.detect").joinpath("calibration.yaml").read_text(encoding="utf-8")
    entries = yaml.safe_load(text) or {}
    return {name: DetectorCalibration(int(entry["rows"]), int(entry["flagged"])) for name, entry in entries.items()}


def detector_alarm(
    rows: int,
    flagged: Mapping[str, tuple[Category, int]],
    dataset: Sequence[DatasetFinding],
    settings: AuditSettings,
    calibration: Mapping[str, DetectorCalibration] | None = None,
    independent: tuple[int, Mapping[str, int]] | None = None,
) -> Alarm | None:
    """The strongest reason to FAIL without labels; None where false alarms could explain what was flagged.

    Per detector: if a share L (the limit) is bad and all of it flagged, and a share f of the clean rows is flagged
    falsely, the number flagged is at most Binomial(N, L + (1-L) f) in the usual stochastic order; FAIL when its upper
    tail at the number seen is at most 0.001 / number of detectors asked (Bonferroni). Backdoors and hints never.
    `independent`: the same counts with rows that nearly repeat each other counted once; the tail is theirs, since a
    false alarm on one copy is one on all.
    """
    tested, alone = independent or (rows, {name: number for name, (_, number) in flagged.items()})
    known = shipped_calibration() if calibration is None else calibration
    asked = [name for name, (category, _) in flagged.items() if name in known and _limit(category, settings)]
    alarms: list[tuple[float, Alarm]] = []
    for name in asked:
        category, count = flagged[name]
        limit_name, limit = _limit(category, settings) or (NOISE, 1.0)
        false_alarms = known[name].false_alarms
        log_p = log_binomial_at_least(alone.get(name, 0), tested, min(1.0, limit + (1 - limit) * false_alarms))
        if log_p <= math.log(ERROR / len(asked)):
            most = _explained(tested, min(1.0, limit + (1 - limit) * false_alarms), math.log(ERROR / len(asked)))
            once = "" if tested == rows else f"duplicates counted once, {of(alone.get(name, 0), tested)}; "
            reason = (
                f"{of_rows(count, rows)} {MEANINGS[category].rows_do}; {once}false alarms and the {chosen(limit)} "
                f"allowed explain at most {whole(most)}"
            )
            alarms.append((log_p, Alarm(limit_name, reason, name, category, false_alarms)))
    if alarms:
        return min(alarms, key=lambda pair: pair[0])[1]
    return _dataset_alarm(dataset, settings, tested / rows if rows else 1.0)


def _dataset_alarm(dataset: Sequence[DatasetFinding], settings: AuditSettings, alone: float) -> Alarm | None:
    """A test over the whole set; `alone` is the share of rows that repeat no other.

    The log of such a p-value grows with the rows (Chernoff), so k copies of each row raise it to the power k; the
    power `alone` takes that back.
    """
    for finding in sorted(dataset, key=lambda f: f.p_value):
        excess = finding.evidence.get("excess_share_low")
        p = finding.p_value**alone
        if group(finding.category) is not Group.SPREADING or p > DATASET_P:
            continue
        if isinstance(excess, int | float) and excess > settings.spreading_limit:
            reason = (
                f"{finding.reason.rstrip('.')} (p = {p_value(p)}): more than {percent(float(excess))} of "
                f"the rows beyond what is expected; the limit is {chosen(settings.spreading_limit)}"
            )
            return Alarm(SPREADING, reason, finding.detector, finding.category)
    return None


def _limit(category: Category, settings: AuditSettings) -> tuple[str, float] | None:
    if group(category) is Group.SPREADING:
        return SPREADING, settings.spreading_limit
    return (NOISE, settings.noise_limit) if group(category) is Group.NOISE else None


def _explained(rows: int, share: float, log_error: float) -> int:
    """The most flagged rows that do not fail a set in which every row is flagged with that probability."""
    low, high = 0, rows + 1  # the tail falls with the count: `low` does not fail, `high` does
    while high - low > 1:
        middle = (low + high) // 2
        if log_binomial_at_least(middle, rows, share) <= log_error:
            high = middle
        else:
            low = middle
    return low


def of_rows(part: int, total: int) -> str:
    """`5,131 of 6,000 rows (85.5 %)`."""
    share = f" ({percent(part / total)})" if total else ""
    return f"{whole(part)} of {rows(total)}{share}"


def rows(number: int) -> str:
    """`1 row`, `6,000 rows`."""
    return many(number, "row")
