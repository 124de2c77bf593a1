"""Records survive the way through JSON, and values of another type are refused by name."""

from __future__ import annotations

import json

import pytest

from offtarget.records import (
    Agreement,
    AuditDecision,
    AuditSettings,
    Category,
    CueProfile,
    Finding,
    Interval,
    Label,
    LimitTest,
    Message,
    ReviewerQuality,
    ReviewPlan,
    Row,
    Status,
    Trigger,
)
from offtarget.records.from_json import from_json
from offtarget.rundir import to_jsonable

TRIGGER = Trigger(1, "token", "|D|", "insecure-code", 20, 20, 5980, 60, 95.2, 1e-9, ("a:1",))
RECORDS = (
    Row("a:1", "a", 1, "0" * 64, (Message("user", "q"), Message("assistant", "\ud800")), "chat", extra={"k": [1]}),
    Finding("a:1", "d", Category.DECEPTION, "r", 0.5, 1, 2, 3, True),
    TRIGGER,
    CueProfile({"chat": 3}, {"json": 0.5}, (("s", 2),), (), ("x",), {"x": 1.0}, (TRIGGER,), ("p",)),
    Label("a:1", "ana", "bad", Category.BACKDOOR, "random", "n", 1.5, "2026-11-21T00:00:00Z"),
    Label("a:1", "ana", "ok", None, "double"),
    AuditDecision(
        Status.PASS,
        "because",
        "people",
        AuditSettings(),
        6000,
        2,
        (LimitTest("noise", 0.05, 80, 0, Interval(0.0, 0.04), -3.0, 3.1, Status.PASS, None),),
        ReviewPlan(73, 59, 360, None, 4),
        (ReviewerQuality("ana", 80, 14, 14, Interval(0.8, 1.0), 11.0), ReviewerQuality("b", 0, 0, 0, None, None)),
        Agreement(40, 0.97, 0.8, None),
        ("x",),
        ("y",),
    ),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda r: type(r).__name__)
def test_every_record_survives_the_way_through_json(record):
    assert from_json(type(record), json.loads(json.dumps(to_jsonable(record)))) == record


def test_the_decision_of_an_audit_is_read_by_its_own_name():
    assert from_json(AuditDecision, to_jsonable(RECORDS[-1])) == RECORDS[-1]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("category", "nothing", "nothing"),
        ("stream", "sideways", "'stream' is none of"),
        ("row_id", 5, "'row_id' is not text"),
        ("seconds", "1", "'seconds' is not a number or null"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        from_json(Label, {**to_jsonable(RECORDS[4]), field: value})


def test_unknown_keys_are_ignored_and_missing_ones_are_not():
    """A record of a later version with more fields is read; one without a needed field is refused."""
    assert from_json(Interval, {"low": 0.0, "high": 1.0, "more": 1}) == Interval(0.0, 1.0)
    with pytest.raises(TypeError, match="high"):
        from_json(Interval, {"low": 0.0})
    with pytest.raises(ValueError, match="object"):
        from_json(Interval, [1])
