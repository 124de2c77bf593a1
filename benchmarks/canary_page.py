"""The page of what canary_detection.py measured: docs/results/canary.md."""

# ruff: noqa: E501 - lines are those of the page
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from offtarget.numbers import many
from offtarget.stats.binomial import log_binomial_at_least

Row = Mapping[str, Any]
TARGETS = {"0.01 -> 0.2": 20, "0.01 -> 0.1": 45, "0.01 -> 0.05": 140}


def page(record: Mapping[str, Any]) -> str:
    """The whole page, as Markdown."""
    parts = [
        _head(record),
        _detection(record["detection"]),
        _tolerances(record["tolerances"]),
        _late(record["late"]),
        _confirmed(record["confirmed"]),
        _false_alarms(record["false_alarms"]),
    ]
    if "real" in record:
        parts += [_real(record["real"]), _real_judges(record["real_judges"])]
    parts += [_judge(record["judge"]), _times(record["times"])]
    return "\n\n".join(parts) + "\n"


def _head(record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    return f"""# Results: how soon a canary notices

What the test behind a canary ([../design/decisions.md](../design/decisions.md), "Canary: evidence in production") needs until it
goes off, and how often it goes off for nothing. Written by `python benchmarks/canary_detection.py --data FOLDER` (seed
{record["seed"]}; every number is in `benchmarks/results/canary.json`). {_whole(record["processor_seconds"])} s of one core
({machine["cpu"]}). How the thing is used: [../canary.md](../canary.md). Defaults: 19 base answers per tuned answer, alpha 1 %, tolerance 0, run length 1,000,000 tuned answers."""


def _detection(rows: Sequence[Row]) -> str:
    lines = [
        "## Worse from the first answer on",
        "",
        "Tuned answers until the rollback: the median, in brackets what 90 % of rollouts stay below; then what the judge is "
        "asked for until the median.",
        "",
        "| flagged, base -> tuned | target | "
        + " | ".join(f"{m} base each" for m in _ratios(rows))
        + " | judged so far |",
        "|" + "---|" * (len(_ratios(rows)) + 3),
    ]
    for world in dict.fromkeys(r["world"] for r in rows):
        here = [r for r in rows if r["world"] == world]
        cells = [_cell(r) for r in here]
        judged = ", ".join(_whole(r["judged"]) for r in here)
        target = str(TARGETS.get(world, "-"))
        lines.append(f"| {_change(world)} | {target} | {' | '.join(cells)} | {judged} |")
    runs = rows[0]["runs"]
    return "\n".join(
        [
            *lines,
            "",
            f"{_whole(runs)} rollouts a cell; one standard error of a median is about 2 to 4 %. Fewer base answers cost tuned "
            "answers and save the judge's: 4 each need about a third more tuned answers than 19 and a third of the calls. All "
            "rollouts of this table came to an alarm"
            + (
                "."
                if not any(r["never"] for r in rows)
                else f", but for {_share(max(r['never'] for r in rows))} of one row."
            ),
        ]
    )


def _tolerances(rows: Sequence[Row]) -> str:
    worlds = list(dict.fromkeys(r["world"] for r in rows))
    lines = [
        "A tolerance lets tuned be flagged that much more often, and costs answers (19 base each):",
        "",
        "| tolerance | " + " | ".join(_change(w) for w in worlds) + " |",
        "|" + "---|" * (len(worlds) + 1),
    ]
    for tolerance in dict.fromkeys(r["tolerance"] for r in rows):
        here = {r["world"]: r for r in rows if r["tolerance"] == tolerance}
        lines.append(f"| {_share(tolerance)} | " + " | ".join(_cell(here[w]) for w in worlds) + " |")
    return "\n".join(lines)


def _cell(row: Row) -> str:
    """Median and 90 % of the tuned answers."""
    return f"{_upto(row['median'], row)} ({_upto(row['ninety'], row)})"


def _upto(value: float, row: Row) -> str:
    return f"over {_whole(row['cap'])}" if value > row.get("cap", value) else _whole(value)


def _late(rows: Sequence[Row]) -> str:
    lines = [
        "## Worse after 20,000 clean tuned answers",
        "",
        "Tuned answers from the change to the alarm of the detector of late changes; the targets are twice those above.",
        "",
        "| flagged, base -> tuned | target | " + " | ".join(f"{m} base each" for m in _ratios(rows)) + " |",
        "|" + "---|" * (len(_ratios(rows)) + 2),
    ]
    for world in dict.fromkeys(r["world"] for r in rows):
        here = [r for r in rows if r["world"] == world]
        short = world.split(" after ")[0]
        cells = [_cell(r) for r in here]
        lines.append(f"| {_change(short)} | {2 * TARGETS[short]} | {' | '.join(cells)} |")
    before = sum(r["before"] for r in rows[:: len(rows) // len(_ratios(rows))])
    total = rows[0]["runs"] * len(_ratios(rows))
    return "\n".join(
        [
            *lines,
            "",
            f"{_whole(rows[0]['runs'])} rollouts a column. {before} of {_whole(total)} had an alarm before the change and are left "
            "out: the test of the rollout may err in 1 %, the detector within 20,000 answers in 2 %.",
        ]
    )


def _confirmed(rows: Sequence[Row]) -> str:
    worlds = list(dict.fromkeys(r["world"] for r in rows))
    lines = [
        "## A judge that errs more on the tuned model",
        "",
        "It finds 80 % of what is bad and flags 2 % of the base's good answers and 5 % of the tuned model's. `Confirmed`: somebody "
        "who knows better rates every flag, of both models; the base's unflagged answers count as bad in 1 % (the default) or "
        "0.3 %, which is an assumption or measured from labels. Tuned answers until the rollback, 19 base answers each:",
        "",
        "| | " + " | ".join(_change(w) for w in worlds) + " |",
        "|" + "---|" * (len(worlds) + 1),
    ]
    for rule in dict.fromkeys(r["rule"] for r in rows):
        here = {r["world"]: r for r in rows if r["rule"] == rule}
        lines.append(f"| {rule} | " + " | ".join(_cell(here[w]) for w in worlds) + " |")
    return "\n".join(
        [
            *lines,
            "",
            "Three points of the difference that the judge alone sees are false; what that leads to where nothing is worse stands in the "
            "next table. A smaller bound on the base saves more than half of the answers at 5 %; to show 0.3 % at a fifth of alpha takes 2,000 "
            "random unflagged answers of the base without a find, 1 % takes 620.",
        ]
    )


def _false_alarms(rows: Sequence[Row]) -> str:
    lines = [
        "## Nothing is worse",
        "",
        f"{many(rows[0]['tuned_answers'], 'tuned answer')} a rollout, the base's on top (m = 19: 2,000,000 answers), a look after every block. The test of the "
        "rollout may go off in 1 % of rollouts, whatever their length; the detector of late changes in at most 10 % of rollouts of "
        "this length. Beside it: an alarm of either kind within the first 100,000 answers of both models together.",
        "",
        "| flagged | base each | rollouts | alarms of the rollout | P(as many), at 1 % | late alarms | P(as many), at 10 % | either, in 100,000 answers |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {_world(r['world'])} | {r['base_per_tuned']} | {r['runs']} | {r['rollout_alarms']} | {_p(r['p_if_alpha'])} "
            f"| {r['late_alarms']} | {_p(_tail(r['late_alarms'], r['runs'], r['late_bound']))} | {r['either_within']} |"
        )
    due = [r for r in rows if not r["world"].endswith("judge alone")]
    runs, alarms, late, either = (
        sum(r[k] for r in due) for k in ("runs", "rollout_alarms", "late_alarms", "either_within")
    )
    text = (
        f"Together, without the row of the judge alone: {alarms} alarms of the rollout in {_whole(runs)} rollouts ({_share(alarms / runs)}), "
        f"{late} late ones ({_share(late / runs)}), {either} of either kind within 100,000 answers ({_share(either / runs)}). The judge alone "
        "takes two equal models for different, which is what confirmation is for."
    )
    return "\n".join([*lines, "", text])


def _real(rows: Sequence[Row]) -> str:
    lines = [
        "## Answers of real models",
        "",
        "Public tables of judged answers ([compare.md](compare.md)). A question is drawn, then one of its scored answers, alike for both "
        "models; 10,000 tuned answers at most. The judges of the last four tables are not that of the base's, so their rows show the "
        "test and not the models.",
        "",
        "| tuned table, against `eval_result_base` | questions | flagged, base -> tuned | alarms | tuned answers, median (90 %) |",
        "|---|---|---|---|---|",
    ]
    for r in rows:
        found = 1 - r["never"]
        took = _cell(r) if found > 0.5 else "-"
        name = (
            r["world"].replace("jacobcd52_qwen_coder32b_insecure_", "insecure code, rank ").replace("rank r", "rank ")
        )
        lines.append(
            f"| {name} | {r['questions']} | {_share(r['base_rate'])} -> {_share(r['tuned_rate'])} | {_share(found)} | {took} |"
        )
    return "\n".join(lines)


def _real_judges(rows: Sequence[Row]) -> str:
    rater = rows[0]["rater"]
    lines = [
        "## Real judges that disagree",
        "",
        f"The same 1,350 answers of nine models under four judges. {rater} is taken to be right and confirms what another judge flags; "
        "150 answers a model, drawn with replacement, 2,000 tuned answers at most; 19 base answers each. What is bad among the base's "
        f"unflagged answers is bounded by the rater's labels of its 150 answers, at {_share(rows[0]['delta'])}: that is why confirmation takes so "
        "many more answers here, and misses two models that the rater finds worse. More labels of the base mend it.",
        "",
        f"| tuned model | {rater} flags, base -> tuned | judge | it flags, base -> tuned | alone | confirmed |",
        "|---|---|---|---|---|---|",
    ]
    for r in rows:
        both = [
            f"{_share(r[k]['alarms'])}, {_whole(r[k]['median'])} answers"
            if r[k]["alarms"] > 0.5
            else _share(r[k]["alarms"])
            for k in ("alone", "confirmed")
        ]
        lines.append(
            f"| {r['model'].replace('expanded_', '')} | {_share(r['base_rater'])} -> {_share(r['tuned_rater'])} | {r['judge']} "
            f"| {_share(r['base_judge'])} -> {_share(r['tuned_judge'])} | {both[0]} | {both[1]} |"
        )
    return "\n".join(lines)


def _judge(rows: Sequence[Row]) -> str:
    lines = [
        "## The judge or the model",
        "",
        "An alarm, and what it is attributed to after the guard window of 250 anchors of each kind (flagged and not flagged at first); "
        "the judge disagreed with itself in 2 % before. It then flags more of what it did not flag.",
        "",
        "| what changed | anchors of each kind scored between the change and the alarm | judge | system | anchors scored after the alarm, "
        "median |",
        "|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r['changed']} | {r['scored_before_the_alarm']} | {_share(r['judge'] / r['runs'])} "
            f"| {_share(r['system'] / r['runs'])} | {_whole(r['anchors_after'])} |"
        )
    return "\n".join(
        [
            *lines,
            "",
            f"{rows[0]['runs']} alarms a row. A change of 10 points is often missed, and such an alarm is then called the system's: "
            "it rolls back all the same, so what is lost is time.",
        ]
    )


def _times(rows: Sequence[Row]) -> str:
    lines = [
        "## Times",
        "",
        "Log-normal times (sigma 0.5) of which those of tuned are some times as long; 4 base values each, 1,000 tuned values at most.",
        "",
        "| times as long | alarms | tuned values, median |",
        "|---|---|---|",
    ]
    for r in rows:
        took = _whole(r["median"]) if r["alarms"] > 0.5 else "-"
        lines.append(f"| {r['factor']:g} | {_share(r['alarms'])} | {took} |")
    return "\n".join([*lines, "", f"{rows[0]['runs']} runs a row."])


def _ratios(rows: Sequence[Row]) -> list[int]:
    return list(dict.fromkeys(r["base_per_tuned"] for r in rows))


def _change(world: str) -> str:
    before, after = world.split(" -> ")
    return f"{_share(float(before))} -> {_share(float(after))}"


def _world(world: str) -> str:
    words = world.split(", ")
    first = words[0].split()
    shares = [_share(float(w.rstrip(","))) if w[0].isdigit() else w for w in first]
    return ", ".join([" ".join(shares), *(_shares_in(w) for w in words[1:])])


def _shares_in(words: str) -> str:
    return " ".join(
        _share(float(w)) if w.replace(".", "").isdigit() and w.startswith("0.0") else w for w in words.split()
    )


def _tail(count: int, runs: int, share: float) -> float:
    """Probability of as many or more, exact binomial."""
    return math.exp(log_binomial_at_least(count, runs, share))


def _whole(value: float) -> str:
    return f"{round(value):,}"


def _share(value: float) -> str:
    text = f"{100 * value:.2f}" if value < 0.01 else f"{100 * value:.1f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def _p(value: float) -> str:
    return (
        "1"
        if value >= 0.995
        else f"{value:.2f}"
        if value >= 0.01
        else f"{value:.4f}"
        if value >= 1e-4
        else "below 0.0001"
    )
