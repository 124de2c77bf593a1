"""`check`: is the tuned model worse than its base on questions its training had nothing to do with?"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import offtarget
from offtarget.errors import InputError, RunInterrupted
from offtarget.judge.protocol import Judge
from offtarget.models.chat import ChatModel, SamplingSettings
from offtarget.probe.bank import ProbeBank
from offtarget.records import Decision, DecisionSettings, Look, Probe, Role
from offtarget.rundir import JsonLines, RunDir, read_json, read_jsonl, write_json
from offtarget.stats.sequential import check_settings
from offtarget.workflows.answers import AnswerBook
from offtarget.workflows.base_cache import BaseCache
from offtarget.workflows.check_loop import CheckLoop, CheckSettings, OnProgress
from offtarget.workflows.opening import JudgeBy, Opened, open_check


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
    run: Path | None = None,
    on_progress: OnProgress | None = None,
    on_answers: Callable[[int], None] | None = None,
) -> CheckResult:
    """Compare two models question by question and stop as soon as the evidence decides.

    `base`, `tuned` and `judge` are model names (`organism/base`, `hf/PATH`, `hf/BASE+ADAPTER`, `openai/NAME`) or
    objects of your own that implement `ChatModel` and `Judge`; `probes` is a bank's name, a question file or a
    ProbeBank; `prefix` adds an arm that asks the plain questions behind that text.
    Raises InputError for anything the user can fix, EvidenceError when evidence is missing, and
    RunInterrupted on Ctrl-C, after which `resume` goes on.
    """
    settings = settings or CheckSettings()
    check_settings(settings.decision)
    if settings.max_answers < 1:
        raise InputError(f"--max-answers must be at least 1, not {settings.max_answers}.")
    opened = open_check(base, tuned, probes=probes, judge=judge, judge_by=judge_by, arms=arms, prefix=prefix)
    directory = RunDir.create("check", opened.models.tuned.name.rsplit("/", 1)[-1], path=run)
    with directory:
        _write_probes(directory, opened.bank)
        write_json(
            directory.file("run.json"), _manifest(opened, settings, judge if isinstance(judge, str) else None, judge_by)
        )
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
            judge_by=manifest["judge_by"],
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
    _write_looks(directory, loop.looks)
    result = {
        "decision": decision,
        "models": _models(opened),
        "judge": opened.judge.fingerprint,
        "created": _now(),
        "version": offtarget.__version__,
        "answers": {
            "sampled_now": book.sampled,
            "sampled_ahead": book.unused,
            "base_from_cache": cache.hits if cache else 0,
        },
    }
    write_json(directory.file("result.json"), result)
    return CheckResult(decision, directory.path)


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


def _manifest(opened: Opened, settings: CheckSettings, judge: str | None, judge_by: JudgeBy) -> dict[str, Any]:
    return {
        "verb": "check",
        "created": _now(),
        "version": offtarget.__version__,
        "settings": settings,
        "models": _models(opened),
        "judge": opened.judge.fingerprint,
        "judge_name": judge,
        "judge_by": judge_by,
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
    now = {
        **{role: m["fingerprint"] for role, m in _models(opened).items()},
        "judge": opened.judge.fingerprint,
    }
    then = {**{role: m["fingerprint"] for role, m in manifest["models"].items()}, "judge": manifest["judge"]}
    then["probes"], now["probes"] = manifest["probes_fingerprint"], opened.bank.fingerprint
    changed = [name for name in then if then[name] != now[name]]
    if changed:
        raise InputError(
            f"{run} cannot be resumed: {', '.join(changed)} changed since it was started. Start a new check."
        )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
