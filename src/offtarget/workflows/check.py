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
    started = _read_manifest(directory)
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
        now = _fingerprints(opened)
        changed = [name for name in now if now[name] != started.fingerprints[name]]
        if changed:
            raise InputError(
                f"{run} cannot be resumed: {', '.join(changed)} changed since it was started. Start a new check."
            )
        return _run(directory, opened, started.settings, on_progress, on_answers)


@dataclass(frozen=True, slots=True)
class _Started:
    """What the manifest of a check says about how it was started."""

    settings: CheckSettings
    names: dict[str, str]
    judge: str | None
    judge_by: JudgeBy
    bank: str
    fingerprints: dict[str, str]


def _read_manifest(directory: RunDir) -> _Started:
    path = directory.file("run.json")
    manifest = read_json(path)
    try:
        if manifest["verb"] != "check":
            raise InputError(f"{directory.path} is a {manifest['verb']} run; only a check can be resumed.")
        stored, models = manifest["settings"], manifest["models"]
        return _Started(
            settings=CheckSettings(
                decision=DecisionSettings(**stored["decision"]),
                sampling=SamplingSettings(**{**stored["sampling"], "stop": tuple(stored["sampling"]["stop"])}),
                seed=stored["seed"],
                max_answers=stored["max_answers"],
                cache=stored["cache"],
            ),
            names={role: model["name"] for role, model in models.items()},
            judge=manifest["judge_name"],
            judge_by=manifest["judge_by"],
            bank=manifest["probes"],
            fingerprints={
                **{role: model["fingerprint"] for role, model in models.items()},
                "judge": manifest["judge"],
                "probes": manifest["probes_fingerprint"],
            },
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path} does not describe a check of this version ({error!r}). It was changed by something else; "
            "restore it, or start a new check."
        ) from None


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


def _fingerprints(opened: Opened) -> dict[str, str]:
    models = {role: model["fingerprint"] for role, model in _models(opened).items()}
    return {**models, "judge": opened.judge.fingerprint, "probes": opened.bank.fingerprint}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
