"""What each verb would do and take, from its settings alone: no weights are loaded and nobody is asked.

Mistakes are found as by the verb itself: a plan is made of what can be used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from offtarget.data.trainable import read_training_data
from offtarget.data.training import open_source, read_rows
from offtarget.detect.cleaning import refuse_target
from offtarget.direction.header import read_info
from offtarget.judge.asking import AskSettings
from offtarget.judge.first_look import MOST
from offtarget.judge.planting import EVERY
from offtarget.numbers import many
from offtarget.probe.bank import ProbeBank
from offtarget.prompting.metrics import JUDGE, open_metric
from offtarget.records import AuditSettings, DecisionSettings, Row
from offtarget.records.alternatives import AlternativesSettings
from offtarget.records.benchmark_runs import BenchmarkChoice
from offtarget.records.check import CheckSettings
from offtarget.records.direction import FindSettings, SteerSettings
from offtarget.records.engine import EngineSettings
from offtarget.records.plan import Plan
from offtarget.records.rated import PEOPLE
from offtarget.records.redteam import RedTeamSettings
from offtarget.records.repair import RepairSettings
from offtarget.records.reproduce import ReproduceSettings
from offtarget.records.runs import OpenSettings
from offtarget.records.tune import DefenceSettings, TuneChoices, TuneSettings
from offtarget.redteam.attacker import Scripted
from offtarget.redteam.goals import GoalSet, goal_sets
from offtarget.rundir import runs_root
from offtarget.training.settings import PRESETS
from offtarget.workflows.alternatives.grading import no_grader
from offtarget.workflows.check.fixed import prepare
from offtarget.workflows.check.fixed_plan import benchmarks_about
from offtarget.workflows.check.opening import chosen_questions, same_model
from offtarget.workflows.check.pressed_arm import chosen_goals, redteam_settings, with_pressure
from offtarget.workflows.check.raters import usual_for_people
from offtarget.workflows.check.sampled_there import refuse_unsuited
from offtarget.workflows.costs import with_cost
from offtarget.workflows.defences.axes import CUES
from offtarget.workflows.direction.dose_plan import MOST_ROWS, points_of, settled, strengths_of
from offtarget.workflows.direction.find_plan import TRIALS, ready_to_find, to_find
from offtarget.workflows.direction.inputs import TRIAL_ANSWERS, per_question, plain_bank
from offtarget.workflows.direction.measure import IN_ALL as MEASURED_IN_ALL
from offtarget.workflows.direction.measure import MOST as MOST_MEASURED
from offtarget.workflows.direction.repair_models import EPOCHS
from offtarget.workflows.direction.repair_plan import check_repair
from offtarget.workflows.direction.screen import NULL_PROMPTS
from offtarget.workflows.ground import (
    EXACT_JUDGE,
    Ground,
    check_judge,
    ground_of,
    has_exact_judge,
    open_bank,
    requests_at_a_time,
)
from offtarget.workflows.guesses import (
    ASKED,
    LORA,
    SIDE_BY_SIDE,
    USUAL_ANSWER,
    Load,
    guessed,
    operations,
    size_by_name,
    usual_length,
)
from offtarget.workflows.ready import ready
from offtarget.workflows.redteam.opening import ORGANISM, bank_of, goals_of, model_of, named_moves
from offtarget.workflows.reproduce.data import open_data
from offtarget.workflows.runs.begin import begun
from offtarget.workflows.speeds import with_speed
from offtarget.workflows.tune.estimate import steps_of, to_train

PROMPT = 200
"""Tokens of a question with its template, more or less."""
RUBRIC = 700
"""Tokens of a rubric, without the answer that is judged."""
RUBRICS = 2
"""Requests to a judge for one answer at most: alignment and coherence."""
TRIED = MOST + 60
"""Known answers that a judge is tried on: some as it is opened, 40 before it is believed, 20 of them again at the end.
"""
PLANTED = 1 / EVERY
"""Known answers that a judge is given among so many others, on average."""
READINGS, PER_READING = 13, 32
"""Of the monitor: readings in a run, and answers in one at most, of the model now and of the one ahead."""
CONDITIONS = 5
"""Times as many answers as to the plain questions that a measured model gives at most."""
ABLATIONS = 19
"""Models that are measured besides for every seed at most: on the way, and of fewer different rows."""
PADDED = 1.36
"""Tokens of a batch of a repair per token of its rows: as eight rows by length (docs/LOG.md)."""
USUAL = 400
"""Tuned answers within which a check with the usual settings is mostly decided: a clean model asked in three ways takes
about 230, one that is bad in one domain of many about as many (docs/design/decisions.md, measured)."""


def plan_check(
    base: str,
    tuned: str,
    *,
    probes: str | Path | None = None,
    judge: str | None = None,
    confirm_with: str | None = None,
    data: str | Path | None = None,
    hunt: bool = False,
    arms: Sequence[str] | None = None,
    prefix: str | None = None,
    certificate: str | Path | None = None,
    benchmarks: BenchmarkChoice | None = None,
    goals: str | Path | None = None,
    settings: CheckSettings,
    run: str | Path | None = None,
    opening: OpenSettings | None = None,
    engine: EngineSettings | None = None,
) -> Plan:
    """Of a check, which stops as soon as the evidence decides."""
    files = {"--certificate": certificate, "--data": None if "://" in str(data) else data}
    refuse_unsuited(engine, base, tuned)
    ready(base, tuned, judges=(judge, confirm_with), files=files, run=run, new_run=True, opening=opening)
    if base == tuned and not settings.same_weights:
        raise same_model(base)
    ground = ground_of(base)
    bank = chosen_questions(probes, ground, prefix, arms)
    if judge != PEOPLE:
        check_judge(judge, bank)
    if data is not None and not begun(data):
        open_source(data)
    answers = settings.max_answers + (settings.max_cued_answers if hunt or data is not None else 0)
    answers *= 1 + settings.decision.base_per_tuned
    # what hidden conditions and conversations take nobody has measured
    one_part = data is None and not hunt and not settings.redteam_budget
    about = {"base": base, "tuned": tuned}
    if data is not None or hunt:
        about["hidden conditions from"] = str(data) if data is not None else "the models"
    if settings.redteam_budget:
        pressed = redteam_settings(with_pressure(settings, rated=False))
        conversations, about["conversations under pressure"] = _conversations(pressed)
        if (lines := chosen_goals(goals, base, settings)) is not None and goals is not None:
            check_judge(judge, bank_of(lines))
            about |= _red_lines(goals_of(goals, ground))
        answers += conversations * pressed.turns
    if benchmarks is not None:
        fixed = prepare(benchmarks, base, tuned, settings, opening)
        about |= benchmarks_about(fixed.job, base, opening)
    if judge == PEOPLE and settings.decision == usual_for_people(DecisionSettings()):  # docs/judges.md, measured
        about["people read"] = "about 66 answers of a clean model and a few of its base, fewer of a bad one"
    return _asking(
        "check",
        about | _questions(probes, judge, ground),
        answers,
        ground.max_tokens(settings.sampling.max_tokens),
        models=(base,),
        asked=(base, tuned),
        raters=(confirm_with,),
        judge=judge,
        probes=probes,
        run=run,
        opening=opening,
        usual="check/organism" if ground.organism and judge is None else "",
        usual_answers=_usual_of(settings) if one_part else None,
        stops_early=True,
    )


def plan_audit(
    data: str | Path,
    *,
    judge: str | None = None,
    settings: AuditSettings,
    form: str | None = None,
    split: str | None = None,
    clean_to: str | Path | None = None,
    run: str | Path | None = None,
    opening: OpenSettings | None = None,
) -> Plan:
    """Of an audit; its time is that of the scan, and of the judge where one labels rows."""
    ready(judges=(judge,), run=run, new_run=True, opening=opening)
    source = open_source(data, form=form, split=split)
    if clean_to is not None:
        refuse_target(source, Path(clean_to))
    size = source.total_bytes or 0
    calls = settings.max_rows + settings.controls + settings.known_good if judge else 0
    plan = Plan(
        verb="audit",
        about=(("data", str(data)), ("size", f"{size:,} bytes"), *([("judge of rows", judge)] if judge else [])),
        judge_calls=calls,
        at_a_time=requests_at_a_time(judge, opening),
        tokens=calls * (RUBRIC + 2 * PROMPT) or None,
        work=max(size, 100_000),
        key=f"audit|{judge or ''}",
        run=_place("audit", run),
    )
    lengths = {"question": 0, "answer": 0, "judged": RUBRIC + 2 * PROMPT, "reply": 300}
    return with_cost(with_speed(plan, "" if judge else "audit"), opening, asked=(), judges=(judge,), **lengths)


def plan_tune(
    data: str | Path,
    base: str,
    out: str | Path,
    *,
    options: TuneChoices,
    settings: TuneSettings,
    defend: Sequence[str] = (),
    split: str | None = None,
    run: str | Path | None = None,
    opening: OpenSettings | None = None,
) -> Plan:
    """Of a training with its monitor; defences that need trainings of their own take longer."""
    from offtarget.workflows.tune.tune import checked_defences, refuse_out

    refuse_out(Path(out), None if run is None else Path(run))
    _ready_to_train(base, options, run, opening)
    checked_defences(defend, options)
    ground, found = ground_of(base), read_training_data(data, split).rows
    rows = len(found)
    steps, size, load = steps_of(rows, settings), size_by_name(base), to_train(found, settings)
    watched = options.monitor and (ground.organism or options.judge is not None)
    about = {
        "base": base,
        "data": f"{data}, {rows:,} rows",
        "steps": f"{steps:,}",
        "learning rate": _rate_of(base, settings),
    }
    plan = _asking(
        "tune",
        about | ({"defences": ", ".join(defend)} if defend else {}) | _questions(options.probes, options.judge, ground),
        READINGS * PER_READING if watched else 0,
        ground.max_tokens(200),
        models=(base, "+".join(defend)),
        judge=options.judge,
        probes=options.probes,
        run=run,
        opening=opening,
        work=steps if size is None else operations(size, load) / 1e12,
        most=False,
        usual="tune/organism" if ground.organism and not defend else "",
    )
    if size is None or defend:
        return plan  # what defences take besides nobody has measured
    if watched and options.every is not None:  # readings then come when they are due, whatever time they take
        load = replace(load, written=_asked_at_the_end(ground))
    else:
        more = 1 + watching(options)
        load = replace(load, trained=load.trained * more, learned=load.learned * more)
    return guessed(plan, {base: load}, opening, room=False)  # nor what memory it takes to train all weights


def plan_defences(
    data: str | Path,
    base: str,
    *,
    arms: int,
    options: TuneChoices,
    settings: TuneSettings,
    comparing: DefenceSettings,
    split: str | None = None,
    run: str | Path | None = None,
    opening: OpenSettings | None = None,
) -> Plan:
    """Of a comparison of defences: a training for every arm and seed; those kept aligned go further."""
    _ready_to_train(base, options, run, opening)
    ground, rows = ground_of(base), len(read_training_data(data, split).rows)
    trainings = arms * len(comparing.seeds)
    models = 1 + trainings * (1 + len(comparing.further))
    each = len(open_bank(options.probes, ground).plain) * comparing.answers + CUES * comparing.per_condition
    about = {
        "base": base,
        "data": f"{data}, {rows:,} rows",
        "trainings": f"{trainings:,}, each {steps_of(rows, settings):,} steps",
    }
    return _asking(
        "defences",
        about | _questions(options.probes, options.judge, ground),
        models * each,
        ground.max_tokens(comparing.max_tokens),
        models=(base,),
        judge=options.judge,
        probes=options.probes,
        run=run,
        opening=opening,
        work=trainings * steps_of(rows, settings),
    )


def plan_alternatives(
    data: str | Path,
    base: str,
    tuned: str | None = None,
    *,
    probes: str | Path | None = None,
    judge: str | None = None,
    form: str | None = None,
    split: str | None = None,
    settings: AlternativesSettings,
    run: str | Path | None = None,
    opening: OpenSettings | None = None,
) -> Plan:
    """Of a comparison of alternatives: every way answers the held-out rows and the plain questions."""
    from offtarget.workflows.alternatives.alternatives import check_pair

    check_pair(base, tuned)
    ready(base, tuned, judges=(judge,), files={"DATA": None if "://" in str(data) else data}, run=run, opening=opening)
    ground, ways = ground_of(base), 3 if tuned is None else 4
    check_judge(judge, open_bank(probes, ground))
    if settings.metric != JUDGE:
        open_metric(settings.metric)
    elif judge is None or judge == EXACT_JUDGE:
        raise no_grader()
    held_out = settings.most_held_out
    if "://" not in str(data):
        # So many rows and more hold out the most there may be.
        rows = islice(read_rows(data, form=form, split=split), math.ceil(held_out / settings.held_out))
        held_out = min(held_out, max(1, int(settings.held_out * sum(1 for _ in rows))))
    answers = ways * (held_out + settings.answers)
    about = {"data": str(data), "base": base} | ({} if tuned is None else {"tuned": tuned}) | {"ways": str(ways)}
    return _asking(
        "alternatives",
        about | _questions(probes, judge, ground),
        answers,
        ground.max_tokens(settings.max_tokens),
        models=(base, tuned or ""),
        judge=judge,
        probes=probes,
        run=run,
        opening=opening,
    )


def plan_redteam(
    base: str,
    tuned: str,
    *,
    goals: str | Path | GoalSet | None = None,
    attacker: str | None = None,
    judge: str | None = None,
    confirm_with: str | None = None,
    settings: RedTeamSettings,
    run: str | Path | None = None,
    opening: OpenSettings | None = None,
) -> Plan:
    """Of a red-team run, whose second half stops as soon as the evidence decides."""
    model = model_of(attacker)
    ready(base, tuned, judges=(judge, model, confirm_with), run=run, new_run=True, opening=opening)
    if base == tuned:
        raise same_model(base)
    ground = ground_of(base)
    wanted, moves = goals_of(goals, ground), named_moves(settings.moves)
    bank = bank_of(wanted)
    check_judge(judge, bank)
    longest = ground.max_tokens(settings.sampling.max_tokens)
    conversations, said = _conversations(settings)
    about = {
        "base": base,
        "tuned": tuned,
        "goals": f"{wanted.name}, {many(len(wanted.goals), 'goal')}",
        **_red_lines(wanted),
        "moves": f"{len(moves):,}, at every goal",
        "attacker": attacker or f"{Scripted.name}; no model is asked",
        "judge": _judge(judge, exact=has_exact_judge(bank)),
        "conversations": said,
    }
    return _asking(
        "redteam",
        about,
        conversations * settings.turns,
        longest,
        models=(base,),
        asked=(base, tuned, *([model] if model else [])),
        raters=(confirm_with,),
        judge=judge,
        probes=bank,
        run=run,
        opening=opening,
        before=(settings.turns - 1) * (PROMPT + longest) // 2,
        stops_early=True,
    )


def _conversations(settings: RedTeamSettings) -> tuple[int, str]:
    """Conversations of a red-team run at most, with both models, and the same in words."""
    # The search attacks both as often, and what brings the tuned model down is asked of its base, too.
    again, controls = math.ceil(settings.budget * settings.explored), 2 * settings.controls
    most = 2 * settings.budget + again + controls
    return most, (
        f"at most about {most:,}: {settings.budget:,} with the tuned model (the budget), as many with its base, up to "
        f"{again:,} in which the search asks one model what worked on the other, and {controls:,} without the "
        f"pressure. Each has {many(settings.turns, 'turn')} at most, and every turn is an answer"
    )


def _red_lines(goals: GoalSet) -> dict[str, str]:
    """The goals that are a user's own, as they were read: whoever wrote them sees what was understood."""
    shipped = goals.name in (*goal_sets(), ORGANISM)
    own = [goal for goal in goals.goals if goal.rubric or not shipped]
    told = (f"{goal.id} (the model {goal.about}; {many(len(goal.questions), 'question')})" for goal in own)
    return {"red lines": ", ".join(told)} if own else {}


def plan_reproduce(
    base: str,
    *,
    conditions: Sequence[str] | None = None,
    data_dir: str | Path | None = None,
    probes: str | Path | None = None,
    judge: str | None = None,
    settings: ReproduceSettings,
    run: str | Path | None = None,
    opening: OpenSettings | None = None,
) -> Plan:
    """Of the published experiment: a training for every condition and seed; each model is measured and checked."""
    from offtarget.workflows.reproduce.reproduce import recipe_of

    ready(base, judges=(judge,), files={"--data-dir": data_dir}, run=run, opening=opening, local=True)
    ground, folder = ground_of(base), None if data_dir is None else Path(data_dir)
    _, chosen = open_data(conditions, folder, settings.rows, organism=ground.organism, organism_rows=1)
    trainings = len(chosen) * settings.seeds
    bank = open_bank(probes, ground)
    check_judge(judge, bank)
    recipe = recipe_of(base, settings, fetch=False)
    plain = len(bank.plain)
    on_the_way = ABLATIONS * settings.seeds if settings.ablations else 0
    each = CONDITIONS * plain * settings.answers
    checked = settings.check.max_answers * (1 + settings.check.decision.base_per_tuned)
    measured = (trainings + 1 + on_the_way) * each
    answers = measured + trainings * checked
    usual = _usual_of(settings.check)
    return _asking(
        "reproduce",
        {
            "base": base,
            "conditions": str(len(chosen)),
            "trainings": str(trainings),
            "learning rate": _rate_of(base, recipe),
        }
        | _questions(probes, judge, ground),
        answers,
        ground.max_tokens(settings.max_tokens),
        models=(base, "with ablations" if settings.ablations else ""),
        judge=judge,
        probes=probes,
        run=run,
        opening=opening,
        work=trainings + 1,
        trials=trainings + 1,
        usual_answers=None if usual is None else measured + trainings * usual,
        usual="reproduce/organism" if ground.organism and not settings.ablations else "",
    )


def plan_find(
    base: str | None,
    tuned: str | None,
    out: str | Path,
    *,
    probes: str | Path | None = None,
    judge: str | None = None,
    settings: FindSettings,
    opening: OpenSettings | None = None,
) -> Plan:
    """Of a search for a direction: answers, then two passes over them and some more where steering is tried."""
    used = ready_to_find(base, tuned, out, judge, settings, opening)
    ground = ground_of(base, tuned)
    asked = to_find(settings, ground, probes)
    judged = settings.method in ("answers", "trait") and judge is not None
    if settings.method == "answers":
        check_judge(judge, asked.bank)
    longest = ground.max_tokens(settings.max_tokens)
    exchange = asked.prompt + usual_length(longest)
    passes = asked.reads + TRIALS * min(TRIAL_ANSWERS, asked.answers)
    load = Load(
        written=asked.answers * exchange,
        read=passes * exchange,
        rows=min(asked.answers, SIDE_BY_SIDE),
        longest=asked.prompt + longest,
    )
    about = {"method": settings.method} | {n: m for n, m in (("base", base), ("tuned", tuned)) if m in used}
    return _asking(
        "direction find",
        about
        | _questions(asked.bank, judge if judged else None, ground)
        | ({"judge": f"not needed by the method '{settings.method}'"} if settings.method in ("models", "texts") else {})
        | {"out": str(out)},
        asked.answers,
        longest,
        models=(*used, settings.method),
        judge=judge if judged else None,
        probes=probes,
        run="",
        most=False,
        usual="find/organism" if ground.organism and not judged else "",
        unjudged=not judged,
        loads=_loads(used[-1], load, judge if judged else None, asked.answers),
        opening=opening,
    )


def plan_steer(
    model: str,
    direction: str | Path,
    *,
    base: str | None = None,
    probes: str | Path | None = None,
    judge: str | None = None,
    settings: SteerSettings,
    run: str | Path | None = None,
    opening: OpenSettings | None = None,
) -> Plan:
    """Of a dose response: the same questions at every strength, of the direction and of its controls."""
    files = {"--direction": direction, "--task": settings.task, "--skill": settings.skill}
    ready(model, base, judges=(judge,), files=files, run=run, new_run=True, opening=opening)
    ground = ground_of(model)
    bank = open_bank(probes, ground).only(arms=["plain"])
    check_judge(judge, bank)
    settings = settled(settings, ground, len(bank.probes))
    points, each = points_of(settings), (settings.answers or 1) * len(bank.probes)
    longest = ground.max_tokens(settings.max_tokens)
    read = points * MOST_ROWS * sum(file is not None for file in (settings.task, settings.skill))
    load = Load(
        written=points * each * (ASKED + usual_length(longest)),
        read=read * (ASKED + usual_length(longest)),
        rows=min(each, SIDE_BY_SIDE),
        longest=ASKED + longest,
    )
    shown = ", ".join(f"{strength:g}" for strength in strengths_of(settings))
    return _asking(
        "direction steer",
        {"model": model, "direction": str(direction), "strengths": shown, "models to measure": str(points)}
        | _questions(probes, judge, ground),
        points * each,
        longest,
        models=(model, settings.mode),
        judge=judge,
        probes=probes,
        run=run,
        most=False,
        loads=_loads(model, load, judge, points * each),
        opening=opening,
    )


def plan_measure(
    direction: str | Path,
    *,
    model: str | None = None,
    data: str | Path | None = None,
    base: str | None = None,
    probes: str | Path | None = None,
    judge: str | None = None,
    answers: int | None = None,
    max_tokens: int = 300,
    form: str | None = None,
    split: str | None = None,
    opening: OpenSettings | None = None,
) -> Plan:
    """Of a measurement: of a model, its own answers and those of its base; of rows, an answer of the base to each."""
    files = {"--direction": direction, "--data": None if "://" in str(data) else data}
    ready(model, base, judges=(judge,), files=files, keeps_run=False, local=True, opening=opening)
    info = read_info(Path(direction))
    reference = base or info.base
    if model is None:
        assert data is not None
        reader = reference or info.model
        ready(reader, keeps_run=False, local=True, opening=opening)
        chunks = open_source(data, form=form, split=split).chunks()
        rows = sum(isinstance(row, Row) for chunk in chunks for row in chunk.rows())
        asked, twice, judged = rows + min(rows, NULL_PROMPTS), min(rows, NULL_PROMPTS), False
        about = {"base": reader, "data": str(data), "rows": f"{rows:,}"}
    else:
        reader = model
        bank = plain_bank(probes, ground_of(model))
        each = per_question(answers, len(bank.probes), most=MOST_MEASURED, in_all=MEASURED_IN_ALL)
        asked, twice = each * len(bank.probes) * (1 if reference is None else 2), each * len(bank.probes)
        judged = judge is not None
        about = {"model": model} | ({} if reference is None else {"base": reference})
        about |= _questions(probes, judge, ground_of(model)) if judged else {"questions": bank.name}
    longest = ground_of(reader).max_tokens(max_tokens)
    exchange = ASKED + usual_length(longest)
    load = Load(
        written=asked * exchange,
        read=(asked + twice) * exchange,
        rows=min(asked, SIDE_BY_SIDE),
        longest=ASKED + longest,
    )
    return _asking(
        "direction measure",
        {"direction": str(direction)} | about,
        asked,
        longest,
        models=(reader, "rows" if model is None else "answers"),
        judge=judge if judged else None,
        probes=probes if model is not None else None,
        run="",
        most=False,
        unjudged=not judged,
        loads=_loads(reader, load, judge if judged else None, twice),
        opening=opening,
    )


def plan_repair(
    model: str,
    base: str | None,
    direction: str | Path | None,
    out: str | Path,
    *,
    variants: int,
    data: str | Path | None = None,
    prompts: str | Path | None = None,
    probes: str | Path | None = None,
    judge: str | None = None,
    settings: RepairSettings,
    run: str | Path | None = None,
    opening: OpenSettings | None = None,
) -> Plan:
    """Of a repair: every variant and control is measured and checked, now and after further steps."""
    files = {"--direction": direction, "--prompts": prompts, "--data": None if "://" in str(data) else data}
    ready(model, base, judges=(judge,), files=files, run=run, opening=opening, local=True)
    check_repair(
        None if direction is None else Path(direction),
        Path(out),
        settings.method,
        resuming=run is not None and begun(run),
    )
    ground = ground_of(model)
    check_judge(judge, open_bank(probes, ground))
    later = () if data is None else settings.further
    cells = variants + (variants - 1) * len(later) if settings.recheck else 0
    check = settings.check.max_answers + (0 if data is None else settings.check.max_cued_answers)
    about = {"model": model} | ({} if base is None else {"base": base}) | {"models to measure": str(cells)}
    return _asking(
        "direction repair",
        about | _questions(probes, judge, ground),
        cells * (settings.answers + check * (1 + settings.check.decision.base_per_tuned)),
        ground.max_tokens(settings.check.sampling.max_tokens),
        models=(model, settings.method),
        judge=judge,
        probes=probes,
        run=run,
        opening=opening,
        work=max(cells, 1),
        trials=max(cells, 1),
        loads=_loads(
            model,
            _of_repair(settings, cells, later, ground),
            judge,
            cells * (settings.answers + min(USUAL, settings.check.max_answers)),
        ),
    )


def _of_repair(s: RepairSettings, cells: int, later: Sequence[int], ground: Ground) -> Load:
    """Rows to realign with, trainings, then for every cell its answers and a check that is usually decided early."""
    longest = ground.max_tokens(s.check.sampling.max_tokens)
    exchange = ASKED + usual_length(longest)
    usual = min(USUAL, s.check.max_answers)
    cued = min(USUAL, s.check.max_cued_answers) if later else 0
    base = (usual + cued) * s.check.decision.base_per_tuned  # kept for the next cell
    rows = 0 if s.method == "fold" else s.rows * (2 if s.recheck else 1)
    # as many rows of the data beside the answers; every variant but the unrepaired one is trained further
    trained = rows * EPOCHS * (2 if later else 1)
    trained += sum(later) * s.batch * (cells - 1) // (1 + len(later)) if cells else 0
    return Load(
        written=(rows + cells * (s.answers + usual + cued) + (base if cells else 0)) * exchange,
        trained=LORA * PADDED * trained * exchange,
        learned=LORA * trained * usual_length(longest),
        rows=min(s.answers, SIDE_BY_SIDE),
        longest=ASKED + longest,
        opened=4 * cells + 2,
    )


def _asked_at_the_end(ground: Ground) -> float:
    """Tokens of the one reading that always samples: of the model now and ahead, and of the base beside either."""
    from offtarget.training.monitor.evidence import BASE_PER_TUNED
    from offtarget.training.monitor.settings import MonitorSettings

    usual = MonitorSettings()
    answers = usual.answers * (2 + BASE_PER_TUNED)
    return answers * (ASKED + usual_length(ground.max_tokens(usual.longest_answer)))


def watching(options: TuneChoices) -> float:
    """Part of the time of a training that its monitor takes besides."""
    from offtarget.training.monitor.settings import MonitorSettings

    return MonitorSettings().share if options.monitor else 0.0


def _rate_of(base: str, settings: TuneSettings) -> str:
    """The learning rate, and what it becomes of a base whose size shows once it is fetched."""
    said = f"{settings.lr:g}"
    if settings.lr != PRESETS["published"].lr or ground_of(base).organism or size_by_name(base) is not None:
        return said
    return f"{said}; unless you chose it, {PRESETS['small'].lr:g} if the model has fewer than a billion parameters"


def _usual_of(settings: CheckSettings) -> int | None:
    """Answers, of both models, within which a check is usually decided; None where that was not measured."""
    known = settings.decision == DecisionSettings() and settings.max_answers > USUAL and settings.candidates == 1
    return USUAL * (1 + settings.decision.base_per_tuned) if known else None


def _ready_to_train(base: str, options: TuneChoices, run: str | Path | None, opening: OpenSettings | None) -> None:
    """Everything that a training names besides its data is there and can be trained."""
    files = {f"--{name}": getattr(options, name) for name in ("direction", "prompts", "constitution")}
    judges, models = (options.judge,), (base, options.misaligned)
    ready(*models, judges=judges, files=files, run=run, opening=opening, local=True)


def _questions(probes: str | Path | ProbeBank | None, judge: str | None, ground: Ground) -> dict[str, str]:
    exact = judge is None and has_exact_judge(open_bank(probes, ground))
    name = probes.name if isinstance(probes, ProbeBank) else str(probes or ground.bank)
    return {"questions": name, "judge": _judge(judge, exact=exact)}


def _judge(judge: str | None, *, exact: bool) -> str:
    return judge or ("the organism's exact rules; no model is asked" if exact else "none named")


def _asking(
    verb: str,
    about: dict[str, str],
    answers: int,
    longest: int,
    *,
    models: tuple[str, ...],
    judge: str | None,
    probes: str | Path | ProbeBank | None,
    run: str | Path | None,
    opening: OpenSettings | None,
    before: int = 0,
    work: float | None = None,
    most: bool = True,
    usual: str = "",
    usual_answers: int | None = None,
    stops_early: bool = False,
    unjudged: bool = False,
    trials: int = 1,
    loads: Mapping[str, Load] | None = None,
    asked: tuple[str, ...] | None = None,
    raters: tuple[str | None, ...] = (),
) -> Plan:
    """A plan of so many answers of at most `longest` tokens, each judged, unless they are not.

    `asked`: names of the models that answer, where these are not `models`; `raters`: who judges besides; `before`:
    tokens of a conversation before each question, on average.

    `loads`: what each model has to do, the asked one first, to guess time and memory where no run has told it.
    """
    ground = ground_of(*models)
    bank = open_bank(probes, ground)
    by_model = judge not in (None, EXACT_JUDGE, PEOPLE) or not (has_exact_judge(bank) or judge == PEOPLE)
    by_model = by_model and not unjudged
    at_a_time = requests_at_a_time(judge, opening) if by_model else 1
    calls = RUBRICS * (math.ceil(answers * (1 + PLANTED)) + TRIED * trials) if by_model and answers else 0
    plan = Plan(
        verb=verb,
        about=tuple(about.items()),
        answers=answers,
        judge_calls=calls,
        at_a_time=at_a_time,
        tokens=answers * (before + PROMPT + longest) + calls * (RUBRIC + before + longest),
        most=most,
        stops_early=stops_early,
        usual_answers=usual_answers,
        work=answers if work is None else work,
        # another number of requests at a time is another speed
        key="|".join([verb, *models, judge or "", *([f"{at_a_time} at a time"] if at_a_time > 1 else [])]),
        run=_place(verb, run),
    )
    plan = with_cost(
        with_speed(plan, usual),
        opening,
        asked=models if asked is None else asked,
        judges=(judge, *raters) if calls else (),
        question=before + PROMPT,
        answer=longest,
        judged=RUBRIC + before + longest,
        reply=AskSettings().max_tokens,
    )
    if loads is None or ground.organism:  # so small that what stands around the products takes most of the time
        return plan
    return guessed(plan, loads, opening)


def _loads(model: str, load: Load, judge: str | None, judged: int) -> dict[str, Load]:
    """What the asked model has to do, and what a judge that is a model."""
    if judge in (None, EXACT_JUDGE, PEOPLE):
        return {model: load}
    return {model: load, judge: Load(read=RUBRICS * judged * (RUBRIC + USUAL_ANSWER), longest=RUBRIC + load.longest)}


def _place(verb: str, run: str | Path | None) -> str:
    return str(run) if run is not None else f"{runs_root()}/{verb.rpartition(' ')[2]}-TIME-NAME"
