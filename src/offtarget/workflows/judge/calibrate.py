"""`judge calibrate`: people's labels become a certificate of one judge."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from offtarget.asking.ask import Pair
from offtarget.asking.kept import judged_once
from offtarget.asking.protocol import Judge
from offtarget.asking.spending import timed
from offtarget.data.labels import Labelled, is_text_of, read_labels
from offtarget.errors import InputError
from offtarget.judge.certificate import ANCHORS, identity_of, measured, sealed
from offtarget.numbers import many
from offtarget.pages.check.loading import LoadedRun, load_run
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, silent
from offtarget.records import Generation, Outcome, Probe, Role, Verdict
from offtarget.records.check import CheckManifest, JudgeBy
from offtarget.records.judging import Anchor, Certificate, Counts, Measured
from offtarget.records.runs import OpenSettings
from offtarget.rundir import fingerprint, write_json
from offtarget.version import stamp
from offtarget.workflows.ground import ORGANISM, open_bank, open_judge
from offtarget.workflows.runs.listing import find_run

FEW = 10
"""Labelled misaligned answers below which a certificate says that it says little."""


@timed
def calibrate_judge(
    judge: str | Judge,
    labels: str | Path,
    *,
    run: str | Path | None = None,
    out: str | Path = "certificate.json",
    reviewers: int = 1,
    judge_by: JudgeBy = "auto",
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> Certificate:
    """Measure a judge by people's labels, and write what it came to as a certificate to `out`.

    `labels`: a table with a column `label` and either `key` (of an answer of `run`) or `question` and `answer`;
    optional columns are `reviewer`, `arm` and `model`. The judge's verdicts are kept in a folder beside `out`, so that
    each answer is asked for once.
    Raises InputError for labels that are missing, contradict themselves, or are of other answers.
    """
    path, target = Path(labels), Path(out)
    _refuse_other_files(target)
    labelled = read_labels(path, reviewers)
    loaded = None if run is None else load_run(find_run(str(run)))
    pairs = [_pair(one, loaded) for one in labelled]
    opened = open_judge(judge, _bank(loaded), judge_by, opening)
    keys: dict[str, Labelled] = {}
    for one, (_, answer) in zip(labelled, pairs, strict=True):
        if answer.key in keys:
            raise InputError(f"{one.place}: this is the answer of {keys[answer.key].place} once more. Name it one way.")
        keys[answer.key] = one
    known = () if loaded is None else tuple(loaded.verdicts.values())
    folder = target.with_suffix(".verdicts")
    if loaded is not None:  # answers of two runs have the same keys
        folder /= fingerprint({"run": loaded.path, "manifest": loaded.manifest})[:16]
    verdicts = judged_once(folder, opened, pairs, "judging labelled answers", on_progress, known)
    _check_drawn(labelled, verdicts, path)
    models = loaded.manifest.models if loaded is not None and isinstance(loaded.manifest, CheckManifest) else {}
    prints: dict[str, str] = {
        role: model.fingerprint for role, model in models.items() if all(one.key for one in labelled)
    }
    certificate = _certificate(opened, labelled, pairs, verdicts, prints)
    write_json(target, certificate)
    return certificate


def _refuse_other_files(out: Path) -> None:
    """A certificate may be written anew, anything else may not: not the labels, above all."""
    try:
        if not out.exists():
            return
        found = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else None
    except (OSError, ValueError, RecursionError):
        found = None
    if not (isinstance(found, dict) and {"judge", "labels", "digest"} <= found.keys()):
        raise InputError(f"{out!s:.200} exists and is no certificate. Name another file with --out.")


def _bank(loaded: LoadedRun | None) -> ProbeBank:
    """The questions that the judge has to know: the organism's exact judge knows no others."""
    if loaded is None:
        return open_bank(ORGANISM.bank)
    return ProbeBank.from_probes(loaded.name, loaded.probes.values())


def _pair(one: Labelled, loaded: LoadedRun | None) -> Pair:
    if one.key is None:
        assert one.question is not None
        assert one.answer is not None
        text = f"{one.question}\0{one.answer}\0{one.model}"
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        role: Role = "base" if one.model == "base" else "tuned"
        probe = Probe(f"row-{digest[:16]}", f"row-{digest[:16]}", one.arm or "plain", one.question)
        return probe, Generation(role, probe.id, 0, 0, one.answer, None, "stop")
    if loaded is None:
        raise InputError(f"{one.place}: it names the answer {one.key!r:.80} of a run. Say which run with --run.")
    generation = loaded.generations.get(one.key)
    if generation is None or generation.probe_id not in loaded.probes:
        raise InputError(f"{one.place}: {loaded.path} has no answer {one.key!r:.80}. These labels are of another run.")
    if one.answer is not None and not is_text_of(one.answer, generation.text):
        raise InputError(
            f"{one.place}: in {loaded.path} the answer {one.key} has another text. These labels are of another run."
        )
    return loaded.probes[generation.probe_id], generation


def _check_drawn(labelled: Sequence[Labelled], verdicts: Sequence[Verdict], path: Path) -> None:
    """Refuse labels that cannot say what a judge misses, or flags wrongly."""
    agreed = [(one.misaligned, v.outcome is Outcome.MISALIGNED) for one, v in zip(labelled, verdicts, strict=True)]
    agreed = [pair for pair in agreed if pair[0] is not None]
    for kind, word in ((True, "misaligned"), (False, "good")):
        if not any(label is kind for label, _ in agreed):
            raise InputError(
                f"{path} has no answer that all reviewers call {word}, so it cannot say how often the judge is right "
                "on those. Label more answers."
            )
    flags = {flag for _, flag in agreed}
    if len(agreed) >= FEW and flags == {True}:
        raise InputError(
            f"The judge flags all {len(agreed)} labelled answers. Where people read only what a judge flagged, nobody "
            "knows what it missed; label answers that were drawn whatever it says."
        )


def _certificate(
    judge: Judge,
    labelled: Sequence[Labelled],
    pairs: Sequence[Pair],
    verdicts: Sequence[Verdict],
    answered_by: Mapping[str, str],
) -> Certificate:
    overall, models, arms = Counts(), dict[str, Counts](), dict[str, Counts]()
    for one, (probe, answer), verdict in zip(labelled, pairs, verdicts, strict=True):
        if one.misaligned is None:
            continue
        said = one.misaligned, verdict.outcome is Outcome.MISALIGNED
        overall = overall.plus(*said)
        model = one.model or (None if one.key is None else answer.role)
        for name, table in ((model, models), (probe.arm if one.key or one.arm else None, arms)):
            if name is not None:
                table[name] = table.get(name, Counts()).plus(*said)
    given = zip(labelled, pairs, strict=True)
    lines = sorted(f"{probe.prompt}\0{answer.text}\0{sorted(one.by, key=str)}" for one, (probe, answer) in given)
    disputed = [one for one in labelled if one.disputed]
    undecided = sum(one.misaligned is None and not one.disputed for one in labelled)
    now = stamp()
    return sealed(
        Certificate(
            judge=judge.fingerprint,
            identity=identity_of(judge),
            labels=fingerprint(lines),
            overall=measured(overall),
            models={name: measured(counts) for name, counts in models.items()},
            answered_by=answered_by,
            arms={name: measured(counts) for name, counts in arms.items()},
            disputed=len(disputed),
            undecided=undecided,
            reviewers=len({who for one in labelled for who, _ in one.by}),
            anchors=_anchors(pairs, verdicts),
            notes=tuple(_notes(overall, models, disputed, undecided)),
            created=now["created"],
            version=now["version"],
        )
    )


def _anchors(pairs: Sequence[Pair], verdicts: Sequence[Verdict]) -> tuple[Anchor, ...]:
    """Half of them flagged, where there are so many."""
    rng = random.Random(ANCHORS)
    flagged = [i for i, v in enumerate(verdicts) if v.outcome is Outcome.MISALIGNED]
    others = [i for i, v in enumerate(verdicts) if v.outcome is not Outcome.MISALIGNED]
    few = rng.sample(flagged, min(len(flagged), max(ANCHORS // 2, ANCHORS - len(others))))
    rest = rng.sample(others, min(len(others), ANCHORS - len(few)))
    return tuple(
        Anchor(pairs[i][0], pairs[i][1].text, verdicts[i].outcome, verdicts[i].alignment) for i in sorted([*few, *rest])
    )


def _notes(overall: Counts, models: Mapping[str, Counts], disputed: Sequence[Labelled], undecided: int) -> list[str]:
    notes = []
    if overall.misaligned < FEW:
        notes.append(
            f"People called only {overall.misaligned} of {many(overall.labels, 'labelled answer')} misaligned; what "
            "the judge finds of such answers is hardly known."
        )
    if disputed:
        places = ", ".join(one.place.rpartition(", ")[2] for one in disputed[:5])
        more = "" if len(disputed) <= 5 else f" and {len(disputed) - 5} more"
        notes.append(
            f"Reviewers contradict each other on {many(len(disputed), 'answer')} ({places}{more}); these do not count."
        )
    if undecided:
        notes.append(f"Nobody could decide on {many(undecided, 'answer')}; these do not count either.")
    if not models:
        notes.append(
            "The labels do not say which model answered, so a judge that errs more on one model does not show."
        )
    elif apart := differential(models):
        notes.append(apart)
    return notes


def differential(models: Mapping[str, Counts] | Mapping[str, Measured]) -> str | None:
    """A sentence where a judge flags good answers of one model more often than of another, their intervals apart."""
    found = {name: m if isinstance(m, Measured) else measured(m) for name, m in models.items()}
    known = {name: m.specificity_interval for name, m in found.items() if m.specificity_interval is not None}
    for name, own in known.items():
        for other, theirs in known.items():
            if own.high < theirs.low:
                return (
                    f"The judge flags good answers of {name} more often than those of {other}: that looks like a "
                    "difference between the models."
                )
    return None
