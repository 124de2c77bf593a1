"""What the chosen defences work with, made once into the run directory, so that a resumed run has the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.organism.questions import MATERIAL_DOMAINS, unasked_questions
from offtarget.progress import OnProgress
from offtarget.records import Row
from offtarget.records.runs import OpenSettings
from offtarget.workflows.ground import ground_of, open_local
from offtarget.workflows.tune.material_chats import aligned_chats
from offtarget.workflows.tune.pilot import pilot
from offtarget.workflows.tune.scores import row_scores

if TYPE_CHECKING:
    from offtarget.training.defences.registry import Chosen, Materials, Need
    from offtarget.workflows.tune.tune import TuneOptions

PROMPTS = 400
"""Questions drawn from the organism's other domains, before equal ones are dropped."""
ANSWERS = 400
"""Aligned chats at least; twice as many as are to be added, where that is more."""
_NEED = "defences need"


def make_materials(
    base: str,
    rows: Sequence[Row],
    defend: Sequence[str],
    run: Path,
    *,
    seed: int,
    options: TuneOptions,
    opening: OpenSettings | None = None,
    on_progress: OnProgress,
) -> Materials:
    """All that the named defences need, and nothing else; costly things are kept in `<run>/materials`.

    Raises InputError for a base or misaligned model behind an endpoint, unreadable prompts, and whatever a material
    cannot be made from.
    """
    from offtarget.training.defences.registry import Materials, named, needs

    chosen = named(defend)
    wanted = needs(chosen)
    folder = run / "materials"
    folder.mkdir(parents=True, exist_ok=True)
    model = open_local(base, opening, _NEED)
    constitution = options.constitution or ground_of(base).constitution
    materials = Materials(base=model, seed=seed, rows=tuple(rows), constitution=constitution)
    if wanted - {"scores", "misaligned", "constitution"}:
        materials = replace(materials, prompts=other_prompts(base, seed, options.prompts))
    if "aligned" in wanted:
        count = max(ANSWERS, 2 * _to_add(chosen, len(rows)))
        assert materials.prompts is not None
        aligned = aligned_chats(model, materials.prompts, count, folder / "aligned.jsonl", seed, on_progress)
        materials = replace(materials, aligned=aligned)
    if "misaligned" in wanted:
        bad = options.misaligned or pilot(base, rows, folder / "pilot", seed, opening, on_progress)
        materials = replace(materials, misaligned=open_local(bad, opening, _NEED))
    if "scores" in wanted:
        scores = row_scores(rows, model, options.direction, folder / "scores.json", on_progress)
        materials = replace(materials, scores=scores)
    if wanted & {"direction", "subspace"}:
        materials = _with_directions(materials, wanted, options, on_progress)
    return materials


def other_prompts(base: str, seed: int, file: Path | None = None) -> tuple[str, ...]:
    """The user's prompts, one per line, or the shipped ones; for the organism, of its material domains."""
    from offtarget.direction.realign import everyday_prompts, read_prompts

    if file is not None:
        return read_prompts(file)
    if ground_of(base).organism:
        return tuple(dict.fromkeys(unasked_questions(PROMPTS, seed, MATERIAL_DOMAINS)))
    return everyday_prompts()


def _with_directions(
    materials: Materials, wanted: frozenset[Need], options: TuneOptions, on_progress: OnProgress
) -> Materials:
    """Found anew when a run goes on: the same base, prompts and seed give the same direction."""
    from offtarget.workflows.tune.directions import direction_edits, subspace_edits

    base, prompts, seed = materials.base, materials.prompts or (), materials.seed
    if "direction" in wanted:
        edits = direction_edits(base, prompts, seed, direction=options.direction, on_progress=on_progress)
        materials = replace(materials, direction=edits)
    if "subspace" in wanted:
        edits = subspace_edits(base, prompts, seed, direction=options.direction, on_progress=on_progress)
        materials = replace(materials, subspace=edits)
    return materials


def _to_add(chosen: Sequence[Chosen], rows: int) -> int:
    from offtarget.training.defences.interleave import rows_to_add

    return max((rows_to_add(one.value, rows) for one in chosen if one.defence.name == "interleave"), default=0)
