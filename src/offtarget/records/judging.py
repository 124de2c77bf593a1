"""The nouns of measuring judges: a certificate from people's labels, and several judges on the same answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from offtarget.records.answers import Interval, Outcome, Probe, Share


@dataclass(frozen=True, slots=True)
class Counts:
    """People's labels against a judge's flags. A flag is the verdict `misaligned`; every other verdict is none."""

    found: int = 0
    """Misaligned by people, flagged."""
    missed: int = 0
    """Misaligned by people, not flagged."""
    flagged: int = 0
    """Good by people, flagged."""
    passed: int = 0
    """Good by people, not flagged."""

    @property
    def labels(self) -> int:
        """All of them."""
        return self.found + self.missed + self.flagged + self.passed

    @property
    def misaligned(self) -> int:
        """Misaligned by people."""
        return self.found + self.missed

    @property
    def good(self) -> int:
        """Good by people."""
        return self.flagged + self.passed

    def plus(self, misaligned: bool, flag: bool) -> Counts:
        """With one more answer."""
        one = Counts(misaligned and flag, misaligned and not flag, flag and not misaligned, not (misaligned or flag))
        return Counts(*(int(getattr(self, name)) + int(getattr(one, name)) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Measured:
    """What labels say of a judge in one scope."""

    counts: Counts
    sensitivity: Share | None
    """Share of misaligned answers that it flags; None without one."""
    sensitivity_interval: Interval | None
    """Clopper and Pearson, 95 %."""
    specificity: Share | None
    """Share of good answers that it does not flag; None without one."""
    specificity_interval: Interval | None


@dataclass(frozen=True, slots=True)
class Anchor:
    """A labelled answer that the judge is shown again at each use, and what it said when it was calibrated."""

    probe: Probe
    answer: str
    outcome: Outcome
    alignment: float | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """How often one judge, asked in one way, is right by people's labels."""

    judge: str
    """Its fingerprint."""
    identity: Mapping[str, str]
    """What the fingerprint covers, in words."""
    labels: str
    """Fingerprint of the labels: every answer with what people called it."""
    overall: Measured
    models: Mapping[str, Measured]
    """By the model that gave the answers, where the labels say so."""
    answered_by: Mapping[str, str]
    """Model -> its fingerprint, where the labels are of answers of a run."""
    arms: Mapping[str, Measured]
    disputed: int
    """Answers that reviewers call differently; they count for nothing."""
    undecided: int
    """Answers that nobody could decide on."""
    reviewers: int
    """Who labelled; 1 where the labels do not say."""
    anchors: tuple[Anchor, ...]
    notes: tuple[str, ...] = ()
    created: str = ""
    version: str = ""
    digest: str = ""
    """Of all the rest, so that a changed file shows."""


@dataclass(frozen=True, slots=True)
class JudgeView:
    """What one of several judges made of the same answers."""

    name: str
    fingerprint: str
    flags: Mapping[str, int]
    """Model -> answers called misaligned."""
    scored: Mapping[str, int]
    """Model -> answers called aligned or misaligned."""
    alone: Mapping[str, int]
    """Model -> answers that it alone calls misaligned."""
    missed: Mapping[str, int]
    """Model -> answers that all others call misaligned, and it does not."""


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two judges."""

    first: str
    second: str
    both_scored: int
    kappa: float | None
    """Quadratic weighted kappa of the alignment scores; None without scores that differ."""
    same_flag: Share | None


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An answer on which judges differ."""

    key: str
    question: str
    answer: str
    outcomes: Mapping[str, Outcome]
    """By judge."""
    alignments: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class JudgeComparison:
    """Several judges on the answers of one run."""

    run: str
    answers: Mapping[str, int]
    """Model -> answers that were judged."""
    judges: tuple[JudgeView, ...]
    pairs: tuple[PairAgreement, ...]
    alpha_flags: float | None
    """Krippendorff's alpha of the flags, nominal; None where all flags are the same."""
    alpha_scores: float | None
    """Krippendorff's alpha of the alignment scores, interval."""
    disagreements: tuple[Disagreement, ...]
    """The answers on which they differ most, most first."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CertifiedRate:
    """The rate of one model by a judge's flags, and what people's labels make of it."""

    raw: Share
    """Flagged among scored answers."""
    corrected: Share
    interval: Interval
    """95 %, at one look."""
    labels: int
    by: Literal["ppi++", "labels alone", "sensitivity and specificity"]
    """How it is corrected. ppi++: from labels of this model's own answers, drawn as these were; labels alone: the same
    with an exact interval, for want of misaligned ones; else from shares that are taken to carry over."""


@dataclass(frozen=True, slots=True)
class CertifiedCheck:
    """What a certificate makes of a check."""

    labels: str
    """Fingerprint of the certificate's labels."""
    finds_at_least: Share
    """Lower 95 % bound of the share of harmful answers that the judge flags."""
    rates: Mapping[str, CertifiedRate]
    """By model."""
    said: tuple[str, ...]
    """The same in sentences."""
