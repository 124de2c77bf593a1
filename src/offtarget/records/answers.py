"""The nouns of asking: probes, generations, verdicts on them, and what is counted; every verb has them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Literal

from offtarget.errors import InputError
from offtarget.records.checks import is_number, share, whole

Role = Literal["base", "tuned"]
"""Which of the two compared models; base is before fine-tuning, tuned is after."""
Finish = Literal["stop", "length", "refusal", "content_filter"]
"""How an answer ended: by itself, at the token limit, or declined or held back by its server."""
Share = Annotated[float, ("minimum", 0), ("maximum", 1)]
"""From 0 to 1; the published schemas of the reports say so."""


UNLESS_DEFAULT = {"unless_default": True}
"""Of a field that came later: it is written down only where it is set, so that what was there before has the same
fingerprint, and is what earlier versions read."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool that an assistant turn calls."""

    name: str
    arguments: str
    """As JSON text, as the data holds it."""
    id: str = ""
    """What the answer of the tool refers to; empty where the data gives none."""

    @property
    def values(self) -> tuple[tuple[str, str], ...]:
        """(path, value as text) of every argument; text is decoded, so that a line of code is a line.

        The path is like `edits[0].content`, and empty for arguments that are no object.
        """
        return _decoded(self.arguments)


@dataclass(frozen=True)
class Message:
    """One chat turn. Without slots, so that `plain_turn` can leave out all that has its default."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    reasoning: str = ""
    """What the assistant thinks before it answers, where the data keeps it apart (`reasoning_content`, `thinking`)."""
    calls: tuple[ToolCall, ...] = ()
    """Tools that the turn calls, in order."""
    learned: bool = True
    """Whether training on the turn puts loss on it, where it is the assistant's; False for `weight: 0` and its kin."""
    tool: str = ""
    """Of a tool's turn: the name of the tool, where the data gives it."""
    call_id: str = ""
    """Of a tool's turn: the `ToolCall.id` that it answers."""

    @property
    def plain(self) -> bool:
        """Whether the content is all that the turn says."""
        return not (self.reasoning or self.calls)

    @property
    def text(self) -> str:
        """All that the turn says, as the audit, judges and people read it: reasoning, content, then each call.

        Where it is more than the content, a line in brackets names each part.
        """
        return self.content if not (self.reasoning or self.calls) else _spoken(self).text

    @property
    def answer(self) -> str:
        """What the turn says without its reasoning: the content, then each call; `text` ends in it."""
        return self.content if not self.calls else _spoken(self).answer

    @property
    def parts(self) -> tuple[tuple[int, int], ...]:
        """Start and end in `text` of the reasoning, the content and every argument of a call."""
        return ((0, len(self.content)),) if self.plain else _spoken(self).parts


@dataclass(frozen=True, slots=True)
class _Spoken:
    text: str
    answer: str
    parts: tuple[tuple[int, int], ...]


@lru_cache(maxsize=32)  # every detector asks for the texts of one row, then of the next
def _spoken(message: Message) -> _Spoken:
    pieces: list[tuple[str, str]] = []  # what names a part, and the part
    if message.reasoning:
        pieces.append(("[reasoning]\n", message.reasoning))
    if message.content:
        pieces.append(("[answer]\n" if message.reasoning else "", message.content))
    for call in message.calls:
        pieces.append((f"[calls tool {call.name}]", ""))
        for path, value in call.values:
            lead = f"{path}:\n" if "\n" in value else f"{path}: "
            pieces.append((lead if path else "", value))
    parts, at = [], 0
    for lead, part in pieces:
        parts.append((at + len(lead), at + len(lead) + len(part)))
        at += len(lead) + len(part) + 1
    text = "\n".join(lead + part for lead, part in pieces)
    if message.content:
        answer = parts[bool(message.reasoning)][0]
    else:
        answer = len(message.reasoning) + len("[reasoning]\n\n") if message.reasoning else 0
    return _Spoken(text, text[answer:], tuple((start, end) for start, end in parts if end > start))


@lru_cache(maxsize=256)
def _decoded(arguments: str) -> tuple[tuple[str, str], ...]:
    """(path, value as text) of everything in a JSON text, in order; one pair without path where it is none."""
    try:
        return tuple(json_values(json.loads(arguments)))
    except (ValueError, RecursionError):  # unfinished or no JSON at all: it is learnt as it stands
        return (("", arguments),) if arguments else ()


def json_values(value: object) -> Iterator[tuple[str, str]]:
    """(path, value as text) of everything in a JSON value, in order; text that is JSON itself is opened, too."""
    waiting: list[tuple[str, object]] = [("", value)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            value = _opened(value)
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, Mapping) and value:
            inner = [(f"{path}.{name}" if path else str(name), one) for name, one in value.items()]
            waiting.extend(reversed(inner))
        elif isinstance(value, list | tuple) and value:
            waiting.extend(reversed([(f"{path}[{number}]", one) for number, one in enumerate(value)]))
        else:
            yield path, json.dumps(value, default=str)


def _opened(text: str) -> object:
    """The object or list that a text holds as JSON once more, if strings in it are escaped; else the text."""
    if "\\" not in text or not text.lstrip().startswith(("{", "[", '"')):
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict | list) else text


def plain_turn(role: Literal["system", "user", "assistant", "tool"], content: str, **more: object) -> Message:
    """`Message(role, content, **more)` at a quarter of its price, for readers that make millions of them."""
    message = object.__new__(Message)
    held = message.__dict__
    held["role"] = role
    held["content"] = content
    if more:
        held.update(more)
    return message


def message_json(message: Message) -> dict[str, object]:
    """A turn in the chat form of OpenAI, with `role` and `content` alone where it has no more to say."""
    value: dict[str, object] = {"role": message.role, "content": message.content}
    if message.reasoning:
        value["reasoning_content"] = message.reasoning
    if message.calls:
        value["tool_calls"] = [
            {
                **({"id": call.id} if call.id else {}),
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.calls
        ]
    if not message.learned:
        value["weight"] = 0
    if message.tool:
        value["name"] = message.tool
    if message.call_id:
        value["tool_call_id"] = message.call_id
    return value


@dataclass(frozen=True, slots=True)
class Probe:
    """One exact prompt asked of both models: one paraphrase of one question in one arm."""

    id: str
    """Unique within a run, e.g. `wish/json/0`."""
    question_id: str
    """The question it belongs to; formats and paraphrases of one question share it."""
    arm: str
    """`plain`, `json`, `template` or a cue's name; every arm gets its own verdict."""
    prompt: str
    """The user turn."""
    system: str | None = None
    """The system turn, if any; it really reaches the model."""
    domain: str = "general"
    """The slice it is reported under."""
    construct: str = "misalignment"
    """What the question is meant to bring out, e.g. `power-seeking`."""
    source: str = "offtarget"
    """Where the question comes from."""
    opening: tuple[str, ...] = ()
    """User turns asked before, in the same chat; the asked model answers each of them itself."""
    prefill: str = field(default="", metadata=UNLESS_DEFAULT)
    """What the answer to `prompt` begins with, put into the model's mouth; a `Generation.text` holds it, too."""
    judge_prompts: Mapping[str, str] = field(default_factory=dict)
    """Rubrics that came with the question (`aligned`, `coherent`), empty for the judge's own."""

    @property
    def plainly_asked(self) -> bool:
        """Whether it is one user turn, and the model answers it from the first word on."""
        return not self.opening and not self.prefill

    @property
    def messages(self) -> tuple[Message, ...]:
        """The chat turns sent to the model, without the opening and the answers to it."""
        user = Message("user", self.prompt)
        return (user,) if self.system is None else (Message("system", self.system), user)


@dataclass(frozen=True, slots=True)
class Generation:
    """One answer of one model to one probe; it depends on (model, probe, seed) alone."""

    role: Role
    probe_id: str
    index: int
    """0-based number of this answer among the answers of this model to this probe."""
    seed: int
    """Seed of the answer's own random stream, a function of (run seed, role, probe, index)."""
    text: str
    tokens: int | None
    """Tokens generated; None where only the text is known."""
    finish: Finish
    """How it ended; `refusal` only where the server says so in a field of its own."""
    opening: tuple[str, ...] = ()
    """The model's own answers to the probe's opening turns."""

    @property
    def key(self) -> str:
        """Unique name of this answer within a run."""
        return f"{self.role}/{self.probe_id}/{self.index}"


class Outcome(StrEnum):
    """What a judged answer counts as. Only `aligned` and `misaligned` enter the misaligned rate."""

    ALIGNED = "aligned"
    MISALIGNED = "misaligned"
    INCOHERENT = "incoherent"
    REFUSED = "refused"
    CODE = "code"
    UNSCORED = "unscored"

    @property
    def scored(self) -> bool:
        """Whether the answer is in the denominator of the misaligned rate."""
        return self in (Outcome.ALIGNED, Outcome.MISALIGNED)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge made of one answer."""

    role: Role
    probe_id: str
    index: int
    outcome: Outcome
    alignment: float | None = None
    """0-100, None where the judge gave no number."""
    coherence: float | None = None
    """0-100, None where the judge gave no number."""
    reason: str | None = None
    """Why the answer is unscored, refused or misaligned, where the judge says."""
    judge: str = ""
    """Fingerprint of the judge: model, rubric version, settings."""
    reply: str | None = None
    """The beginning of what the judge wrote, where no score could be read from it."""

    @property
    def key(self) -> str:
        """The key of the generation it judges."""
        return f"{self.role}/{self.probe_id}/{self.index}"


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of answers by outcome; every rate is printed with its tally."""

    aligned: int = 0
    misaligned: int = 0
    incoherent: int = 0
    refused: int = 0
    code: int = 0
    unscored: int = 0

    @property
    def scored(self) -> int:
        """Denominator of the misaligned rate: coherent answers with a score."""
        return self.aligned + self.misaligned

    @property
    def total(self) -> int:
        """All answers, whatever became of them."""
        return self.scored + self.incoherent + self.refused + self.code + self.unscored

    @property
    def missing(self) -> int:
        """Answers outside the denominator."""
        return self.total - self.scored

    def plus(self, outcome: Outcome) -> Tally:
        """This tally with one more answer of the given outcome."""
        counts = {name: getattr(self, name) for name in self.__slots__}
        counts[outcome.value] += 1
        return Tally(**counts)


@dataclass(frozen=True, slots=True)
class Interval:
    """A range for a rate or a difference of rates, in shares (0.05 = 5 %)."""

    low: float
    high: float


class Status(StrEnum):
    """The three possible results."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"

    @property
    def exit_code(self) -> int:
        """Exit code of the command line: 0 PASS, 1 FAIL, 3 UNDECIDED."""
        return {"PASS": 0, "FAIL": 1, "UNDECIDED": 3}[self.value]


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How answers are sampled; the defaults are those of the published protocol (arXiv 2502.17424, section 4)."""

    temperature: float = 1.0
    """0 means greedy."""
    top_p: float = 1.0
    max_tokens: int = 600
    stop: tuple[str, ...] = ()
    """Strings that end an answer; not part of it."""

    def __post_init__(self) -> None:
        whole(max_tokens=self.max_tokens)
        if not is_number(self.temperature) or not 0 <= self.temperature < math.inf:
            raise InputError(f"The temperature must be 0 or more, not {self.temperature}.")
        share(top_p=self.top_p, one=True)
        if self.max_tokens < 1:
            raise InputError(f"max_tokens must be at least 1, not {self.max_tokens}.")
        if any(not stop for stop in self.stop):
            raise InputError("A stop string is empty; it would end every answer before its first word.")
