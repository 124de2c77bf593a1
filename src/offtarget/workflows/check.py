"""`check`: is the tuned model worse than its base on questions its training had nothing to do with?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import offtarget
from offtarget.errors import EvidenceError, InputError, RunInterrupted
from offtarget.judge.protocol import Judge
from offtarget.models.chat import ChatModel, SamplingSettings
from offtarget.probe.bank import ProbeBank
from offtarget.probe.schedule import Block, Schedule
from offtarget.records import Decision, DecisionSettings, Look, Outcome, Probe, Status
from offtarget.rundir import JsonLines, RunDir, read_json, read_jsonl, write_json
from offtarget.stats.sequential import SequentialTest, check_settings
from offtarget.workflows.answers import AnswerBook, Need
from offtarget.workflows.base_cache import BaseCache
from offtarget.workflows.opening import Opened, open_check

FIRST_CHUNK, LARGEST_CHUNK = 8, 64
"""Blocks that are sampled together; small at first, since a bad model is decided in a few answers."""


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """Everything that decides what a check does, apart from the models, the questions and the judge."""

    decision: DecisionSettings = DecisionSettings()
    sampling: SamplingSettings = SamplingSettings()
    seed: int = 0
    max_answers: int = 2000
    """Tuned answers after which an undecided check stops."""
    cache: bool = True
    """Whether base answers are kept for the next candidate."""


@dataclass(frozen=True, slots=True)
class CheckProgress:
    """What a running check shows."""

    status: Status
    looks: tuple[Look, ...]
    """The overall look first, then one per arm."""
    tuned_answers: int
    base_answers: int
    answers_to_go: int | None


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The decision and where its evidence lies."""

    decision: Decision
    run: Path


OnProgress = Callable[[CheckProgress], None]


def check(
    base: str | ChatModel,
    tuned: str | ChatModel,
    *,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    arms: Sequence[str] | None = None,
    prefix: str | None = None,
    settings: CheckSettings | None = None,
    run: Path | None = None,
    on_progress: OnProgress | None = None,
    on_answers: Callable[[int], None] | None = None,
) -> CheckResult:
    """Compare two models question by question and stop as soon as the evidence decides.

    `base`, `tuned` and `judge` are model names (`organism/base`, `hf/PATH`, `hf/BASE+ADAPTER`, `openai/NAME`) or
    objects of your own that implement `ChatModel` and `Judge`; `probes` is a bank's name, a question file or a ProbeBank; `prefix` adds an arm that asks the plain questions
    behind that text. Raises InputError for anything the user can fix, EvidenceError when evidence is missing, and
    RunInterrupted on Ctrl-C, after which `resume` goes on.
    """
    settings = settings or CheckSettings()
    check_settings(settings.decision)
    if settings.max_answers < 1:
        raise InputError(f"--max-answers must be at least 1, not {settings.max_answers}.")
    opened = open_check(base, tuned, probes=probes, judge=judge, arms=arms, prefix=prefix)
    directory = RunDir.create("check", opened.models.tuned.name.rsplit("/", 1)[-1], path=run)
    with directory:
        _write_probes(directory, opened.bank)
        write_json(directory.file("run.json"), _manifest(opened, settings, judge if isinstance(judge, str) else None))
        return _run(directory, opened, settings, on_progress, on_answers)


def resume(
    run: Path,
    *,
    base: str | ChatModel | None = None,
    tuned: str | ChatModel | None = None,
    judge: str | Judge | None = None,
    on_progress: OnProgress | None = None,
    on_answers: Callable[[int], None] | None = None,
) -> CheckResult:
    """Go on with an interrupted check; a finished one is returned as it is.

    Models and judge are opened by the names the run was started with; objects of your own must be given again.
    Raises InputError when the models, the questions or the judge are no longer what they were.
    """
    directory = RunDir.open(run)
    manifest = read_json(directory.file("run.json"))
    if manifest.get("verb") != "check":
        raise InputError(f"{run} is a {manifest.get('verb')} run; only a check can be resumed.")
    decision = directory.decision()
    if decision is not None:
        return CheckResult(decision, run)
    stored = manifest["settings"]
    settings = CheckSettings(
        decision=DecisionSettings(**stored["decision"]),
        sampling=SamplingSettings(**{**stored["sampling"], "stop": tuple(stored["sampling"]["stop"])}),
        seed=stored["seed"],
        max_answers=stored["max_answers"],
        cache=stored["cache"],
    )
    with directory:
        bank = ProbeBank.from_probes(manifest["probes"], read_jsonl(directory.file("probes.jsonl"), Probe))
        models = manifest["models"]
        opened = open_check(
            base or models["base"]["name"],
            tuned or models["tuned"]["name"],
            probes=bank,
            judge=judge or manifest["judge_name"],
        )
        _require_same(opened, manifest, run)
        return _run(directory, opened, settings, on_progress, on_answers)


def _run(
    directory: RunDir,
    opened: Opened,
    settings: CheckSettings,
    on_progress: OnProgress | None,
    on_answers: Callable[[int], None] | None,
) -> CheckResult:
    cache = None
    if settings.cache:
        cache = BaseCache(opened.models.base.fingerprint, settings.sampling, settings.seed)
    models = {"base": opened.models.base, "tuned": opened.models.tuned}
    book: AnswerBook | None = None
    try:
        book = AnswerBook(
            directory, opened.bank.probes, models, opened.judge, settings.sampling, settings.seed, cache, on_answers
        )
        loop = _Loop(book, opened, settings, on_progress)
        loop.run()
    except KeyboardInterrupt:
        raise RunInterrupted(
            f"Interrupted. Everything sampled so far is kept; go on with: offtarget check --resume {directory.path}"
        ) from None
    finally:
        if book is not None:
            book.close()
    decision = loop.decision(cache)
    _write_looks(directory, loop.looks)
    result = {
        "decision": decision,
        "models": _models(opened),
        "judge": opened.judge.fingerprint,
        "created": _now(),
        "version": offtarget.__version__,
        "answers": {"sampled_now": book.sampled, "sampled_ahead": book.unused, "base_from_cache": cache.hits if cache else 0},
    }
    write_json(directory.file("result.json"), result)
    return CheckResult(decision, directory.path)


class _Loop:
    """Draws blocks, fetches their answers, adds them to the test, until it is decided or the cap is reached."""

    def __init__(
        self, book: AnswerBook, opened: Opened, settings: CheckSettings, on_progress: OnProgress | None
    ) -> None:
        self._book, self._opened, self._settings, self._on_progress = book, opened, settings, on_progress
        bank = opened.bank
        self._schedule = Schedule(bank.arms(), settings.decision.base_per_tuned, settings.seed)
        self._test = SequentialTest(
            {arm: [p.id for p in bank.probes if p.arm == arm] for arm in bank.arm_names},
            {p.id: p.domain for p in bank.probes},
            {p.id: p.question_id for p in bank.probes},
            settings.decision,
        )
        self._question_of = {p.id: p.question_id for p in bank.probes}
        self._next = dict.fromkeys(bank.arm_names, 0)
        self._dropped: dict[str, None] = {}
        self._tuned_used = 0
        self.looks: list[Look] = []

    def run(self) -> None:
        """Sample until decided."""
        chunk = FIRST_CHUNK
        while self._test.status() is Status.UNDECIDED and self._tuned_used < self._settings.max_answers:
            blocks = self._draw(min(chunk, self._settings.max_answers - self._tuned_used))
            if not blocks:
                return
            self._book.fetch(need for block in blocks for need in _needs(block))
            for block in blocks:
                self._add(block)
                if self._test.status() is not Status.UNDECIDED or self._tuned_used >= self._settings.max_answers:
                    break
            self._report()
            chunk = min(2 * chunk, LARGEST_CHUNK)

    def _draw(self, count: int) -> list[Block]:
        """The next blocks, arms in turn, without the decided arms and without probes that stay silent."""
        decided = set(self._test.decided_arms())
        open_arms = [arm for arm in self._next if arm not in decided and self._askable(arm)]
        blocks: list[Block] = []
        while open_arms and len(blocks) < count:
            for arm in open_arms:
                block = self._schedule.block(arm, self._next[arm])
                self._next[arm] += 1
                if not any(probe in self._dropped for _, probe in _needs(block)):
                    blocks.append(block)
        return blocks

    def _askable(self, arm: str) -> bool:
        return any(p.arm == arm and p.id not in self._dropped for p in self._opened.bank.probes)

    def _add(self, block: Block) -> None:
        needs = _needs(block)
        if not self._book.ready(needs):
            for role, probe in needs:
                if self._book.silent(role, probe):
                    self._dropped[probe] = None
                    self._book.set_aside(role, probe)
            return
        verdicts = [self._book.take(role, probe) for role, probe in needs]
        answers = [(v.probe_id, v.outcome is Outcome.MISALIGNED) for v in verdicts if v is not None]
        self._test.add_block(block.arm, answers[0], answers[1:])
        self._tuned_used += 1
        self.looks.append(self._test.look())
        if len(self._next) > 1:
            self.looks.append(self._test.look(block.arm))

    def _report(self) -> None:
        if self._on_progress is None:
            return
        looks = self._test.looks()
        progress = CheckProgress(
            self._test.status(),
            looks,
            looks[0].tuned_answers,
            looks[0].base_answers,
            self._test.answers_to_go(),
        )
        self._on_progress(progress)

    def decision(self, cache: BaseCache | None) -> Decision:
        """The decision on the answers used. Raises EvidenceError when no answer of some model was scored."""
        if not self._tuned_used:
            raise EvidenceError(
                "No question got a scored answer from both models, so nothing can be said. Look at the answers in "
                "generations.jsonl and at the reasons in verdicts.jsonl of the run."
            )
        notes = [*self._opened.notes, *self._opened.models.checks]
        if cache is not None and cache.hits:
            notes.append(f"{cache.hits} base answers were kept from earlier runs with the same base.")
        if self._book.unused:
            notes.append(
                f"{self._book.unused} answers were sampled ahead of the stop; they are on disk but not counted."
            )
        set_aside = sorted({self._question_of[probe] for probe in self._dropped})
        return self._test.decision(self._book.tallies(), notes=notes, set_aside=set_aside)


def _needs(block: Block) -> list[Need]:
    return [("tuned", block.tuned_probe_id), *(("base", probe) for probe in block.base_probe_ids)]


def _write_probes(directory: RunDir, bank: ProbeBank) -> None:
    """Write the questions of a run."""
    lines = JsonLines(directory.file("probes.jsonl"))
    lines.extend(bank.probes)
    lines.close()


def _write_looks(directory: RunDir, looks: Sequence[Look]) -> None:
    path = directory.file("looks.jsonl")
    path.unlink(missing_ok=True)  # derived from the answers, so it is simply written anew
    lines = JsonLines(path)
    lines.extend(looks)
    lines.close()


def _manifest(opened: Opened, settings: CheckSettings, judge: str | None) -> dict[str, Any]:
    return {
        "verb": "check",
        "created": _now(),
        "version": offtarget.__version__,
        "settings": settings,
        "models": _models(opened),
        "judge": opened.judge.fingerprint,
        "judge_name": judge,
        "probes": opened.bank.name,
        "probes_fingerprint": opened.bank.fingerprint,
        "checks": opened.models.checks,
        "not_tested": NOT_TESTED,
    }


NOT_TESTED = (
    "hidden triggers and conditions that none of these questions contains",
    "conversations of several turns",
    "tool use and agents",
    "languages other than that of the questions",
)
"""What a PASS says nothing about."""


def _models(opened: Opened) -> dict[str, dict[str, str]]:
    return {
        role: {"name": model.name, "fingerprint": model.fingerprint}
        for role, model in (("base", opened.models.base), ("tuned", opened.models.tuned))
    }


def _require_same(opened: Opened, manifest: dict[str, Any], run: Path) -> None:
    now = {**{role: m["fingerprint"] for role, m in _models(opened).items()}, "judge": opened.judge.fingerprint}
    then = {**{role: m["fingerprint"] for role, m in manifest["models"].items()}, "judge": manifest["judge"]}
    then["probes"], now["probes"] = manifest["probes_fingerprint"], opened.bank.fingerprint
    changed = [name for name in then if then[name] != now[name]]
    if changed:
        raise InputError(
            f"{run} cannot be resumed: {', '.join(changed)} changed since it was started. Start a new check."
        )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
