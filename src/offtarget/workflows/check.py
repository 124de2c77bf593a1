"""`check`: is the tuned model worse than its base on questions its training had nothing to do with?"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from offtarget.errors import InputError, RunInterrupted
from offtarget.judge.protocol import Judge
from offtarget.models.chat import ChatModel
from offtarget.probe.bank import ProbeBank
from offtarget.records import Decision, Probe, Role
from offtarget.rundir import RunDir, read_jsonl, write_json
from offtarget.stats.sequential import check_settings
from offtarget.workflows.answers import AnswerBook, OnAnswers
from offtarget.workflows.base_cache import BaseCache
from offtarget.workflows.check_loop import CheckLoop, CheckSettings, OnProgress
from offtarget.workflows.check_manifest import fingerprints, named_models, new_manifest, read_manifest
from offtarget.workflows.opening import JudgeBy, Opened, open_check
from offtarget.workflows.recording import stamp, write_records


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The decision and where its evidence lies."""

    decision: Decision
    run: Path


def check(
    base: str | ChatModel,
    tuned: str | ChatModel,
    *,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    arms: Sequence[str] | None = None,
    prefix: str | None = None,
    settings: CheckSettings | None = None,
    out: Path | None = None,
    on_progress: OnProgress | None = None,
    on_answers: OnAnswers | None = None,
) -> CheckResult:
    """Compare two models question by question and stop as soon as the evidence decides.

    `base`, `tuned` and `judge` are model names (`organism/base`, `hf/PATH`, `hf/BASE+ADAPTER`, `openai/NAME`) or
    objects of your own that implement `ChatModel` and `Judge`; `probes` is a bank's name, a question file or a
    ProbeBank; `prefix` adds an arm that asks the plain questions behind that text; `out` is the run directory,
    a new one under `runs_root()` by default.
    Raises InputError for anything the user can fix, EvidenceError when evidence is missing, and
    RunInterrupted on Ctrl-C, after which `resume` goes on.
    """
    settings = settings or CheckSettings()
    check_settings(settings.decision)
    if settings.max_answers < 1:
        raise InputError(f"--max-answers must be at least 1, not {settings.max_answers}.")
    opened = open_check(base, tuned, probes=probes, judge=judge, judge_by=judge_by, arms=arms, prefix=prefix)
    directory = RunDir.create("check", opened.models.tuned.name.rsplit("/", 1)[-1], path=out)
    with directory:
        write_records(directory, "probes.jsonl", opened.bank.probes)
        judge_name = judge if isinstance(judge, str) else None
        write_json(directory.file("run.json"), new_manifest(opened, settings, judge_name, judge_by))
        return _run(directory, opened, settings, on_progress, on_answers)


def resume(
    run: Path,
    *,
    base: str | ChatModel | None = None,
    tuned: str | ChatModel | None = None,
    judge: str | Judge | None = None,
    on_progress: OnProgress | None = None,
    on_answers: OnAnswers | None = None,
) -> CheckResult:
    """Go on with an interrupted check; a finished one is returned as it is.

    Models and judge are opened by the names the run was started with; objects of your own must be given again.
    Raises InputError when the models, the questions or the judge are no longer what they were.
    """
    directory = RunDir.open(run)
    started = read_manifest(directory)
    decision = directory.decision()
    if decision is not None:
        return CheckResult(decision, run)
    with directory:
        bank = ProbeBank.from_probes(started.bank, read_jsonl(directory.file("probes.jsonl"), Probe))
        opened = open_check(
            base or started.names["base"],
            tuned or started.names["tuned"],
            probes=bank,
            judge=judge or started.judge,
            judge_by=started.judge_by,
        )
        now = fingerprints(opened)
        changed = [name for name in now if now[name] != started.fingerprints[name]]
        if changed:
            raise InputError(
                f"{run} cannot be resumed: {', '.join(changed)} changed since it was started. Start a new check."
            )
        return _run(directory, opened, started.settings, on_progress, on_answers)


def _run(
    directory: RunDir,
    opened: Opened,
    settings: CheckSettings,
    on_progress: OnProgress | None,
    on_answers: OnAnswers | None,
) -> CheckResult:
    cache = None
    if settings.cache:
        cache = BaseCache(opened.models.base.fingerprint, settings.sampling, settings.seed)
    models: dict[Role, ChatModel] = {"base": opened.models.base, "tuned": opened.models.tuned}
    book: AnswerBook | None = None
    try:
        book = AnswerBook(
            directory,
            opened.bank.probes,
            models,
            opened.judge,
            settings.sampling,
            settings.seed,
            cache,
            on_answers,
        )
        loop = CheckLoop(book, opened, settings, on_progress)
        loop.run()
    except KeyboardInterrupt:
        raise RunInterrupted(
            f"Interrupted. Everything sampled so far is kept; go on with: offtarget check --resume "
            f"{shlex.quote(str(directory.path))}"
        ) from None
    finally:
        if book is not None:
            book.close()
    decision = loop.decision(cache)
    write_records(directory, "looks.jsonl", loop.looks)
    result = {
        "decision": decision,
        "models": named_models(opened),
        "judge": opened.judge.fingerprint,
        **stamp(),
        "answers": {
            "sampled_now": book.sampled,
            "sampled_ahead": book.unused,
            "base_from_cache": cache.hits if cache else 0,
        },
    }
    write_json(directory.file("result.json"), result)
    return CheckResult(decision, directory.path)
