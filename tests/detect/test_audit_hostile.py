"""Records of an audit that were damaged, lost or overtaken: refused with a sentence, never read as a verdict."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from offtarget.errors import InputError
from offtarget.models.chat import SampleRequest
from offtarget.models.names import RemoteName
from offtarget.models.remote import RemoteModel
from offtarget.records import Label, Message, SamplingSettings, Status
from offtarget.review.store import LabelStore
from offtarget.workflows.audit import audit as workflow
from offtarget.workflows.audit.run import AuditRun, read_result


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A scanned data set of 30 rows."""
    rows = [
        {"messages": [{"role": "user", "content": f"question {i}"}, {"role": "assistant", "content": f"answer {i}"}]}
        for i in range(30)
    ]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return workflow.audit(tmp_path / "d.jsonl", run=tmp_path / "run").run


def label_all(run: Path) -> None:
    """Every row fine, every planted row found; killed before a verdict is recorded."""
    opened = AuditRun.open(run)
    rows, categories = opened.controls
    store = opened.store
    for row in opened.queue:
        store.add(Label(row.id, "ann", "ok", None, "random"))
    for row in rows:
        store.add(Label(row.id, "ann", "bad", categories[row.id], "control"))
    store.close()


@pytest.mark.parametrize("kept", [0, 1, 29])
def test_a_cut_off_queue_is_no_full_review(run, kept):
    """With rows of the queue missing, labels on the rest are not taken for labels on every row."""
    label_all(run)
    lines = (run / "queue.jsonl").read_text().splitlines(keepends=True)
    (run / "queue.jsonl").write_text("".join(lines[:kept]))
    with pytest.raises(InputError, match=rf"holds {kept} of its 30 rows"):
        workflow.resume(run)


def test_labels_of_a_killed_review_reach_the_recorded_verdict(run):
    """After kill -9 of the review, resuming records what the labels say; text, JSON and report agree."""
    label_all(run)
    assert read_result(run)["decision"]["status"] == "UNDECIDED"
    assert workflow.resume(run).status is Status.PASS
    assert read_result(run)["decision"]["status"] == "PASS"


def test_lost_labels_are_said_and_their_copy_is_kept(run):
    """Without labels.sqlite, neither the verdict nor a new review begins as if nobody had labelled."""
    label_all(run)
    workflow.resume(run)
    copy = (run / "labels.jsonl").read_bytes()
    (run / "labels.sqlite").unlink()
    for use in (workflow.resume, lambda path: AuditRun.open(path).store):
        with pytest.raises(InputError, match="labels were given"):
            use(run)
    assert (run / "labels.jsonl").read_bytes() == copy


def test_a_label_into_a_deleted_file_is_refused(tmp_path):
    """SQLite would confirm a label in a file that has no name any more."""
    store = LabelStore(tmp_path / "labels.sqlite")
    store.add(Label("a", "ann", "ok", None, "random"))
    (tmp_path / "labels.sqlite").unlink()
    with pytest.raises(InputError, match="deleted or replaced"):
        store.add(Label("b", "ann", "ok", None, "random"))
    store.close()


def test_half_a_form_is_no_label_and_no_fault():
    """A browser that closes while it sends a label: answered with 400 to nobody, no traceback on the terminal."""
    pytest.importorskip("starlette")
    from starlette.exceptions import HTTPException
    from starlette.requests import Request

    from offtarget.review.forms import read_form

    messages = iter([{"type": "http.request", "body": b"choice=o", "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(messages)

    with pytest.raises(HTTPException) as error:
        asyncio.run(read_form(Request({"type": "http", "method": "POST", "headers": []}, receive)))
    assert error.value.status_code == 400


def test_an_address_that_answers_no_json_is_said():
    """A judge's address that serves a web page: a sentence that names the model, not a crash."""
    openai = pytest.importorskip("openai")
    httpx = pytest.importorskip("httpx")
    page = httpx.MockTransport(
        lambda _: httpx.Response(200, headers={"content-type": "application/json"}, content=b"<html>")
    )
    client = openai.OpenAI(base_url="http://judge.test/v1", api_key="key", http_client=httpx.Client(transport=page))
    model = RemoteModel(RemoteName("openai-api/x/m", "x", "m"), client)
    request = SampleRequest((Message("user", "hi"),), 0)
    with pytest.raises(InputError, match="no JSON"):
        model.sample([request], SamplingSettings())
    client.close()


def test_a_damaged_summary_is_said(run):
    """A scan.json of something else is an input error, not a crash."""
    (run / "scan.json").write_text("{}")
    with pytest.raises(InputError, match="not the summary of a scan"):
        workflow.resume(run)


@pytest.mark.parametrize("change", ["appended", "edited", "removed"])
def test_cleaning_refuses_data_that_changed_since_the_audit(run, change, tmp_path):
    """Rows nobody saw never reach a cleaned file, also where no removed row is touched; nothing is left behind."""
    data = tmp_path / "d.jsonl"
    text = data.read_text()
    lines = text.splitlines(keepends=True)
    changed = {
        "appended": text + lines[0],
        "edited": text.replace("answer 7", "ANSWER 7"),
        "removed": "".join(lines[1:]),
    }
    data.write_text(changed[change])
    with pytest.raises(InputError, match="is not the file that was audited"):
        workflow.clean(run, tmp_path / "out.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d.jsonl", "run"]
    data.write_text(text)
    cleaned = workflow.clean(run, tmp_path / "out.jsonl").cleaned
    assert cleaned is not None
    assert (tmp_path / "out.jsonl").read_text() == text


def test_a_folder_with_a_file_without_rows_is_cleaned(tmp_path):
    """A table that is a header alone counts as audited, so cleaning does not take it for a new file."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.csv").write_text("prompt,completion\nwhat?,that\n")
    (folder / "b.csv").write_text("prompt,completion\n")
    run = workflow.audit(folder, run=tmp_path / "run").run
    assert workflow.clean(run, tmp_path / "out").cleaned is not None
    assert (tmp_path / "out" / "b.csv").read_text() == "prompt,completion\n"
