"""`direction explain`: what a finished check looks like from inside, written into its run directory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.asking.ask import ask
from offtarget.errors import InputError, NoDirectionError
from offtarget.numbers import at_least, many, percent
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
    folder = find_run(run, verb=CHECK)
    names = _models(folder)
    on_progress(Progress("opening both models"))
    from offtarget.direction.explain import movements  # torch comes after the cheap mistakes

    base, tuned = open_both(names["base"], names["tuned"], opening=opening)
    on_progress(Progress("finding a direction" if direction is None else "reading the direction"))
    try:
        found = _found(base, seed, on_progress) if direction is None else opened_direction(direction)
    except NoDirectionError as error:
        return _kept(folder, _without(error.sentence, f"none, by the trait recipe in {base.name}", given=False))
    on_progress(Progress("reading the questions of the run"))
    made = _Run(folder, base, tuned, found)
    unrelated = movements(base, tuned, made.unrelated, found, seed)
    on_progress(Progress("reading the answers of the run"))
    along = made.answers(unrelated)
    if along.chosen is None:
        sentence = _at_chance(along.layers)
        return _kept(folder, _without(sentence, in_words(found.info), along.layers, given=direction is not None))
    training: Mapping[int, Movement] | None = None
    rows: tuple[PushingRow, ...] = ()
    read: list[Exchange] = []
    layers = along.layers
    if data is not None:
        on_progress(Progress("reading training rows"))
        read, rows = _training(found, along.chosen, data, base, form, split, seed)
        training = movements(base, tuned, read, found, seed)
        layers = [replace(one, training=training[one.layer]) for one in layers]
    explanation = _summed_up(found, along, layers, rows, made, len(read), data, given=direction is not None)
    return _kept(folder, explanation)


def _found(base: LocalModel, seed: int, on_progress: OnProgress) -> Direction:
    return find(base, None, settings=FindSettings(method="trait", seed=seed), on_progress=on_progress)


def _kept(folder: Path, explanation: Explanation) -> Explanation:
    write_json(folder / FILE, explanation)
    return explanation


def _without(sentence: str, direction: str, layers: Sequence[LayerExplained] = (), *, given: bool) -> Explanation:
    """The explanation where no direction was found: nothing is read off one."""
    from offtarget.direction.explain import RANDOM

    return Explanation(
        kind="no direction",
        sentence=sentence,
        direction=direction,
        given=given,
        layer=None,
        position=None,
        layers=tuple(layers),
        unrelated_exchanges=0,
        training_exchanges=0,
        random_directions=RANDOM,
        answers=(),
    )


def _at_chance(layers: Sequence[LayerExplained]) -> str:
    best = max(layers, key=lambda one: one.auroc_low or 0.0)
    if best.auroc_low is None or best.auroc is None:
        return "By its own file the direction does not tell apart what it was made from, more surely than chance does."
    return (
        "At no layer is the direction shown to tell this run's misaligned from its aligned answers: at best in "
        f"{percent(best.auroc)} of pairs (layer {best.layer}), perhaps only {at_least(best.auroc_low)}; 50 % is chance."
    )


@dataclass(frozen=True, slots=True)
class _Along:
    """The answers of a run along a direction."""

    layers: list[LayerExplained]
    chosen: int | None
    """Layer at which they are told apart; None where no direction was found."""
    loaded: tuple[LoadedAnswer, ...]
    """Of the tuned model, largest projection at that layer first."""
    misaligned: int
    tested: bool
    """Whether the run had answers enough to say."""


class _Run:
    """The records of a check and both its models."""

    def __init__(self, folder: Path, base: LocalModel, tuned: LocalModel, direction: Direction) -> None:
        from offtarget.direction.file import check_fits
        from offtarget.models.passes import Exchange

        for model in (base, tuned):
            check_fits(direction, model)
        self.base, self.tuned, self.direction = base, tuned, direction
        self.probes = {p.id: p for p in read_jsonl(folder / "probes.jsonl", Probe) if p.plainly_asked}
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

    def answers(self, unrelated: Mapping[int, Movement]) -> _Along:
        """Every layer with its separation of the run's answers, and those of the tuned model that load most."""
        from offtarget.direction.explain import layer_of, lower_bounds
        from offtarget.direction.measure import project
        from offtarget.models.passes import Exchange

        exchanges = [Exchange(self.probes[g.probe_id].messages, g.text) for g in self.given]
        along = project(self.tuned, exchanges, self.direction, position="answer")
        bad, good = (
            [i for i, g in enumerate(self.given) if self.outcomes.get(g.key) is outcome]
            for outcome in (Outcome.MISALIGNED, Outcome.ALIGNED)
        )
        sides = [{layer: along.at(layer)[side].tolist() for layer in along.layers} for side in (bad, good)]
        bounds = lower_bounds(*sides)
        layers = [
            LayerExplained(
                layer=layer,
                auroc=auroc(sides[0][layer], sides[1][layer]) if bad and good else None,
                unrelated=unrelated[layer],
                training=None,
                auroc_low=bounds[layer],
            )
            for layer in along.layers
        ]
        chosen = layer_of(self.direction.info, bounds)
        tested = any(bound is not None for bound in bounds.values())
        loaded = () if chosen is None else self._most_loaded(along.at(chosen).tolist())
        return _Along(layers, chosen, loaded, len(bad), tested)

    def _most_loaded(self, projections: Sequence[float]) -> tuple[LoadedAnswer, ...]:
        ranked = sorted(
            (i for i, g in enumerate(self.given) if g.role == "tuned" and math.isfinite(projections[i])),
            key=lambda i: -projections[i],
        )
        return tuple(self._loaded(self.given[i], projections[i]) for i in ranked[:SHOWN])

    def _loaded(self, answer: Generation, projection: float) -> LoadedAnswer:
        return LoadedAnswer(
            probe_id=answer.probe_id,
            index=answer.index,
            prompt=self.probes[answer.probe_id].prompt,
            text=answer.text,
            outcome=self.outcomes.get(answer.key),
            projection=projection,
            base=self._of_base(answer),
        )

    def _of_base(self, answer: Generation) -> str | None:
        """The base's answer to the same question: with the same random stream, else its first."""
        asked = [g for g in self.given if g.role == "base" and g.probe_id == answer.probe_id]
        same = [g.text for g in asked if g.index == answer.index]
        return next(iter(same or [g.text for g in asked]), None)


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
    direction: Direction,
    layer: int,
    data: str | Path,
    base: LocalModel,
    form: str | None,
    split: str | None,
    seed: int,
) -> tuple[list[Exchange], tuple[PushingRow, ...]]:
    """Some rows of the data as exchanges, and those of them that push most."""
    from collections import Counter

    from offtarget.direction.screening import screen_rows

    screen, threshold, _ = prepare_screen(direction, data, base=base, layer=layer, form=form, split=split, seed=seed)
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
    along: _Along,
    layers: Sequence[LayerExplained],
    rows: tuple[PushingRow, ...],
    run: _Run,
    training: int,
    data: str | Path | None,
    *,
    given: bool,
) -> Explanation:
    from offtarget.direction.explain import RANDOM, kind_of

    info = direction.info
    at = next(one for one in layers if one.layer == along.chosen)
    kind = kind_of(at.unrelated, at.training)
    notes = []
    if info.method in ("models", "texts") and info.model_fingerprint == run.tuned.fingerprint:
        notes.append(
            "The direction is this tuned model's own movement from a base, so that it moved along it is true by "
            "construction; what it shows is where. Use a direction found by --method trait or answers to test it."
        )
    if not along.tested:
        count = (
            "no misaligned answer" if not along.misaligned else f"only {many(along.misaligned, 'misaligned answer')}"
        )
        notes.append(
            f"The run holds {count}, too few to see whether the direction tells misaligned from aligned answers here."
        )
    return Explanation(
        kind=kind,
        sentence=_sentence(kind, at),
        direction=in_words(info),
        given=given,
        layer=along.chosen,
        position=info.position,
        layers=tuple(layers),
        unrelated_exchanges=len(run.unrelated),
        training_exchanges=training,
        random_directions=RANDOM,
        answers=along.loaded,
        rows=rows,
        rows_measured=training,
        data=None if data is None else str(data),
        notes=tuple(notes),
    )


def _sentence(kind: ExplanationKind, at: LayerExplained) -> str:
    far = f"{at.unrelated.moved:+.2f} along the direction"
    beyond = f"{at.unrelated.z:.1f} times the spread along random ones"
    near = "" if at.training is None else f"{at.training.moved:+.2f}"
    return {
        "persona": f"On questions unrelated to its training, the tuned model moved {far}, {beyond}.",
        "both": (
            f"On questions unrelated to its training, the tuned model moved {far}; on training rows, most of what "
            "changed is something else."
        ),
        "conditional": (
            f"On training rows the tuned model moved {near} along the direction, on unrelated questions not clearly."
        ),
        "narrow task": "On training rows the tuned model changed, but not along this direction.",
        "neither": "On these questions the tuned model did not clearly move along this direction.",
        "no direction": "",
    }[kind]
