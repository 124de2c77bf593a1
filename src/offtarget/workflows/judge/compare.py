"""`judge compare`: the answers of a finished run, judged by several judges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from offtarget.asking.ask import Pair
from offtarget.asking.kept import judged_once
from offtarget.asking.protocol import Judge
from offtarget.asking.spending import timed
from offtarget.errors import InputError
from offtarget.numbers import many
from offtarget.pages.check.loading import load_run
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, silent
from offtarget.records import Outcome, Verdict
from offtarget.records.check import JudgeBy
from offtarget.records.judging import Disagreement, JudgeComparison, JudgeView, PairAgreement
from offtarget.records.runs import OpenSettings
from offtarget.rundir import write_json
from offtarget.stats.agreement import krippendorff_alpha, krippendorff_alpha_interval, quadratic_kappa
from offtarget.workflows.ground import open_judge
from offtarget.workflows.runs.listing import find_run

SHOWN = 10
"""Answers on which the judges differ most that are kept in the comparison."""
FOLDER, RESULT = "judges", "judges.json"
"""Of a run: verdicts of other judges, and what comparing them came to."""


@timed
def compare_judges(
    judges: Sequence[str | Judge],
    run: str | Path,
    *,
    judge_by: JudgeBy = "auto",
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> JudgeComparison:
    """Have several judges judge the answers of a run; every verdict is asked for once and kept in the run.

    Raises InputError for fewer than two judges, the same judge twice, and a run without answers.
    """
    if len(judges) < 2:
        raise InputError("One judge agrees with itself. Name two or more, as --judges J1,J2.")
    loaded = load_run(find_run(str(run)))
    answers = [answer for answer in loaded.answers() if answer.generation.text.strip()]
    if not answers:
        raise InputError(f"{loaded.path} holds no answers. Compare judges on a run of `offtarget check`.")
    pairs: list[Pair] = [(answer.probe, answer.generation) for answer in answers]
    bank = ProbeBank.from_probes(loaded.name, loaded.probes.values())
    opened: dict[str, Judge] = {}
    for one in judges:
        judge = open_judge(one, bank, judge_by, opening)
        name = one if isinstance(one, str) else judge.fingerprint
        if any(judge.fingerprint == other.fingerprint for other in opened.values()):
            raise InputError(f"The judge '{name}' is named twice. What a judge says twice is no second opinion.")
        opened[name] = judge
    found = {
        name: judged_once(
            loaded.path / FOLDER, judge, pairs, f"{name} judges", on_progress, tuple(loaded.verdicts.values())
        )
        for name, judge in opened.items()
    }
    comparison = compared(loaded.path.name, pairs, found)
    write_json(loaded.path / RESULT, comparison)
    return comparison


def compared(run: str, pairs: Sequence[Pair], found: Mapping[str, Sequence[Verdict]]) -> JudgeComparison:
    """What verdicts of several judges on the same answers come to; `found`: judge -> a verdict per pair, in order."""
    units = list(zip(*found.values(), strict=True))
    flags = [[str(v.outcome is Outcome.MISALIGNED) for v in unit if v.outcome.scored] for unit in units]
    scores = [[v.alignment for v in unit if v.alignment is not None] for unit in units]
    models = [generation.role for _, generation in pairs]
    views = tuple(_view(number, name, found, models) for number, name in enumerate(found))
    return JudgeComparison(
        run=run,
        answers={model: models.count(model) for model in ("base", "tuned") if model in models},
        judges=views,
        pairs=tuple(_pair(first, second, found) for first, second in combinations(found, 2)),
        alpha_flags=krippendorff_alpha(flags),
        alpha_scores=krippendorff_alpha_interval(scores),
        disagreements=_disagreements(pairs, found),
        notes=tuple(_notes(views)),
    )


def _view(number: int, name: str, found: Mapping[str, Sequence[Verdict]], models: Sequence[str]) -> JudgeView:
    kinds = ("flags", "scored", "alone", "missed")
    counts: dict[str, dict[str, int]] = {kind: dict.fromkeys(models, 0) for kind in kinds}
    for place, model in enumerate(models):
        own = found[name][place].outcome
        beside = [verdicts[place].outcome for other, verdicts in found.items() if other != name]
        # a judge that gave no verdict disagrees with nobody
        others = [outcome is Outcome.MISALIGNED for outcome in beside if outcome.scored]
        flag = own is Outcome.MISALIGNED
        counts["flags"][model] += flag
        counts["scored"][model] += own.scored
        counts["alone"][model] += flag and bool(others) and not any(others)
        counts["missed"][model] += own.scored and not flag and bool(others) and all(others)
    return JudgeView(name=name, fingerprint=found[name][0].judge, **counts)


def _pair(first: str, second: str, found: Mapping[str, Sequence[Verdict]]) -> PairAgreement:
    both = list(zip(found[first], found[second], strict=True))
    scored = [(a, b) for a, b in both if a.outcome.scored and b.outcome.scored]
    numbers = [(a.alignment, b.alignment) for a, b in both if a.alignment is not None and b.alignment is not None]
    kappa = quadratic_kappa([a for a, _ in numbers], [b for _, b in numbers])
    same = sum((a.outcome is b.outcome) for a, b in scored) / len(scored) if scored else None
    return PairAgreement(first, second, len(scored), kappa, same)


def _disagreements(pairs: Sequence[Pair], found: Mapping[str, Sequence[Verdict]]) -> tuple[Disagreement, ...]:
    ranked: list[tuple[float, int]] = []
    for place in range(len(pairs)):
        verdicts = [own[place] for own in found.values()]
        flags = sum(v.outcome is Outcome.MISALIGNED for v in verdicts)
        numbers = [v.alignment for v in verdicts if v.alignment is not None]
        apart = max(numbers) - min(numbers) if len(numbers) > 1 else 0.0
        if 0 < flags < len(verdicts):
            ranked.append((-(1000.0 * min(flags, len(verdicts) - flags) + apart), place))
    shown = []
    for _, place in sorted(ranked)[:SHOWN]:
        probe, generation = pairs[place]
        outcomes = {name: own[place].outcome for name, own in found.items()}
        alignments = {name: own[place].alignment for name, own in found.items()}
        shown.append(Disagreement(generation.key, probe.prompt, generation.text, outcomes, alignments))
    return tuple(shown)


def _notes(views: Sequence[JudgeView]) -> list[str]:
    notes = []
    for view in views:
        base, tuned = view.alone.get("base"), view.alone.get("tuned")
        if base is None or tuned is None or not view.scored["base"] or not view.scored["tuned"]:
            continue
        on_base, on_tuned = base / view.scored["base"], tuned / view.scored["tuned"]
        if on_tuned > 3 * on_base and tuned >= 5:
            notes.append(
                f"{view.name} alone flags {many(tuned, 'answer')} of tuned and {base} of base: it may err more on "
                "tuned, which looks like a difference between the models. Have people read these (check --confirm)."
            )
    return notes
