"""Where a check, or a red-team run, stands among those of the same models, questions and judge: counted, and paid for.

The same one made again, to the same answers, is no new try: it cannot come to anything else.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TypeVar

from offtarget.errors import InputError
from offtarget.records import Decision, Generation, Role, Status, Verdict
from offtarget.records.check import CheckSettings, EarlierCheck
from offtarget.records.redteam import RedTeamSettings
from offtarget.register import Register, state_root
from offtarget.rundir import RunDir, fingerprint, iterate_jsonl, read_record, write_json
from offtarget.stats.several import Counting, spent_alpha, with_standing
from offtarget.version import stamp
from offtarget.workflows.check.opening import Opened
from offtarget.workflows.check.ratings import RATINGS

Counted = TypeVar("Counted", CheckSettings, RedTeamSettings)
FILE = "standing.json"
"""In a run: where it stands. A run that is gone on with is the same check."""


_JUDGED = ("", "search", "redteam", "redteam/search")
"""Where a run holds judged answers: its own, those that searched for weak spots, and a red team's beside a check."""


@dataclass(frozen=True, slots=True)
class CheckEntry:
    """A line of the register of checks: one that began, what one came to, or that one does not count."""

    id: str
    """Of the check, the same in all of its lines."""
    base: str
    tuned: str
    probes: str
    judge: str
    """Fingerprints; checks with the same four are checks of the same."""
    settings: str
    """Fingerprint of all that decides which answers are asked for."""
    run: str
    created: str
    status: Status | None = None
    evidence: str | None = None
    """Fingerprint of every judged answer, once it has ended."""
    void: bool = False
    """Nobody saw evidence that was not there before: it ended before any answer was judged, or repeated another."""

    def same(self, other: CheckEntry) -> bool:
        """Whether both check the same."""
        return (self.base, self.tuned, self.probes, self.judge) == (other.base, other.tuned, other.probes, other.judge)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a check stands: its entry, and the checks before it."""

    entry: CheckEntry
    earlier: tuple[EarlierCheck, ...]
    repeats: CheckEntry | None = None
    """The check that was made with the same settings; it is this one again, if the answers are the same."""

    @property
    def counted(self) -> tuple[EarlierCheck, ...]:
        """The checks that this one pays for."""
        if self.repeats is None:
            return self.earlier
        return self.earlier[: [check.run for check in self.earlier].index(self.repeats.run)]

    def spent(self, settings: Counted) -> Counted:
        """The settings with what this check may spend of alpha."""
        alpha = spent_alpha(settings.decision.alpha, len(self.counted) + 1, _candidates(settings))
        return replace(settings, decision=replace(settings.decision, alpha=alpha))


def _candidates(settings: CheckSettings | RedTeamSettings) -> int:
    return settings.candidates if isinstance(settings, CheckSettings) else 1


def register() -> Register[CheckEntry]:
    """The register of this machine."""
    return Register(state_root() / "checks.jsonl", CheckEntry)


def latest(entries: list[CheckEntry]) -> list[CheckEntry]:
    """The last line of every check that counts, in the order in which they began."""
    by_id: dict[str, CheckEntry] = {}
    for entry in entries:
        by_id[entry.id] = entry
    return [entry for entry in by_id.values() if not entry.void]


@contextmanager
def standing(
    directory: RunDir, opened: Opened, judge: str, settings: CheckSettings | RedTeamSettings, asked: object
) -> Iterator[Standing]:
    """Count a check before its first answer; one that ends without a judged answer is taken back.

    `judge`: fingerprint of all who judge; `asked`: what was asked for besides the questions. Raises
    InputError where the register cannot be used.
    """
    where = _entered(directory, opened, judge, settings, asked)
    try:
        yield where
    except BaseException:
        verdicts = directory.file("verdicts.jsonl")
        if settings.register and not (verdicts.exists() and verdicts.stat().st_size):
            register().add(lambda _: replace(where.entry, void=True))
            directory.file(FILE).unlink(missing_ok=True)
        raise


def _entered(
    directory: RunDir, opened: Opened, judge: str, settings: CheckSettings | RedTeamSettings, asked: object
) -> Standing:
    file = directory.file(FILE)
    if file.exists():
        return read_record(file, Standing)
    prints: dict[Role, str] = {role: model.fingerprint for role, model in opened.models.by_role.items()}
    entry = CheckEntry(
        id=uuid.uuid4().hex,
        base=prints["base"],
        tuned=prints["tuned"],
        probes=opened.bank.fingerprint,
        judge=judge,
        settings=fingerprint(
            [replace(settings, cache=True) if isinstance(settings, CheckSettings) else settings, asked]
        ),
        run=str(directory.path.resolve()),
        created=stamp()["created"],
    )
    if not settings.register:
        return Standing(entry, ())
    before: list[CheckEntry] = []

    def enter(entries: list[CheckEntry]) -> CheckEntry:
        before.extend(e for e in latest(entries) if e.same(entry))
        return entry

    try:
        register().add(enter)
    except InputError as error:
        raise InputError(f"{error} Or leave this check out of the count with --no-register.") from None
    repeats = next((e for e in before if e.settings == entry.settings and e.evidence is not None), None)
    where = Standing(entry, tuple(EarlierCheck(e.run, e.created, e.status) for e in before), repeats)
    write_json(file, where)
    return where


def evidence_of(directory: RunDir) -> str:
    """Fingerprint of every judged answer of a run, and of its ratings, in whatever order they came."""
    lines: list[str] = []
    for folder in _JUDGED:
        path = directory.path / folder
        lines += [f"{g.key} {g.text!r}" for g in iterate_jsonl(path / "generations.jsonl", Generation)]
        for name in ("verdicts.jsonl", RATINGS):
            lines += [f"{name} {v.key} {v.outcome}" for v in iterate_jsonl(path / name, Verdict)]
    return hashlib.sha256("\n".join(sorted(lines)).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def another_try(directory: RunDir, where: Standing) -> Standing | None:
    """A repetition whose answers came out otherwise is a check of its own: where that stands; else None."""
    if where.repeats is None or evidence_of(directory) == where.repeats.evidence:
        return None
    where = replace(where, repeats=None)
    write_json(directory.file(FILE), where)
    return where


def settled(
    directory: RunDir,
    where: Standing,
    settings: CheckSettings | RedTeamSettings,
    decision: Decision,
    what: Counting = "check",
) -> Decision:
    """The decision with what a reader must know of other checks, written into the register."""
    if settings.register:
        ended = replace(where.entry, status=decision.status, evidence=evidence_of(directory))
        register().add(lambda _: replace(ended, void=where.repeats is not None))
    told = replace(decision, earlier=where.counted, candidates=_candidates(settings))
    repeated = None if where.repeats is None else where.repeats.run
    return with_standing(told, settings.decision.alpha, repeats=repeated, counted=settings.register, what=what)
