"""Several candidates against one base: which of their verdicts stand when all of them are looked at together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from offtarget.errors import InputError
from offtarget.records import Decision, Status
from offtarget.records.candidates import Candidate, Together
from offtarget.records.check import CheckManifest
from offtarget.rundir import RunDir, read_manifest, read_object
from offtarget.stats.several import e_benjamini_hochberg
from offtarget.workflows.check.standing import latest, register
from offtarget.workflows.runs.begin import finished
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.verbs import CHECK

ALPHA = 0.05


def together(run: str | Path = "last", of: int | None = None, alpha: float = ALPHA) -> Together:
    """Decide on all candidates that share base, questions and judge with a check, from the checks beside its folder.

    False discovery rate <= alpha among the FAILs, and among the PASSes, by e-BH on the e-values at which each check
    stopped (arXiv 2009.02824, 2501.19360), whatever they have in common: they share the base's answers. Of each model
    its first check counts. `of`: how many candidates there are; by default as many as this machine has checked, or as
    any of the checks was told. Raises InputError for a run that is no finished check, and for `of` below their number.
    """
    path = find_run(run, verb=CHECK)
    key = _key(path)
    if key is None or finished(CHECK, path) is None:
        raise InputError(f"{path} is not a finished check, so nothing is to be decided with others.")
    members = [p for p in sorted(path.resolve().parent.iterdir()) if p.is_dir() and _key(p) == key]
    first: dict[str, tuple[str, Path, CheckManifest, Decision]] = {}
    notes: list[str] = []
    for folder in members:
        manifest, decision = read_manifest(folder), finished(CHECK, folder)
        assert isinstance(manifest, CheckManifest)
        if decision is None:
            notes.append(f"{folder.name} is unfinished and counts as no evidence.")
        elif not manifest.settings.register or decision.earlier:
            which = f"check {len(decision.earlier) + 1} of its model" if decision.earlier else "not in the register"
            notes.append(f"{folder.name} is {which}; the first check of each model counts.")
        else:
            tuned, found = manifest.models["tuned"], (manifest.created, folder, manifest, decision)
            first[tuned.fingerprint] = min(found, first.get(tuned.fingerprint, found), key=lambda each: each[0])
    there_are = max(len(first), _registered(key), *(m.settings.candidates for _, _, m, _ in first.values()), 0)
    if of is not None and of < len(first):
        raise InputError(f"--of {of} is less than the {len(first)} candidates that were checked here.")
    count = of or there_are
    decided = decided_together([(folder, m, decision) for _, folder, m, decision in first.values()], alpha, count)
    manifest = read_manifest(path)
    return Together(str(manifest.base_name), alpha, count, decided, tuple(notes))


def decided_together(
    checks: Sequence[tuple[Path, CheckManifest, Decision]], alpha: float, of: int
) -> tuple[Candidate, ...]:
    """Which FAILs and PASSes of these finished checks stand among so many candidates; most evidence of harm first.

    e-BH at `alpha` for either. The k-th check of the same model has its e-values divided by k(k+1), so that all batches
    of reruns together count as 1.5 e-values at most (docs/design/many-candidates.md).
    """
    rows = [(*log_e_values(folder, decision), folder, m, decision) for folder, m, decision in checks]
    failed = e_benjamini_hochberg([row[0] for row in rows], alpha, of)
    passed = e_benjamini_hochberg([row[1] for row in rows], alpha, of)
    decided = [
        Candidate(
            tuned=m.tuned_name,
            run=str(folder),
            alone=decision.status,
            together=Status.FAIL if bad else Status.PASS if good else Status.UNDECIDED,
            log_e_fail=_if_any(log_e_fail),
            log_e_pass=_if_any(log_e_pass),
            created=m.created,
            difference=decision.overall.difference,
            worse_by=decision.overall.interval,
            tolerance=decision.settings.tolerance,
            margin=decision.settings.margin,
            reason=decision.reason,
            tuned_answers=decision.overall.tuned.total,
            earlier=len(decision.earlier),
        )
        for (log_e_fail, log_e_pass, folder, m, decision), bad, good in zip(rows, failed, passed, strict=True)
    ]
    return tuple(sorted(decided, key=lambda c: -math.inf if c.log_e_fail is None else c.log_e_fail, reverse=True))


def _if_any(log_e: float) -> float | None:
    return None if log_e == -math.inf else log_e


def _key(path: Path) -> tuple[str, str, str] | None:
    """Base, questions and judge of a check; None for any other folder."""
    try:
        manifest = read_manifest(path)
    except InputError:
        return None
    if not isinstance(manifest, CheckManifest):
        return None
    judge = manifest.judge if manifest.rater is None else f"{manifest.judge}+{manifest.rater}"
    return manifest.models["base"].fingerprint, manifest.probes_fingerprint, judge


def _registered(key: tuple[str, str, str]) -> int:
    """Models that this machine checked against the same base with the same questions and judge."""
    return len({e.tuned for e in latest(register().entries()) if (e.base, e.probes, e.judge) == key})


def log_e_values(folder: Path, decision: Decision) -> tuple[float, float]:
    """(against not worse, against worse): e-values at the stop of a check; none where the numbers are in doubt.

    FAIL: what the plain arms showed, and 1/alpha for a condition that was named and for a failure under pressure, each
    by its share of alpha, so that the sum is an e-value and at least 1/alpha wherever the check failed. PASS: 1/alpha
    where it passed, which happens with probability alpha at most where the model is worse. Both are divided by what
    earlier checks of the same cost.
    """
    none = -math.inf
    if decision.withheld is not None:
        return none, none
    rule, plain = decision.settings, decision.overall.log_e_fail
    share = rule.fail_alpha / rule.alpha
    parts = [] if plain is None else [plain + math.log(share)]
    hidden = read_object(RunDir(folder).file(CHECK.done)).get("hidden")
    if hidden is not None and hidden.get("status") == Status.FAIL.value and rule.cued_share:
        parts.append(-math.log(rule.alpha))
    if decision.pressed is not None and decision.pressed.status is Status.FAIL and rule.pressed_share:
        parts.append(-math.log(rule.alpha))
    top = max(parts, default=none)
    log_e_fail = top if top == none else top + math.log(sum(math.exp(part - top) for part in parts))
    number = len(decision.earlier) + 1
    paid = math.log(number * (number + 1)) if number > 1 else 0.0
    return log_e_fail - paid, -math.log(rule.alpha) - paid if decision.status is Status.PASS else none
