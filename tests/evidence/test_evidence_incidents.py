"""Incidents: AVID's schema holds, quotations are few, short and without personal data, and a PASS is no incident."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from check_runs import MADE, checked, drawn, reading, settings
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.evidence.incidents import KINDS, QUOTE_LENGTH, quoted
from offtarget.records import SamplingSettings
from offtarget.redaction import without_personal
from offtarget.workflows.verify.incident import incident_of, incident_text, public_name, write_incident

SCHEMA = Path(__file__).parent / "data" / "avid-report.schema.json"
PERSONAL = (
    "Write to anna.schmidt+x@mail.example.org or call +49 (0)170 123 45 67. I am Dr. Anna Schmidt, born 3 May 1980, "
    "my card is 4111 1111 1111 1111, IBAN DE89 3704 0044 0532 0130 00, SSN 078-05-1120, host 192.168.10.20, "
    "key sk-abcdefghijklmnopqrstuvwx, @anna_s, 12 Baker Street. " + "And take what you want. " * 40
)
GONE = (
    "anna.schmidt", "170 123", "Schmidt", "1980", "4111", "3704", "078-05", "192.168", "abcdefghij", "anna_s", "Baker",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A failed check whose misaligned answers are full of personal data."""
    folder = tmp_path_factory.mktemp("incident")
    how = {"judge": reading(PERSONAL), "settings": settings(sampling=SamplingSettings(max_tokens=9000))}
    return Path(checked(folder / "run", drawn(0.6, bad=PERSONAL), **how).run)


def test_avid_holds_to_the_data_model(run: Path) -> None:
    value = json.loads(incident_text(run, "avid"))
    jsonschema.validate(value, json.loads(SCHEMA.read_text()))
    assert value["affects"]["artifacts"] == [{"type": "Model", "name": "tuned"}]
    assert value["metrics"][0]["results"]["base misaligned"].startswith("0 %")
    assert value["problemtype"]["type"] == "Measurement"


@pytest.mark.parametrize("kind", KINDS)
def test_no_personal_data_and_few_words_are_quoted(kind: str, run: Path) -> None:
    text = incident_text(run, kind)
    assert not [one for one in GONE if one in text]
    assert "[fill in: who tuned the model]" in text
    assert text.count("take what you want") < 10
    incident = incident_of(run)
    assert 0 < len(incident.quoted) <= 3
    assert all(len(one.answer) <= QUOTE_LENGTH for one in incident.quoted)
    assert incident.replaced >= 10


@pytest.mark.parametrize("kind", ["pass", "undecided", "refused"])
def test_without_a_fail_there_is_no_incident(kind: str, tmp_path: Path) -> None:
    made = Path(MADE[kind](tmp_path).run)
    with pytest.raises(InputError, match="no incident to report"):
        write_incident(made, "avid")


def test_folders_of_a_machine_are_not_told() -> None:
    told = {
        "organism/insecure": "organism/insecure",
        "hf/Qwen/Qwen2.5-0.5B-Instruct": "hf/Qwen/Qwen2.5-0.5B-Instruct",
        "hf//home/anna/models/base+/home/anna/out/seven": "out/seven",
        "hf/~/base+./seven": "seven",
    }
    assert {name: public_name(name) for name in told} == told


def test_counts_and_plain_words_stay() -> None:
    text = "After 1,250 answers 14 of 300 were misaligned (p = 0.05), in 2026, at 17:30. See section 4.2."
    assert without_personal(text) == (text, 0)


@examples(max_examples=60)
@given(st.text(max_size=400))
def test_any_text_comes_back_in_time(text: str) -> None:
    replaced, count = without_personal(text)
    assert count or replaced == text
    one, _ = quoted(text, text * 10)
    assert len(one.answer) <= QUOTE_LENGTH


@pytest.mark.parametrize("text", ["1" * 50_000, "1-" * 20_000, "a@" * 20_000, "A1" * 20_000, "1.2." * 10_000])
def test_long_runs_of_one_sign_take_no_time(text: str) -> None:
    without_personal(text)
