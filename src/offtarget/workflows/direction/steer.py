"""`direction steer`: the dose response of a direction, with random directions in the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from offtarget.asking.protocol import Judge, notes_of
from offtarget.asking.spending import timed
from offtarget.errors import InputError
from offtarget.pages.direction.steer_card import ANSWERS, card
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, Progress, Whole, silent
from offtarget.records.check import JudgeBy
from offtarget.records.direction import DosePoint, DoseResponse, SteerChoices, SteerManifest, SteerSettings
from offtarget.records.runs import OpenSettings, named, objects
from offtarget.rundir import JsonLines, RunDir, read_jsonl
from offtarget.workflows.direction.dose_plan import Plan, prepare, reference_of
from offtarget.workflows.ready import ready
from offtarget.workflows.runs.begin import begin, finish, finished, interruptible, opened
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import STEER


@dataclass(frozen=True, slots=True, repr=False)
class SteerResult(Result):
    """What steering came to."""

    record: DoseResponse


@timed
def steer(
    model: str,
    direction: str | Path,
    *,
    base: str | None = None,
    settings: SteerSettings | None = None,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    opening: OpenSettings | None = None,
    run: str | Path | None = None,
    on_progress: OnProgress = silent,
) -> SteerResult:
    """Measure every strength, for the direction (a file of `find_direction`) and for its controls.

    `base` is the reference of ablation and capping; None: the model without its adapter, else the direction's base.
    Every finished point is on disk before the next one starts. InputError for settings that do not fit the model
    or the direction, before anything is sampled.
    """
    files = {"--direction": direction}
    ready(model, base, judges=(judge,), files=files, run=run, new_run=True, opening=opening)
    on_progress(Progress("reading the direction and the model"))
    choices = SteerChoices(
        model=model,
        direction=str(direction),
        base=base,
        probes=named(probes),
        judge=named(judge),
        judge_by=judge_by,
        **asdict(settings or SteerSettings()),
    )
    plan = prepare(choices, probes, judge, opening)
    given = objects(probes=probes, judge=judge)
    directory = RunDir.create("steer", model.rpartition("/")[2], path=run)
    begin(directory, SteerManifest(opening=opening, objects=given, settings=choices, plan=plan.fingerprint))
    return _measure(directory, plan, on_progress)


@timed
def resume(
    run: Path,
    *,
    judge: str | Judge | None = None,
    probes: ProbeBank | None = None,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> SteerResult:
    """Go on with a run: points that are on disk are not measured again; a finished run is read again.

    Raises InputError when models or files changed.
    """
    directory, started = opened(STEER, run)
    response = finished(STEER, run)
    if response is not None:
        return SteerResult(run, response)
    chosen = started.settings
    plan = prepare(chosen, probes or chosen.probes, judge or chosen.judge, opening or started.opening)
    if plan.fingerprint != started.plan:
        raise InputError(f"The model, the direction, the judge or the files of {run} have changed. Start a new run.")
    return _measure(directory, plan, on_progress)


def _measure(directory: RunDir, plan: Plan, on_progress: OnProgress) -> SteerResult:
    from offtarget.direction.dose import control_of, dosed
    from offtarget.pages.direction.dose import render

    s = plan.settings
    with directory, interruptible(directory):
        points = {(p.control, p.strength): p for p in read_jsonl(directory.file("points.jsonl"), DosePoint)}
        controls: tuple[int | None, ...] = (None, *range(s.controls))
        wanted = [(control, strength) for strength in _outwards(plan.strengths) for control in controls]
        # the unchanged model is the same for the direction and for its controls, and is measured once
        measured = [key for key in wanted if key[0] is None or key[1] != 0 or s.mode == "cap"]
        reference = None if plan.base is None else reference_of(plan, plan.base)
        told = Whole(on_progress, "the dose response", {key: 1.0 for key in measured if key not in points})
        with (
            closing(JsonLines(directory.file("points.jsonl"))) as lines,
            closing(JsonLines(directory.file(ANSWERS))) as kept,
        ):
            for key in wanted:
                if key in points:
                    continue
                control, strength = key
                if key not in measured:
                    point = replace(points[None, strength], control=control)
                else:
                    what = f"strength {strength:g}{'' if control is None else ', random'}"
                    label = f"point {measured.index(key) + 1} of {len(measured)} ({what})"
                    nothing = strength == 0 and s.mode != "cap"
                    vector = control_of(plan.direction, control)
                    edit = dosed(vector, s.mode, strength, plan.layers, plan.position, reference)
                    steered = plan.model.with_edit(None if nothing else edit)
                    point, answers = plan.gauges.point(steered, control, strength, told.part(key, label, "answers"))
                    if control is None:
                        kept.extend(answers)
                points[key] = point
                lines.extend([point])
                told.finished(key)
        response = _response(plan, tuple(points[key] for key in wanted))
        manifest = opened(STEER, directory.path)[1]
        finish(STEER, directory, response, page=render(response, card(response, directory.path), manifest))
    return SteerResult(directory.path, response)


def _response(plan: Plan, points: tuple[DosePoint, ...]) -> DoseResponse:
    s = plan.settings
    return DoseResponse(
        model=s.model,
        direction=s.direction,
        found_in=plan.direction.info.model,
        mode=s.mode,
        position=plan.position,
        layers=plan.layers,
        rank=plan.direction.info.rank if s.mode == "ablate" else 1,
        reference=None if plan.base is None else plan.base.name,
        strengths=plan.strengths,
        controls=tuple(range(s.controls)),
        narrow_name=plan.gauges.narrow.name if plan.gauges.narrow else "",
        skill_name=plan.gauges.skill.name if plan.gauges.skill else "",
        answers=plan.gauges.per_question * len(plan.gauges.probes),
        points=points,
        notes=(*plan.notes, *notes_of([plan.model])),
    )


def _outwards(strengths: Sequence[float]) -> list[float]:
    """The weakest first, so that an interrupted run shows the middle of the curve."""
    return sorted(strengths, key=lambda x: (abs(x), x))
