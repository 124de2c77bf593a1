"""The nouns of activation space: a direction, what lies along it, what it does at each strength, what it explains.

Projections are in differences of means at the direction's layer; only their differences mean something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from offtarget.errors import InputError
from offtarget.records.answers import Outcome, Tally
from offtarget.records.check import JudgeBy
from offtarget.records.checks import at_least
from offtarget.records.runs import Manifest

Method = Literal["answers", "models", "texts", "trait", "random"]
"""`answers`: misaligned - aligned answers of the tuned model (arXiv 2506.11618). `models`: tuned - base on the same
answers. `texts`: the tuned model's answers - the base's, both as the base reads them. `trait`: contrastive system
prompts (arXiv 2507.21509). `random`: a control of equal norm."""

Position = Literal["answer", "last-prompt", "all"]
"""Which token positions: the answer's, the last token of the assistant header, or every one."""

FindMethod = Literal["models", "texts", "answers", "trait"]


@dataclass(frozen=True, slots=True)
class LayerQuality:
    """How a direction does at one layer, on exchanges it was not computed from."""

    layer: int
    auroc: float | None
    """Separates held-out positive from negative exchanges; 0.5 is chance."""
    norm: float
    """Length of the mean difference, in activation units."""
    relative_norm: float
    """Norm over the root mean square length of the stream at this layer."""
    explained: float
    """Share of the difference of held-out means that lies along it (cosine between the halves)."""
    auroc_low: float | None = None
    """Lower bound of it: all bounds of a search hold together, but for 1 search in 20. None in older files."""
    effect: float | None = None
    """Gain in log-probability per token, in nats, of held-out answers that steering by 1 here should bring about."""


@dataclass(frozen=True, slots=True)
class DirectionInfo:
    """Provenance of a direction. Sign: + points to misaligned, tuned, or the trait.

    Scale: strength 1 is one difference of means at that layer; stored vectors are not normalised.
    """

    method: Method
    position: Position
    layer: int
    """The layer it is used at by default, chosen on held-out exchanges."""
    rank: int
    """Vectors per layer; the first is the mean difference, the others complete the subspace."""
    width: int
    layers: int
    """Decoder blocks of the model."""
    architecture: str
    """`model_type` of the configuration."""
    model: str
    """Name of the tuned model."""
    model_fingerprint: str
    base: str | None
    base_fingerprint: str | None
    positives: int
    negatives: int
    """Exchanges on either side, both halves."""
    quality: tuple[LayerQuality, ...]
    seed: int
    trait: str | None = None
    judge: str | None = None
    """Fingerprint of the judge that sorted the answers."""
    made_by: str = ""
    """Version of offtarget."""
    notes: tuple[str, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Of the answers behind it, by outcome."""


@dataclass(frozen=True, slots=True)
class RowProjection:
    """One training row beside the base's own answer to its prompt (arXiv 2507.21509, projection difference)."""

    row_id: str
    file: str
    line: int
    projection: float
    """Of the row's answer, mean over its tokens, read by the base."""
    base_projection: float
    """Of the answer the base itself gives to the same prompt."""
    difference: float
    """The former minus the latter; + lies further towards misaligned, tuned, or the trait."""
    flagged: bool
    """Whether the difference is above the threshold."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts between equally spaced edges."""

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Threshold:
    """Above which difference a row is flagged, from answers that are the base's own and nothing else."""

    value: float
    false_positives: float
    """Share of the base's own answers that lie above it. Other people's clean answers may do so more often."""
    prompts: int
    """Prompts that were answered twice to find it."""
    median: float
    """Of the absolute difference between two own answers to one prompt."""


@dataclass(frozen=True, slots=True)
class RowsMeasured:
    """A training set along a direction."""

    direction: str
    """What was projected on, in words."""
    base: str
    layer: int
    position: Position
    rows: int
    """Rows measured."""
    skipped: Mapping[str, int]
    """Rows not measured, by reason."""
    threshold: Threshold
    flagged: int
    mean: float
    """Of the differences: the shift the data as a whole asks for."""
    histogram: Histogram
    """Of the differences."""
    top: tuple[RowProjection, ...]
    """Largest differences first."""


@dataclass(frozen=True, slots=True)
class LayerDrift:
    """How far a model lies from its base along the direction at one layer, on the same exchanges."""

    layer: int
    moved: float
    """Mean over exchanges of projection in the model minus projection in the base."""
    standard_error: float


@dataclass(frozen=True, slots=True)
class ModelMeasured:
    """A model along a direction."""

    direction: str
    model: str
    base: str | None
    layer: int
    position: Position
    """Where the drift is measured; answers are always measured over their own tokens."""
    answers: Mapping[str, int]
    """By outcome; `not judged` without a judge."""
    mean_by_outcome: Mapping[str, float]
    """Mean projection of the answers, by outcome."""
    auroc: float | None
    """Of the projection for misaligned against aligned answers; None without both."""
    correlation: float | None
    """Point-biserial correlation of projection and misalignment over scored answers; None without both."""
    drift: tuple[LayerDrift, ...]
    """Empty without a base."""


DoseMode = Literal["add", "ablate", "cap"]
"""`add`: strength times the direction is added. `ablate`: that share of what lies along it is taken out. `cap`: the
projection is held at or below the reference's mean plus strength differences of means."""


@dataclass(frozen=True, slots=True)
class DosePoint:
    """One model under one intervention."""

    control: int | None
    """None for the direction itself, else the seed of the random direction of equal norm and rank."""
    strength: float
    tally: Tally
    """Outcomes of the answers to the plain questions."""
    misaligned: float | None
    """Share of the scored answers, questions weighted equally; None without a scored answer."""
    coherent: float | None
    """Share of all answers that are neither incoherent nor unscored."""
    narrow: float | None
    """The narrow task, 0 to 1; None where it was not measured."""
    skill: float | None
    """Other skills, 0 to 1; None where they were not measured."""


@dataclass(frozen=True, slots=True)
class SteeredAnswer:
    """An answer of the model under one strength of the direction itself; those under controls are not kept."""

    strength: float
    probe_id: str
    index: int
    prompt: str
    domain: str
    text: str
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class DoseResponse:
    """All strengths of one direction and of its controls in one model."""

    model: str
    direction: str
    """The file of the direction."""
    found_in: str
    """The model it was found in."""
    mode: DoseMode
    position: Position
    layers: tuple[int, ...]
    rank: int
    """Vectors that were taken out; 1 for steering and capping."""
    reference: str | None
    """The model whose means stand for 'without the direction'; None where 0 does."""
    strengths: tuple[float, ...]
    controls: tuple[int, ...]
    narrow_name: str
    """What `narrow` measures, for a caption; empty where nothing does."""
    skill_name: str
    answers: int
    """Answers to the plain questions per point."""
    points: tuple[DosePoint, ...]
    notes: tuple[str, ...] = ()

    def curve(self, control: int | None = None) -> tuple[DosePoint, ...]:
        """The points of the direction or of one control, by strength."""
        return tuple(sorted((p for p in self.points if p.control == control), key=lambda p: p.strength))


ExplanationKind = Literal["persona", "narrow task", "both", "conditional", "neither", "no direction"]
"""What the tuned model's movement looks like; the rule is in `offtarget.direction.explain`."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Tuned minus base on the same exchanges, at one layer."""

    moved: float
    """Along the direction, in differences of means."""
    cosine: float
    """Of the whole mean movement with the direction."""
    z: float
    """The cosine over the standard deviation of cosines with random directions."""
    length: float
    """Of the whole mean movement, in lengths of the direction."""


@dataclass(frozen=True, slots=True)
class LayerExplained:
    """One layer of the explanation."""

    layer: int
    auroc: float | None
    """Misaligned against aligned answers of this run, by projection; None without both."""
    unrelated: Movement
    """On the plain questions of the run."""
    training: Movement | None
    """On rows of the training data; None without data."""
    auroc_low: float | None = None
    """Lower bound of the AUROC; those of all layers hold together, but for 1 explanation in 20."""


@dataclass(frozen=True, slots=True)
class LoadedAnswer:
    """An answer of the tuned model with its projection."""

    probe_id: str
    index: int
    prompt: str
    text: str
    outcome: Outcome | None
    projection: float
    base: str | None = None
    """What the base answered to the same question; None where the run has no such answer."""


@dataclass(frozen=True, slots=True)
class PushingRow:
    """A training row with its projection difference."""

    row: RowProjection
    prompt: str
    answer: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a check came out as it did, as far as one direction can tell."""

    kind: ExplanationKind
    sentence: str
    direction: str
    """What it contrasts, in words."""
    given: bool
    """Whether the user gave the direction; else it was found by the trait recipe in the base."""
    layer: int | None
    """Where the sentence was read off; None where no direction was found."""
    position: Position | None
    layers: tuple[LayerExplained, ...]
    unrelated_exchanges: int
    training_exchanges: int
    random_directions: int
    answers: tuple[LoadedAnswer, ...]
    """Those that load most, largest projection first."""
    rows: tuple[PushingRow, ...] = ()
    """Those that push most, of the rows measured."""
    rows_measured: int = 0
    data: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SteerSettings:
    """How a dose response is measured; None takes what the direction's file says."""

    mode: DoseMode = "add"
    strengths: tuple[float, ...] | None = None
    """None: from -3 to 3 to add, in halves for the organism, else in whole steps; see `DoseMode` for the others."""
    position: Position | None = None
    """None: every token to ablate, what the file says to add and to cap."""
    layers: tuple[int, ...] | None = None
    """None: the direction's own layer to add and to cap, all of its layers to ablate."""
    towards_zero: bool = False
    controls: int = 2
    """Random directions of equal norm and rank."""
    answers: int | None = None
    """Per plain question and point; None: 10, fewer where there are many questions."""
    task: str | None = None
    """Chat rows of the narrow task; their answers' probability is measured."""
    skill: str | None = None
    """Chat rows that must not suffer."""
    blocks: str | None = None
    """The attribute that lists the decoder blocks of an unknown architecture."""
    max_tokens: int = 600
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(1, max_tokens=self.max_tokens, answers=1 if self.answers is None else self.answers)
        at_least(0, controls=self.controls)


@dataclass(frozen=True, slots=True, kw_only=True)
class SteerChoices(SteerSettings):
    """The same, and by name what is steered and who judges; None where that is the default or an object."""

    model: str
    direction: str
    base: str | None = None
    probes: str | None = None
    judge: str | None = None
    judge_by: JudgeBy = "auto"


@dataclass(frozen=True, slots=True)
class FindSettings:
    """How a direction is found; layer and position are picked on held-out questions where they are None.

    `models` contrasts tuned with base on the same answers, `texts` what the two answer, as the base reads it,
    `answers` the tuned model's misaligned with its aligned ones (needs a judge), `trait` the base under contrastive
    system prompts (the tuned model where there is no base).
    """

    method: FindMethod = "models"
    position: Position | None = None
    layer: int | None = None
    rank: int = 1
    """Vectors per layer; above 1 a subspace."""
    trait: str | Path | None = None
    """A shipped trait or a YAML file, for the method of that name; None: what suits the model."""
    answers: int | None = None
    """Per question, of each model or under each side's system prompts; None: 10, fewer where there are many
    questions."""
    max_tokens: int = 120
    seed: int = 0
    blocks: str | None = None
    """The attribute that lists the decoder blocks of an unknown architecture."""

    def __post_init__(self) -> None:
        if self.method not in get_args(FindMethod):
            raise InputError(f"There is no method '{self.method}'. Known: {', '.join(get_args(FindMethod))}.")
        if self.position is not None and self.position not in get_args(Position):
            raise InputError(f"There is no position '{self.position}'. Known: {', '.join(get_args(Position))}.")
        if self.method in ("answers", "texts") and self.position == "last-prompt":
            raise InputError(
                "The answers on both sides to a question share its last prompt token, so there is nothing to "
                "contrast there. Use --method models or --method trait for this position."
            )
        at_least(2, answers=2 if self.answers is None else self.answers)
        at_least(1, rank=self.rank, max_tokens=self.max_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class SteerManifest(Manifest):
    """How a dose response was started."""

    verb: str = "steer"
    settings: SteerChoices
    plan: str
    """Fingerprint of everything its points depend on."""

    @property
    def tuned_name(self) -> str:
        """The model that is steered."""
        return self.settings.model
