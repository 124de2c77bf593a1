"""A log of `offtarget/paired`: both models in one Inspect log that ended when the evidence decided.

A verdict made for one look at a finished table does not hold for answers that came in until they decided. So the
evidence of the log is counted again, in the order in which its questions were laid out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offtarget.data.inspect_rows import log_of_task, question_of, resolved
from offtarget.data.rawrows import shown
from offtarget.errors import InputError
from offtarget.judge.classify import Thresholds
from offtarget.numbers import chosen
from offtarget.records import Decision, DecisionSettings, Generation, Outcome, Probe, Role, Tally, Verdict
from offtarget.records.from_json import from_json
from offtarget.records.laid_out import Layout, Planned
from offtarget.stats.rates import total_tally
from offtarget.workflows.compare.judged_pair import TableOptions
from offtarget.workflows.compare.laid_out import LaidOutTest

TASK, LAYOUT, SCORER, MANAGER = "offtarget/paired", "offtarget_layout", "paired_judge", "offtarget"


@dataclass(frozen=True, slots=True)
class StoppedLog:
    """What a log holds, and what follows from it."""

    layout: Layout
    decision: Decision
    probes: tuple[Probe, ...]
    generations: tuple[Generation, ...]
    verdicts: tuple[Verdict, ...]
    models: Mapping[Role, str]
    """Name of each model, as Inspect knows it."""
    judge: str
    samples: int

    def total(self, role: Role) -> Tally:
        """Counts over all answers of a model, those besides the evidence as well."""
        counts: dict[str, int] = {}
        for verdict in self.verdicts:
            if verdict.role == role:
                counts[verdict.outcome.value] = counts.get(verdict.outcome.value, 0) + 1
        return total_tally([Tally(**counts)])

    def reasons(self, role: Role) -> dict[str, int]:
        """Why answers have no score: reason -> how many."""
        found: dict[str, int] = {}
        for verdict in self.verdicts:
            if verdict.role == role and verdict.outcome is Outcome.UNSCORED:
                why = verdict.reason or "not stated"
                found[why] = found.get(why, 0) + 1
        return found


def stopped_log(
    base: Path, tuned: Sequence[Path], settings: DecisionSettings, options: TableOptions
) -> StoppedLog | None:
    """The log that a comparison is about; None where its tables are no such logs.

    InputError where such a log is to be compared with anything but itself, or by another rule than it was run with:
    what was asked depended on its own evidence.
    """
    of_task = [path for path in dict.fromkeys((base, *tuned)) if path.is_file() and log_of_task(path, TASK) is not None]
    if not of_task:
        return None
    log = of_task[0]
    itself = f"offtarget compare --base {log} --tuned {log}"
    if [path.resolve() for path in (base, *tuned)] != [log.resolve()] * 2:
        raise InputError(
            f"{log} is a log of {TASK}, which holds both models and ended when their evidence decided; it can be "
            f"compared with itself alone: {itself}. To compare logs of models that were asked apart, run "
            "offtarget/emergent_misalignment for each."
        )
    for role, where in (("base", options.where_base), ("tuned", options.where_tuned)):
        if where and dict(where) != {"role": role}:
            raise InputError(f"Of {log} all answers count, each for the model of its role. Leave out --where-{role}.")
    found = read_stopped_log(log)
    assert found is not None
    layout, usual = found.layout, TableOptions()
    if settings != DecisionSettings() and settings != layout.settings:
        raise InputError(
            f"{log} was run until alpha, tolerance and margins of its own decided ({_rule(layout.settings)}). Leave "
            "these options out here, or run the task again with others (-T alpha=0.01)."
        )
    if options.thresholds not in (usual.thresholds, Thresholds(layout.misaligned_below, layout.coherent_above)):
        raise InputError(
            f"{log} was run by the thresholds {layout.misaligned_below:g} and {layout.coherent_above:g}, which decided "
            "what was asked. Leave --misaligned-below, --coherent-above and --no-coherence out here."
        )
    return found


def _rule(settings: DecisionSettings) -> str:
    return (
        f"alpha {chosen(settings.alpha)}, tolerance {chosen(settings.tolerance)}, margin {chosen(settings.margin)}, "
        f"average {chosen(settings.pooled_margin)}"
    )


def read_stopped_log(path: Path) -> StoppedLog | None:
    """The log, its evidence counted again; None for any other file.

    InputError for a log that is not as its layout says, EvidenceError for one without an answer that counts.
    """
    if not path.is_file() or (found := log_of_task(path, TASK)) is None:
        return None
    log, samples = found
    layout = _layout(log, path)
    test = LaidOutTest(layout)
    stopped = _early_stopping(log)
    test.leave_out([str(one.get("id")) for one in stopped.get("early_stops") or ()])
    reader = _Reader(path, test)
    read = [reader.read(number, sample) for number, sample in enumerate(samples, start=1)]
    for planned, outcomes in sorted((one for one in read if one is not None), key=lambda one: one[0].block):
        test.add(planned.id, outcomes)
    decision = test.decision(_notes(log, stopped), [_HOW])
    said = (stopped.get("metadata") or {}).get("verdict")
    if said is not None and said != decision.status.value:
        raise InputError(
            f"{path} says that its evidence came to {str(said)[:20]}, and its answers come to {decision.status.value}. "
            "It was changed after the run, or written by another version of offtarget. Run the task again."
        )
    return StoppedLog(
        layout,
        decision,
        tuple(reader.probes.values()),
        tuple(reader.generations),
        tuple(reader.verdicts),
        _models(log),
        " and ".join(sorted(reader.judges)) or "not stated",
        len(read),
    )


class _Reader:
    """Samples of a log as records."""

    def __init__(self, path: Path, test: LaidOutTest) -> None:
        self._path, self._test = path, test
        self.probes: dict[str, Probe] = {}
        self.generations: list[Generation] = []
        self.verdicts: list[Verdict] = []
        self.judges: set[str] = set()
        self._numbers: dict[tuple[Role, str], int] = {}
        self._seen: set[str] = set()

    def read(self, number: int, sample: Mapping[str, Any]) -> tuple[Planned, list[Outcome]] | None:
        """What is laid out under the name of a sample, and its outcomes; None for a sample without a score."""
        place = f"{self._path}, sample {number}"
        name = str(sample.get("id"))
        if name not in self._test.planned:
            raise InputError(
                f"{place}: {name[:60]!r} is not among the answers that the task laid out. Copy the log again."
            )
        if name in self._seen:
            raise InputError(f"{place}: {name!r} is there twice. Each drawn question is asked once; run one epoch.")
        self._seen.add(name)
        planned = self._test.planned[name]
        about = sample.get("metadata") or {}
        if about.get("probe_id") != planned.probe_id or about.get("role") != planned.role:
            raise InputError(
                f"{place}: {name!r} was to ask {planned.probe_id!r} of the {planned.role} model, and did not."
            )
        score = (sample.get("scores") or {}).get(SCORER)
        if not isinstance(score, Mapping) or not isinstance(score.get("value"), Mapping):
            return None
        about_score = score.get("metadata") or {}
        value = {**score["value"], **{key: about_score.get(key) for key in ("reason", "reply", "judge")}}
        last = {**value, "answer": score.get("answer") or ""}
        self._probe(planned, sample, about)
        return planned, [self._keep(planned, one, sample, place) for one in (*_tries(about_score), last)]

    def _probe(self, planned: Planned, sample: Mapping[str, Any], about: Mapping[str, Any]) -> None:
        layout = self._test.layout
        if planned.probe_id not in self.probes:
            self.probes[planned.probe_id] = Probe(
                id=planned.probe_id,
                question_id=layout.questions[planned.probe_id],
                arm=planned.arm,
                prompt=question_of(sample),
                domain=layout.domains[planned.probe_id],
                construct=str(about.get("construct", "misalignment")),
                source=str(about.get("source", "inspect")),
            )

    def _keep(self, planned: Planned, one: Mapping[str, Any], sample: Mapping[str, Any], place: str) -> Outcome:
        try:
            outcome = Outcome(one["outcome"])
        except (KeyError, ValueError):
            raise InputError(f"{place}: its score has no outcome that offtarget knows. Copy the log again.") from None
        key = (planned.role, planned.probe_id)
        index = self._numbers.get(key, 0)
        self._numbers[key] = index + 1
        judge = str(one.get("judge") or "not stated")
        self.judges.add(judge)
        text = resolved(str(one.get("answer") or ""), sample)
        self.generations.append(Generation(*key, index, seed=index, text=text, tokens=None, finish="stop"))
        self.verdicts.append(
            Verdict(
                *key,
                index,
                outcome,
                _number(one.get("alignment")),
                _number(one.get("coherence")),
                reason=one.get("reason"),
                judge=judge,
                reply=one.get("reply"),
            )
        )
        return outcome


def _tries(metadata: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for one in metadata.get("tries") or ():
        if isinstance(one, Mapping):
            yield one


def _number(value: object) -> float | None:
    """A score; NaN is how Inspect writes that there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return float(value)


def _layout(log: Mapping[str, Any], path: Path) -> Layout:
    value = (log["eval"].get("metadata") or {}).get(LAYOUT)
    try:
        return from_json(Layout, value)
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path} is a log of {TASK} whose layout cannot be read ({error}), so its evidence cannot be counted. Copy "
            "the log again, or run the task again."
        ) from None


def _early_stopping(log: Mapping[str, Any]) -> Mapping[str, Any]:
    results = log.get("results")
    found = results.get("early_stopping") if isinstance(results, Mapping) else None
    return found if isinstance(found, Mapping) and found.get("manager") == MANAGER else {}


def _models(log: Mapping[str, Any]) -> dict[Role, str]:
    roles = log["eval"].get("model_roles") or {}
    named: dict[Role, str] = {}
    keys: Iterable[Role] = ("base", "tuned")
    for role in keys:
        one = roles.get(role)
        named[role] = str(one.get("model") if isinstance(one, Mapping) else one or role)
    return named


_HOW = (
    "The answers came in until the evidence decided or there were as many as were wanted, so this is the verdict of "
    "the sequential test, not that of one look at a table."
)


def _notes(log: Mapping[str, Any], stopped: Mapping[str, Any]) -> list[str]:
    notes = []
    status = str(log.get("status", "success"))
    if status != "success":
        notes.append(
            f"The evaluation ended with status {shown([status])}; the evidence counts as far as it is complete."
        )
    if not stopped and status == "success":
        notes.append("The log does not say what was left out, so the evidence ends where the first answer is missing.")
    return notes
