"""The card of a run that has not come to its end."""

from __future__ import annotations

from pathlib import Path

from offtarget.pages.card import Card, Step
from offtarget.records.runs import Manifest


def unfinished(path: Path, manifest: Manifest, subject: str, so_far: str) -> Card:
    """How far it is, and the command that goes on; `so_far` is a sentence."""
    command = manifest.resume_command(path)
    if manifest.objects:
        return Card("UNFINISHED", subject, so_far, steps=(Step(f"Go on where it stopped: {command}"),))
    return Card("UNFINISHED", subject, so_far, steps=(Step("Go on where it stopped", command),))
