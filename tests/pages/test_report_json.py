"""The JSON report and its published schema."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path

import jsonschema
import pytest
from report_runs import make_run

from offtarget.pages.check.loading import load_run
from offtarget.pages.registry import report_format

PUBLISHED = Path(__file__).parents[2] / "docs" / "schema"


def strict(text: str) -> dict:
    """JSON without the NaN and Infinity that Python would take."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def validate(value: dict) -> None:
    jsonschema.Draft202012Validator(json.loads((PUBLISHED / "result.schema.json").read_text())).validate(value)


def test_the_published_schemas_are_those_of_the_records():
    """If it fails: python tools/schemas.py, and mind SCHEMA_VERSION."""
    made = runpy.run_path(str(PUBLISHED.parents[1] / "tools" / "schemas.py"))["texts"]()
    by_hand = {"verdict.schema.json"}  # of the admin plane, whose tests hold its answers to it
    kept = {path.name: path.read_text(encoding="utf-8") for path in PUBLISHED.iterdir() if path.name not in by_hand}
    assert kept == made
    for text in made.values():
        jsonschema.Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize(
    "options", [{}, {"finished": False}, {"per_probe": (0, 0)}, {"numbers": False, "tuned_rate": 0}]
)
def test_every_report_fits_the_schema(tmp_path, options):
    value = strict(report_format("json").render(load_run(make_run(tmp_path / "run", **options))))
    validate(value)
    assert (value["status"] is None) == (options.get("finished") is False)


def test_the_schema_refuses_what_is_not_a_result(tmp_path):
    value = strict(report_format("json").render(load_run(make_run(tmp_path / "run", per_probe=(1, 1)))))
    changes = ({"status": "MAYBE"}, {"surprise": 1}, {"schema_version": "2.0"}, {"exit_code": 2}, {"answers": None})
    for change in (*changes, {"error_probability": 1.5}, {"notes": [1]}, {"answers": {"base": -1, "tuned": 0}}):
        with pytest.raises(jsonschema.ValidationError):
            validate({**value, **change})
    value["decision"]["overall"]["tuned_rate"] = 1.5
    with pytest.raises(jsonschema.ValidationError):
        validate(value)


def test_numbers_that_are_not_finite_become_null(tmp_path):
    """A file changed by hand may hold NaN; the report does not hand it on."""
    path = make_run(tmp_path / "run", per_probe=(1, 1))
    result = json.loads((path / "result.json").read_text())
    result["decision"]["overall"]["log_e_fail"] = math.nan
    result["decision"]["overall"]["log_e_pass"] = -math.inf
    (path / "result.json").write_text(json.dumps(result))
    value = strict(report_format("json").render(load_run(path)))
    assert value["decision"]["overall"]["log_e_fail"] is None
    validate(value)
    assert "NaN" not in report_format("html").render(load_run(path))


def test_no_scored_answer_is_null_and_not_zero(tmp_path):
    value = strict(report_format("json").render(load_run(make_run(tmp_path / "run", per_probe=(0, 1)))))
    rates = {row["role"]: row["misaligned_rate"] for row in value["denominators"]}
    assert rates["tuned"] is None
    assert rates["base"] is not None
