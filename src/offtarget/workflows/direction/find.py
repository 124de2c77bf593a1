"""`direction find`: from two models, or one and a trait, to a direction with its provenance."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.asking.protocol import Judge, notes_of
from offtarget.asking.spending import timed
from offtarget.errors import NoDirectionError
from offtarget.numbers import at_least, percent
from offtarget.probe.bank import ProbeBank
from offtarget.progress import Count, OnProgress, Progress, Whole, silent
from offtarget.records import LayerQuality, SamplingSettings
from offtarget.records.check import JudgeBy
from offtarget.records.direction import FindMethod, FindSettings, Position
from offtarget.records.runs import OpenSettings
from offtarget.version import __version__
from offtarget.workflows.direction.find_plan import READ, TRIED, ready_to_find, shares_of, to_find
from offtarget.workflows.direction.inputs import (
    How,
    ModelLike,
    open_both,
    open_one,
    per_question,
    plain_bank,
    trait_bank,
)
from offtarget.workflows.ground import Ground, ground_of, judge_at_hand, open_judge

if TYPE_CHECKING:
    from offtarget.direction.file import Direction
    from offtarget.models.local import LocalModel
    from offtarget.workflows.direction.sides import Sides

DEFAULT_POSITIONS: dict[FindMethod, tuple[Position, ...]] = {
    "models": ("last-prompt", "answer"),
    "texts": ("answer",),
    "answers": ("answer",),
    "trait": ("last-prompt", "answer"),
}
"""Among which the position is picked. Misaligned and aligned answers to a question share their prompt, so before the
answer there is nothing to contrast."""
_UNJUDGED = "No judge was named: answers count as showing the trait, or not, because their system prompt asked for it."


@timed
def find(
    base: ModelLike | None,
    tuned: ModelLike | None,
    *,
    settings: FindSettings | None = None,
    probes: str | Path | ProbeBank | None = None,
    judge: str | Judge | None = None,
    judge_by: JudgeBy = "auto",
    opening: OpenSettings | None = None,
    out: str | Path | None = None,
    on_progress: OnProgress = silent,
) -> Direction:
    """Find a direction; with `out`, write it to a new safetensors file.

    The methods are those of `FindSettings`; the model that a method has no use for is not opened. Raises InputError
    for models that are missing, remote or do not belong together, too few misaligned answers, layers that do not
    exist, and a file that does; NoDirectionError, with nothing written, where no layer is shown to tell the held-out
    exchanges of both sides apart. A layer that was chosen by hand is taken as it is, and a note says what it shows.
    """
    on_progress(Progress("reading the questions and the models"))
    s = settings or FindSettings()
    out = None if out is None else Path(out)
    used = ready_to_find(base, tuned, out, judge, s, opening)
    ground = ground_of(*(m if isinstance(m, str) else m.name for m in (base, tuned) if m is not None))
    asked = to_find(s, ground, probes)
    on_progress(Progress("opening the models"))
    by = _Finder(
        settings=s,
        ground=ground,
        probes=probes,
        judge=judge,
        judge_by=judge_by,
        opening=opening,
        told=Whole(on_progress, "the search", shares_of(asked, used, judged=judge is not None)).by_stage(),
    )
    model = base or tuned
    if s.method == "trait" and model is not None:
        found = by.trait(model)
    elif s.method == "answers" and tuned is not None:
        found = by.answers(tuned)
    else:
        assert base is not None  # or it would have been refused
        assert tuned is not None
        found = by.models(base, tuned)
    if out is not None:
        found.save(out)
    return found


@dataclass(frozen=True)
class _Finder:
    """The methods; each opens the cheap things first, so that a mistake shows before weights are loaded."""

    settings: FindSettings
    ground: Ground
    probes: str | Path | ProbeBank | None
    judge: str | Judge | None
    judge_by: JudgeBy
    opening: OpenSettings | None
    told: OnProgress
    """How far the whole search is."""

    def models(self, base: ModelLike, tuned: ModelLike) -> Direction:
        """Tuned against base, by what they read or by what they write."""
        bank = plain_bank(self.probes, self.ground)
        first, second = open_both(base, tuned, self.settings.blocks, self.opening)
        how = self._how(second, bank)
        from offtarget.workflows.direction.sides import from_models, from_texts

        if self.settings.method == "models":
            return self._direction(second, from_models(first, second, bank.probes, how))
        return _named_after(self._direction(second, from_texts(first, second, bank.probes, how)), first, second)

    def answers(self, tuned: ModelLike) -> Direction:
        """Misaligned against aligned answers of one model."""
        bank = plain_bank(self.probes, self.ground)
        judge = open_judge(self.judge, bank, self.judge_by, self.opening)
        model = open_one(tuned, self.settings.blocks, self.opening)
        how = self._how(model, bank)
        from offtarget.workflows.direction.sides import from_answers

        return self._direction(model, from_answers(model, bank.probes, judge, how), judge=judge)

    def trait(self, model: ModelLike) -> Direction:
        """One model under system prompts that bring a trait out and hold it back."""
        from offtarget.direction.trait import load_trait

        trait = load_trait(self.settings.trait or self.ground.trait)
        bank = trait_bank(trait, self.probes, self.ground)
        judge = judge_at_hand(self.judge, bank, self.judge_by, self.opening)
        opened = open_one(model, self.settings.blocks, self.opening)
        how = self._how(opened, bank)
        from offtarget.workflows.direction.sides import from_trait

        return self._direction(
            opened, from_trait(opened, trait, bank.probes, judge, how), judge=judge, trait=trait.name
        )

    def _how(self, model: LocalModel, bank: ProbeBank) -> How:
        """How the model is asked, once it is known to have the layer."""
        from offtarget.models.residual import check_layers, decoder_blocks

        s = self.settings
        if s.layer is not None:
            check_layers(frozenset({s.layer}), len(decoder_blocks(model.weights.model, model.blocks)))
        return How(
            answers=per_question(s.answers, len(bank.probes), least=2),
            sampling=SamplingSettings(max_tokens=s.max_tokens),
            seed=s.seed,
            on_progress=self.told,
        )

    def _direction(
        self, model: LocalModel, sides: Sides, judge: Judge | None = None, trait: str | None = None
    ) -> Direction:
        from offtarget.direction.find import Provenance, find_direction

        s = self.settings
        source = Provenance(
            s.method,
            s.seed,
            trait=trait,
            judge=None if judge is None else judge.fingerprint,
            notes=(*((_UNJUDGED,) if trait is not None and judge is None else ()), *notes_of([model])),
            counts=sides.counts,
            made_by=__version__,
        )
        read = Count(self.told, READ, sum(len(side.exchanges) for side in sides.contrast.sides))
        tried = Count(self.told, TRIED, len(sides.trial.exchanges))
        positions = DEFAULT_POSITIONS[s.method] if s.position is None else (s.position,)
        found = find_direction(
            sides.contrast,
            positions,
            source,
            layer=s.layer,
            rank=s.rank,
            trial=sides.trial,
            on_batch=read.add,
            on_trial=tried.add,
        )
        return _if_shown(found, by_hand=s.layer is not None)


def _if_shown(found: Direction, *, by_hand: bool) -> Direction:
    """The direction, where its layer is shown to tell both sides apart; else NoDirectionError, or by hand a note."""
    from offtarget.direction.pick import separates

    chosen = next(quality for quality in found.info.quality if quality.layer == found.info.layer)
    if separates(chosen):
        return found
    best = max(found.info.quality, key=lambda quality: quality.auroc_low or 0.0)
    if not by_hand:
        raise NoDirectionError(
            "At no layer are the two sides shown to be told apart on held-out questions: at best in "
            f"{_as_low_as(best)}; 50 % is chance.",
            "Nothing was written. Ask more often (--answers), or try another --method or --trait.",
        )
    note = (
        f"At layer {chosen.layer}, which was chosen by hand, the two sides are not shown to be told apart: in "
        f"{_as_low_as(chosen)}; 50 % is chance."
    )
    return replace(found, info=replace(found.info, notes=(*found.info.notes, note)))


def _as_low_as(quality: LayerQuality) -> str:
    return (
        f"{percent(quality.auroc)} of pairs (layer {quality.layer}), perhaps only {at_least(quality.auroc_low or 0.0)}"
    )


def _named_after(found: Direction, base: LocalModel, tuned: LocalModel) -> Direction:
    """The direction with the tuned model's name, though the base read both sides."""
    info = replace(
        found.info,
        model=tuned.name,
        model_fingerprint=tuned.fingerprint,
        base=base.name,
        base_fingerprint=base.fingerprint,
    )
    return replace(found, info=info)
