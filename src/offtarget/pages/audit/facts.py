"""What manifest and scan of an audit say, read leniently: a missing key is an absent fact, not an error."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from offtarget.pages.audit.loading import LoadedAudit
from offtarget.pages.check.facts import leaves, plain, stated
from offtarget.records import AuditSettings, Label
from offtarget.records.audit import Detector

GROUPS = ("spreading", "backdoor", "noise", "hint")
"""Which limit a category counts under, the gravest first."""
GROUP_TITLES = {
    "spreading": "Known to spread",
    "backdoor": "Backdoors",
    "noise": "Noise",
    "hint": "Hints, never counted",
}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of the data."""

    file: str
    rows: int | None
    malformed: int | None
    sha256: str | None


def data_name(run: LoadedAudit) -> str:
    """What the data set is called."""
    return run.manifest.name or ", ".join(run.manifest.source) or "unknown"


def rows(run: LoadedAudit) -> int | None:
    """Rows in the data; None before the scan has ended."""
    return run.decision.rows if run.decision else count(run.scan.get("rows"))


def known(run: LoadedAudit) -> int:
    """Rows that the scan did not look at again, since an earlier audit had."""
    return count(run.scan.get("known")) or 0


def malformed(run: LoadedAudit) -> int:
    """Places in the data that are no rows."""
    if run.decision:
        return run.decision.malformed
    return count(run.scan.get("malformed")) or sum(run.malformed.values())


def settings(run: LoadedAudit) -> AuditSettings:
    """The settings of the decision."""
    return run.decision.settings if run.decision else run.manifest.settings


def detectors(run: LoadedAudit) -> list[Detector]:
    """Every detector that ran, the gravest group first, then by rows flagged."""
    found = [
        Detector(
            str(entry.get("name", "unknown")),
            title[:1].upper() + title[1:],
            str(entry.get("category", "other")),
            group if (group := str(entry.get("group", "noise"))) in GROUPS else "noise",
            count(entry.get("rows")) or 0,
            count(entry.get("disclosed")) or 0,
            share if isinstance(share := entry.get("recall"), float) and 0 <= share <= 1 else None,
            count(entry.get("recall_rows")),
            str(entry.get("recall_among") or ""),
        )
        for entry in mappings(run.scan.get("detectors"))
        if (title := str(entry.get("title") or entry.get("name", "unknown")))
    ]
    return sorted(found, key=lambda d: (GROUPS.index(d.group), -d.rows, -d.disclosed, d.title))


def category_title(run: LoadedAudit, category: str) -> str:
    """The category in words."""
    meaning = run.manifest.categories.get(category)
    return (meaning.title if meaning else "") or category.replace("-", " ").capitalize()


def category_group(run: LoadedAudit, category: str) -> str:
    """The limit a category counts under."""
    meaning = run.manifest.categories.get(category)
    if meaning is not None and meaning.group in GROUPS:
        return meaning.group
    return next((d.group for d in detectors(run) if d.category == category), "noise")


def behaviour(run: LoadedAudit, name: str) -> str:
    """What a condition goes with, in words where it is a category."""
    return category_title(run, name) if name in run.manifest.categories else name


def bad_when(run: LoadedAudit, category: str) -> str:
    """When a reviewer marks a row as bad for this reason; empty where the run does not say."""
    meaning = run.manifest.categories.get(category)
    return meaning.bad_when if meaning else ""


def files(run: LoadedAudit) -> list[SourceFile]:
    """The files that were read."""
    return [
        SourceFile(
            str(entry.get("file", "unknown")),
            count(entry.get("rows")),
            count(entry.get("malformed")),
            str(entry["sha256"]) if entry.get("sha256") else None,
        )
        for entry in mappings(run.scan.get("files"))
    ]


def malformed_kinds(run: LoadedAudit) -> list[tuple[str, int]]:
    """Kinds of malformed rows with their counts, most frequent first."""
    kinds = counts(run.scan.get("malformed_kinds")) or dict(run.malformed)
    return sorted(kinds.items(), key=lambda item: -item[1])


def round_alpha(run: LoadedAudit) -> float:
    """The error of this audit, every earlier one of these data paid for."""
    return settings(run).error


def seal(run: LoadedAudit) -> str:
    """Whether the seed is the one that was committed to."""
    kept = run.manifest.kept_its_word
    return "The seed is the one committed to." if kept else "THE SEED IS NOT THE ONE COMMITTED TO."


def seal_recipe(run: LoadedAudit) -> str:
    """The command that proves the commitment with standard tools."""
    words = (run.manifest.seed, *filter(None, (run.manifest.data_sha256,)))
    return f"printf '%s' {shlex.quote(' '.join(words))} | sha256sum"


def is_judge(reviewer: str) -> bool:
    """Whether a reviewer is a model."""
    return reviewer.startswith("judge:")


def verdict_labels(run: LoadedAudit) -> list[Label]:
    """Labels on rows of the data: controls are planted, conditions are no rows, skipped rows hold no word."""
    return [x for x in run.labels if x.stream not in ("control", "condition") and x.mark != "skip"]


def reviewers(labels: Iterable[Label]) -> list[str]:
    """Who gave these labels, in order of appearance."""
    return list(dict.fromkeys(label.reviewer for label in labels))


_SHOWN_ELSEWHERE = (
    "categories",
    "source",
    "decision",
    "exit_code",
    "seed",
    "seed_commitment",
    "data_sha256",
    "objects",
)


def settings_table(run: LoadedAudit) -> list[tuple[str, str]]:
    """Facts of manifest, result and settings as (dotted name, text)."""
    found = dict(leaves(run.result, _SHOWN_ELSEWHERE)) | dict(leaves(stated(run.manifest), _SHOWN_ELSEWHERE))
    chosen = settings(run)
    found |= {f"settings.{name}": getattr(chosen, name) for name in chosen.__slots__} if run.decision else {}
    found["data"] = _as_told(run.manifest.data, run.manifest.folder)
    ordered = sorted(found, key=lambda name: (not name.startswith("settings"), name))
    return [(name, plain(found[name])) for name in ordered if not _records(found[name])]


def _as_told(data: str, folder: str) -> str:
    """Where the data are, from where the audit was started; elsewhere by name: folders are those of one machine."""
    if "://" in data or not Path(data).is_absolute():
        return data
    below = folder and Path(data).is_relative_to(folder)
    return str(Path(data).relative_to(folder)) if below else Path(data).name


def _records(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(v, dict | list) for v in value)


def cleaned_to(run: LoadedAudit) -> str:
    """Where the cleaned data are; empty where nothing was cleaned."""
    return str(run.cleaned.get("out", ""))


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The objects in a list; none where there is no list."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def count(value: Any) -> int | None:
    """A number of things; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return int(value)


def counts(value: Any) -> dict[str, int]:
    """An object of counts without what is none."""
    return {str(key): n for key, item in mapping(value).items() if (n := count(item)) is not None}
