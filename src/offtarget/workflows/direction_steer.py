"""`direction steer`: the dose response of a direction, with random directions in the same picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from offtarget.errors import InputError
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records.direction import DosePoint, DoseResponse, SteerSettings
from offtarget.records.from_json import from_json
from offtarget.records.runs import OpenSettings
from offtarget.rundir import JsonLines, RunDir, read_json, read_jsonl, write_json
from offtarget.version import stamp
from offtarget.workflows.dose_plan import Plan, prepare, reference_of

STAGE = "strengths measured"


def steer(
    settings: SteerSettings,
    *,
    opening: OpenSettings | None = None,
    out: Path | None = None,
    on_progress: OnProgress = silent,
) -> tuple[DoseResponse, Path]:
    """Measure every strength, for the direction and for its controls; the result and its run directory.

    Every finished point is on disk before the next one starts. InputError for settings that do not fit the model
    or the direction, before anything is sampled.
    """
    plan = prepare(settings, opening)
    run = RunDir.create("steer", settings.model.rpartition("/")[2], path=out)
    write_json(run.file("run.json"), {"verb": "steer", **stamp(), "settings": settings, "plan": plan.fingerprint})
    return _measure(run, plan, on_progress)


def resume(
    path: Path, *, opening: OpenSettings | None = None, on_progress: OnProgress = silent
) -> tuple[DoseResponse, Path]:
    """Go on with a run: points that are on disk are not measured again. InputError when models or files changed."""
    run = RunDir.open(path)
    manifest = read_json(run.file("run.json"))
    if not isinstance(manifest, dict) or manifest.get("verb") != "steer":
        raise InputError(f"{path} is not a run of `direction steer`.")
    try:
        settings = from_json(SteerSettings, manifest["settings"])
        before = manifest["plan"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}/run.json does not describe a dose response of this version ({error!r}).") from None
    plan = prepare(settings, opening)
    if plan.fingerprint != before:
        raise InputError(f"The model, the direction, the judge or the files of {path} have changed. Start a new run.")
    return _measure(run, plan, on_progress)


def _measure(run: RunDir, plan: Plan, on_progress: OnProgress) -> tuple[DoseResponse, Path]:
    from offtarget.direction.dose import control_of, dosed
    from offtarget.gate.direction.dose import render

    s = plan.settings
    with run:
        points = {(p.control, p.strength): p for p in read_jsonl(run.file("points.jsonl"), DosePoint)}
        controls: tuple[int | None, ...] = (None, *range(s.controls))
        wanted = [(control, strength) for strength in _outwards(plan.strengths) for control in controls]
        reference = None if plan.base is None else reference_of(plan, plan.base)
        lines = JsonLines(run.file("points.jsonl"))
        try:
            for done, key in enumerate(wanted):
                on_progress(Progress(STAGE, done, len(wanted)))
                if key in points:
                    continue
                control, strength = key
                nothing = strength == 0 and s.mode != "cap"
                if nothing and control is not None:
                    point = replace(points[None, strength], control=control)
                else:
                    vector = control_of(plan.direction, control)
                    edit = dosed(vector, s.mode, strength, plan.layers, plan.position, reference)
                    point = plan.gauges.point(plan.model.with_edit(None if nothing else edit), control, strength)
                points[key] = point
                lines.extend([point])
        finally:
            lines.close()
        on_progress(Progress(STAGE, len(wanted), len(wanted)))
        result = _response(plan, tuple(points[key] for key in wanted))
        write_json(run.file("dose.json"), result)
        run.file("dose.html").write_text(render(result), encoding="utf-8")
    return result, run.path


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
        answers=s.answers * len(plan.gauges.probes),
        points=points,
        notes=plan.notes,
    )


def _outwards(strengths: Sequence[float]) -> list[float]:
    """The weakest first, so that an interrupted run shows the middle of the curve."""
    return sorted(strengths, key=lambda x: (abs(x), x))
