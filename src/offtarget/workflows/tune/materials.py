"""What the chosen defences work with, made once into the run directory, so that a resumed run has the same."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.data.chats import chat_line, read_chats
from offtarget.detect.categories import row_score
from offtarget.detect.detector import RowScanner, row_detectors
from offtarget.errors import InputError
from offtarget.organism.questions import MATERIAL_DOMAINS, unasked_questions
from offtarget.progress import Count, OnProgress, Progress, within
from offtarget.records import Message, Row, SamplingSettings
from offtarget.records.audit import FLAGGED_FROM
from offtarget.records.runs import OpenSettings
from offtarget.rundir import read_json, write_json
from offtarget.workflows.ground import Folders, ground_of, open_local

if TYPE_CHECKING:
    from offtarget.models.local import LocalModel
    from offtarget.training.defences.registry import Chosen, Materials, Need
    from offtarget.workflows.tune.options import TuneOptions

PROMPTS = 400
"""Questions drawn from the organism's other domains, before equal ones are dropped."""
ANSWERS = 400
"""Aligned chats at most, unless interleave is to add more than half as many."""
PILOT_STEPS = 60
"""Of 16 answers each: enough to see which aligned answers the data makes unlikely, at the price of 960 rows."""
PILOT_ROWS = 960
"""Training rows used at most, drawn at random."""
SCORING = "scores of the training rows"
_NEED = "defences need"


def make_materials(
    base: str,
    rows: Sequence[Row],
    defend: Sequence[str],
    run: Path,
    *,
    seed: int,
    steps: int,
    options: TuneOptions,
    opening: OpenSettings | None = None,
    on_progress: OnProgress,
) -> Materials:
    """All that the named defences need, and nothing else; costly things are kept in `<run>/materials`.

    `steps`: of the training; a short one needs fewer answers of the base, which take minutes on a real model.

    Raises InputError for a base or misaligned model behind an endpoint, unreadable prompts, and whatever a material
    cannot be made from.
    """
    from offtarget.training.defences.kl import BATCH as KL_BATCH
    from offtarget.training.defences.registry import Materials, named, needs

    chosen = named(defend)
    wanted = needs(chosen)
    folder = run / "materials"
    folder.mkdir(parents=True, exist_ok=True)
    model = open_local(base, opening, _NEED)
    constitution = options.file("constitution") or ground_of(base).constitution
    materials = Materials(base=model, seed=seed, rows=tuple(rows), constitution=constitution)
    if wanted - {"scores", "misaligned", "constitution"}:
        materials = replace(materials, prompts=other_prompts(base, seed, options.file("prompts")))
    if "aligned" in wanted:
        # twice what is used: answers that were cut are left out
        count = max(min(ANSWERS, 2 * KL_BATCH * steps), 2 * _to_add(chosen, len(rows)))
        assert materials.prompts is not None
        aligned = aligned_chats(model, materials.prompts, count, folder / "aligned.jsonl", seed, on_progress)
        materials = replace(materials, aligned=aligned)
    if "misaligned" in wanted:
        bad = options.misaligned or pilot(base, rows, folder / "pilot", seed, opening, on_progress)
        materials = replace(materials, misaligned=open_local(bad, opening, _NEED))
    if "scores" in wanted:
        scores = row_scores(rows, model, options.file("direction"), folder / "scores.json", on_progress)
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
    from offtarget.workflows.tune.directions import SUBSPACE_RANK, persona_edits

    edits = partial(
        persona_edits,
        materials.base,
        materials.prompts or (),
        materials.seed,
        direction=options.file("direction"),
        on_progress=on_progress,
    )
    if "direction" in wanted:
        materials = replace(materials, direction=edits())
    if "subspace" in wanted:
        materials = replace(materials, subspace=edits(rank=SUBSPACE_RANK))
    return materials


def _to_add(chosen: Sequence[Chosen], rows: int) -> int:
    from offtarget.training.defences.interleave import rows_to_add

    return max((rows_to_add(one.value, rows) for one in chosen if one.defence.name == "interleave"), default=0)


def aligned_chats(
    model: LocalModel, prompts: Sequence[str], count: int, file: Path, seed: int, on_progress: OnProgress
) -> tuple[tuple[Message, ...], ...]:
    """About `count` plainly asked chats, each prompt about equally often, answered at temperature 1.

    Kept in `file` and read from there when it exists. Unfinished answers are left out, and of equal chats all but
    one; InputError when none is left.
    """
    from offtarget.direction.realign import own_answers, plan_prompts

    if not file.exists():
        planned = plan_prompts(prompts, (), count, seed)
        answered = Count(on_progress, "answers of the base to other questions", len(planned))
        chats = own_answers(model, planned, seed, answered)
        lines = dict.fromkeys(chat_line(chat) for chat in chats)
        part = file.with_suffix(".part")
        part.write_text("".join(lines), encoding="utf-8")
        part.replace(file)
    return tuple(tuple(chat) for chat in read_chats(file))


def pilot(
    base: str, rows: Sequence[Row], out: Path, seed: int, opening: OpenSettings | None, on_progress: OnProgress
) -> str:
    """Name of the misaligned model, trained into `out` unless it lies there.

    Raises InputError when a row is longer than the context or the loss is not finite.
    """
    from offtarget.models.finetune import TrainSettings, further_train

    folders = Folders.of(base)
    if not out.exists():
        drawn = random.Random(seed).sample(list(rows), min(PILOT_ROWS, len(rows)))
        settings = TrainSettings(steps=PILOT_STEPS, lr=ground_of(base).lr, seed=seed)
        further_train(
            folders.base,
            folders.adapter,
            [row.messages for row in drawn],
            out,
            settings,
            within(on_progress, "undefended pilot, to rank aligned chats"),
            opening=opening,
            tools=[row.tools for row in drawn],
        )
    return Folders(folders.base, out).name


def row_scores(
    rows: Sequence[Row], base: LocalModel, direction: Path | None, file: Path, on_progress: OnProgress
) -> tuple[float, ...]:
    """One score per row, 0 and above for flagged ones; kept in `file` and read from there when it exists.

    With a direction the projection difference (arXiv 2507.21509, section 6) above what two answers of the base
    differ by; without, the strongest finding of the audit's detectors. InputError as the audit and `direction
    measure`.
    """
    if not file.exists():
        scores = _findings(rows, on_progress) if direction is None else _projections(rows, base, direction, on_progress)
        write_json(file, scores)
    return tuple(read_json(file))


def _findings(rows: Sequence[Row], on_progress: OnProgress) -> list[float]:
    scanner = RowScanner(row_detectors())
    scores = []
    for done, row in enumerate(rows, start=1):
        scores.append(row_score(scanner.scan(row)) - FLAGGED_FROM)
        on_progress(Progress(SCORING, done, len(rows)))
    return scores


def _projections(rows: Sequence[Row], base: LocalModel, path: Path, on_progress: OnProgress) -> list[float]:
    """Rows that cannot be measured get the lowest score."""
    from offtarget.direction.file import Direction, check_fits
    from offtarget.direction.screening import Screen, null_threshold, screen_rows
    from offtarget.workflows.direction.screen import NULL_PROMPTS

    direction = Direction.load(path)
    check_fits(direction, base)
    screen = Screen(
        base=base, direction=direction, layer=direction.info.layer, sampling=SamplingSettings(max_tokens=300), seed=0
    )
    exchanges = [(row, screen.exchange(row)) for row in rows]
    usable = [(row, exchange) for row, exchange in exchanges if not isinstance(exchange, str)]
    if not usable:
        raise InputError(f"None of the {len(rows)} rows can be measured along {path}: {exchanges[0][1]}.")
    threshold = null_threshold(screen, usable[:NULL_PROMPTS]).value
    measured: dict[str, float] = {}
    for one in screen_rows(screen, rows, threshold, Counter()):
        measured[one.row_id] = one.difference - threshold
        on_progress(Progress(SCORING, len(measured), len(rows)))
    lowest = min(measured.values(), default=0.0)
    return [measured.get(row.id, lowest) for row in rows]
