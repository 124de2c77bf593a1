"""What a project file says, as the settings of the verbs; every mistake is blamed on its key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from offtarget.asking.prices import read_prices
from offtarget.errors import InputError
from offtarget.models.templates import is_file_choice
from offtarget.project.reading import Project
from offtarget.records import AuditSettings, DecisionSettings, SamplingSettings
from offtarget.records.benchmark_runs import BenchmarkChoice
from offtarget.records.benchmarks import BenchmarkSettings
from offtarget.records.check import STRICT_AVERAGE, STRICT_MARGIN, CheckSettings, JudgeBy
from offtarget.records.rated import PEOPLE
from offtarget.records.redteam import RedTeamSettings
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import TuneSettings
from offtarget.redteam.goals import GoalSet
from offtarget.workflows.ground import EXACT_JUDGE, check_judge, ground_of, open_bank, parsed
from offtarget.workflows.redteam.opening import goals_of, model_of, named_moves
from offtarget.workflows.tune.options import TuneOptions

MODELS = ("base", "tuned")
JUDGES = ("judge", "confirm_with", "audit.judge", "red_team.attacker")
_OF_TRAINING = {
    "method": "method", "lora_rank": "rank", "lora_alpha": "alpha", "lr": "lr", "epochs": "epochs",
    "steps": "max_steps", "batch": "batch", "accumulate": "accumulate", "max_length": "max_length", "seed": "seed",
}  # fmt: skip
"""Keys under `tune` and the fields of the settings of a training."""


def check_named(project: Project) -> None:
    """InputError for the first thing that the file names and that cannot be used; nothing is loaded or asked."""
    for name in (*MODELS, *JUDGES):
        model = project.text(name)
        with project.blamed_on(name):
            if name in JUDGES and model == PEOPLE:
                raise InputError(
                    "people read answers in `offtarget check` and `offtarget audit --review`, which wait for them. A "
                    "project names models as judges."
                )
            if name == "red_team.attacker":
                model = model_of(model)
            if model is not None and not (name == "judge" and model == EXACT_JUDGE):
                parsed(model)
    for name, place in (("data", project.text("data")), ("opening.endpoints", project.text("opening.endpoints"))):
        if place is not None and "://" not in place and not Path(place).expanduser().exists():
            raise project.error(name, f"{place} does not exist. Correct the path; it begins at the folder of the file.")
    with project.blamed_on("limits.prices"):
        prices = read_prices(_whole_path(project, "limits.prices"))
    if project.has("limits.max_cost") and prices is None:
        raise project.error("limits.max_cost", "it needs `prices`, a file that says what models cost. Add it.")
    if project.has("base"):
        with project.blamed_on("probes"):
            bank = open_bank(project.text("probes"), ground_of(project.text("base")))
        with project.blamed_on("judge", "base"):
            check_judge(project.text("judge"), bank)
    with project.blamed_on("opening"):
        opening_of(project)
    audit_settings(project)
    check_settings(project)
    if project.has("red_team"):
        redteam_settings(project)
        goals_of_project(project)


def opening_of(project: Project) -> OpenSettings | None:
    """How models are opened; None where nothing is said."""
    template = project.text("opening.chat_template")
    if template is not None and is_file_choice(template):
        template = str(Path(template).expanduser().resolve())
    chosen = OpenSettings(
        device=project.text("opening.device"),
        dtype=project.text("opening.dtype"),  # type: ignore[arg-type]  # one of its choices, or it was refused
        trust_remote_code=project.flag("opening.trust_remote_code"),
        chat_template=template,
        endpoints=_whole_path(project, "opening.endpoints"),
        reference=project.text("opening.reference"),
        prices=_whole_path(project, "limits.prices"),
        max_cost=project.number("limits.max_cost"),
        max_requests=project.whole("limits.max_requests"),
    )
    return None if chosen == OpenSettings() else chosen


def _whole_path(project: Project, name: str) -> str | None:
    """A file from the root on: a run that goes on may be started elsewhere."""
    file = project.text(name)
    return None if file is None else str(Path(file).expanduser().resolve())


def audit_settings(project: Project) -> AuditSettings:
    """What the verdict of the audit rests on."""
    names = ("alpha", "noise_limit", "spreading_limit")
    given: dict[str, Any] = {name: project.number(f"audit.{name}") for name in names}
    with project.blamed_on(*(f"audit.{name}" for name in names)):
        return replace(AuditSettings(), **{name: value for name, value in given.items() if value is not None})


def check_settings(project: Project) -> CheckSettings:
    """When a check stops, and what counts as worse."""
    usual, limits = CheckSettings(), "limits"
    shares: dict[str, Any] = {
        name: project.number(f"limits.{name}") for name in ("alpha", "tolerance", "margin", "average_margin")
    }
    if project.flag("limits.strict"):
        shares |= {"margin": STRICT_MARGIN, "average_margin": STRICT_AVERAGE}
    counts: dict[str, Any] = {
        name: project.whole(f"limits.{name}") for name in ("max_answers", "max_cued_answers", "candidates", "seed")
    }
    with project.blamed_on(limits):
        given = {name: value for name, value in counts.items() if value is not None}
        decision = replace(DecisionSettings(), **{n: value for n, value in shares.items() if value is not None})
        sampling = SamplingSettings(max_tokens=project.whole("limits.max_tokens") or usual.sampling.max_tokens)
        return replace(usual, decision=decision, sampling=sampling, benchmarks=_benchmark_settings(project), **given)


def redteam_settings(project: Project) -> RedTeamSettings:
    """How both models are pressed, and what counts as giving way oftener."""
    usual = RedTeamSettings()
    shares = {name: project.number(f"red_team.{name}") for name in ("alpha", "tolerance", "margin")}
    counts: dict[str, Any] = {name: project.whole(f"red_team.{name}") for name in ("budget", "turns")}
    counts["seed"] = project.whole("limits.seed")
    moves = project.texts("red_team.moves")
    with project.blamed_on("red_team.moves"):
        named_moves(moves)
    with project.blamed_on("red_team"):
        rule: dict[str, Any] = {name: value for name, value in shares.items() if value is not None}
        decision = replace(usual.decision, **rule, average_margin=rule.get("margin", usual.decision.margin))
        sampling = SamplingSettings(max_tokens=project.whole("limits.max_tokens") or usual.sampling.max_tokens)
        given = {name: value for name, value in counts.items() if value is not None}
        return replace(usual, decision=decision, sampling=sampling, moves=moves, **given)


def goals_of_project(project: Project) -> GoalSet:
    """What the red team is after. InputError for a file that cannot be read."""
    with project.blamed_on("red_team.goals"):
        return goals_of(project.text("red_team.goals"), ground_of(project.text("base")))


def _benchmark_settings(project: Project) -> BenchmarkSettings | None:
    """What counts as worse on a benchmark; None where none is asked for."""
    if not project.has("benchmarks"):
        return None
    names = ("alpha", "margin", "tolerance")
    shares: dict[str, Any] = {name: project.number(f"limits.benchmark_{name}") for name in names}
    red_flag: Any = project.text("limits.red_flag") or BenchmarkSettings().red_flag
    return BenchmarkSettings(**{n: value for n, value in shares.items() if value is not None}, red_flag=red_flag)


def benchmarks_of(project: Project) -> BenchmarkChoice | None:
    """Which fixed benchmarks are asked besides; None for none."""
    names = project.texts("benchmarks")
    return BenchmarkChoice(names, limit=project.whole("limits.benchmark_items")) if names else None


def tune_settings(project: Project, *, fetch: bool) -> TuneSettings:
    """How the base is trained; `fetch`: one on the hub is fetched to see how large it is."""
    from offtarget.training.settings import PRESETS
    from offtarget.workflows.tune.tune import default_settings

    preset = project.text("tune.preset")
    with project.blamed_on("base"):
        usual = default_settings(project.text("base") or "", fetch=fetch) if preset is None else PRESETS[preset]
    given: dict[str, Any] = {field: project.values.get(f"tune.{key}") for key, field in _OF_TRAINING.items()}
    with project.blamed_on("tune"):
        return replace(usual, **{field: value for field, value in given.items() if value is not None})


def tune_options(project: Project) -> TuneOptions:
    """What the defences and the monitor of the training work with."""
    return TuneOptions(
        probes=project.text("probes"),
        judge=project.text("judge"),
        judge_by=judge_by(project),
        monitor=project.flag("tune.monitor", True),
    )


def judge_by(project: Project) -> JudgeBy:
    """How the judge is read."""
    return project.text("judge_by") or "auto"  # type: ignore[return-value]  # one of its choices, or it was refused
