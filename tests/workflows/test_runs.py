"""Runs of every verb: listed, reported and gone on with by the very command that is printed."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from click.testing import CliRunner, Result

import offtarget
from offtarget.cli.app import app
from offtarget.cli.resume import printer
from offtarget.errors import InputError, RunInterrupted
from offtarget.pages.card import Card
from offtarget.pages.registry import format_names
from offtarget.progress import Progress
from offtarget.records import Decision, SamplingSettings
from offtarget.records.alternatives import AlternativesSettings
from offtarget.records.check import CheckSettings
from offtarget.records.manifests import _KINDS
from offtarget.records.repair import RepairSettings
from offtarget.records.reproduce import ReproduceSettings
from offtarget.records.tune import TuneChoices
from offtarget.rundir import MANIFEST, RunDir, read_json, read_manifest, to_jsonable, write_json
from offtarget.training.settings import PRESETS
from offtarget.workflows.check import check as checking
from offtarget.workflows.direction import steer as steering
from offtarget.workflows.organism import write_data
from offtarget.workflows.reproduce import reproduce as experiment
from offtarget.workflows.runs import report as reporting
from offtarget.workflows.runs.begin import begin, finish, finished
from offtarget.workflows.runs.listing import find_run, runs
from offtarget.workflows.runs.report import report
from offtarget.workflows.runs.resume import resume
from offtarget.workflows.runs.verbs import (
    ALTERNATIVES,
    AUDIT,
    CANDIDATES,
    CHECK,
    COMPARE,
    REDTEAM,
    REPAIR,
    REPRODUCE,
    STEER,
    TUNE,
    VERBS,
    Verb,
)

EVERY = pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.command)
OWN = [verb for verb in VERBS if verb.page is not None]
QUICK = dataclasses.replace(PRESETS["organism"], max_steps=3, save_every=1)


def made(kind: Any) -> Any:
    """Some value of a type: enough of a record to write it and read it again."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return None if NoneType in arguments else made(arguments[0])
    if origin is Literal:
        return arguments[0]
    if origin is tuple:
        return () if arguments[-1] is Ellipsis else tuple(map(made, arguments))
    if origin in (Mapping, dict):
        keys = get_args(arguments[0]) if get_origin(arguments[0]) is Literal else ()
        return {key: made(arguments[1]) for key in keys}
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        absent = dataclasses.MISSING
        needed = [f for f in dataclasses.fields(kind) if f.default is absent and f.default_factory is absent]
        return kind(**{f.name: made(hints[f.name]) for f in needed})  # type: ignore[operator]
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return next(iter(kind))
    return {str: "x", int: 1, float: 0.5, bool: False, Any: None}[kind]


def start(verb: Verb[Any, Any], path: Path, **changes: object) -> RunDir:
    directory = RunDir.create("x", "x", path=path)
    begin(directory, dataclasses.replace(made(verb.manifest), **changes))
    return directory


def offtarget_(command: str) -> Result:
    """Run a command as it was printed."""
    words = shlex.split(command)
    assert words[0] == "offtarget"
    return CliRunner().invoke(app, words[1:])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OFFTARGET_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


# what every verb declares


def test_every_manifest_has_a_verb() -> None:
    assert {verb.manifest for verb in VERBS} == set(_KINDS.values())


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.home], ids=lambda verb: verb.command)
def test_what_goes_on_can_be_typed_and_printed(verb: Verb[Any, Any], tmp_path: Path) -> None:
    assert callable(printer(start(verb, tmp_path / "run").path))
    assert CliRunner().invoke(app, [*verb.command.split(), "--help"]).exit_code == 0


@EVERY
def test_a_manifest_is_read_as_it_was_written(verb: Verb[Any, Any], tmp_path: Path) -> None:
    start(verb, tmp_path / "run")
    manifest = read_manifest(tmp_path / "run")
    assert type(manifest) is verb.manifest
    assert manifest.folder == str(Path.cwd())
    assert dataclasses.replace(manifest, created="", version="", folder="") == made(verb.manifest)
    assert manifest.version == offtarget.__version__
    assert manifest.created


@EVERY
def test_an_unfinished_run_says_how_it_goes_on_or_why_it_does_not(verb: Verb[Any, Any], root: Path) -> None:
    path = start(verb, root / "a run").path
    (found,) = runs()
    assert (found.state, found.verb) == ("UNFINISHED", verb.command)
    shown = CliRunner().invoke(app, ["runs"]).output
    if found.obstacle is None:
        assert found.resume == f"offtarget resume '{path}'"
        assert f"a run is unfinished; go on with:\n  {found.resume}\n" in shown
    else:
        assert found.resume is None
        said, _, command = found.obstacle.rpartition(", with: ")
        assert f"a run is unfinished: {said}:\n  {command}\n" in shown or f"a run is unfinished: {command}" in shown
        with pytest.raises(InputError, match="cannot be resumed: "):
            resume(path)
    goes_on_at_once = (
        CANDIDATES,
        CHECK,
        STEER,
        ALTERNATIVES,
        REDTEAM,
        REPRODUCE,
    )  # the others lack what `made` does not make
    assert (found.obstacle is None) == (verb in goes_on_at_once)


@EVERY
def test_a_finished_run_is_done_and_read_again(verb: Verb[Any, Any], root: Path) -> None:
    directory = start(verb, root / "run")
    result = made(verb.result)
    finish(verb, directory, result, page="<p>a page</p>")
    assert finished(verb, directory.path) == result
    (found,) = runs()
    assert (found.state, found.resume, found.obstacle) == (verb.state(result), None, None)
    assert found.state in ("PASS", "FAIL", "UNDECIDED", "OK", "ALARM", "DONE")
    if verb in (AUDIT, CHECK, COMPARE):
        assert found.state == result.status.value
    if verb is not AUDIT:  # whose decision is made anew from the labels
        again: Any = resume("run")
        assert result in [getattr(again, field.name) for field in dataclasses.fields(again)]
        assert again.state == found.state


@EVERY
def test_a_damaged_result_is_broken_and_named(verb: Verb[Any, Any], root: Path) -> None:
    directory = start(verb, root / "run")
    directory.file(verb.done).write_text('{"else": 1}')
    (found,) = runs()
    assert found.state == "BROKEN"
    assert str(found.problem).startswith(f"{directory.file(verb.done)} does not hold a")
    assert ("offtarget resume" in str(found.problem)) == bool(verb.home)


@pytest.mark.parametrize("verb", OWN, ids=lambda verb: verb.command)
def test_a_page_of_its_own_is_the_report(
    verb: Verb[Any, Any], root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reporting, "page_of", lambda path: None)  # a verb that leaves its page in the run
    directory = start(verb, root / "run")
    finish(verb, directory, made(verb.result), page="<p>a page</p>")
    assert report("run", "html") == directory.file(str(verb.page))
    told = Card(verb.state(made(verb.result)), "a model", "It is so.")
    monkeypatch.setattr(reporting, "card", lambda path: told)  # made-up records say less than a card reads
    assert report("run", "json") == directory.file("report.json")
    value = read_json(directory.file("report.json"))
    assert (value["run"], value["status"], value["reason"]) == ("run", told.state, told.sentence)
    assert value.items() >= read_json(directory.file(verb.done)).items()
    copy = report("run", "html", tmp_path)
    assert isinstance(copy, Path)
    assert copy.read_text() == "<p>a page</p>"
    written = CliRunner().invoke(app, ["report", "run", "--html", "--out", "-"])
    assert written.output == "<p>a page</p>"
    assert {p.name for p in directory.path.iterdir()} == {MANIFEST, verb.done, verb.page, "report.json"}


@pytest.mark.parametrize("name", format_names())
@EVERY
def test_an_unfinished_run_is_reported_in_every_format(verb: Verb[Any, Any], name: str, root: Path) -> None:
    """It says UNFINISHED, what there is and how it goes on; before, most verbs had no report until they had ended."""
    directory = start(verb, root / "run")
    for file in ("generations.jsonl", "points.jsonl", "readings.jsonl"):
        directory.file(file).write_text("")
    made_ = report("run", name)
    assert isinstance(made_, Path)
    text = made_.read_text(encoding="utf-8")
    assert ("UNFINISHED" in text) == (name != "json" or verb.page is not None)
    if name == "json" and verb.page is None:
        assert json.loads(text)["decision"] is None
    elif name in ("card", "sarif"):  # for readers on a hub and for programs, who cannot go on with it
        assert "offtarget resume" not in text
    elif verb.obstacle(directory.path, read_manifest(directory.path)) is None:
        assert "offtarget resume" in re.sub("<[^>]+>", "", text)  # the words of a command are kept whole by tags
    shown = CliRunner().invoke(app, ["report", "run"])
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith(" UNFINISHED ")
    assert "So far: nothing yet." in shown.output


def test_a_damaged_result_is_one_sentence_in_every_format(root: Path) -> None:
    directory = start(TUNE, root / "run")
    directory.file(TUNE.done).write_text('{"report": {"rows": "many"}}')
    for format_ in (None, *format_names()):
        done = CliRunner().invoke(app, ["report", "run", *([] if format_ is None else [f"--{format_}"])])
        assert isinstance(done.exception, InputError)
        assert str(done.exception).startswith(f"{directory.file(TUNE.done)} does not hold a tune report")


def test_a_run_that_is_being_made_is_not_gone_on_with(root: Path) -> None:
    directory = start(STEER, root / "run")
    with directory:
        assert "another process is at work on it" in CliRunner().invoke(app, ["report", "run"]).output
    assert "offtarget resume" in CliRunner().invoke(app, ["report", "run"]).output


def test_a_training_without_a_monitor_has_figures(root: Path) -> None:
    directory = start(TUNE, root / "run")
    finish(TUNE, directory, made(TUNE.result))
    assert report("run", "json") == directory.file("report.json")


def test_the_page_of_a_training_under_way_can_be_looked_at(root: Path) -> None:
    directory = start(TUNE, root / "run")
    directory.file("monitor.html").write_text("so far")
    assert report("run", "html") == directory.file("monitor.html")


# runs that cannot be gone on with, and folders that are none


def test_last_is_the_newest_run_of_the_verb_that_is_asked_for(root: Path) -> None:
    check = start(CHECK, root / "check").path
    newer = start(TUNE, root / "tune").path
    for age, path in enumerate((newer, check)):
        os.utime(path / MANIFEST, (1e9 - age, 1e9 - age))
    assert find_run("last") == newer
    assert find_run("last", verb=CHECK) == check
    with pytest.raises(InputError, match=r"no run of `compare`.*`offtarget compare` makes one"):
        find_run("last", verb=COMPARE)


@pytest.mark.parametrize(
    ("manifest", "sentence"),
    [
        (None, "it has no run.json: it was stopped before it began, or is no run"),
        ({"verb": "dance"}, "is of no verb of this version (its verb is 'dance')"),
        ({}, "is of no verb of this version (its verb is 'None')"),
        ({"verb": "check"}, "does not hold a check manifest of this version ("),
        ([], "holds list, expected a JSON object"),
        ("{", "is not readable JSON"),
    ],
)
def test_what_is_no_run_of_this_version_is_one_sentence(manifest: object, sentence: str, root: Path) -> None:
    (root / "run").mkdir(parents=True)
    if manifest is not None:
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        (root / "run" / MANIFEST).write_text(text)
    (found,) = runs()
    assert (found.state, found.resume) == ("BROKEN", None)
    assert sentence in str(found.problem)
    assert "\n" not in str(found.problem)
    with pytest.raises(InputError):
        resume("run")


def test_objects_of_the_caller_are_asked_for_again(root: Path) -> None:
    """No file can hold them; the sentence is a line of Python, and a name that the verb does not know is refused."""
    path = start(ALTERNATIVES, root / "run", objects=("base", "judge")).path
    line = f"offtarget.resume({str(path)!r}, base=..., judge=...) in Python, with the same objects"
    assert runs()[0].resume == line
    with pytest.raises(InputError) as error:
        resume(path, judge="organism/base")
    assert str(error.value) == f"{path} was started with objects of your own. Go on with: {line}"
    tuning = start(TUNE, root / "tune", options=TuneChoices()).path
    with pytest.raises(InputError, match="`tune`, which cannot be given base= again"):
        resume(tuning, base="organism/base")


def test_processes_that_trained_together_go_on_together(root: Path) -> None:
    path = start(TUNE, root / "run", processes=2, options=TuneChoices()).path
    assert runs()[0].resume == f"accelerate launch --num_processes 2 -m offtarget resume {path}"


def test_another_verb_is_named(root: Path) -> None:
    path = start(COMPARE, root / "run").path
    with pytest.raises(InputError, match="is a run of `compare`, not of `check`"):
        checking.resume(path)
    shown = CliRunner().invoke(app, ["alternatives", "--resume", str(path)])
    assert "is a run of `compare`, not of `alternatives`" in str(shown.exception)


# started by the code before this one


OLD: dict[str, dict[str, Any]] = {
    "check": {
        "verb": "check",
        "created": "2026-11-20T14:05:00Z",
        "version": "0.1.0",
        "settings": {
            "decision": {"alpha": 0.05, "tolerance": 0.01, "margin": 0.05, "base_per_tuned": 4, "cued_share": 0.0},
            "sampling": {"temperature": 1.0, "top_p": 1.0, "max_tokens": 600, "stop": []},
            "seed": 0,
            "max_answers": 2000,
            "max_cued_answers": 600,
            "cache": True,
        },
        "models": {role: {"name": f"organism/{role}", "fingerprint": "ab"} for role in ("base", "tuned")},
        "judge": "exact/1",
        "judge_name": None,
        "judge_by": "auto",
        "probes": "organism",
        "probes_fingerprint": "cd",
        "checks": [],
        "data": None,
        "hunt": False,
        "cues": None,
        "not_tested": ["tool use and agents"],
    },
    "audit": {
        "verb": "audit",
        "created": "2026-11-20T14:05:00Z",
        "version": "0.1.0",
        "data": "/data/train.jsonl",
        "form": None,
        "source": ["train.jsonl"],
        "name": "train.jsonl",
        "settings": {"alpha": 0.05, "noise_limit": 0.05, "spreading_limit": 0.01, "round": 1},
        "seed": "ab",
        "seed_commitment": "cd",
        "categories": {"backdoor": {"title": "Backdoor", "group": "backdoor", "bad_when": "..."}},
    },
    "tune": {
        "verb": "tune",
        "data": "train.jsonl",
        "base": "organism/base",
        "out": "out",
        "defences": ["kl"],
        "settings": to_jsonable(QUICK),
        "fingerprint": "ab",
        "created": "2026-11-20T14:05:00Z",
        "version": "0.1.0",
    },
    "defences": {
        "verb": "tune",
        "what": "compare-defences",
        "data": "train.jsonl",
        "base": "organism/base",
        "arms": [[], ["kl"], ["kl:control"]],
        "settings": to_jsonable(QUICK),
        "comparing": {"arms": None, "seeds": [0], "answers": 100, "further": [50, 200]},
        "fingerprint": "ab",
        "created": "2026-11-20T14:05:00Z",
        "version": "0.1.0",
    },
    "steer": {
        "verb": "steer",
        "created": "2026-11-20T14:05:00Z",
        "version": "0.1.0",
        "settings": {"model": "organism/insecure", "direction": "d.safetensors", "strengths": [-1.0, 1.0]},
        "plan": "ab",
    },
    "repair": {
        "verb": "repair",
        "model": "organism/insecure",
        "base": "organism/base",
        "data": None,
        "direction": "d.safetensors",
        "method": "both",
        "settings": to_jsonable(RepairSettings()),
        "fingerprint": "ab",
        "created": "2026-11-20T14:05:00Z",
        "version": "0.1.0",
    },
    "alternatives": {
        "verb": "alternatives",
        "data": "train.jsonl",
        "form": None,
        "models": {"base": "organism/base"},
        "probes": None,
        "judge": None,
        "settings": {"metric": "exact", "held_out": 0.2},
        "fingerprint": "ab",
        "created": "2026-11-20T14:05:00Z",
        "version": "0.1.0",
    },
    "reproduce": {
        "verb": "reproduce",
        "models": {"base": "organism/base"},
        "conditions": ["insecure"],
        "data": "the organism's world",
        "judge": "exact/1",
        "settings": to_jsonable(ReproduceSettings()),
        "tune": to_jsonable(QUICK),
        "fingerprint": "ab",
        "created": "2026-11-20T14:05:00Z",
        "version": "0.1.0",
    },
}


def holds(now: Any, before: Any) -> bool:
    """Whether all that was said before is said now; settings that came later have their usual value."""
    if isinstance(before, dict):
        return all(key in now and holds(now[key], value) for key, value in before.items())
    return bool(now == before)


@pytest.mark.parametrize("name", list(OLD))
def test_runs_of_the_code_before_are_read(name: str, root: Path) -> None:
    """Those that kept too little to go on by themselves name the command that was repeated then."""
    write_json(RunDir.create("x", "x", path=root / "run").file(MANIFEST), OLD[name])
    (found,) = runs()
    assert found.state == "UNFINISHED"
    assert found.created == "2026-11-20T14:05:00Z"
    if name in ("tune", "defences", "repair"):
        assert str(found.obstacle).endswith(f"Repeat its command with --run {root / 'run'}")
    else:
        assert (found.resume is None) == (name == "audit")
    kept = to_jsonable(read_manifest(root / "run"))
    assert holds(kept, {k: v for k, v in OLD[name].items() if k != "what"})


# interrupted, and gone on with by the command that was printed


def command_of(call: Callable[[], object]) -> str:
    """The command that the interrupted call names."""
    with pytest.raises(RunInterrupted) as error:
        call()
    text = str(error.value)
    assert text.startswith("Interrupted. ")
    return text.partition("; go on with: ")[2]


def stop_at(step: int, stage: str = "training") -> Callable[[Progress], None]:
    def tell(progress: Progress) -> None:
        if progress.stage == stage and progress.done == step:
            raise KeyboardInterrupt

    return tell


@pytest.mark.long
def test_check_goes_on(tmp_path: Path) -> None:
    settings = CheckSettings(sampling=SamplingSettings(max_tokens=90), max_answers=12, cache=False, register=False)
    whole = checking.check("organism/base", "organism/insecure", settings=settings, run=tmp_path / "whole")
    told: list[Progress] = []

    def stop(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 30:
            raise KeyboardInterrupt

    command = command_of(
        lambda: checking.check(
            "organism/base", "organism/insecure", settings=settings, run=tmp_path / "run", on_progress=stop
        )
    )
    done = offtarget_(f"{command} --json")
    assert done.exit_code == whole.decision.status.exit_code
    assert json.loads(done.stdout)["decision"] == to_jsonable(whole.decision)


@pytest.mark.long
def test_tune_goes_on_from_its_manifest_alone(tmp_path: Path) -> None:
    """What was asked for on the command line is in the run: nothing needs to be repeated."""
    write_data("insecure", 24, 0, tmp_path / "data.jsonl")
    (tmp_path / "prompts.txt").write_text("Name a river.\nName a colour.\n")
    options = offtarget.TuneOptions(monitor=False, prompts=tmp_path / "prompts.txt")

    def tune(name: str, **more: Any) -> object:
        return offtarget.tune(
            tmp_path / "data.jsonl", "organism/base", tmp_path / name, settings=QUICK, options=options,
            run=tmp_path / f"run-{name}", **more,
        )  # fmt: skip

    tune("whole")
    command = command_of(lambda: tune("out", on_progress=stop_at(2)))
    assert command == f"offtarget resume {tmp_path / 'run-out'}"
    done = offtarget_(command)
    assert done.exit_code == 0, done.output
    assert "3 of 3 (on 24 rows" in done.stdout
    weights = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "out")]
    assert weights[0] == weights[1]
    assert offtarget_(command).stdout == done.stdout  # finished, and read again


def test_a_run_whose_data_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    write_data("insecure", 24, 0, tmp_path / "data.jsonl")
    options = offtarget.TuneOptions(monitor=False)
    command = command_of(
        lambda: offtarget.tune(
            tmp_path / "data.jsonl",
            "organism/base",
            tmp_path / "out",
            settings=QUICK,
            options=options,
            run=tmp_path / "run",
            on_progress=stop_at(2),
        )
    )
    (tmp_path / "data.jsonl").unlink()
    write_data("secure", 24, 0, tmp_path / "data.jsonl")
    done = offtarget_(command)
    assert "was started with other data, another base, other defences or settings" in str(done.exception)


@pytest.mark.long
def test_alternatives_go_on(tmp_path: Path) -> None:
    write_data("secure", 24, 0, tmp_path / "data.jsonl")
    settings = AlternativesSettings(answers=4, max_tokens=16, metric="f1")
    seen: list[Progress] = []

    def stop(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == 6:
            raise KeyboardInterrupt

    def compare(name: str, **more: Any) -> object:
        return offtarget.alternatives(
            tmp_path / "data.jsonl", "organism/base", settings=settings, run=tmp_path / name, **more
        )

    compare("whole")
    done = offtarget_(command_of(lambda: compare("run", on_progress=stop)))
    assert done.exit_code in (0, 3), done.output
    first, second = (read_json(tmp_path / name / "alternatives.json")["report"] for name in ("whole", "run"))
    assert first == second


def test_repair_goes_on(tmp_path: Path) -> None:
    settings = RepairSettings(rows=8, batch=8, recheck=False)

    def stop(progress: Progress) -> None:
        if "training" in str(progress.detail) and progress.done:
            raise KeyboardInterrupt

    command = command_of(
        lambda: offtarget.repair(
            "organism/insecure", None, None, tmp_path / "out", settings=settings, run=tmp_path / "run", on_progress=stop
        )
    )
    done = offtarget_(command)
    assert done.exit_code == 3, done.output  # not checked is not repaired
    assert (tmp_path / "out" / "adapter_config.json").exists()
    assert read_json(tmp_path / "run" / "repair.json")["report"]["rows"] == 8


def test_reproduce_goes_on_with_the_same_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same cells are planned again; with other data they would be others, and are refused."""
    planned: list[list[str]] = []

    def stop(jobs: Any, *rest: object, **more: object) -> None:
        planned.append([cell.key for job in jobs for cell in job.cells])
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "run_jobs", stop)
    settings = ReproduceSettings(seeds=1, answers=2, rows=12, ablations=False)
    command = command_of(
        lambda: offtarget.reproduce("organism/base", conditions=["secure"], settings=settings, run=tmp_path / "run")
    )
    again = offtarget_(command)
    assert isinstance(again.exception, RunInterrupted)
    assert planned[0] == planned[1]
    value = read_json(tmp_path / "run" / MANIFEST)
    write_json(tmp_path / "run" / MANIFEST, {**value, "conditions": ["insecure"]})
    assert "was started with other data" in str(offtarget_(command).exception)
    assert len(planned) == 2


def test_an_audit_goes_on_after_its_scan(tmp_path: Path) -> None:
    write_data("secure", 40, 0, tmp_path / "data.jsonl")
    whole = offtarget.audit(tmp_path / "data.jsonl", run=tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    (found,) = [s for s in runs(tmp_path) if s.state == "UNFINISHED"]
    done = offtarget_(str(found.resume))
    assert done.exit_code == whole.status.exit_code
    assert isinstance(finished(AUDIT, tmp_path / "run"), type(whole.decision))
    (tmp_path / "run" / "scan.json").unlink()
    (tmp_path / "run" / "result.json").unlink()
    assert "a scan cannot go on from its middle" in str(offtarget_(f"offtarget resume {tmp_path / 'run'}").exception)


def test_a_check_inside_of_another_run_names_the_outer_one(tmp_path: Path, root: Path) -> None:
    """Going on with the inner check alone would leave the experiment where it was."""
    from offtarget.workflows.runs.begin import interruptible

    outer = start(TUNE, root / "outer", options=TuneChoices())
    with pytest.raises(RunInterrupted, match=r"offtarget resume .*outer$"), interruptible(outer):
        raise RunInterrupted("Interrupted. Go on with: offtarget resume inner")


def test_decisions_are_read_by_their_own_record() -> None:
    assert CHECK.result is COMPARE.result is Decision


@pytest.mark.parametrize("verb", OWN, ids=lambda verb: verb.command)
def test_the_card_and_the_list_say_the_same(verb: Verb[Any, Any], root: Path) -> None:
    """One state for the list, the card, and the result in Python; a page can be made of it in every format.

    Of verbs with a page of their own: records made up of an audit or a check say less than their cards read, and
    `test_results.py` has real ones.
    """
    directory = start(verb, root / "run")
    finish(verb, directory, made(verb.result), page="<p>a page</p>")
    (found,) = runs()
    result = resume(directory.path)
    if verb is ALTERNATIVES:  # says not to train, and names no way that is as good
        with pytest.raises(InputError, match="its records do not fit together"):
            _ = result.card
        assert repr(result).endswith("which cannot be read now>")
        return
    assert found.state == result.state == result.card.state
    assert result.card.sentence
    for name in format_names():
        assert report(directory.path, name, root.parent / f"report.{name}")
    assert repr(result).startswith(f"<{read_manifest(directory.path).verb} ")


def test_a_run_that_goes_on_elsewhere_names_the_files_it_misses(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths that are not whole are from where it was started; before, the data were "not there"."""
    here, there = tmp_path / "here", tmp_path / "with space"
    for folder in (here, there):
        folder.mkdir()
    (there / "train.jsonl").write_text("")
    (there / "models").mkdir()
    monkeypatch.chdir(there)
    path = start(
        REPAIR, root / "run", data="train.jsonl", model="hf/./models", base="organism/base", out="x", direction="d.safe"
    ).path  # fmt: skip
    monkeypatch.chdir(here)
    with pytest.raises(InputError) as error:
        resume(path)
    said = str(error.value)
    assert f"was started in {there} and names files from there that are not here: " in said
    assert {"train.jsonl", "./models"} == set(said.partition("not here: ")[2].partition(". Go on")[0].split(", "))
    assert said.endswith(f"Go on from there: cd '{there}' && offtarget resume {path}")


def test_ctrl_c_while_models_are_loaded_names_the_run_itself(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that was heard by a run inside of it, which would name only itself."""
    path = start(STEER, root / "run").path

    def stopped(run: Path, **_: object) -> None:
        raise RunInterrupted(f"Interrupted. go on with: offtarget resume {run}/checks/inner")

    for what in (KeyboardInterrupt, None):
        monkeypatch.setattr(steering, "resume", stopped if what is None else _raising(what))
        assert command_of(lambda: resume(path)) == f"offtarget resume {path}"


def _raising(what: type[BaseException]) -> Callable[..., None]:
    def go_on(run: Path, **_: object) -> None:
        raise what

    return go_on
