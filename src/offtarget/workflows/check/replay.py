"""The verdict of a check worked out again from its records alone: no model and no judge is opened.

The same loop draws the same questions by the run's seed, takes the recorded answers and verdicts, and feeds the same
test. An answer that the loop needs and the records lack ends it with an error: nothing is made up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from offtarget.asking.book import AnswerBook
from offtarget.asking.protocol import Judge
from offtarget.asking.seeds import answer_seed
from offtarget.errors import InputError
from offtarget.models.chat import Answer, ModelPair, OnAnswer, SampleRequest
from offtarget.probe.bank import ProbeBank
from offtarget.progress import silent
from offtarget.records import Decision, Generation, HiddenDecision, Probe, Role, SamplingSettings, Status, Verdict
from offtarget.records.benchmarks import BenchmarkFamily, BenchmarkSettings
from offtarget.records.check import CheckManifest, CheckSettings, CountedAnswers
from offtarget.records.rated import PEOPLE
from offtarget.records.redteam import RedTeamRecord
from offtarget.records.runs import NamedModel
from offtarget.rundir import RunDir, iterate_jsonl, read_jsonl, read_record, to_jsonable
from offtarget.stats.endings import unended
from offtarget.stats.paired_items import decide_benchmarks
from offtarget.stats.several import spent_alpha
from offtarget.workflows.check.cued_arm import CuedArm, merged
from offtarget.workflows.check.fixed import FOLDER, JOB, Fixed
from offtarget.workflows.check.flagged import with_benchmarks
from offtarget.workflows.check.loop import CheckLoop, without_answers
from offtarget.workflows.check.opening import Opened
from offtarget.workflows.check.pressed_arm import joined
from offtarget.workflows.check.raters import Rater
from offtarget.workflows.check.ratings import LEFT_OUT, Ratings
from offtarget.workflows.check.sanity import KNOWN, Sanity, hidden_without_verdict, tried, without_verdict
from offtarget.workflows.check.standing import FILE, Standing
from offtarget.workflows.runs.begin import opened as opened_run
from offtarget.workflows.runs.verbs import CHECK

_JUDGE, _IS_RIGHT = "the judge ", " is right"
"""Around a judge's name in what a decision is given."""


class NotRecorded(InputError):
    """The records lack something that the verdict rests on."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the records of a check come to."""

    decision: Decision
    hidden: HiddenDecision | None
    benchmarks: BenchmarkFamily | None = None
    counted: CountedAnswers | None = None
    """Which answers the verdict rests on; None where nothing was sampled."""


@dataclass(frozen=True, slots=True)
class NoModel:
    """Stands for a model whose answers are recorded."""

    name: str
    fingerprint: str

    def sample(
        self, requests: Sequence[SampleRequest], settings: SamplingSettings, on_answer: OnAnswer | None = None
    ) -> list[Answer]:
        """Never answers."""
        asked = requests[0].messages[-1].content if requests else ""
        raise NotRecorded(f"The verdict rests on an answer of {self.name} that is not recorded, to “{asked[:80]}”.")


@dataclass(frozen=True, slots=True)
class NoJudge:
    """Stands for whoever judged; what was said is recorded."""

    name: str
    fingerprint: str

    def judge(self, pairs: Sequence[tuple[Probe, Generation]]) -> list[Verdict]:
        """Never judges."""
        key = pairs[0][1].key if pairs else "an answer"
        raise NotRecorded(f"The verdict rests on what {self.name or 'the judge'} said of {key}, which is not recorded.")


class _RecordedRatings(Ratings):
    """Ratings that are on disk. Nobody is asked: what is looked at further than the run went is left unrated."""

    def rate(self, verdicts: Iterable[Verdict]) -> None:
        """Nothing; whatever counts is held to be recorded where it is counted."""

    def kind(self, verdict: Verdict) -> int:
        """What an answer counts as. Raises NotRecorded where it had to be rated and was not."""
        if self.looks_at(verdict):
            self._expect([verdict])
        return super().kind(verdict)

    def settle_base(self, used: Iterable[Verdict], sample: Sequence[Verdict]) -> bool:
        """As in the run; NotRecorded where a base answer that a FAIL rests on was not rated."""
        used = list(used)
        before = self._settings.base_labels and self._sample is None
        self._expect([v for v in used if v.role == "base"] if self._settings.whole_base else sample if before else ())
        return super().settle_base(used, sample)

    def read_left_out(self, role: Role, verdicts: Sequence[Verdict]) -> None:
        """As in the run; NotRecorded where an answer without a score had to be read and was not."""
        super().read_left_out(role, verdicts)
        self._expect(self._left_out[:LEFT_OUT])

    def _expect(self, verdicts: Iterable[Verdict]) -> None:
        for verdict in verdicts:
            if verdict.key not in self._verdicts:
                raise NotRecorded(f"The verdict rests on what {self._name} said of {verdict.key}: it is not recorded.")


def replay(
    folder: Path,
    recorded: Mapping[str, Any],
    benchmarks: BenchmarkFamily | None = None,
    pressed: RedTeamRecord | None = None,
) -> Replayed:
    """Decide again from a copy of a check's records; `recorded` is the decision as the run holds it, as JSON.

    Of `recorded` only names are used: the judge's and that of who rated; of `benchmarks`, what the run says of fixed
    ones, only which were not run; `pressed` is what conversations under pressure come to again. The folder is written
    to, so it must be a copy. Raises InputError where records are missing or do not fit together.
    """
    directory, manifest = opened_run(CHECK, folder)
    opened = _opened(directory, manifest, recorded)
    rater = _rater(manifest, recorded)
    counts = tried(opened, manifest.settings, rater)
    known = counts if counts is not None and directory.file(KNOWN).exists() else None
    who = "the judge" if counts is opened.judge else "the stronger judge"
    sanity = Sanity(directory, known, opened.bank, manifest.settings.seed, silent, who)
    doubt = sanity.before()
    if doubt is not None:
        return Replayed(without_verdict(without_answers(opened, manifest.settings), doubt), None)
    settings = _spent(directory, manifest.settings)
    cued = CuedArm(directory, opened, settings, manifest.hunt, silent)
    cued.expect(manifest.cues)
    with ExitStack() as files:
        probes = [*opened.bank.probes, *cued.probes()]
        how = (opened.judge, settings.sampling, settings.seed)
        book = files.enter_context(closing(AnswerBook(directory, probes, opened.models.by_role, *how)))
        ratings = None
        if rater is not None and settings.rating is not None:
            alpha = settings.decision.alpha * settings.decision.base_share
            of = (settings.rating, rater.judge, rater.name, book, alpha, settings.seed, None, silent)
            ratings = files.enter_context(closing(_RecordedRatings(directory, *of)))
        loop = CheckLoop(book, opened, settings, silent, ratings)
        loop.run()
        plain = loop.decision(None)
        hidden = cued.ask(book, plain)
    decision, doubt = _with_pressure(merged(plain, hidden), settings, pressed), sanity.after()
    if doubt is None and decision.status is Status.PASS:
        doubt = unended(loop.endings(), settings.sampling.max_tokens)
    if doubt is not None:
        decision, hidden = without_verdict(decision, doubt), hidden_without_verdict(hidden, doubt)
    decision = replace(decision, candidates=settings.candidates)
    if manifest.fixed is not None and not (directory.file(FOLDER) / JOB).exists():
        raise NotRecorded("Fixed benchmarks were asked for, and nothing about them is recorded.")
    family = _benchmarks(directory, settings, benchmarks)
    decision = decision if family is None else with_benchmarks(decision, family)
    return Replayed(decision, hidden, family, loop.counted(cued.used))


def _with_pressure(decision: Decision, spent: CheckSettings, pressed: RedTeamRecord | None) -> Decision:
    """The decision with what conversations under pressure come to; NotRecorded where they are missing."""
    if not spent.redteam_budget or decision.status is Status.FAIL:
        return decision
    if pressed is None:
        raise NotRecorded("Conversations under pressure were asked for, and nothing about them is recorded.")
    if pressed.decision.settings.alpha != spent.decision.pressed_alpha:
        raise NotRecorded("The conversations under pressure were not decided with the share of alpha that they have.")
    return joined(decision, pressed)


def _benchmarks(directory: RunDir, settings: CheckSettings, recorded: BenchmarkFamily | None) -> BenchmarkFamily | None:
    """What the recorded scores on fixed benchmarks come to; why one was not run is taken from what is recorded."""
    if not (directory.file(FOLDER) / JOB).exists():
        return None
    not_run = () if recorded is None else recorded.not_run
    items = Fixed.kept(directory).recorded(directory, {one.name: one.why_not or "not run" for one in not_run})
    return decide_benchmarks(items, settings.benchmarks or BenchmarkSettings())


def _opened(directory: RunDir, manifest: CheckManifest, recorded: Mapping[str, Any]) -> Opened:
    bank = ProbeBank.from_probes(manifest.probes, read_jsonl(directory.file("probes.jsonl"), Probe))
    models = ModelPair(stand_in(manifest.models["base"]), stand_in(manifest.models["tuned"]))
    return Opened(models, bank, NoJudge(judge_name(recorded), manifest.judge), (), manifest.not_asked)


def stand_in(model: NamedModel) -> NoModel:
    """In place of a model of a run."""
    return NoModel(model.name, model.fingerprint)


def judge_name(recorded: Mapping[str, Any]) -> str:
    """The judge's name, out of what a recorded decision is given; empty where it has none."""
    given = str(recorded.get("given", ""))
    named = given.startswith(_JUDGE) and given.endswith(_IS_RIGHT)
    return given[len(_JUDGE) : -len(_IS_RIGHT)] if named else ""


def _rater(manifest: CheckManifest, recorded: Mapping[str, Any]) -> Rater | None:
    rating = manifest.settings.rating
    if rating is None or manifest.rater is None:
        return None
    said = recorded.get("rated") or {}
    name = PEOPLE if rating.by == PEOPLE else str(said.get("by", manifest.rater))
    judge: Judge = NoJudge(name, manifest.rater)
    return Rater(judge, name)


def _spent(directory: RunDir, settings: CheckSettings) -> CheckSettings:
    """The settings with what the check could spend of alpha, by where it stood among checks of the same."""
    file = directory.file(FILE)
    if file.exists():
        return read_record(file, Standing).spent(settings)
    alpha = spent_alpha(settings.decision.alpha, 1, settings.candidates)
    return replace(settings, decision=replace(settings.decision, alpha=alpha))


def contradictions(folder: Path, manifest: CheckManifest) -> list[str]:
    """What in the records of a check cannot be as a check writes it, a sentence each; empty where all fits."""
    found = []
    bank = ProbeBank.from_probes(manifest.probes, read_jsonl(folder / "probes.jsonl", Probe))
    if bank.fingerprint != manifest.probes_fingerprint:
        found.append(
            f"The questions in probes.jsonl have the fingerprint {bank.fingerprint}, the run was started with "
            f"{manifest.probes_fingerprint}."
        )
    keys: dict[str, None] = {}
    for one in iterate_jsonl(folder / "generations.jsonl", Generation):
        if one.key in keys:
            found.append(f"generations.jsonl holds {one.key} twice.")
        keys[one.key] = None
        if one.seed != answer_seed(manifest.settings.seed, one.role, one.probe_id, one.index):
            found.append(f"generations.jsonl: {one.key} was not drawn by the seed of the run.")
    for verdict in iterate_jsonl(folder / "verdicts.jsonl", Verdict):
        if verdict.key not in keys:
            found.append(f"verdicts.jsonl judges {verdict.key}, an answer that is not recorded.")
        if verdict.judge != manifest.judge:
            found.append(f"verdicts.jsonl: {verdict.key} was judged by {verdict.judge!r}, not by {manifest.judge!r}.")
    return found


UNCHECKED = frozenset({"notes", "asides", "read_with", "earlier", "asked_now", "from_earlier"})
"""What of a decision cannot come from records alone: what models and judges said of themselves, and other runs."""


def differences(recorded: Any, again: Any, where: str = "") -> list[str]:
    """Names of the fields in which a recorded decision and the one worked out again differ.

    Numbers that agree to nine digits are the same: the last bits depend on the machine.
    """
    recorded, again = to_jsonable(recorded), to_jsonable(again)
    if isinstance(recorded, dict) and isinstance(again, dict):
        names = [name for name in {**recorded, **again} if name not in UNCHECKED]
        parts = [differences(recorded.get(n), again.get(n), f"{where}.{n}" if where else n) for n in names]
        return [name for part in parts for name in part]
    if isinstance(recorded, list) and isinstance(again, list) and len(recorded) == len(again):
        pairs = enumerate(zip(recorded, again, strict=True))
        return [name for number, (a, b) in pairs for name in differences(a, b, f"{where}[{number}]")]
    if isinstance(recorded, float | int) and isinstance(again, float | int):
        return [] if recorded == again or math.isclose(recorded, again, rel_tol=1e-9, abs_tol=1e-9) else [where]
    return [] if recorded == again else [where]
