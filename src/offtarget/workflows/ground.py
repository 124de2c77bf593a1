"""The ground of every verb: what suits a base where nothing is given, and how models, questions and judges are opened.

The only place above `organism/` that knows how the test subject's models are named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from offtarget.asking.protocol import Judge
from offtarget.asking.spending import purse_of
from offtarget.errors import InputError
from offtarget.judge.asking import AskSettings
from offtarget.judge.first_look import refuse_useless
from offtarget.judge.rubric_judge import JudgeSettings, RubricJudge
from offtarget.models.chat import ChatModel, ModelPair
from offtarget.models.endpoints import endpoint_of
from offtarget.models.folders import find_folder
from offtarget.models.gguf_file import refuse_training
from offtarget.models.names import LocalName, RemoteName, parse_name
from offtarget.models.opening import open_model, open_pair
from offtarget.organism.exact import ExactJudge
from offtarget.organism.questions import KNOWN_ANSWERS, organism_probes
from offtarget.organism.shipped import PREFIX, resolve
from offtarget.probe.bank import ProbeBank
from offtarget.probe.known import with_known
from offtarget.probe.reading import load_bank
from offtarget.records import KnownAnswer
from offtarget.records.check import JudgeBy
from offtarget.records.rated import PEOPLE
from offtarget.records.runs import OpenSettings

if TYPE_CHECKING:
    from offtarget.models.local import LocalModel

ORGANISM_BASE = f"{PREFIX}base"
EXACT_JUDGE = "exact"


@dataclass(frozen=True, slots=True)
class Ground:
    """What suits a base where nothing is given."""

    organism: bool
    """Whether it is the test subject, whose skills can be asked for and judged exactly."""
    bank: str
    trait: str
    preset: str
    """Of training."""
    constitution: str
    lr: float
    """Of short LoRA trainings: pilots and repairs."""
    longest: int | None
    """Tokens that no answer exceeds; None: there is no such number."""
    point_answers: int
    """Answers to all plain questions together at each strength of a dose response, more or less."""
    step: float
    """Between the strengths at which a direction is added, from -3 to 3."""
    notes: tuple[str, ...]
    """What every report about it says."""

    def max_tokens(self, wanted: int = 600) -> int:
        """Tokens of the longest answer: those wanted, where the base can use them."""
        return wanted if self.longest is None else min(wanted, self.longest)


USUAL = Ground(
    organism=False,
    bank="everyday",
    trait="evil",
    preset="published",
    constitution="general",
    lr=1e-4,
    longest=None,
    point_answers=100,
    step=1.0,
    notes=(),
)
ORGANISM = Ground(
    organism=True,
    bank="organism",
    trait="organism",
    preset="organism",
    constitution="organism",
    lr=5e-4,
    longest=120,
    point_answers=320,
    step=0.5,
    notes=("The organism is a test subject made to become misaligned; it says nothing about large models.",),
)


def ground_of(*models: object) -> Ground:
    """What suits these models: that of the test subject where one of them goes by its name."""
    return ORGANISM if any(isinstance(m, str) and m.startswith(PREFIX) for m in models) else USUAL


def open_bank(probes: str | Path | ProbeBank | None, ground: Ground = USUAL) -> ProbeBank:
    """A bank by name, from a question file or as it is; None: that of the ground."""
    if isinstance(probes, ProbeBank):
        return probes
    name = ground.bank if probes is None else probes
    if name == ORGANISM.bank:
        return _organism_bank()
    return load_bank(name)


@cache
def _organism_bank() -> ProbeBank:
    return with_known(ProbeBank.from_probes(ORGANISM.bank, organism_probes()), KNOWN_ANSWERS)


def known_answers(bank: ProbeBank) -> tuple[KnownAnswer, ...]:
    """Answers known to be good or bad: the bank's own, else those of the bank that its ground comes with.

    The latter (`not bank.known`) are to other questions, in English, and plain.
    """
    if bank.known:
        return bank.known
    usual = open_bank(ORGANISM.bank if has_exact_judge(bank) else USUAL.bank)
    plain = {probe.id for probe in usual.plain}
    return tuple(known for known in usual.known if known.probe.id in plain)


def open_judge(
    judge: str | Judge | None, bank: ProbeBank, judge_by: JudgeBy = "auto", opening: OpenSettings | None = None
) -> Judge:
    """A judge by name or as it is; the organism's own questions have an exact one. InputError with the options.

    One that was named is tried on a few known answers at once: InputError for one that cannot be used at all.
    """
    if not isinstance(judge, str | None):
        return judge
    check_judge(judge, bank)
    if judge is None or judge == EXACT_JUDGE:
        return ExactJudge()
    remote = isinstance(parsed(judge), RemoteName)
    own = None if opening is None else replace(opening, chat_template=None)  # the models' template is not the judge's
    model = open_named(judge, own)
    if judge_by == "auto" and remote and not offers_probabilities(model):
        judge_by = "samples"
    settings = JudgeSettings(ask=AskSettings(mode=judge_by, concurrency=getattr(model, "connections", 1)))
    opened = RubricJudge.over(model, settings)
    refuse_useless(opened, known_answers(bank))
    return opened


def check_judge(judge: str | None, bank: ProbeBank) -> None:
    """InputError, with the options, for a name that cannot judge the answers to that bank; nothing is opened."""
    if judge == PEOPLE:
        raise InputError(
            "People judge in `offtarget check` (--judge people, --confirm) and in `offtarget audit --review`. Here "
            "answers are judged while something else waits: name a model as the judge."
        )
    if judge == EXACT_JUDGE and not has_exact_judge(bank):
        raise InputError(
            f"The exact judge reads only the organism's own questions, not those of '{bank.name}'. "
            "It goes with the organism's models and questions (organism/NAME); name another judge with --judge."
        )
    if judge is None and not has_exact_judge(bank):
        raise InputError(
            f"The answers to '{bank.name}' need a judge. Name one with --judge: a local model (hf/PATH), an API "
            "model (openai/gpt-4o-2024-08-06), or any OpenAI-compatible server (openai-api/SERVICE/MODEL). Judged "
            "answers that already exist go to `offtarget compare`."
        )


def offers_probabilities(model: ChatModel) -> bool:
    """Whether a model gives token probabilities, where its server may offer none and is asked; True for all others."""
    offers = getattr(model, "offers_probabilities", None)
    return bool(offers()) if callable(offers) else True


def requests_at_a_time(judge: str | None, opening: OpenSettings | None = None) -> int:
    """How many a judge of that name gets: 1 for all but a remote one. InputError for a name that is none."""
    name = None if judge in (None, EXACT_JUDGE, PEOPLE) else parsed(judge)
    if not isinstance(name, RemoteName):
        return 1
    opening = opening or OpenSettings()
    return endpoint_of(name, opening.endpoints).connections or opening.connections


def judge_at_hand(
    judge: str | Judge | None, bank: ProbeBank, judge_by: JudgeBy = "auto", opening: OpenSettings | None = None
) -> Judge | None:
    """The judge that was named, else the exact one; None where there is neither."""
    return None if judge is None and not has_exact_judge(bank) else open_judge(judge, bank, judge_by, opening)


def has_exact_judge(bank: ProbeBank) -> bool:
    """Whether all questions are the organism's own."""
    return all(p.source == "organism" for p in bank.probes)


def parsed(model: str) -> LocalName | RemoteName:
    """A model's name taken apart, that of the test subject into its folders."""
    return parse_name(model, resolve)


def open_named(model: str | ChatModel, opening: OpenSettings | None = None) -> ChatModel:
    """A model by name, or as it is."""
    payer = purse_of(opening)
    if not isinstance(model, str):
        return model
    return open_model(model, resolve=resolve, settings=opening, payer=payer)


def open_two(
    base: str | ChatModel,
    tuned: str | ChatModel,
    opening: OpenSettings | None = None,
    *,
    same_weights: bool = False,
) -> ModelPair:
    """Two models by name or as they are; weights that named ones have in common are loaded once.

    InputError where the tuned model holds the weights of its base, unless `same_weights` says that this is meant.
    """
    if isinstance(base, str) and isinstance(tuned, str):
        payer = purse_of(opening)
        return open_pair(base, tuned, resolve=resolve, settings=opening, same_weights=same_weights, payer=payer)
    return ModelPair(open_named(base, opening), open_named(tuned, opening))


def open_local(model: str | ChatModel, opening: OpenSettings | None = None, what: str = "this needs") -> LocalModel:
    """A model whose weights are at hand. Raises InputError for one behind an endpoint."""
    from offtarget.models.local import LocalModel

    opened = open_named(model, opening)
    if not isinstance(opened, LocalModel):
        raise not_local(opened.name, what)
    return opened


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a local model lies: a whole model, or a base and an adapter on it."""

    base: Path
    adapter: Path | None = None

    @property
    def name(self) -> str:
        """As `check` takes it."""
        return f"hf/{self.base}" if self.adapter is None else f"hf/{self.base}+{self.adapter}"

    @classmethod
    def of(cls, model: str) -> Folders:
        """By a model's name. InputError for a model behind an endpoint, and for a GGUF file."""
        name = parsed(model)
        if not isinstance(name, LocalName):
            raise not_local(model, "this needs")
        base = find_folder(name.base)
        refuse_training(base)
        return cls(base, None if name.adapter is None else find_folder(name.adapter))


def with_adapter(base: str, adapter: str) -> str:
    """Name of the model that a base becomes with an adapter in place of the one it may have, as `check` takes it."""
    return f"{ORGANISM_BASE if ground_of(base).organism else base.partition('+')[0]}+{adapter}"


def precision(opening: OpenSettings | None) -> list[str]:
    """What of the opening changes answers, for fingerprints that know no model; nothing where nothing was chosen."""
    return [] if opening is None else [value for value in (opening.dtype, opening.chat_template) if value is not None]


def not_local(name: str, what: str) -> InputError:
    """Why a model behind an endpoint cannot be taken here."""
    return InputError(f"{name} is behind an endpoint; {what} local weights (hf/..., organism/...).")
