"""Which step is up to date, and why the others are not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from offtarget.errors import InputError
from offtarget.numbers import many
from offtarget.pages.audit.loading import load_audit
from offtarget.pages.check.loading import load_run
from offtarget.pages.redteam.loading import load_pressed
from offtarget.pages.tune.loading import load_watched
from offtarget.project.reading import Project
from offtarget.records import Decision, Status
from offtarget.records.audit import AuditManifest
from offtarget.records.check import CheckManifest
from offtarget.records.project import StepEntry, StepName
from offtarget.records.redteam import RedTeamManifest
from offtarget.records.runs import Manifest
from offtarget.rundir import in_use, read_manifest
from offtarget.workflows.project.inputs import HASH, Inputs, cannot_be_seen, settings_of, tree_sha256
from offtarget.workflows.project.ledger import Ledger
from offtarget.workflows.runs.begin import begun, finished
from offtarget.workflows.runs.verbs import AUDIT, CHECK, REDTEAM, TUNE, Verb
from offtarget.workflows.verify.again import worked_out

Action = Literal["up to date", "go on", "run"]
VERB_OF: Mapping[StepName, Verb[Any, Any]] = {"audit": AUDIT, "tune": TUNE, "check": CHECK, "redteam": REDTEAM}
"""What each step with a run leaves."""
LONGEST = 60
"""Characters of a value up to which a change is told with what it was and is."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What there is to do about a step."""

    action: Action
    why: str
    """The end of a sentence."""
    run: Path | None = None
    """The run that is up to date or goes on; of one that runs, a folder that was chosen for it and not used."""
    made: Mapping[str, str] | None = None
    """What the run made outside its folder."""
    further: int | None = None
    """Tuned answers up to which a check goes on, where they are more than it was begun with."""


def plan_step(step: StepName, inputs: Inputs, ledger: Ledger, project: Project, *, forced: bool = False) -> Planned:
    """What there is to do about a step that has a run. Raises InputError where another process is at work on it."""
    known = ledger.entries(step)
    if forced:
        return Planned("run", "it was asked for with --again")
    same = [entry for entry in known if entry.inputs == inputs]
    if not same:
        return Planned("run", differences(known[0].inputs, inputs) if known else "for the first time")
    newest = same[0]
    if next(entry for entry in known if entry.run == newest.run).inputs != inputs:
        return Planned("run", "what it reads changed while it ran")
    run = ledger.root / newest.run
    if not run.is_dir():
        return Planned("run", f"its run {run} is gone")
    if not begun(run):
        return Planned("run", "it was stopped before it began", run)
    if in_use(run):
        raise InputError(f"{run} is in use by another offtarget process. Wait for it, or stop it.")
    try:
        planned = _of_run(step, run, inputs, same, project)
    except (InputError, OSError) as error:
        return Planned("run", f"its run {run} was changed or is damaged: {str(error).rstrip('.')}")
    hidden = cannot_be_seen(inputs)
    if planned.action == "up to date" and hidden is not None:
        return Planned("run", f"nobody can see from here whether {hidden} changed")
    return planned


def _of_run(step: StepName, run: Path, inputs: Inputs, same: Sequence[StepEntry], project: Project) -> Planned:
    verb = VERB_OF[step]
    manifest = read_manifest(run)
    if not isinstance(manifest, verb.manifest) or not _is_of(manifest, inputs):
        raise InputError("it is a run of something else")
    result = finished(verb, run)
    end = next((entry for entry in same if entry.ended and entry.run == run.name), None)
    if result is None:
        obstacle = verb.obstacle(run, manifest)
        if obstacle is not None:
            return Planned("run", f"it was interrupted, and {obstacle.split('. ')[0]}")
        return Planned("go on", "it was interrupted", run, further=_raised(manifest, project))
    _read_whole(step, run)
    if step == "audit" and end is None and project.has("audit.judge"):
        return Planned("go on", "the labelling of rows was interrupted", run)
    made = {} if end is None else end.made
    changed = next((name for name, sha256 in made.items() if tree_sha256(Path(name)) != sha256), None)
    if changed is not None:
        return Planned("run", f"{changed}, which it made, {'was changed' if Path(changed).exists() else 'is gone'}")
    further = _raised(manifest, project)
    if isinstance(manifest, CheckManifest) and further is not None and _can_go_further(result):
        why = f"it is undecided, and max_answers was raised from {manifest.settings.max_answers:,} to {further:,}"
        return Planned("go on", why, run, further=further)
    return Planned("up to date", "nothing that it depends on has changed", run, made)


def _is_of(manifest: Manifest, inputs: Inputs) -> bool:
    """Whether a run was started with the data or the models that are said to be behind it, as far as it tells."""
    if isinstance(manifest, AuditManifest):
        return manifest.data_sha256 is None or inputs["data"].endswith(f"{HASH}{manifest.data_sha256}")
    said = [(manifest.base_name, "base")]
    if isinstance(manifest, CheckManifest):
        said += [(manifest.tuned_name, "tuned"), (f"{manifest.probes}{HASH}{manifest.probes_fingerprint}", "questions")]
        said += [] if manifest.judge_name is None else [(manifest.judge_name, "judge")]
        if not _by_the_rules(manifest, inputs):
            return False
    if isinstance(manifest, RedTeamManifest):
        said += [(manifest.tuned_name, "tuned"), (f"{manifest.goals}{HASH}{manifest.goals_fingerprint}", "goals")]
        said += [] if manifest.judge_name is None else [(manifest.judge_name, "judge")]
        if any(inputs[name] != str(value) for name, value in asdict(manifest.settings.decision).items()):
            return False
    return all(name is not None and inputs[key].startswith(name) for name, key in said)


def _by_the_rules(manifest: CheckManifest, inputs: Inputs) -> bool:
    """Whether a check was decided by the settings that are said to be behind it, and asked all that it was to ask."""
    made = ("cued_share", "base_share", "pressed_share")  # by the check itself, from what it asks besides
    rules = {name: value for name, value in settings_of(manifest.settings).items() if name not in made}
    rules |= {"hunt": str(manifest.hunt), "prefix": manifest.prefix or ""}
    if manifest.fixed is not None and manifest.settings.benchmarks is not None:
        named = asdict(manifest.settings.benchmarks).items()
        rules |= {f"benchmark_{name}": str(value) for name, value in named}
    besides = (manifest.fixed is not None, manifest.data is not None)
    asked = (inputs["benchmarks"] != "none", inputs["conditions from data"] != "no")
    return besides == asked and all(inputs.get(name) == value for name, value in rules.items())


def _read_whole(step: StepName, run: Path) -> None:
    """InputError where records of a finished run are damaged or missing: its verdict would rest on nothing."""
    if step == "audit":
        load_audit(run)
    elif step == "tune":
        load_watched(run)
    elif step == "redteam":
        load_pressed(run)
    elif problems := load_run(run).problems:
        raise InputError(problems[0])
    if (wrong := _does_not_follow(run)) is not None:
        raise InputError(wrong)


def _does_not_follow(run: Path) -> str | None:
    """What is wrong where the verdict of a run is not that of its records, worked out again as `verify` does."""
    names = (file.relative_to(run).as_posix() for file in run.rglob("*") if file.is_file() and not file.is_symlink())
    found = worked_out(run, sorted(names))
    return next((finding.said for finding in found if finding.standing == "wrong"), None)


def _raised(manifest: Manifest, project: Project) -> int | None:
    """The bound on tuned answers, where it is above that of a check."""
    wanted = project.whole("limits.max_answers")
    if wanted is None or not isinstance(manifest, CheckManifest) or wanted <= manifest.settings.max_answers:
        return None
    return wanted


def _can_go_further(decision: Decision) -> bool:
    return decision.status is Status.UNDECIDED and decision.withheld is None


def differences(before: Inputs, now: Inputs) -> str:
    """What changed, as the end of a sentence: `data changed`, `alpha changed from 0.05 to 0.01 and 2 more`."""
    names = [name for name in dict.fromkeys((*now, *before)) if before.get(name) != now.get(name)]
    told = _change(names[0], before.get(names[0], ""), now.get(names[0], ""))
    more = names[1:]
    if len(more) > 2:
        return f"{told}, and so did {many(len(more), 'more thing')}"
    return told if not more else f"{told}, and so did {' and '.join(more)}"


def _change(name: str, before: str, now: str) -> str:
    old, new = before.partition(HASH)[0], now.partition(HASH)[0]
    if old == new:
        return f"{name} changed"
    if len(old) + len(new) > LONGEST or not (old and new):
        return f"{name} is another"
    return f"{name} changed from {old} to {new}"
