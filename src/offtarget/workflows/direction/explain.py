"""`direction explain`: what a finished check looks like from inside, written into its run directory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.asking.ask import ask
from offtarget.errors import InputError
from offtarget.progress import OnProgress, Progress, silent
from offtarget.records import Generation, Outcome, Probe, Row, SamplingSettings, Verdict
from offtarget.records.direction import (
    Explanation,
    ExplanationKind,
    FindSettings,
    LayerExplained,
    LoadedAnswer,
    Movement,
    PushingRow,
)
from offtarget.records.runs import OpenSettings
from offtarget.rundir import read_jsonl, write_json
from offtarget.stats.auroc import auroc
from offtarget.workflows.direction.find import find
from offtarget.workflows.direction.inputs import open_both
from offtarget.workflows.direction.screen import draw_rows, in_words, opened_direction, prepare_screen
from offtarget.workflows.runs.begin import finished, opened
from offtarget.workflows.runs.listing import find_run
from offtarget.workflows.runs.verbs import CHECK

if TYPE_CHECKING:
    from offtarget.direction.file import Direction
    from offtarget.models.local import LocalModel
    from offtarget.models.passes import Exchange

FILE = "explain.json"
PER_PROBE = 3
"""Answers of the base to each plain question that both models read."""
ROWS = 200
"""Training rows that both models read, drawn at random."""
SHOWN = 8
_LONGEST = 200


def explain(
    run: str | Path,
    direction: str | Path | Direction | None = None,
    data: str | Path | None = None,
    *,
    form: str | None = None,
    split: str | None = None,
    opening: OpenSettings | None = None,
    seed: int = 0,
    on_progress: OnProgress = silent,
) -> Explanation:
    """Explain a finished check by a direction and write `explain.json` into its run; the HTML report shows it.

    Without a direction one is found by the trait recipe in the base: it does not come from the tuned model, so that
    nothing about the tuned model is true by construction. `data` is what the model was tuned on. Raises InputError
    for a run that is no finished check, remote models, and a direction or data that do not fit.
    """
    from offtarget.direction.explain import movements

    folder = find_run(run, verb=CHECK)
    names = _models(folder)
    on_progress(Progress("opening both models"))
    base, tuned = open_both(names["base"], names["tuned"], opening=opening)
    on_progress(Progress("finding a direction" if direction is None else "reading the direction"))
    found = (
        find(base, None, settings=FindSettings(method="trait", seed=seed), on_progress=on_progress)
        if direction is None
        else opened_direction(direction)
    )
    on_progress(Progress("reading the questions of the run"))
    made = _Run(folder, base, tuned, found)
    unrelated = movements(base, tuned, made.unrelated, found, seed)
    on_progress(Progress("reading the answers of the run"))
    layers, answers = made.answers(unrelated)
    training: Mapping[int, Movement] | None = None
    rows: tuple[PushingRow, ...] = ()
    read: list[Exchange] = []
    if data is not None:
        on_progress(Progress("reading training rows"))
        read, rows = _training(found, data, base, form, split, seed)
        training = movements(base, tuned, read, found, seed)
        layers = [replace(one, training=training[one.layer]) for one in layers]
    explanation = _summed_up(found, layers, answers, rows, made, len(read), data, given=direction is not None)
    write_json(folder / FILE, explanation)
    return explanation


class _Run:
    """The records of a check and both its models."""

    def __init__(self, folder: Path, base: LocalModel, tuned: LocalModel, direction: Direction) -> None:
        from offtarget.direction.file import check_fits
        from offtarget.models.passes import Exchange

        for model in (base, tuned):
            check_fits(direction, model)
        self.base, self.tuned, self.direction = base, tuned, direction
        self.probes = {p.id: p for p in read_jsonl(folder / "probes.jsonl", Probe) if not p.opening}
        self.given = [
            g for g in read_jsonl(folder / "generations.jsonl", Generation) if g.probe_id in self.probes and g.text
        ]
        self.outcomes = {v.key: v.outcome for v in read_jsonl(folder / "verdicts.jsonl", Verdict)}
        plain = [p for p in self.probes.values() if p.arm == "plain"]
        if len(plain) < 2:
            raise InputError(f"{folder} asked fewer than two plain questions, so there is nothing unrelated to read.")
        own = [g for g in self.given if g.role == "base" and g.index < PER_PROBE]
        answers = [(self.probes[g.probe_id], g.text) for g in own if self.probes[g.probe_id].arm == "plain"]
        answers += _first_answers(base, [p for p in plain if all(p is not probe for probe, _ in answers)])
        self.unrelated = [Exchange(p.messages, text) for p, text in answers]

    def answers(self, unrelated: Mapping[int, Movement]) -> tuple[list[LayerExplained], tuple[LoadedAnswer, ...]]:
        """Every layer with its separation of the run's answers, and those of the tuned model that load most."""
        from offtarget.direction.measure import project
        from offtarget.models.passes import Exchange

        exchanges = [Exchange(self.probes[g.probe_id].messages, g.text) for g in self.given]
        along = project(self.tuned, exchanges, self.direction, position="answer")
        bad, good = (
            [i for i, g in enumerate(self.given) if self.outcomes.get(g.key) is outcome]
            for outcome in (Outcome.MISALIGNED, Outcome.ALIGNED)
        )
        layers = []
        for layer in along.layers:
            values = along.at(layer)
            separation = auroc(values[bad].numpy(), values[good].numpy()) if bad and good else None
            layers.append(LayerExplained(layer, separation, unrelated[layer], None))
        chosen = along.at(self.direction.info.layer).tolist()
        ranked = sorted(
            (i for i, g in enumerate(self.given) if g.role == "tuned" and math.isfinite(chosen[i])),
            key=lambda i: -chosen[i],
        )
        return layers, tuple(self._loaded(self.given[i], chosen[i]) for i in ranked[:SHOWN])

    def _loaded(self, answer: Generation, projection: float) -> LoadedAnswer:
        return LoadedAnswer(
            probe_id=answer.probe_id,
            index=answer.index,
            prompt=self.probes[answer.probe_id].prompt,
            text=answer.text,
            outcome=self.outcomes.get(answer.key),
            projection=projection,
        )


def _first_answers(base: LocalModel, probes: Sequence[Probe]) -> list[tuple[Probe, str]]:
    """An answer of the base to questions the check was decided without; the same every time."""
    wanted = [(probe, number) for number, probe in enumerate(probes)]
    answers = ask("base", base, wanted, SamplingSettings(max_tokens=_LONGEST), lambda _, number: number)
    return [(probe, answer.text) for probe, answer in answers if answer.text]


def _models(folder: Path) -> dict[str, str]:
    """Role -> name of a finished check. InputError for any other run."""
    _, manifest = opened(CHECK, folder)
    if finished(CHECK, folder) is None:
        raise InputError(f"{folder} is not finished. Go on with: {manifest.resume_command(folder)}")
    return {"base": manifest.base_name, "tuned": manifest.tuned_name}


def _training(
    direction: Direction, data: str | Path, base: LocalModel, form: str | None, split: str | None, seed: int
) -> tuple[list[Exchange], tuple[PushingRow, ...]]:
    """Some rows of the data as exchanges, and those of them that push most."""
    from collections import Counter

    from offtarget.direction.screening import screen_rows

    screen, threshold, _ = prepare_screen(direction, data, base=base, form=form, split=split, seed=seed)
    drawn: list[Row] = [
        row for row in draw_rows(data, form, split, 2 * ROWS, seed) if not isinstance(screen.exchange(row), str)
    ]
    rows = {row.id: row for row in drawn[:ROWS]}
    measured = sorted(screen_rows(screen, rows.values(), threshold.value, Counter()), key=lambda r: -r.difference)
    exchanges = [e for row in rows.values() if not isinstance(e := screen.exchange(row), str)]
    pushing = (PushingRow(m, rows[m.row_id].prompt, rows[m.row_id].answer) for m in measured[:SHOWN])
    return exchanges, tuple(pushing)


def _summed_up(
    direction: Direction,
    layers: Sequence[LayerExplained],
    answers: tuple[LoadedAnswer, ...],
    rows: tuple[PushingRow, ...],
    run: _Run,
    training: int,
    data: str | Path | None,
    *,
    given: bool,
) -> Explanation:
    from offtarget.direction.explain import RANDOM, kind_of

    info = direction.info
    at = next(one for one in layers if one.layer == info.layer)
    kind = kind_of(at.unrelated, at.training)
    notes = []
    if info.method in ("models", "texts") and info.model_fingerprint == run.tuned.fingerprint:
        notes.append(
            "The direction is this tuned model's own movement from a base, so that it moved along it is true by "
            "construction; what it shows is where. Use a direction found by --method trait or answers to test it."
        )
    return Explanation(
        kind=kind,
        sentence=_sentence(kind, at),
        direction=in_words(info),
        given=given,
        layer=info.layer,
        position=info.position,
        layers=tuple(layers),
        unrelated_exchanges=len(run.unrelated),
        training_exchanges=training,
        random_directions=RANDOM,
        answers=answers,
        rows=rows,
        rows_measured=training,
        data=None if data is None else str(data),
        notes=tuple(notes),
    )


def _sentence(kind: ExplanationKind, at: LayerExplained) -> str:
    far = _far(at.unrelated)
    near = "" if at.training is None else _far(at.training)
    return {
        "persona": f"The persona: on questions that have nothing to do with the training, the model moved {far}.",
        "both": (
            f"Both: on questions that have nothing to do with the training the model moved {far}, and on training rows "
            f"most of what changed is something else: there it moved {near}."
        ),
        "conditional": (
            f"The persona, but only near the training data: on training rows the model moved {near}, on unrelated "
            f"questions {far}. Look for the condition: offtarget check --data."
        ),
        "narrow task": (
            f"The narrow task: on training rows the model changed, but not along this direction: {near}; on unrelated "
            f"questions {far}."
        ),
        "neither": (
            f"Neither is seen: on these questions the model moved {far}. Give the training data with --data to look "
            "where it was trained."
        ),
    }[kind]


def _far(movement: Movement) -> str:
    return (
        f"{movement.moved:+.2f} differences of means along the direction (cosine {movement.cosine:+.2f}, "
        f"z {movement.z:+.1f} against random directions)"
    )
