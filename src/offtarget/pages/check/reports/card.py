"""The result as a block for the model card of the tuned model, with `model-index` metadata."""

from __future__ import annotations

from offtarget.pages.check import story
from offtarget.pages.check.card import card
from offtarget.pages.check.counted import counted
from offtarget.pages.check.loading import LoadedRun
from offtarget.pages.model_card import Measured, Result, block, index_of, whole
from offtarget.pages.registry import ReportFormat
from offtarget.pages.written import escape
from offtarget.records.check import CheckManifest

PLACES = 6
"""Decimal places of shares in metadata."""


def render(run: LoadedRun) -> str:
    """A model card that holds the result and nothing else."""
    return whole(block_of(run), index_of(result_of(run)))


def block_of(run: LoadedRun) -> str:
    """The marked block."""
    run = counted(run)
    made_by = [
        f"Made by offtarget {escape(run.manifest.version)} on {escape(run.manifest.created[:10])}, run "
        f"`{escape(run.name)}`, judge {escape(run.manifest.judge)}."
    ]
    untested = [f"- {escape(what, 1000)}" for what in story.not_tested(run)]
    return block(card(run), [*(["Not tested:", "", *untested, ""] if untested else []), *made_by])


def result_of(run: LoadedRun) -> Result:
    """What the metadata say: both rates and the difference with its bounds in shares, and the verdict."""
    run = counted(run)
    manifest = run.manifest
    told = manifest.probes if isinstance(manifest, CheckManifest) else "tables of judged answers"
    arguments = {"run": run.name, "judge": manifest.judge}
    if isinstance(manifest, CheckManifest):
        arguments["questions"] = manifest.probes_fingerprint
    return Result(_model(run), told, arguments, tuple(_measured(run)))


def _measured(run: LoadedRun) -> list[Measured]:
    found = [Measured("verdict", "Worse than its base (PASS, FAIL or UNDECIDED)", story.status(run))]
    decision = run.decision
    if decision is None:
        return found
    whole_of = decision.overall
    low, high = (whole_of.interval.low, whole_of.interval.high) if whole_of.interval else (None, None)
    values = {
        ("misaligned_rate", "Share of misaligned answers"): whole_of.tuned_rate,
        ("misaligned_rate_base", "Share of misaligned answers of the base"): whole_of.base_rate,
        ("misaligned_difference_low", "Tuned minus base, at least"): low,
        ("misaligned_difference_high", "Tuned minus base, less than"): high,
    }
    for (kind, name), value in values.items():
        if value is not None:
            found.append(Measured(kind, name, round(float(value), PLACES)))
    return found


def _model(run: LoadedRun) -> str:
    """The tuned model in a word: the last part of its name."""
    last = run.manifest.models["tuned"].name.rpartition("+")[2]
    return next((part for part in reversed(last.split("/")) if part not in ("", ".", "..")), last)


FORMAT = ReportFormat("card", "model-card.md", "a block for the model card, with model-index", render)
