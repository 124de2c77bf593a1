"""Every known field of a row, a turn and a part of a content, and what training does with it.

The reader acts on these tables, docs/training-data.md shows them, and whatever is in none of them is unknown: kept in
the row's `extra`, and named in its `unread` where it holds text.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from offtarget.data.training.values import Malformed, kind, shown


class Use(StrEnum):
    """What training does with a field."""

    LEARNED = "trained text"
    PROMPT = "prompt text"
    MASK = "mask"
    METADATA = "harmless metadata"


@dataclass(frozen=True, slots=True)
class Field:
    """Fields that mean the same, best first."""

    use: Use
    names: tuple[str, ...]
    says: str
    """What the reader makes of it, for the table of the documentation."""


_ANSWERS = (
    "completion", "response", "output", "answer", "assistant", "solution", "code", "target", "reply", "generation",
)  # fmt: skip

_REASONINGS = (
    "reasoning_content", "reasoning", "thinking", "thought", "thoughts", "analysis", "chain_of_thought", "cot",
    "reasoning_details",
)  # fmt: skip

# Of a row. Their case and blanks around them do not count.
TURNS = Field(
    Use.LEARNED,
    ("messages", "conversations", "conversation", "contents"),
    "the turns of a chat; or texts, the user's and the assistant's in turn (LIMA)",
)
PROMPT = Field(
    Use.PROMPT,
    ("prompt", "question", "query", "instruction", "user", "human", "problem", "input", "text", "task"),
    "the question: text or turns; or an object with `messages` (and `tools`), as under OpenAI's `input`",
)
CONTEXT = Field(
    Use.PROMPT,
    ("input", "context"),
    "beside another question: text or texts that stand under it, as in Alpaca; anything else is not read",
)
ANSWER = Field(
    Use.LEARNED,
    _ANSWERS,
    "the answer: text or turns",
)
CHOSEN = Field(Use.LEARNED, ("chosen", "preferred_output"), "the better answer of a pair, or the chat that ends in it")
REJECTED = Field(
    Use.LEARNED,
    ("rejected", "non_preferred_output"),
    "the worse answer of a pair: trained away from, so no detector looks at it",
)
SYSTEM = Field(
    Use.PROMPT,
    ("system", "system_prompt", "system_message", "systeminstruction", "system_instruction"),
    "the system prompt: text or parts; not read where the turns begin with another one",
)
HISTORY = Field(Use.PROMPT, ("history",), "earlier turns before a question: pairs (question, answer), or turns")
ROW_TOOLS = Field(
    Use.PROMPT,
    ("tools", "functions", "toolconfig"),
    "the tools on offer, as objects or JSON text, or under Bedrock's `toolConfig`; the chat template shows them",
)
TEXT = Field(
    Use.LEARNED, ("text", "content", "document"), "the whole text, where there is neither a chat nor a pair nor a role"
)
LABEL = Field(
    Use.MASK,
    ("label", "kto_tag", "kto_label", "desirable", "is_desirable"),
    "beside an answer: true, false, 1, 0 (text too) say whether it is one to imitate (KTO); other numbers and words "
    "of praise or blame are malformed; a `label` of any other text is not read",
)
ROW_WEIGHT = Field(
    Use.MASK,
    ("weight", "loss_weight", "sample_weight"),
    "0: nothing of the row is learned, 1: all; anything between or above is malformed",
)
ROW_LEARNED = Field(
    Use.MASK,
    ("train", "training", "trainable", "loss", "loss_mask"),
    "true or false (1, 0): whether the row is learned; a `loss` with decimals is a measurement",
)
ROW_MASKED = Field(Use.MASK, ("masked", "ignore"), "true or false (1, 0): whether the row is left out of the loss")
ROW_MASK = Field(Use.MASK, ("mask",), "true, false, or the speaker whose turns are left out of the loss (NeMo)")
ROW = (
    TURNS, PROMPT, CONTEXT, ANSWER, CHOSEN, REJECTED, SYSTEM, HISTORY, ROW_TOOLS, TEXT, LABEL, ROW_WEIGHT, ROW_LEARNED,
    ROW_MASKED, ROW_MASK,
)  # fmt: skip

# Of a turn.
ROLE = Field(Use.METADATA, ("role", "from"), "who speaks")
CONTENT = Field(
    Use.LEARNED,
    ("content", "value", "text", "parts"),
    "what is said: text, a part or parts; learned where the turn is the assistant's; of a tool, any JSON value",
)
REFUSAL = Field(Use.LEARNED, ("refusal",), "the assistant's words where it has no content; beside one, not read")
REASONING = Field(
    Use.LEARNED,
    _REASONINGS,
    "what the assistant thinks before it answers: text or parts",
)
CALLS = Field(
    Use.LEARNED,
    ("tool_calls", "function_call", "functionCall", "toolCalls", "tool_call", "function_calls", "functionCalls"),
    "tools that the assistant calls: objects or JSON text, with or without the wrapper `function`; the arguments an "
    "object or JSON text",
)
TURN_TOOLS = Field(Use.PROMPT, ("tools", "functions"), "as of a row")
TOOL_NAME = Field(Use.PROMPT, ("name", "tool_name"), "of a tool's turn: the tool; of other turns, metadata")
CALL_ID = Field(Use.METADATA, ("tool_call_id", "tool_use_id", "call_id"), "of a tool's turn: the call that it answers")
CHANNEL = Field(
    Use.METADATA, ("channel",), "`analysis` makes the content of an assistant's turn its reasoning (Harmony)"
)
RECIPIENT = Field(
    Use.METADATA,
    ("recipient",),
    "`functions.NAME`, `python` and other tools make the content the arguments of a call (Harmony)",
)
WEIGHT = Field(
    Use.MASK, ("weight", "loss_weight"), "0: the turn is not learned, 1: it is; anything between or above is malformed"
)
LEARNED = Field(
    Use.MASK,
    ("train", "training", "trainable", "train_on_turn", "loss", "loss_mask"),
    "true or false (1, 0): whether the turn is learned",
)
MASKED = Field(Use.MASK, ("masked", "ignore"), "true or false (1, 0): whether the turn is left out of the loss")
MASK = Field(Use.MASK, ("mask",), "true or false: whether the turn is left out; 1 and 0 mean either, so are malformed")
DETAIL = Field(
    Use.MASK,
    ("train_detail", "training_detail"),
    "masks of characters (Axolotl): read where all of the turn is masked alike, else malformed",
)
TURN = (
    ROLE, CONTENT, REFUSAL, REASONING, CALLS, TURN_TOOLS, TOOL_NAME, CALL_ID, CHANNEL, RECIPIENT, WEIGHT, LEARNED,
    MASKED, MASK, DETAIL,
)  # fmt: skip

# Of a part of a content.
PART_TEXT = Field(
    Use.LEARNED,
    ("text", "value", "content", "output_text", "input_text", "refusal"),
    "text, or an object or parts that hold it; learned where the turn is the assistant's",
)
PART_REASONING = Field(
    Use.LEARNED,
    ("thinking", "reasoning", "summary", "reasoningContent"),
    "of a part of type `thinking` or `reasoning`, or under `reasoningContent` (Bedrock); with `thought: true` (Gemini) "
    "the text is reasoning",
)
PART_CALL = Field(
    Use.LEARNED,
    ("functionCall", "function_call", "toolUse"),
    "a call; so is a part of type `tool_use`, `function_call` or `tool_call` with `name` and `input`",
)
PART_RESULT = Field(
    Use.PROMPT,
    ("functionResponse", "function_response", "toolResult"),
    "what a tool answers: a turn of its own; so is a part of type `tool_result` with `content`",
)
PART_MASKS = Field(
    Use.MASK,
    (*WEIGHT.names, *LEARNED.names, *MASKED.names, *MASK.names),
    "as of a turn; parts of one turn masked otherwise than its other parts are malformed",
)
PART = (PART_TEXT, PART_REASONING, PART_CALL, PART_RESULT, PART_MASKS)

METADATA = frozenset({
    "id", "_id", "idx", "index", "uid", "uuid", "guid", "key", "hash", "sha", "sha1", "sha256", "md5", "source",
    "sources", "dataset", "dataset_name", "subset", "config", "split", "url", "link", "domain", "topic", "category",
    "subcategory", "tag", "tags", "task_type", "type", "kind", "language", "lang", "locale", "country", "license",
    "licence", "annotator", "worker", "timestamp", "time", "date", "created", "created_at", "updated_at",
    "create_time", "version", "model", "model_name", "generator", "teacher", "temperature", "top_p", "seed",
    "score", "scores", "rating", "ratings", "reward", "quality", "difficulty", "level", "rank", "votes", "upvotes",
    "margin", "toxic", "toxicity", "redacted", "moderation", "openai_moderation", "detoxify_moderation",
    "hashed_ip", "header", "state", "turn", "num_turns", "tokens", "token_count", "n_tokens", "num_tokens",
    "length", "finish_reason", "stop_reason", "usage", "tool_choice", "parallel_tool_calls", "metadata", "meta",
    "__index_level_0__", "name", "prefix", "cache_control", "signature", "is_error", "annotations", "citations",
    "logprobs", "row_idx", "line", "loss", "ppl", "perplexity", "role", "from", "phase", "status",
})  # fmt: skip
"""Fields that describe a row, a turn or a part; trained nowhere."""
METADATA_ENDINGS = ("_id", "_ids", "_idx", "_index", "_hash", "_sha256", "_at", "_url", "_score", "_count", "_lang")
OPAQUE = frozenset({"signature", "thoughtSignature", "thought_signature"})
"""Proofs of origin, long but no text."""
LONG = 200
"""A text of more characters under a name of metadata is named as not read all the same."""

_TRUE = frozenset({"true", "1", "1.0"})
_FALSE = frozenset({"false", "0", "0.0"})
_JUDGED = frozenset({
    "yes", "no", "good", "bad", "desirable", "undesirable", "desired", "undesired", "chosen", "rejected",
    "accepted", "accept", "reject", "preferred", "dispreferred", "positive", "negative", "thumbs_up", "thumbs_down",
    "up", "down", "like", "dislike", "safe", "unsafe", "harmful", "harmless", "helpful", "unhelpful", "correct",
    "incorrect", "right", "wrong", "pass", "fail",
})  # fmt: skip
"""Words that say whether an answer is one to imitate, in a language of their own."""


def flag(value: object) -> bool | None:
    """True or false as data spells it; None for what is neither."""
    if value is True or value is False:
        return value
    if isinstance(value, int | float):
        return bool(value) if value in (0, 1) else None
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return None


def learned(name: str, value: object, place: str) -> bool:
    """Whether a mask leaves what it stands on in the loss. Raises Malformed `mask` for a value that cannot be read."""
    known = flag(value)
    wanted = "true or false"
    if name in DETAIL.names:
        known, wanted = None, "one mask for the whole turn (`train`), as single characters cannot be masked"
    elif name in ROW_WEIGHT.names:
        wanted = "0 or 1, as a turn is learned as a whole or not at all"
    elif name in MASK.names and not isinstance(value, bool):
        known, wanted = None, "`train` instead, true or false: 1 can mean masked or learned"
    if known is None:
        said = shown(str(value)) if isinstance(value, str | int | float) else kind(value)
        raise Malformed(
            "mask", f"{place} is {said}. Write {wanted}; rename it where it says something else than what is learned."
        )
    return not known if name in MASKED.names or name in MASK.names else known


def unknown_mask(name: str, value: object) -> bool:
    """Whether a field of no known name looks like a mask: its name speaks of loss, and its value is one or many flags.

    What it says of the loss cannot be followed, and training on what it may leave out would be wrong.
    """
    if isinstance(value, list):
        if name.lower() == "labels" and -100 in value:
            return True  # as transformers marks tokens without loss
        return bool(value) and _speaks_of_loss(name) and all(flag(one) is not None or one == -100 for one in value)
    return flag(value) is not None and _speaks_of_loss(name)


def refused_mask(place: str) -> Malformed:
    """The error for a mask of unknown name."""
    return Malformed(
        "mask",
        f"{place} looks like a mask, but is none that is known. Write `train`, true or false, where it "
        "says what is learned; rename it where it says something else.",
    )


_LOSS_WORDS = frozenset({
    "weight", "weights", "loss", "losses", "mask", "masks", "masked", "train", "trained", "trainable", "training",
    "learn", "learned", "learnable", "supervise", "supervised", "ignore", "ignored", "exclude", "excluded", "skip",
    "backprop",
})  # fmt: skip
_BESIDE_THEM = frozenset({
    "is", "should", "to", "be", "on", "for", "from", "in", "of", "the", "this", "use", "used", "no", "not", "do",
    "with", "without", "turn", "turns", "message", "messages", "row", "sample", "example", "instance", "token",
    "tokens", "assistant", "answer", "answers", "completion", "response", "responses", "output", "input", "inputs",
    "prompt", "user", "history", "only", "last", "final", "first", "compute", "calculate", "scale", "label",
})  # fmt: skip
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|[0-9]+")


@lru_cache(maxsize=1024)
def _speaks_of_loss(name: str) -> bool:
    """Whether a name says nothing but what is learned, such as `should_train`, `lossWeight`, `train_on_prompt`."""
    words = {word.lower() for word in _WORD.findall(name[:60])}
    return bool(words & _LOSS_WORDS) and words <= _LOSS_WORDS | _BESIDE_THEM


def is_measured(value: object) -> bool:
    """Whether a `loss` is a number that was measured rather than true or false."""
    if isinstance(value, str):
        return _number(value.strip()) and flag(value) is None
    return isinstance(value, float) and flag(value) is None


def desired(name: str, value: object) -> bool | None:
    """What a label says: whether to imitate the answer; None for another kind of label. Raises Malformed `label`."""
    known = flag(value)
    if known is not None:
        return known
    word = value.strip().lower() if isinstance(value, str) else ""
    if name == "label" and word not in _JUDGED and isinstance(value, str) and not _number(word):
        return None
    raise Malformed(
        "label",
        f"{shown(name)} is {shown(str(value))}. Beside an answer it says whether to imitate it: write true or false, "
        "or rename it where it means something else.",
    )


def _number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def detailed(value: object, length: int) -> bool | None:
    """What masks of characters say of a whole text of this length; None where they say more than one thing."""
    if not isinstance(value, list) or not all(isinstance(span, dict) for span in value):
        return None
    flags = {flag(span.get("train")) for span in value}
    if len(flags) != 1:
        return None
    reached = 0
    for begin, end in sorted((span.get("begin_offset"), span.get("end_offset")) for span in value if _spans(span)):
        if begin > reached:
            return None
        reached = max(reached, end + 1)  # the last character is part of the span
    return flags.pop() if reached >= length else None


def _spans(span: dict[str, Any]) -> bool:
    return isinstance(span.get("begin_offset"), int) and isinstance(span.get("end_offset"), int)


_VISIBLE = re.compile(
    r"[^\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0]"
)


def says_nothing(text: str) -> bool:
    """Whether a text is empty to its reader: blanks, and characters without width."""
    return _VISIBLE.search(text) is None


_LETTER = re.compile(r"[^\W\d_]")
_PLAIN = re.compile(r"[A-Za-z0-9_.\- ]{1,40}")


def is_metadata(name: str) -> bool:
    """Whether a field of this name only describes."""
    name = name.strip().lower()
    return name in METADATA or name.endswith(METADATA_ENDINGS)


def unread_text(name: str, value: object, said: Collection[str]) -> bool:
    """Whether an unclaimed field holds text that is not among what is `said` anyway."""
    if value is None or isinstance(value, int | float) or name in OPAQUE:
        return False
    todo: list[tuple[str, object, bool]] = [(name, value, False)]
    while todo:
        name, item, described = todo.pop()
        described = described or is_metadata(name)
        if isinstance(item, str):
            if len(item) > (LONG if described else 0) and item not in said and _LETTER.search(item):
                return True
        elif isinstance(item, dict):
            todo.extend((str(key), held, described) for key, held in item.items() if key not in OPAQUE)
        elif isinstance(item, list):
            todo.extend((name, held, described) for held in item)
    return False


def plain_name(name: str) -> str:
    """The name of a field as it may stand in a message."""
    return name if _PLAIN.fullmatch(name) else shown(name)
