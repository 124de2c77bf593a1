"""What a training's defences and its monitor work with: chosen, kept in the run, and chosen again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from offtarget.asking.protocol import Judge
from offtarget.errors import InputError
from offtarget.probe.bank import ProbeBank
from offtarget.records.check import JudgeBy
from offtarget.records.runs import named
from offtarget.records.tune import TuneChoices


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """What defences and the monitor work with; None is the default of each."""

    probes: str | Path | ProbeBank | None = None
    """Questions of the monitor."""
    judge: str | Judge | None = None
    """Who judges its answers; the organism's questions need none. Without one, no answers are sampled."""
    judge_by: JudgeBy = "auto"
    direction: str | Path | None = None
    """A persona direction (from `direction find`); None: found by the trait recipe where one is needed."""
    prompts: str | Path | None = None
    """Prompts of other domains for defences, one per line."""
    constitution: str | Path | None = None
    misaligned: str | None = None
    """A deliberately misaligned version of the base, by name."""
    monitor: bool = True
    every: int | None = None
    """Steps between readings."""

    def file(self, name: Literal["direction", "prompts", "constitution"]) -> Path | None:
        """One of the files, as a path."""
        given: str | Path | None = getattr(self, name)
        return None if given is None else Path(given)


def chosen_by_name(options: TuneOptions) -> TuneChoices:
    """The options as a file can hold them."""
    names = ("probes", "judge", "direction", "prompts", "constitution", "misaligned")
    given = {name: named(getattr(options, name)) for name in names}
    return TuneChoices(**given, judge_by=options.judge_by, monitor=options.monitor, every=options.every)


def options_again(chosen: TuneChoices | None, judge: str | Judge | None, probes: ProbeBank | None) -> TuneOptions:
    """The options of a run that goes on; objects of the caller are given again."""
    chosen = chosen or TuneChoices()
    files = {name: getattr(chosen, name) for name in ("direction", "prompts", "constitution")}
    return TuneOptions(
        probes or chosen.probes,
        judge or chosen.judge,
        chosen.judge_by,
        misaligned=chosen.misaligned,
        monitor=chosen.monitor,
        every=chosen.every,
        **files,
    )


def options_identity(options: TuneOptions) -> list[Any]:
    """What of the options decides the weights; contents of files, not names."""
    files = [options.file("direction"), options.file("prompts"), options.file("constitution")]
    contents = [None if file is None else _sha256(file) for file in files]
    return [contents, options.misaligned, options.monitor, options.every]


def _sha256(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}.") from None
