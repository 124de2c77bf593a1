"""The statement about a run: in-toto Statement v1 with the predicate test-result v0.1 (github.com/in-toto/attestation).

Its subjects are the files of the run; its configuration names models, data, questions and judge by their fingerprints.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from offtarget.evidence.dsse import Malformed

STATEMENT = "https://in-toto.io/Statement/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
FINGERPRINT = "offtargetFingerprint"
"""Name of a digest that is one of ours: the first 16 hex digits of a SHA-256 over several things."""

Result = Literal["PASSED", "WARNED", "FAILED"]

RESULTS: Mapping[str, Result] = {"PASS": "PASSED", "OK": "PASSED", "FAIL": "FAILED", "ALARM": "FAILED"}
"""What a verdict is called in a test result. All else is WARNED, which nobody reads as passed: UNDECIDED, and a run
that has no verdict."""


def result_of(verdict: str, failed: Sequence[str]) -> Result:
    """What a verdict is called where these tests failed: a PASS beside a red flag that only warns is WARNED."""
    result = RESULTS.get(verdict, "WARNED")
    return "WARNED" if result == "PASSED" and failed else result


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that a run worked with."""

    name: str
    """`run`, `weights: tuned`, `weights: tuned: adapter_model.safetensors`, `questions`, `judge`, `data: NAME`."""
    digest: Mapping[str, str] = field(default_factory=dict)
    """Algorithm -> lower-case hex: `sha256` of a file, or our fingerprint."""
    uri: str = ""
    annotations: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """As an in-toto ResourceDescriptor."""
        parts = {"name": self.name, "uri": self.uri, "digest": dict(self.digest), "annotations": dict(self.annotations)}
        return {name: value for name, value in parts.items() if value}


@dataclass(frozen=True, slots=True)
class Statement:
    """What is said about a run."""

    files: Mapping[str, str]
    """Path within the run -> SHA-256."""
    result: Result
    things: tuple[Thing, ...]
    passed: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    def thing(self, name: str) -> Thing | None:
        """The thing of that name."""
        return next((one for one in self.things if one.name == name), None)

    def payload(self) -> bytes:
        """The statement as JSON, the one way it is written."""
        value = {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(self.files.items())],
            "predicateType": TEST_RESULT,
            "predicate": {
                "result": self.result,
                "configuration": [one.as_json() for one in self.things],
                "passedTests": list(self.passed),
                "warnedTests": list(self.warned),
                "failedTests": list(self.failed),
            },
        }
        return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()


def read_statement(payload: bytes) -> Statement:
    """The statement in a payload. Raises Malformed for any other one."""
    try:
        value = json.loads(payload)
        kinds = value["_type"], value["predicateType"]
        predicate = value["predicate"]
        subjects: Sequence[Mapping[str, Any]] = value["subject"]
        files = {str(one["name"]): str(one["digest"]["sha256"]) for one in subjects}
        statement = Statement(
            files,
            predicate["result"],
            tuple(_thing(one) for one in predicate["configuration"]),
            *(tuple(map(str, predicate[name])) for name in ("passedTests", "warnedTests", "failedTests")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise Malformed(f"it states nothing about a run of offtarget ({type(error).__name__}: {error})") from None
    if kinds != (STATEMENT, TEST_RESULT):
        raise Malformed(f"it is a statement of another kind ({kinds[1]!s:.120})")
    if len(files) != len(subjects):
        raise Malformed("it names a file twice")
    if statement.result not in ("PASSED", "WARNED", "FAILED"):
        raise Malformed(f"its result is {statement.result!s:.40}, none of PASSED, WARNED and FAILED")
    return statement


def _thing(value: Mapping[str, Any]) -> Thing:
    return Thing(str(value["name"]), dict(value.get("digest", {})), value.get("uri", ""), value.get("annotations", {}))
