"""Many candidates against one base: each a check of its own, the base asked once, nothing lost, one verdict on all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import manycand
import pytest
from click.testing import CliRunner
from manycand import BASE, adapters, made

import offtarget
from offtarget.asking import book
from offtarget.cli.app import app
from offtarget.errors import InputError, LimitReached, RunInterrupted
from offtarget.progress import Progress
from offtarget.records import Generation, Status
from offtarget.records.candidates import CandidatesReport
from offtarget.rundir import iterate_jsonl
from offtarget.workflows.check import many, one_candidate, spreading
from offtarget.workflows.check.many import check_many
from offtarget.workflows.verify.again import worked_out
from offtarget.workflows.verify.seal import seal


@pytest.fixture(autouse=True)
def _scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    manycand.scripting(monkeypatch.setattr)


def verdicts(report: CandidatesReport) -> dict[str, Status]:
    return {each.name: each.together for each in report.candidates}


def test_each_is_a_check_of_its_own_at_its_share_of_alpha_and_a_broken_one_stops_no_other(tmp_path: Path) -> None:
    folder = adapters(tmp_path / "adapters", "bad-90", "broken", "clean-0", "weak-30")
    (folder / "README.md").write_text("not a candidate", encoding="utf-8")
    told: list[Progress] = []
    result = made(folder, tmp_path / "run", on_progress=told.append)
    report = result.record
    assert verdicts(report) == {"bad-90": Status.FAIL, "weak-30": Status.FAIL, "clean-0": Status.PASS}
    assert [each.name for each in report.not_checked] == ["broken"]
    assert "adapter_config.json" in report.not_checked[0].reason
    assert report.of == 4
    assert report.status is Status.FAIL
    assert result.state == "FAIL"
    assert any("README.md" in note for note in report.notes)
    for name in ("bad-90", "clean-0", "weak-30"):
        settings = json.loads((result.run / name / "result.json").read_text())["decision"]["settings"]
        assert settings["alpha"] == 0.012  # a quarter of 0.05, rounded down
        own = offtarget.report(result.run / name)
        assert "One of 4 candidates" in str(own)
    first = next(each.stage for each in told if "cannot be checked" in each.stage)
    assert first.startswith("broken cannot be checked; the others are.")
    shares = [each.done for each in told if each.total == 100]
    assert shares == sorted(shares)
    assert shares[-1] == 100
    assert sum("candidate " in each.stage and each.total == 0 for each in told) == 4


def test_the_base_is_asked_once_for_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, int]] = []
    plain = book.ask

    def counting(role, model, fresh, *more, **named):  # type: ignore[no-untyped-def]
        asked.extend((role, probe.id, index) for probe, index in fresh)
        return plain(role, model, fresh, *more, **named)

    monkeypatch.setattr(book, "ask", counting)
    result = made(adapters(tmp_path / "adapters", "clean-0", "other-0", "third-0"), tmp_path / "run")
    base = [each for each in asked if each[0] == "base"]
    assert len(base) == len(set(base))
    report = result.record
    assert report.base_answers == len(base) + report.base_from_cache
    assert report.base_from_cache > len(base)


@pytest.mark.parametrize("after", [3, pytest.param(400, marks=pytest.mark.long)])
def test_killed_at_any_moment_it_goes_on_to_the_same_end(tmp_path: Path, after: int) -> None:
    """kill -9, twice: every answer is there once, and every verdict is that of a run that nobody killed."""
    folder = adapters(tmp_path / "adapters", "bad-90", "broken", "clean-0")
    whole = made(folder, tmp_path / "whole", register=False).record
    environment = dict(os.environ, OFFTARGET_CACHE=str(tmp_path / "cache"))
    command = [sys.executable, str(Path(manycand.__file__)), str(folder), str(tmp_path / "run"), str(after)]
    killed = [subprocess.run(command, env=environment, capture_output=True, check=False) for _ in range(2)]
    assert killed[0].returncode == -signal.SIGKILL, killed[0].stderr.decode()
    again = many.resume(tmp_path / "run").record
    assert verdicts(again) == verdicts(whole)
    assert [each.name for each in again.not_checked] == ["broken"]
    for name in ("bad-90", "clean-0"):
        runs = (tmp_path / "whole" / name, tmp_path / "run" / name)
        answers = [[(g.key, g.text) for g in iterate_jsonl(r / "generations.jsonl", Generation)] for r in runs]
        assert len(set(answers[1])) == len(answers[1])
        assert set(answers[0]) == set(answers[1])
        results = [json.loads((r / "result.json").read_text())["decision"] for r in runs]
        assert results[0]["overall"] == results[1]["overall"]


def test_a_finished_run_is_read_and_only_what_was_broken_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = adapters(tmp_path / "adapters", "broken-5", "clean-0")
    run = made(folder, tmp_path / "run").run
    before = (run / "clean-0" / "result.json").read_bytes()
    assert offtarget.report(run, "json", tmp_path / "first.json")
    (folder / "broken-5" / "notes.txt").unlink()
    (folder / "broken-5").rmdir()
    (folder / "broken-5").symlink_to(adapters(tmp_path / "more", "mended-90") / "mended-90", target_is_directory=True)
    monkeypatch.setattr(one_candidate, "check", lambda base, tuned, **given: _mended(tuned, **given))
    again = offtarget.resume(run)
    assert isinstance(again, many.CandidatesResult)
    assert verdicts(again.record)["broken-5"] is not Status.UNDECIDED
    assert again.record.not_checked == ()
    assert (run / "clean-0" / "result.json").read_bytes() == before
    monkeypatch.setattr(spreading, "check_candidate", lambda *_: pytest.fail("nothing is left to do"))
    assert offtarget.resume(run).state == again.state


def _mended(tuned: str, **given: object) -> object:
    import checking

    from offtarget.workflows.check.check import check

    given |= {"probes": checking.bank(), "judge": checking.judge()}
    return check(checking.model("base", 0.0), checking.model("mended", 0.9), **given)  # type: ignore[arg-type]


@pytest.mark.long
def test_undecided_ones_go_on_with_more_answers_and_decided_ones_do_not(tmp_path: Path) -> None:
    folder = adapters(tmp_path / "adapters", "bad-90", "clean-0", "middle-3")
    run = made(folder, tmp_path / "run", max_answers=40).run
    first = many.resume(run).record
    assert verdicts(first) == {"bad-90": Status.FAIL, "clean-0": Status.UNDECIDED, "middle-3": Status.UNDECIDED}
    assert first.status is Status.UNDECIDED or first.status is Status.FAIL
    kept = (run / "bad-90" / "result.json").read_bytes()
    again = offtarget.resume(run, max_answers=3000)
    assert isinstance(again, many.CandidatesResult)
    assert verdicts(again.record)["clean-0"] is Status.PASS
    assert (run / "bad-90" / "result.json").read_bytes() == kept
    with pytest.raises(InputError, match="can be raised and not lowered to 10"):
        offtarget.resume(run, max_answers=10)


@pytest.mark.long
def test_the_same_batch_again_spends_less_and_says_so(tmp_path: Path) -> None:
    folder = adapters(tmp_path / "adapters", "bad-90", "clean-0")
    once = made(folder, tmp_path / "once").record
    same = made(folder, tmp_path / "same").record
    assert [each.earlier for each in same.candidates] == [0, 0]  # the same answers came out: no other try
    other = made(folder, tmp_path / "other", seed=1)
    assert [each.earlier for each in other.record.candidates] == [1, 1]
    assert verdicts(other.record) == verdicts(once)
    text = " ".join(str(offtarget.report(other.run)).split())
    assert "at most 7.5 %" in text
    assert "2 of 2 candidates were checked before on this machine" in text


def test_what_concerns_all_of_them_stops_the_run_which_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = adapters(tmp_path / "adapters", "a-0", "b-0")
    kept = one_candidate.check
    monkeypatch.setattr(one_candidate, "check", lambda *_, **__: (_ for _ in ()).throw(LimitReached("Enough.")))
    with pytest.raises(LimitReached, match="offtarget resume"):
        made(folder, tmp_path / "run")
    monkeypatch.setattr(one_candidate, "check", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(RunInterrupted, match=r"offtarget resume .*run$"):
        many.resume(tmp_path / "run")
    monkeypatch.setattr(one_candidate, "check", kept)
    assert many.resume(tmp_path / "run").record.status is Status.PASS


def test_a_fault_of_ours_with_one_stops_no_other_and_is_loud_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = adapters(tmp_path / "adapters", "a-0", "b-0")
    kept = one_candidate.check

    def faulty(base: str, tuned: str, **given: object) -> object:
        if tuned.endswith("a-0"):
            raise ZeroDivisionError("ours")
        return kept(base, tuned, **given)  # type: ignore[arg-type]

    monkeypatch.setattr(one_candidate, "check", faulty)
    with pytest.raises(ZeroDivisionError):
        made(folder, tmp_path / "run")
    assert (tmp_path / "run" / "b-0" / "result.json").exists()
    assert not (tmp_path / "run" / "candidates.json").exists()


def test_a_folder_without_candidates_is_refused_in_one_sentence(tmp_path: Path) -> None:
    one = adapters(tmp_path / "one", "a-0") / "a-0"
    (tmp_path / "empty").mkdir()
    broken = adapters(tmp_path / "all-broken", "broken-1", "broken-2")
    for tuned, said in (
        (tmp_path / "nowhere", "is no folder"),
        (tmp_path / "empty", "there is no candidate in it"),
        (one, "is one adapter, not a folder of them"),
        (broken, "None of the 2 candidates can be checked"),
        ([], "There is no candidate"),
        (["organism/insecure", "organism/insecure"], "twice"),
    ):
        with pytest.raises(InputError, match=said):
            check_many(BASE, tuned, settings=manycand.settings(), run=tmp_path / "run")
    with pytest.raises(InputError, match="nothing here can put an adapter on it"):
        check_many("openai/gpt", tmp_path / "one", run=tmp_path / "run")
    with pytest.raises(InputError, match="People read the answers of one check"):
        check_many(BASE, tmp_path / "one", judge="people", run=tmp_path / "run")


def test_names_of_folders_are_plain_and_their_own(tmp_path: Path) -> None:
    found, _ = many.candidates_of(BASE, ["hf/B+./out/a b", "hf/B+./other/a b", "hf/./run", "organism/secure"])
    assert [one.name for one in found] == ["a-b", "a-b-2", "run-2", "secure"]


def test_the_command_shows_a_table_and_every_format_has_every_candidate(tmp_path: Path) -> None:
    folder = adapters(tmp_path / "adapters", "bad-90", "broken", "clean-0")
    run = tmp_path / "run"
    options = ["check", "--base", BASE, "--tuned-dir", str(folder), "--run", str(run), "--seed", "0"]
    plan = CliRunner().invoke(app, [*options, "--dry-run"])
    assert plan.exit_code == 0, plan.output
    assert "3 candidates: bad-90, broken, clean-0" in plan.output
    assert "not checked" in plan.output
    assert not run.exists()
    done = CliRunner().invoke(app, options)
    assert done.exit_code == 1, done.output
    text = " ".join(done.output.split())
    assert "1 of 3 candidates FAIL, 1 PASS and 1 was not checked." in text
    assert "On average at most 5 % of the candidates that FAIL" in text
    assert f"offtarget resume {run}" in text
    printed = json.loads(CliRunner().invoke(app, ["resume", str(run), "--json"]).output)
    assert {each["name"]: each["together"] for each in printed["report"]["candidates"]} == {
        "bad-90": "FAIL",
        "clean-0": "PASS",
    }
    junit = ElementTree.fromstring(str(Path(str(offtarget.report(run, "junit"))).read_text("utf-8")))
    assert junit.attrib == {"name": "offtarget", "tests": "3", "failures": "1", "errors": "1"}
    for form in ("html", "markdown", "text"):
        written = Path(str(offtarget.report(run, form, tmp_path / form))).read_text("utf-8")
        assert all(name in written for name in ("bad-90", "broken", "clean-0"))
    assert "What it answered" not in written
    listed = CliRunner().invoke(app, ["runs", "--json"], env={"OFFTARGET_RUNS": str(tmp_path)})
    assert "3 candidates" in listed.output


def test_what_takes_one_check_names_the_checks_of_the_candidates(tmp_path: Path) -> None:
    run = made(adapters(tmp_path / "adapters", "bad-90"), tmp_path / "run").run
    with pytest.raises(InputError, match=r"Name the check of one, such as .*run/bad-90"):
        seal(run, tmp_path / "sealed.zip")
    assert [each.said for each in worked_out(run, ["run.json"])] == [
        f"Each candidate has a check of its own, whose verdict can be worked out: verify {run}/bad-90"
    ]


def test_options_for_people_and_two_ways_to_name_candidates_are_refused(tmp_path: Path) -> None:
    folder = adapters(tmp_path / "adapters", "a-0")
    options = ["check", "--base", BASE, "--tuned-dir", str(folder)]
    for more, said in (
        (["--confirm"], "--confirm has people read"),
        (["--tuned", "organism/insecure"], "both name candidates"),
        (["--benchmarks", "organism"], "is not decided for several candidates together"),
        (["--look-at", "0.1"], "--look-at says how a judge is checked"),
    ):
        done = CliRunner().invoke(app, [*options, *more])
        assert said in " ".join(f"{done.output} {done.exception}".split())
    assert CliRunner().invoke(app, ["check", "--base", BASE]).exit_code == 2
