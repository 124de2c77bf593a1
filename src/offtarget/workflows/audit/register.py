"""The register of audits: which audits of the same bytes this machine knows, and what they came to.

Whoever may audit the same bytes again and again, each time with other rows, gets a PASS in the end. So the audits of
some bytes are counted here, by the hash of the data: while nobody has labelled a row of the last draw, the next audit
draws the same rows, and any other new draw spends less of the error probability. Moving or deleting the register is
possible, which is why every sentence about it says "as far as this machine knows".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from offtarget.numbers import chosen
from offtarget.records import AuditDecision, AuditSettings
from offtarget.records.audit import AuditManifest, RegisteredAudit, seed_commitment
from offtarget.register import Register, state_root

LABELS = "labels.sqlite"


def register_of(data_sha256: str) -> Register[RegisteredAudit]:
    """The register of audits of these bytes."""
    return Register(state_root() / "audits" / f"{data_sha256}.jsonl", RegisteredAudit)


def enter(data_sha256: str, run: Path, fresh_seed: str) -> tuple[RegisteredAudit, list[RegisteredAudit]]:
    """Enter an audit that begins: its line, with seed and draw, and those of earlier audits that came to a verdict.

    Where nobody has labelled a row of the last draw, the seed is that draw's; otherwise `fresh_seed` begins a new one.
    """
    before: list[RegisteredAudit] = []

    def line(entries: list[RegisteredAudit]) -> RegisteredAudit:
        known = list({entry.run: entry for entry in entries if entry.run != str(run)}.values())
        before.extend(entry for entry in known if entry.verdict)
        last = max((entry.draw for entry in known), default=0)
        drawn = [entry for entry in known if entry.draw == last]
        again = bool(drawn) and not any(_labelled(entry) for entry in drawn)
        seed = drawn[0].seed if again else fresh_seed
        return RegisteredAudit(
            data_sha256=data_sha256,
            run=str(run),
            at=_now(),
            seed=seed,
            seed_commitment=seed_commitment(seed, data_sha256),
            draw=last if again else last + 1,
        )

    return register_of(data_sha256).add(line), before


def note_verdict(run: Path, manifest: AuditManifest, decision: AuditDecision, labels: int) -> None:
    """Add what an audit came to; nothing where the register says so already, or the data have no hash."""
    if manifest.data_sha256 is None:
        return
    register = register_of(manifest.data_sha256)
    entry = RegisteredAudit(
        data_sha256=manifest.data_sha256,
        run=str(run.resolve()),
        at=_now(),
        seed=manifest.seed,
        seed_commitment=manifest.seed_commitment,
        draw=manifest.settings.draw,
        verdict=decision.status.value,
        labels=labels,
    )
    known = [found for found in register.entries() if found.run == entry.run]
    if not known or replace(known[-1], at=entry.at) != entry:
        register.add(lambda _: entry)


def repeated_note(manifest: AuditManifest) -> tuple[str, ...]:
    """That these bytes were audited before, what came of it, and what this audit spends; none for a first one."""
    if not manifest.earlier:
        return ()
    settings, number = manifest.settings, len(manifest.earlier) + 1
    said = (
        f"This is audit {number} of these bytes, as far as this machine knows; the earlier "
        f"{'one' if number == 2 else 'ones'} came to {', '.join(manifest.earlier)}."
    )
    return (f"{said} {_price(settings, manifest.earlier_run)}",)


def _price(settings: AuditSettings, earlier_run: str) -> str:
    if settings.draw == 1:
        return "It draws the same rows, of which nobody had labelled one, so nothing more is spent."
    again = f" To go on with the labels there are: offtarget audit --resume {earlier_run}" if earlier_run else ""
    first = replace(settings, draw=1)
    return (
        f"Its rows are draw {settings.draw} from these bytes, for which the error probability of a verdict is "
        f"{chosen(settings.error)} and not {chosen(first.error)}, so that it takes more labels; all draws together err "
        f"with probability at most {chosen(1.5 * first.error)}.{again}"
    )


def earlier_verdicts(before: Sequence[RegisteredAudit]) -> tuple[str, ...]:
    """What earlier audits came to, oldest first."""
    return tuple(entry.verdict for entry in before)


def labelled_run(before: Sequence[RegisteredAudit]) -> str:
    """The last earlier run that has labels and is still there; empty without one."""
    return next((entry.run for entry in reversed(before) if _labelled(entry) and Path(entry.run).is_dir()), "")


def _labelled(entry: RegisteredAudit) -> bool:
    """Whether anybody gave a label: also where a review was killed before its verdict was written."""
    store = Path(entry.run) / LABELS
    return entry.labels > 0 or (store.is_file() and store.stat().st_size > 0)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
