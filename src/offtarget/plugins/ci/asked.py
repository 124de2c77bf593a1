"""What a pipeline asks for, read from its environment, and the commands for it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from offtarget.errors import InputError

PREFIX = "OFFTARGET_CI_"


@dataclass(frozen=True, slots=True)
class Asked:
    """The settings of a job, each an environment variable: `base` is OFFTARGET_CI_BASE. Empty is the same as unset."""

    base: str = ""
    tuned: str = ""
    judge: str = ""
    probes: str = ""
    data: str = ""
    """Training data to audit."""
    redteam: str = "false"
    """Whether both models are pressed in conversations besides."""
    goals: str = ""
    """A file of red lines that they are pressed for besides the usual goals."""
    file: str = "offtarget.yaml"
    """The project file, which is run where neither models nor data are named."""
    arguments: str = ""
    """More options of the command, as in a shell; nothing in it is expanded or run."""
    undecided: Literal["fail", "pass"] = "fail"
    """What an UNDECIDED verdict does to the job."""
    comment: str = "true"
    """Whether to comment on the pull request or merge request."""
    reports: str = "offtarget-reports"
    """Folder that reports are written to."""


def read(environment: Mapping[str, str]) -> Asked:
    """The settings of this job; InputError for a misspelt one, and for what cannot be done together."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    strange = sorted(set(given) - set(Asked.__dataclass_fields__))
    if strange:
        known = ", ".join(PREFIX + name.upper() for name in Asked.__dataclass_fields__)
        raise InputError(f"{PREFIX}{strange[0].upper()} is no setting. Known: {known}.")
    asked = Asked(**{name: value.strip() for name, value in given.items() if value.strip()})  # type: ignore[arg-type]
    if bool(asked.base) != bool(asked.tuned):
        raise InputError("base and tuned go together: a check holds one against the other. Give both, or neither.")
    if asked.undecided not in ("fail", "pass"):
        raise InputError(f"undecided is fail or pass, not {asked.undecided!r}.")
    for name in ("comment", "redteam"):
        if (said := getattr(asked, name)) not in ("true", "false"):
            raise InputError(f"{name} is true or false, not {said!r}.")
    if asked.redteam == "true" and not asked.base:
        raise InputError("redteam goes with base and tuned. In a project file the conversations are its red_team:.")
    if asked.goals and asked.redteam != "true":
        raise InputError("goals says what the models are pressed for, so it goes with redteam: true.")
    if not (asked.base or asked.data) and not Path(asked.file).is_file():
        raise InputError(
            f"There is nothing to do: there is no {asked.file} here, and neither base and tuned nor data are given. "
            "Begin with `offtarget init`, or name what to check."
        )
    return asked


def commands(asked: Asked) -> list[list[str]]:
    """What to run, each without `offtarget` before it; the audit first."""
    more = shlex.split(asked.arguments)
    if not (asked.base or asked.data):
        return [["run", "--file", asked.file, "--json", *more]]
    found = []
    if asked.data:
        found.append(["audit", asked.data, *([] if asked.base else more)])
    if asked.base:
        named = [("--judge", asked.judge), ("--probes", asked.probes)]
        named += [("--goals", asked.goals)]
        options = [part for name, value in named if value for part in (name, value)]
        options += ["--redteam"] if asked.redteam == "true" else []
        found.append(["check", "--base", asked.base, "--tuned", asked.tuned, *options, *more])
    return found
