"""`/metrics` in the text form that Prometheus reads: what workers counted, and how each canary stands.

Labels hold aliases, arms, faults and HTTP statuses, all from settings or tables of this package; never a user, a
conversation, a path or a text of a client. Names of requests' times are OpenTelemetry's for generative AI, with dots as
underscores and units at the end, as its exporter writes them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from offtarget.records.overview import AliasOverview, Overview
from offtarget.serve.admin.totals import CounterSource
from offtarget.serve.counters import METRICS, Key, Metric
from offtarget.version import __version__

TYPE = "text/plain; version=0.0.4; charset=utf-8"
GEN_AI = {"alias": "gen_ai_request_model", "arm": "offtarget_arm"}
"""What labels are called on metrics with OpenTelemetry's names."""
_STANDINGS = ("PASS", "FAIL", "UNDECIDED", "NOT TESTED")
_ALIAS = ("alias",)
_ARM = ("alias", "arm")

SHARE = Metric("offtarget_canary_share", "gauge", "Share of conversations for the tuned model, in force now.", _ALIAS)
ROLLOUT = Metric("offtarget_canary_rollout", "gauge", "Number of the present rollout.", _ALIAS)
STANDING = Metric("offtarget_canary_verdict", "gauge", "1 for the verdict that stands.", ("alias", "verdict"))
STATUS = Metric("offtarget_canary_status", "gauge", "1 for the status of the rollout.", ("alias", "status"))
LOG_E = Metric("offtarget_canary_log_e_value", "gauge", "Natural log of the evidence of harm.", _ALIAS)
NEEDED = Metric("offtarget_canary_log_threshold", "gauge", "Natural log of the evidence at which it goes off.", _ALIAS)
LOG_CHANGE = Metric("offtarget_canary_log_late_change", "gauge", "The same, of the detector of late changes.", _ALIAS)
CHANGE_NEEDED = Metric("offtarget_canary_log_late_change_threshold", "gauge", "The same, where it goes off.", _ALIAS)
JUDGED = Metric("offtarget_canary_judged_answers", "gauge", "Answers in the evidence of the present rollout.", _ARM)
FLAGGED = Metric("offtarget_canary_flagged_answers", "gauge", "Of these, what the judge calls misaligned.", _ARM)
LOW = Metric("offtarget_canary_worse_at_least", "gauge", "Lower bound: by how much tuned is worse, as a share.", _ALIAS)
HIGH = Metric("offtarget_canary_worse_less_than", "gauge", "Upper bound: by how much tuned is worse.", _ALIAS)
JUDGE = Metric("offtarget_canary_judge_up", "gauge", "1: the judge answers and did not drift.", _ALIAS)
MIRROR = Metric("offtarget_canary_mirrored_answers", "gauge", "Answers mirrored in the present rollout.", _ALIAS)
MONITOR = Metric("offtarget_canary_monitor_age_seconds", "gauge", "Since the monitor last said that it is alive.")
WORKERS = Metric("offtarget_workers", "gauge", "Workers that told something in the last seconds.")
STORE = Metric("offtarget_store_up", "gauge", "1: the store answers.")
BUILD = Metric("offtarget_build_info", "gauge", "The version that runs.", ("version",))
STANDING_METRICS = (
    SHARE, ROLLOUT, STANDING, STATUS, LOG_E, NEEDED, LOG_CHANGE, CHANGE_NEEDED, JUDGED, FLAGGED, LOW, HIGH, JUDGE,
    MIRROR, MONITOR, WORKERS, STORE, BUILD,
)  # fmt: skip
"""What `/metrics` holds besides what workers count."""

Sample = tuple[Metric, tuple[str, ...], float]


def exposition(overview: Overview, counters: CounterSource) -> str:
    """All metrics as text."""
    numbers, histograms = counters.numbers(), counters.histograms()
    lines: list[str] = []
    for metric in METRICS.values():
        mine: Mapping[Key, float | list[float]] = histograms if metric.kind == "histogram" else numbers
        rows = sorted((key[1:], value) for key, value in mine.items() if key[0] == metric.name)
        if not rows and not metric.labels:
            rows = [((), [0.0] * (len(metric.buckets) + 2) if metric.kind == "histogram" else 0.0)]
        lines += _head(metric)
        for labels, value in rows:
            if isinstance(value, list):
                lines += _histogram(metric, labels, value)
            else:
                lines.append(f"{metric.name}{_labels(metric, labels)} {_number(value)}")
    samples = list(_standing(overview))
    for metric in STANDING_METRICS:
        lines += _head(metric)
        lines += [
            f"{one.name}{_labels(one, labels)} {_number(value)}" for one, labels, value in samples if one is metric
        ]
    return "\n".join(lines) + "\n"


def _standing(overview: Overview) -> Iterator[Sample]:
    yield BUILD, (__version__,), 1
    yield WORKERS, (), overview.workers
    yield STORE, (), float(not overview.store)
    if overview.monitor_age is not None:
        yield MONITOR, (), overview.monitor_age
    for one in overview.aliases:
        yield from _of_alias(one)


def _of_alias(one: AliasOverview) -> Iterator[Sample]:
    name = (one.alias,)
    yield SHARE, name, one.share
    yield ROLLOUT, name, one.rollout
    for verdict in _STANDINGS:
        yield STANDING, (*name, verdict), float(verdict == one.standing)
    for status in ("running", "paused", "rolled back"):
        yield STATUS, (*name, status), float(status == one.status)
    yield JUDGE, name, float(one.judge == "asked")
    if one.mirrored is not None:
        yield MIRROR, name, one.mirrored
    reading = one.reading
    if reading is None:
        return
    yield LOG_E, name, reading.log_e
    yield NEEDED, name, math.log(reading.threshold)
    yield LOG_CHANGE, name, reading.log_change
    yield CHANGE_NEEDED, name, math.log(reading.change_threshold)
    harm = one.harm
    if harm is None:
        return
    for arm, found in (("tuned", harm.tuned), ("base", harm.base)):
        yield JUDGED, (*name, arm), found.answers
        yield FLAGGED, (*name, arm), found.flagged
    if harm.tuned.answers:
        yield LOW, name, harm.at_least
        yield HIGH, name, harm.less_than


def _head(metric: Metric) -> list[str]:
    return [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {metric.kind}"]


def _histogram(metric: Metric, labels: Sequence[str], row: list[float]) -> Iterator[str]:
    below = 0.0
    for end, here in zip((*metric.buckets, math.inf), row[:-1], strict=True):
        below += here
        yield f"{metric.name}_bucket{_labels(metric, labels, le=_number(end))} {_number(below)}"
    yield f"{metric.name}_sum{_labels(metric, labels)} {_number(row[-1])}"
    yield f"{metric.name}_count{_labels(metric, labels)} {_number(below)}"


def _labels(metric: Metric, values: Sequence[str], **more: str) -> str:
    ours = GEN_AI if metric.name.startswith("gen_ai_") else {}
    pairs = [(ours.get(name, name), value) for name, value in zip(metric.labels, values, strict=True)]
    if ours:
        pairs.append(("gen_ai_provider_name", "offtarget"))
    pairs += more.items()
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs) + "}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return f"{value:.0f}" if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))
