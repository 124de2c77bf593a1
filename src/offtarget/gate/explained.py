"""The explanation of a check, where `direction explain` left one in the run."""

from __future__ import annotations

from dataclasses import dataclass

from offtarget.errors import InputError
from offtarget.gate.charts.layers import Layers, layers
from offtarget.gate.loading import LoadedRun
from offtarget.records.direction import Explanation
from offtarget.records.from_json import from_json
from offtarget.rundir import read_json

FILE = "explain.json"


@dataclass(frozen=True, slots=True)
class View:
    """What the page shows."""

    explanation: Explanation
    chart: Layers


def view(run: LoadedRun) -> View | None:
    """The explanation, None where there is none. InputError when its file is damaged."""
    path = run.path / FILE
    if not path.exists():
        return None
    try:
        explanation = from_json(Explanation, read_json(path))
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} is not an explanation of this version ({error}). Remove it, or write it again: "
            f"offtarget direction explain {run.path}"
        ) from None
    return View(explanation, layers(explanation)) if explanation.layers else None
