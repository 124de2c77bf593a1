"""`check`: is the tuned model worse than its base on questions its training had nothing to do with?"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.asking.book import AnswerBook
from offtarget.asking.cache import BaseCache
from offtarget.asking.protocol import Judge
from offtarget.errors import InputError, RunInterrupted
from offtarget.models.chat import ChatModel
from offtarget.probe.bank import ProbeBank
from offtarget.progress import OnProgress, silent, within
from offtarget.records import Decision, HiddenDecision, Probe, Role
from offtarget.records.check import CheckSettings, JudgeBy
from offtarget.records.runs import OpenSettings
from offtarget.rundir import RunDir, read_jsonl, write_json, write_records
from offtarget.version import stamp
from offtarget.workflows.check_loop import CheckLoop
from offtarget.workflows.check_manifest import fingerprints, named_models, new_manifest, read_manifest
from offtarget.workflows.check_opening import Opened, open_check
from offtarget.workflows.cued_arm import CuedArm, merged, read_hidden
from offtarget.workflows.cued_plan import check_huntable, read_data

CUED_SHARE = 0.5
"""Share of alpha that a check with a cued arm spends there."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The decision and where its evidence lies."""

    decision: Decision
    run: Path
    hidden: HiddenDecision | None = None
    """What the cued arm showed; None without one, and where plain answers are bad too often for it."""


def check(
    base: str | ChatModel,
    tuned: str | ChatModel,
    *,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    arms: Sequence[str] | None = None,
    prefix: str | None = None,
    data: str | Path | None = None,
    hunt: bool = False,
    settings: CheckSettings | None = None,
    opening: OpenSettings | None = None,
    out: Path | None = None,
    on_progress: OnProgress = silent,
) -> CheckResult:
    """Compare two models question by question and stop as soon as the evidence decides.

    With `data` (the training data, or the run of an audit of it) or `hunt`, the plain questions are asked again under
    hidden conditions, taken from the data or hunted for in the model.

    `base`, `tuned` and `judge` are model names (`organism/base`, `hf/PATH`, `hf/BASE+ADAPTER`, `openai/NAME`) or
    objects of your own that implement `ChatModel` and `Judge`; `probes` is a bank's name, a question file or a
    ProbeBank; `prefix` adds an arm that asks the plain questions behind that text; `out` is the run directory,
    a new one under `runs_root()` by default.
    Raises InputError for anything the user can fix, EvidenceError when evidence is missing, and
    RunInterrupted on Ctrl-C, after which `resume` goes on.
    """
    settings = settings or CheckSettings()
    if (data is not None or hunt) and not settings.decision.cued_share:
        settings = replace(settings, decision=replace(settings.decision, cued_share=CUED_SHARE))
    view = None if data is None else read_data(data, within(on_progress, "training data"))
    opened = open_check(
        base, tuned, probes=probes, judge=judge, judge_by=judge_by, arms=arms, prefix=prefix, opening=opening
    )
    if hunt:
        check_huntable(opened.models)
    directory = RunDir.create("check", opened.models.tuned.name.rsplit("/", 1)[-1], path=out)
    with directory:
        write_records(directory, "probes.jsonl", opened.bank.probes)
        cued = CuedArm(directory, opened, settings, hunt, on_progress)
        if view is not None:
            cued.plan_from(view)
        judge_name = judge if isinstance(judge, str) else None
        source = None if data is None else str(data)
        manifest = new_manifest(opened, settings, judge_name, judge_by, source, hunt, cued.plan_fingerprint)
        write_json(directory.file("run.json"), manifest)
        return _run(directory, opened, settings, cued, on_progress)


def resume(
    run: Path,
    *,
    base: str | ChatModel | None = None,
    tuned: str | ChatModel | None = None,
    judge: str | Judge | None = None,
    opening: OpenSettings | None = None,
    on_progress: OnProgress = silent,
) -> CheckResult:
    """Go on with an interrupted check; a finished one is returned as it is.

    Models and judge are opened by the names the run was started with; objects of your own must be given again.
    Raises InputError when the models, the questions or the judge are no longer what they were.
    """
    directory = RunDir.open(run)
    started = read_manifest(directory)
    decision = directory.decision()
    if decision is not None:
        return CheckResult(decision, run, read_hidden(directory))
    with directory:
        bank = ProbeBank.from_probes(started.bank, read_jsonl(directory.file("probes.jsonl"), Probe))
        opened = open_check(
            base or started.names["base"],
            tuned or started.names["tuned"],
            probes=bank,
            judge=judge or started.judge,
            judge_by=started.judge_by,
            opening=opening,
        )
        now = fingerprints(opened)
        changed = [name for name in now if now[name] != started.fingerprints[name]]
        if changed:
            raise InputError(
                f"{run} cannot be resumed: {', '.join(changed)} changed since it was started. Start a new check."
            )
        cued = CuedArm(directory, opened, started.settings, started.hunt, on_progress)
        cued.expect(started.cues)
        return _run(directory, opened, started.settings, cued, on_progress)


def _run(
    directory: RunDir, opened: Opened, settings: CheckSettings, cued: CuedArm, on_progress: OnProgress
) -> CheckResult:
    cache = None
    if settings.cache:
        cache = BaseCache(opened.models.base.fingerprint, settings.sampling, settings.seed)
    models: dict[Role, ChatModel] = {"base": opened.models.base, "tuned": opened.models.tuned}
    book: AnswerBook | None = None
    try:
        book = AnswerBook(
            directory,
            [*opened.bank.probes, *cued.probes()],
            models,
            opened.judge,
            settings.sampling,
            settings.seed,
            cache,
            on_progress,
        )
        loop = CheckLoop(book, opened, settings, on_progress)
        loop.run()
        plain = loop.decision(cache)
        hidden = cued.ask(book, plain)
    except KeyboardInterrupt:
        raise RunInterrupted(
            f"Interrupted. Everything sampled so far is kept; go on with: offtarget check --resume "
            f"{shlex.quote(str(directory.path))}"
        ) from None
    finally:
        if book is not None:
            book.close()
    decision = merged(plain, hidden)
    write_records(directory, "looks.jsonl", loop.looks)
    result = {
        "decision": decision,
        "hidden": hidden,
        "models": named_models(opened),
        "judge": opened.judge.fingerprint,
        **stamp(),
        "answers": {
            "sampled_now": book.sampled,
            "sampled_ahead": book.unused(),
            "base_from_cache": cache.hits if cache else 0,
        },
    }
    write_json(directory.file("result.json"), result)
    return CheckResult(decision, directory.path, hidden)
