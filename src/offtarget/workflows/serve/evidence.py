"""The evidence on a rollout as a run directory: what was scored, how it was decided, and what was flagged.

`offtarget report` opens it anywhere; `replayed` folds its rows again and must come to the same.
"""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from offtarget.errors import InputError
from offtarget.records.gateway import Alias, GatewaySettings, Upstream
from offtarget.records.rollouts import CanaryEvent, Rollout, ScoredAnswer
from offtarget.records.serve import FlaggedAnswer, PathPoint, RolloutReading, ServeEvidence, ServeManifest
from offtarget.rundir import JsonLines, RunDir, iterate_jsonl, runs_root, to_jsonable
from offtarget.serve.gateway.addresses import shown
from offtarget.serve.monitor.evidence import Evidence
from offtarget.serve.monitor.intake import texts_of
from offtarget.serve.store.protocol import Store
from offtarget.workflows.runs.begin import begin, finish, finished, opened
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.result import Result
from offtarget.workflows.runs.verbs import SERVE

ROWS, PATH, FLAGGED = "rows.jsonl", "path.jsonl", "flagged.jsonl"
MOST_FLAGGED = 200
"""Flagged answers of the tuned model in a bundle, the first ones; rows hold all."""
BESIDE = 24
"""Flagged answers beside which an answer of the base is put."""
LOOKED_AT = 400
"""Base answers among which a question like that of a flagged one is looked for."""
PAGE = 1000


@dataclass(frozen=True, slots=True, repr=False)
class ServeResult(Result):
    """A bundle of evidence."""

    record: ServeEvidence
    """What it comes to."""


class Bundles:
    """Writes bundles of one gateway into a folder of runs, and finds them again. Safe in threads."""

    def __init__(
        self, settings: Callable[[], GatewaySettings], store: Store, probed: Mapping[str, bool],
        judges: Mapping[str, str], root: Path | None = None,
    ) -> None:  # fmt: skip
        """`probed`: by alias, whether there are probes; `judges`: by alias, the fingerprint of the judge."""
        self._settings, self._store, self._probed, self._judges = settings, store, probed, judges
        self._root = root or runs_root()

    def of(self, alias: str) -> Callable[[Rollout, Evidence, RolloutReading], str]:
        """What the monitor of an alias calls at an alarm."""

        def write(rollout: Rollout, evidence: Evidence, reading: RolloutReading) -> str:
            return self._write(alias, rollout).name

        return write

    def make(self, alias: str) -> str:
        """Put together what there is on the present rollout of an alias; returns the id. Raises OfftargetError."""
        rollout = self._store.rollout(alias)
        if rollout is None:
            raise InputError(f"No rollout of '{alias}' has begun, so there is no evidence.")
        return self._write(alias, rollout).name

    def packed(self, identifier: str) -> Path | None:
        """The bundle of an id as a `.tar.gz`; None where there is none."""
        path = self._root / identifier
        if not re.fullmatch(r"serve-[\w.-]+", identifier) or not (path / SERVE.done).is_file():
            return None
        handle, name = tempfile.mkstemp(".tar.gz", "offtarget-")
        with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for one in sorted(path.iterdir()):
                if one.is_file() and not one.name.startswith("."):
                    archive.add(one, f"{identifier}/{one.name}")
        return Path(name)

    def _write(self, alias: str, rollout: Rollout) -> Path:
        settings = self._settings()
        known = next((one for one in settings.aliases if one.name == alias), None)
        if known is None or known.tuned is None:
            raise InputError(f"'{alias[:200]}' has no tuned model, so there is no evidence.")
        return write_evidence(
            self._store, settings, known, rollout, probed=self._probed.get(alias, False),
            judge=self._judges.get(alias, ""), root=self._root,
        )  # fmt: skip


def write_evidence(
    store: Store, settings: GatewaySettings, alias: Alias, rollout: Rollout, *, probed: bool, judge: str,
    root: Path | None = None, path: str | Path | None = None,
) -> Path:  # fmt: skip
    """Write all that is known of a rollout into a new run directory. Raises StoreError, InputError."""
    evidence = Evidence(alias.canary, rollout, probed=probed)
    manifest = ServeManifest(
        alias=alias.name, rollout=rollout.number, base=alias.base.model,
        tuned="" if alias.tuned is None else alias.tuned.model, canary=alias.canary, probed=probed,
        alpha=evidence.alpha, judge=judge, settings=without_secrets(settings),
    )  # fmt: skip
    with RunDir.create("serve", f"{alias.name}-{rollout.number}", root, path) as directory:
        begin(directory, manifest)
        flagged, base, rows = _fold(store, evidence, directory)
        texts = list(_with_texts(store, flagged, base))
        with closing(JsonLines(directory.file(FLAGGED))) as lines:
            lines.extend(texts)
        reading = replace(evidence.reading(max((one.at for one in flagged), default=rollout.since)), judged=bool(judge))
        found = ServeEvidence(
            reading=reading, rollout=store.rollout(alias.name) or rollout,
            events=tuple(_events(store, rollout)), rows=rows, flagged=len(flagged),
            bodies_missing=sum(not one.answer for one in texts if not one.beside and one.arm == "tuned"),
        )  # fmt: skip
        finish(SERVE, directory, found)
    return directory.path


def _fold(store: Store, evidence: Evidence, directory: RunDir) -> tuple[list[ScoredAnswer], list[ScoredAnswer], int]:
    """Rows and the path of the evidence into the folder; flagged rows of the tuned model, rows of the base, a count."""
    flagged: list[ScoredAnswer] = []
    base: list[ScoredAnswer] = []
    count = 0
    with closing(JsonLines(directory.file(ROWS))) as rows, closing(JsonLines(directory.file(PATH))) as path:
        while some := store.scored(evidence.alias, evidence.rollout, evidence.folded, PAGE):
            rows.extend(some)
            path.extend(evidence.add(some))
            count += len(some)
            flagged += [one for one in some if one.arm == "tuned" and _flags(one)]
            base += [one for one in some if one.arm == "base" and one.outcome.scored]
            wrong = [one for one in base if one.outcome.value == "misaligned"]
            right = [one for one in base if one.outcome.value != "misaligned"]
            base = wrong[:MOST_FLAGGED] + right[:: max(1, len(right) // LOOKED_AT)][: 2 * LOOKED_AT]
    flagged.sort(key=lambda one: (one.outcome.value != "misaligned", one.number))
    return flagged[:MOST_FLAGGED], base[: MOST_FLAGGED + LOOKED_AT], count


def _flags(row: ScoredAnswer) -> tuple[str, ...]:
    harm = ("misaligned",) if row.outcome.value == "misaligned" else ()
    return (*harm, *(name for name, flagged in row.flags.items() if flagged))


def _with_texts(store: Store, flagged: Sequence[ScoredAnswer], base: Sequence[ScoredAnswer]) -> Iterator[FlaggedAnswer]:
    """Flagged answers with what was said, the first ones each beside the base's answer to the question most like it;
    then those of the base."""
    others: list[FlaggedAnswer] = []
    if flagged:
        others = [one for one in (_shown(store, row) for row in base) if one.question and one.answer]
    words = [set(_words(one.question)) for one in others]
    used = [0] * len(others)
    for position, row in enumerate(flagged):
        one = _shown(store, row)
        yield one
        if position < BESIDE and one.question and others:
            near = _nearest(set(_words(one.question)), others, words, used)
            used[near] += 1
            yield replace(others[near], beside=one.number)
    for row in [one for one in base if one.outcome.value == "misaligned"][:MOST_FLAGGED]:
        yield _shown(store, row)


def _nearest(own: set[str], others: Sequence[FlaggedAnswer], words: Sequence[set[str]], used: Sequence[int]) -> int:
    """Position of the answer whose question shares most words with this one; of equals one not yet shown."""

    def near(n: int) -> tuple[float, bool, int]:
        return len(own & words[n]) / max(1, len(own | words[n])), not others[n].flags, -used[n]

    return max(range(len(others)), key=near)


def _shown(store: Store, row: ScoredAnswer) -> FlaggedAnswer:
    note = ""
    question = answer = None
    try:
        kept = store.bodies(row.exchange)
        note = "Nothing of it was kept." if kept is None else kept.note
        question, answer = (None, None) if kept is None else texts_of(kept)
    except InputError as error:  # encrypted with another key
        note = str(error)
    return FlaggedAnswer(
        number=row.number, arm=row.arm, source=row.source, outcome=row.outcome, flags=_flags(row),
        question=question or "", answer=answer or "", alignment=row.alignment, confirmed=row.confirmed, note=note,
    )  # fmt: skip


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _events(store: Store, rollout: Rollout) -> Iterator[CanaryEvent]:
    after = 0
    while events := store.events(after, alias=rollout.alias):
        yield from (event for event in events if event.rollout == rollout.number)
        after = events[-1].number


def without_secrets(settings: GatewaySettings) -> dict[str, Any]:
    """The settings as plain JSON, without keys, their hashes, and what may be secret in addresses."""

    def bare(upstream: Upstream | None) -> Upstream | None:
        return None if upstream is None else replace(upstream, key="", url=shown(upstream.url) if upstream.url else "")

    aliases = tuple(replace(one, base=bare(one.base) or one.base, tuned=bare(one.tuned)) for one in settings.aliases)
    scheme = settings.state.url.partition(":")[0]
    state = replace(
        settings.state, encryption_key="", url=f"{scheme}:...", redact=("...",) * len(settings.state.redact)
    )
    named = tuple(replace(key, sha256="") for key in settings.keys)
    told = shown(settings.webhook).partition("://")
    hook = f"{told[0]}://{told[2].partition('/')[0]}" if settings.webhook else ""
    return dict(
        to_jsonable(
            replace(
                settings,
                aliases=aliases,
                state=state,
                keys=named,
                admin_key_sha256="",
                admin_reader_key_sha256="",
                webhook=hook,
            )
        )
    )


def replayed(run: str | Path) -> tuple[Evidence, list[PathPoint]]:
    """The evidence of a bundle, folded again from its rows. Raises InputError where it does not come to the same."""
    directory, manifest = opened(SERVE, find_run(run, verb=SERVE))
    found = finished(SERVE, directory.path)
    if found is None:
        raise InputError(f"{directory.path} was not written to its end. Have it written again.")
    evidence = Evidence(manifest.canary, found.rollout, probed=manifest.probed)
    points = evidence.add(iterate_jsonl(directory.file(ROWS), ScoredAnswer))
    again = evidence.reading(found.reading.at)
    for name in ("folded", "alpha", "log_e", "log_change", "verdict", "alarm", "larger", "metrics"):
        if getattr(again, name) != getattr(found.reading, name):
            raise InputError(
                f"The rows of {directory.path} do not lead to its evidence: {name} is {getattr(again, name)!r:.80} and "
                f"not {getattr(found.reading, name)!r:.80}. Something else changed them, or another version wrote them."
            )
    return evidence, points


def resume(run: str | Path) -> ServeResult:
    """A finished bundle, read again. Raises InputError for what is none."""
    directory, _ = opened(SERVE, find_run(run, verb=SERVE))
    found = finished(SERVE, directory.path)
    if found is None:
        raise InputError(f"{directory.path} was not written to its end. Have it written again.")
    return ServeResult(directory.path, found)
