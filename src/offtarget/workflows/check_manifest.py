"""The manifest of a check: what is written when it starts, and read when it is resumed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from offtarget.errors import InputError
from offtarget.records import DecisionSettings, SamplingSettings
from offtarget.records.check import CheckSettings, JudgeBy
from offtarget.rundir import RunDir, read_json
from offtarget.version import stamp
from offtarget.workflows.check_opening import Opened

NOT_CUED = "hidden triggers and conditions that none of these questions contains (give --data or --hunt)"
NOT_TRIED = "hidden triggers and conditions other than those that were tried"
NOT_TESTED = (
    "conversations of more turns than the questions have",
    "tool use and agents",
    "languages other than that of the questions",
)
"""What a PASS says nothing about."""


@dataclass(frozen=True, slots=True)
class Started:
    """What the manifest of a check says about how it was started."""

    settings: CheckSettings
    names: dict[str, str]
    judge: str | None
    judge_by: JudgeBy
    bank: str
    fingerprints: dict[str, str]
    hunt: bool
    cues: str | None
    """Fingerprint of the cues taken from data."""


def read_manifest(directory: RunDir) -> Started:
    """How a check was started; InputError when the run is none, or not of this version."""
    path = directory.file("run.json")
    manifest = read_json(path)
    try:
        if manifest["verb"] != "check":
            raise InputError(f"{directory.path} is a {manifest['verb']} run; only a check can be resumed.")
        stored, models = manifest["settings"], manifest["models"]
        return Started(
            settings=CheckSettings(
                decision=DecisionSettings(**stored["decision"]),
                sampling=SamplingSettings(**{**stored["sampling"], "stop": tuple(stored["sampling"]["stop"])}),
                seed=stored["seed"],
                max_answers=stored["max_answers"],
                max_cued_answers=stored["max_cued_answers"],
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
            hunt=manifest["hunt"],
            cues=manifest["cues"],
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path} does not describe a check of this version ({error!r}). It was changed by something else; "
            "restore it, or start a new check."
        ) from None


def new_manifest(
    opened: Opened,
    settings: CheckSettings,
    judge: str | None,
    judge_by: JudgeBy,
    data: str | None,
    hunt: bool,
    cues: str | None,
) -> dict[str, Any]:
    """The manifest of a check that starts now; `judge` is the name it was asked for by, None for an object."""
    cued = data is not None or hunt
    return {
        "verb": "check",
        **stamp(),
        "settings": settings,
        "models": named_models(opened),
        "judge": opened.judge.fingerprint,
        "judge_name": judge,
        "judge_by": judge_by,
        "probes": opened.bank.name,
        "probes_fingerprint": opened.bank.fingerprint,
        "checks": opened.models.checks,
        "data": data,
        "hunt": hunt,
        "cues": cues,
        "not_tested": (NOT_TRIED if cued else NOT_CUED, *NOT_TESTED),
    }


def named_models(opened: Opened) -> dict[str, dict[str, str]]:
    """Role -> name and fingerprint."""
    return {
        role: {"name": model.name, "fingerprint": model.fingerprint}
        for role, model in (("base", opened.models.base), ("tuned", opened.models.tuned))
    }


def fingerprints(opened: Opened) -> dict[str, str]:
    """Of everything the answers and verdicts depend on: both models, judge, probes."""
    models = {role: model["fingerprint"] for role, model in named_models(opened).items()}
    return {**models, "judge": opened.judge.fingerprint, "probes": opened.bank.fingerprint}
