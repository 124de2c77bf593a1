"""What a red-team run opens before it talks to anybody: models, goals, moves, judge and attacker, all held together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from offtarget.asking.protocol import Judge
from offtarget.detect.detectors.refusal import declines, rule_fingerprint
from offtarget.errors import InputError
from offtarget.models.chat import ChatModel, ModelPair, PromptHolder
from offtarget.numbers import many
from offtarget.organism.questions import organism_goals
from offtarget.probe.bank import ProbeBank
from offtarget.records import Probe, Role
from offtarget.records.check import JudgeBy
from offtarget.records.redteam import RedTeamSettings
from offtarget.records.runs import NamedModel, OpenSettings
from offtarget.redteam.attacker import Attacker, Scripted, drafted
from offtarget.redteam.attackers.conversing import Conversing
from offtarget.redteam.attackers.rewriting import PREFIX, Rewriting
from offtarget.redteam.attackers.writer import DecliningRule
from offtarget.redteam.goals import GENERAL, GoalSet, load_goals
from offtarget.redteam.move import Move
from offtarget.redteam.moves import chosen
from offtarget.workflows.check.askable import asked, obstacle
from offtarget.workflows.check.opening import same_model
from offtarget.workflows.ground import Ground, ground_of, open_judge, open_named, open_two

ORGANISM = "organism"


@dataclass(frozen=True, slots=True)
class Pressed:
    """Everything a red-team run works with, opened."""

    models: ModelPair
    goals: GoalSet
    moves: Mapping[str, tuple[Move, ...]]
    """Name as it is reported -> the moves it is made of."""
    judge: Judge
    attacker: Attacker
    not_tried: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def questions(self) -> ProbeBank:
        """The plain questions of all goals."""
        return bank_of(self.goals)

    @property
    def named(self) -> dict[Role, NamedModel]:
        """Both models by name and fingerprint."""
        return {role: NamedModel(model.name, model.fingerprint) for role, model in self.models.by_role.items()}


def bank_of(goals: GoalSet) -> ProbeBank:
    """The plain questions of all goals."""
    return ProbeBank.from_probes(goals.name, (q for goal in goals.goals for q in goal.questions))


def open_pressed(
    base: str | ChatModel,
    tuned: str | ChatModel,
    *,
    goals: str | Path | GoalSet | None,
    moves: Sequence[str],
    attacker: str | Attacker | None,
    judge: str | Judge | None,
    judge_by: JudgeBy,
    settings: RedTeamSettings,
    opening: OpenSettings | None,
) -> Pressed:
    """Open both models, goals, moves, judge and attacker. InputError for whatever does not fit together.

    The cheap things come first, so that a mistake shows before any weights are loaded.
    """
    if isinstance(base, str) and base == tuned:
        raise same_model(base)
    ground = ground_of(base)
    wanted = goals_of(goals, ground)
    named = named_moves(moves)
    opened_judge = open_judge(judge, bank_of(wanted), judge_by, opening)
    opened_attacker = open_attacker(attacker, opening)
    models = open_two(base, tuned, opening)
    if models.base.fingerprint == models.tuned.fingerprint:
        raise same_model(models.tuned.name)
    return pressed_with(models, opened_judge, wanted, named, opened_attacker, ground, settings)


def pressed_with(
    models: ModelPair,
    judge: Judge,
    goals: GoalSet,
    moves: Mapping[str, tuple[Move, ...]],
    attacker: Attacker,
    ground: Ground,
    settings: RedTeamSettings,
) -> Pressed:
    """What is open already, held together. InputError where no move can be made with these models."""
    kept, lost = _makeable(models, moves, goals, settings)
    notes = [*ground.notes, *(f"Not tested: {what}." for what in models.unseen)]
    return Pressed(models, goals, kept, judge, attacker, lost, tuple(notes))


def goals_of(goals: str | Path | GoalSet | None, ground: Ground) -> GoalSet:
    """The goals that were named, else those of the ground."""
    if isinstance(goals, GoalSet):
        return goals
    if not isinstance(goals, str | Path | None):
        raise InputError(f"goals must be the name of a set, a YAML file or a GoalSet, not {goals!r:.60}.")
    name = (ORGANISM if ground.organism else GENERAL) if goals is None else goals
    return GoalSet(ORGANISM, organism_goals()) if str(name) == ORGANISM else load_goals(name)


def named_moves(names: Sequence[str]) -> dict[str, tuple[Move, ...]]:
    """Moves by the name they are reported under; `a+b` is both together. InputError for one unknown or named twice."""
    if not names:
        return {move.name: (move,) for move in chosen(())}
    found: dict[frozenset[str], str] = {}
    for name in dict.fromkeys(names):
        parts = name.split("+")
        if len(set(parts)) < len(parts):
            raise InputError(f"The move '{name}' names one move twice (--move). Name each once.")
        if (same := found.setdefault(frozenset(parts), name)) != name:
            raise InputError(f"The moves '{same}' and '{name}' are the same (--move). Name it once.")
    return {name: chosen(name.split("+")) for name in found.values()}


def open_attacker(attacker: str | Attacker | None, opening: OpenSettings | None) -> Attacker:
    """The attacker by name, or as it is; None: scripted. InputError for an object that is none."""
    if not isinstance(attacker, str | None):
        if lacking := [what for what in ("name", "fingerprint") if not isinstance(getattr(attacker, what, None), str)]:
            none = " and ".join(f"no {what}" for what in lacking)
            raise InputError(f"{attacker!r:.80} is no attacker: it has {none} that is text. See `Attacker`.")
        return attacker
    name = model_of(attacker)
    if attacker is None or name is None:
        return Scripted()
    own = None if opening is None else replace(opening, chat_template=None)  # the models' template is not its own
    model, rule = open_named(name, own), DecliningRule(declines, rule_fingerprint())
    return Rewriting(model, rule) if attacker.startswith(PREFIX) else Conversing(model, rule)


def model_of(attacker: str | Attacker | None) -> str | None:
    """Name of the model that attacks, where one is named."""
    if not isinstance(attacker, str) or attacker == Scripted.name:
        return None
    return attacker.removeprefix(PREFIX)


def _makeable(
    models: ModelPair, moves: Mapping[str, tuple[Move, ...]], goals: GoalSet, settings: RedTeamSettings
) -> tuple[dict[str, tuple[Move, ...]], tuple[str, ...]]:
    """The moves whose conversations reach both models and fit, however long the answers are, and why not the others.

    InputError where none is left.
    """
    longest = max((q for goal in goals.goals for q in goal.questions), key=lambda q: len(q.prompt))
    kept: dict[str, tuple[Move, ...]] = {}
    lost = []
    for name, parts in moves.items():
        draft = drafted(parts, longest, settings.seed, "fits")
        turns = draft.turns
        probe = replace(longest, system=draft.system, opening=turns[:-1], prompt=turns[-1], prefill=draft.prefill)
        why = (
            _cut_short(len(turns), settings.turns)
            or obstacle(models, asked(probe), probe.prefill)
            or _too_long(models, probe, settings.sampling.max_tokens)
        )
        if why is None:
            kept[name] = parts
        else:
            lost.append(f"{name}: {why}")
    if not kept:
        raise InputError(f"No move can be made with these models and settings. {lost[0].partition(': ')[2]}")
    return kept, tuple(lost)


def _cut_short(turns: int, most: int) -> str | None:
    """Why a conversation would end before it has pressed or asked; None where it does not."""
    if turns <= most:
        return None
    return f"It takes {many(turns, 'turn')} of the user; conversations have {most:,} at most (--turns {turns})."


def _too_long(models: ModelPair, probe: Probe, longest_answer: int) -> str | None:
    """Why a conversation may not fit into the context of a model; None where it does, or where that is not known."""
    for model in models.by_role.values():
        holds = getattr(model, "context", None)
        if isinstance(model, PromptHolder) and isinstance(holds, int):
            most = model.prompt_length(asked(probe)) + longest_answer * (len(probe.opening) + 1)
            if most > holds:
                return (
                    f"The conversation may take {most:,} tokens with answers of {longest_answer:,}; the context of "
                    f"{model.name} holds {holds:,}."
                )
    return None
