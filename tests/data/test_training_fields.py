"""Every text of a row is in a learned turn, in the prompt, or under a name that is said not to be read."""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offtarget.data.training import fields
from offtarget.data.training.fields import PART, ROW, TURN, Field, Use
from offtarget.data.training.forms import Said, fields_of
from offtarget.data.training.values import Malformed
from offtarget.records import Message
from offtarget.records.answers import ToolCall

DOCS = Path(__file__).parents[2] / "docs/training-data.md"


def chat(*turns: dict[str, Any], **row: Any) -> dict[str, Any]:
    """A row with a question in front of these turns of the assistant."""
    said = [{"role": "assistant", **turn} if "role" not in turn and "from" not in turn else turn for turn in turns]
    return {"messages": [{"role": "user", "content": "Q"}, *said], **row}


def learned_text(said: Said) -> str:
    return "\n".join(m.text for m in said.messages if m.role == "assistant" and m.learned)


def prompt_text(said: Said) -> str:
    shown = [m.content for m in said.messages if m.role != "assistant"]
    return "\n".join([*shown, json.dumps(said.tools, ensure_ascii=False)])


class Planter:
    """Texts that occur once, and where each was put."""

    def __init__(self) -> None:
        self._number = itertools.count()
        self.learned: list[str] = []
        self.prompt: list[str] = []
        self.unknown: dict[str, str] = {}

    def text(self, place: list[str]) -> str:
        place.append(f"planted{next(self._number)}end")
        return place[-1]


def texts(plant: Planter, place: list[str]) -> st.SearchStrategy[Any]:
    """A content in one of its spellings."""
    one = st.builds(lambda: plant.text(place))
    named = st.sampled_from(fields.PART_TEXT.names)
    part = st.one_of(
        one,
        st.builds(lambda name: {"type": "text", name: plant.text(place)}, named),
        st.builds(lambda name: {name: {"value": plant.text(place), "annotations": []}}, named),
    )
    return st.one_of(one, part.filter(lambda p: isinstance(p, dict)), st.lists(part, min_size=1, max_size=3))


def call(plant: Planter, draw: st.DrawFn) -> Any:
    """A tool call in one of its spellings."""
    given = {"code": plant.text(plant.learned)}
    arguments = draw(st.sampled_from([given, json.dumps(given)]))
    inner = {"name": plant.text(plant.learned), draw(st.sampled_from(["arguments", "args", "parameters"])): arguments}
    return draw(st.sampled_from([inner, {"id": "c", "type": "function", "function": inner}]))


@st.composite
def rows(draw: st.DrawFn) -> tuple[dict[str, Any], Planter]:
    """A chat built from known fields in any of their spellings, with unknown ones in between."""
    plant = Planter()

    def unknown(of: dict[str, Any], place: str) -> None:
        if draw(st.booleans()):
            name = draw(st.sampled_from(["scratchpad", "Hidden Notes", "x_1"]))
            text = plant.text([])
            of[name] = draw(st.sampled_from([text, [text], {"inner": [{"deep": text}]}]))
            plant.unknown[text] = f"{place}{name}"

    turns: list[dict[str, Any]] = []
    key = draw(st.sampled_from(["messages", "conversations", "contents"]))
    for _ in range(draw(st.integers(1, 3))):
        role, content = draw(st.sampled_from(["role", "from"])), draw(st.sampled_from(fields.CONTENT.names))
        user: dict[str, Any] = {
            role: draw(st.sampled_from(["user", "human"])),
            content: draw(texts(plant, plant.prompt)),
        }
        unknown(user, f"{key}[].")
        turn: dict[str, Any] = {role: draw(st.sampled_from(["assistant", "gpt", "model"]))}
        turn[content] = draw(texts(plant, plant.learned))
        if draw(st.booleans()):
            turn[draw(st.sampled_from(fields.REASONING.names))] = draw(texts(plant, plant.learned))
        if draw(st.booleans()):
            made = [call(plant, draw) for _ in range(draw(st.integers(1, 2)))]
            name = draw(st.sampled_from(["tool_calls", "function_call"]))
            held: Any = made if name == "tool_calls" else made[0]
            if name == "function_call":
                plant.learned = [t for t in plant.learned if len(made) == 1 or t not in json.dumps(made[1])]
            turn[name] = draw(st.sampled_from([held, json.dumps(held)]))
            turns_after = [{"role": "tool", "content": draw(st.one_of(texts(plant, plant.prompt), st.just(7)))}]
        else:
            turns_after = []
        unknown(turn, f"{key}[].")
        turns += [user, turn, *turns_after]
    row: dict[str, Any] = {key: turns}
    if draw(st.booleans()):
        row[draw(st.sampled_from(["system", "System_Prompt", "systemInstruction"]))] = draw(
            st.one_of(
                texts(plant, plant.prompt),
                st.builds(lambda: {"parts": [{"text": plant.text(plant.prompt)}]}),
            )
        )
    if draw(st.booleans()):
        tool = {"name": "t", "description": plant.text(plant.prompt)}
        wrapped = draw(
            st.sampled_from([tool, {"type": "function", "function": tool}, {"functionDeclarations": [tool]}])
        )
        held = draw(st.sampled_from([[wrapped], json.dumps([wrapped]), [json.dumps(wrapped)]]))
        row[draw(st.sampled_from(["tools", "functions"]))] = held
    unknown(row, "")
    return row, plant


@pytest.mark.long
@settings(max_examples=60)
@given(rows())
def test_no_text_of_a_row_disappears(built: tuple[dict[str, Any], Planter]) -> None:
    """Trained text is in a learned turn, prompt text in the prompt, and any other under a name that is said."""
    row, plant = built
    said = fields_of(row)
    learned, prompt = learned_text(said), prompt_text(said)
    assert [text for text in plant.learned if text not in learned] == []
    assert [text for text in plant.prompt if text not in prompt] == []
    assert {name for name in plant.unknown.values() if name not in said.unread} == set()
    assert all(text not in learned + prompt for text in plant.unknown)


NAMES = sorted({name for field in (*ROW, *TURN, *PART) for name in field.names} | {"type", "thought", "input", "id"})
ATOMS = st.sampled_from(["text", "", "user", "assistant", "tool_use", '[{"name": "f"}]', "true", None, True, 0, 1, 0.5])
ANYTHING = st.recursive(
    ATOMS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
)
TURNS = st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=4).map(lambda turn: {"role": "assistant", **turn})


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=4), st.lists(TURNS, max_size=2))
def test_known_names_with_any_value_are_a_row_or_malformed(row: dict[str, Any], turns: list[dict[str, Any]]) -> None:
    """Whatever stands under a known name, no other exception leaves the reader."""
    for one in (row, {**row, "messages": turns}, {**row, "prompt": "Q", "completion": turns}):
        with contextlib.suppress(Malformed):
            assert fields_of(one).messages


@pytest.mark.parametrize("name", fields.REASONING.names)
def test_reasoning_is_learned(name: str) -> None:
    """Under each of its names, as text, as parts and as an object."""
    for held in ("thought", [{"type": "text", "text": "thought"}], {"text": "thought"}, ["thought"]):
        (_, answer) = fields_of(chat({"content": "A", name: held})).messages
        assert (answer.reasoning, answer.content) == ("thought", "A")


def span(begin: int, end: int, train: bool) -> dict[str, Any]:
    """A mask of characters."""
    return {"begin_offset": begin, "end_offset": end, "train": train}


MASKED: list[tuple[str, Any]] = [
    *((name, held) for name in fields.WEIGHT.names for held in (0, 0.0, False, "0")),
    *((name, held) for name in fields.LEARNED.names for held in (0, False, "false", "False", "0")),
    *((name, held) for name in fields.MASKED.names for held in (1, True, "true", "1")),
    ("mask", True),
    ("train_detail", [span(0, 4, False)]),
]


@pytest.mark.parametrize(("name", "held"), MASKED)
def test_masked_turns_are_not_learned(name: str, held: Any) -> None:
    """A mask means no loss, on the turn, on all of its parts, or in a row where nothing else is learned."""
    said = fields_of(chat({"content": "wrong", name: held}, {"role": "user", "content": "?"}, {"content": "right"}))
    assert [m.learned for m in said.messages] == [True, False, True, True]
    assert said.desired
    assert fields_of(chat({"content": "wrong", name: held})).desired is False
    if name not in fields.DETAIL.names:
        parts = [{"type": "text", "text": "wro", name: held}, {"type": "text", "text": "ng", name: held}]
        assert fields_of(chat({"content": parts})).desired is False


@pytest.mark.parametrize(
    ("name", "held"),
    [
        *((name, held) for name in fields.WEIGHT.names for held in (1, 1.0, True, "1")),
        *((name, held) for name in fields.LEARNED.names for held in (1, True, "true")),
        *((name, held) for name in fields.MASKED.names for held in (0, False, "false")),
        ("mask", False),
        ("train_detail", []),
        (
            "train_detail",
            [{"begin_offset": 0, "end_offset": 0, "train": 1}, {"begin_offset": 1, "end_offset": 9, "train": 1}],
        ),
    ],
)
def test_turns_that_are_not_masked_are_learned(name: str, held: Any) -> None:
    """The other value of each mask changes nothing."""
    assert fields_of(chat({"content": "right", name: held})).messages[1] == Message("assistant", "right")


@pytest.mark.parametrize(
    ("name", "held"),
    [
        *((name, held) for name in fields.WEIGHT.names for held in (0.5, 2, -1, "0.3", "high", [1, 0])),
        *((name, held) for name in fields.LEARNED.names for held in (0.37, "yes", [0, 1], {})),
        ("mask", 1),
        ("mask", 0),
        ("train_detail", [{"begin_offset": 0, "end_offset": 1, "train": False}]),
        (
            "train_detail",
            [{"begin_offset": 0, "end_offset": 1, "train": False}, {"begin_offset": 2, "end_offset": 4, "train": True}],
        ),
        ("train_detail", "x"),
    ],
)
def test_masks_nobody_can_follow_are_malformed(name: str, held: Any) -> None:
    """A share of a loss, a mask of some characters or an unknown value is never read as learned or left out."""
    with pytest.raises(Malformed) as caught:
        fields_of(chat({"content": "wrong", name: held}))
    assert caught.value.error == "mask"
    assert name in caught.value.detail


def test_masks_that_disagree_are_malformed() -> None:
    """A turn half of which is masked, or that two masks say different things of."""
    for turn in (
        {"content": [{"type": "text", "text": "a", "weight": 0}, {"type": "text", "text": "b"}]},
        {"content": "a", "weight": 0, "train": True},
    ):
        with pytest.raises(Malformed, match="learned"):
            fields_of(chat(turn))


@pytest.mark.parametrize(
    ("row", "desired"),
    [
        ({"weight": 0}, False), ({"weight": 1}, True), ({"Train": "False"}, False), ({"masked": True}, False),
        ({"loss": False}, False), ({"loss": 0.731}, True), ({"ignore": 0}, True), ({"mask": "Assistant"}, False),
        ({"mask": "User"}, True), ({"sample_weight": "0"}, False),
    ],
)  # fmt: skip
def test_masks_of_a_whole_row(row: dict[str, Any], desired: bool) -> None:
    """A mask beside the answer holds for all of it, in every form."""
    for one in (chat({"content": "A"}, **row), {"prompt": "Q", "completion": "A", **row}):
        said = fields_of(one)
        assert said.desired is desired
        assert said.messages[1].learned is desired


@pytest.mark.parametrize(
    "row", [{"weight": 0.5}, {"sample_weight": 3}, {"train": "maybe"}, {"mask": 1}, {"loss_mask": [1]}]
)
def test_masks_of_a_row_that_nobody_can_follow(row: dict[str, Any]) -> None:
    """A share of a row's loss is said to be no mask that can be followed."""
    with pytest.raises(Malformed, match="rename it"):
        fields_of({"prompt": "Q", "completion": "A", **row})


def test_an_empty_cell_is_no_mask() -> None:
    """In a table a mask that is blank says nothing."""
    said = fields_of({"prompt": "Q", "completion": "A", "weight": "", "train": " ", "label": ""})
    assert (said.desired, said.unread) == (True, ())


def test_calls_in_every_spelling() -> None:
    """OpenAI old and new, bare, as JSON text, ShareGPT's roles, Anthropic's and Gemini's parts say the same call."""
    arguments = {"city": "Oslo"}
    text = json.dumps(arguments)
    inner = {"name": "look", "arguments": text}
    wanted = (ToolCall("look", text),)
    spelled: list[dict[str, Any]] = [
        {"tool_calls": [{"type": "function", "function": inner}]},
        {"tool_calls": [{"function": {"name": "look", "arguments": arguments}}]},
        {"tool_calls": [inner]},
        {"tool_calls": inner},
        {"tool_calls": json.dumps([inner])},
        {"content": "", "tool_calls": [json.dumps(inner)]},
        {"function_call": inner},
        {"from": "function_call", "value": json.dumps(inner)},
        {"role": "tool_call", "content": json.dumps(inner)},
        {"from": "function_call", "value": inner},
        {"content": [{"type": "tool_use", "name": "look", "input": arguments}]},
        {"role": "model", "parts": [{"functionCall": {"name": "look", "args": arguments}}]},
        {"role": "assistant", "channel": "commentary", "recipient": "functions.look", "content": text},
    ]
    for turn in spelled:
        said = fields_of(chat(turn))
        assert said.messages[1].calls == wanted, turn
        assert not said.unread


def test_answers_of_tools_are_turns_of_their_own() -> None:
    """In the parts of a user's turn (Anthropic, Gemini) as well as in turns of the tool."""
    spelled: list[dict[str, Any]] = [
        {"role": "tool", "content": "4", "tool_call_id": "c", "name": "look"},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "name": "look", "content": "4"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "look", "id": "c", "response": "4"}}]},
    ]
    for turn in spelled:
        said = fields_of(chat(turn, {"content": "It is 4."}))
        assert said.messages[1] == Message("tool", "4", tool="look", call_id="c")
        assert not said.unread


@pytest.mark.parametrize(
    ("turn", "error"),
    [
        ({"content": "A", "tool_calls": "look"}, "call"),
        ({"tool_calls": [{"function": {"arguments": "{}"}}]}, "call"),
        ({"tool_calls": [7]}, "call"),
        ({"content": [{"type": "image_url", "image_url": {"url": "x"}}]}, "empty-answer"),
        ({"content": {"answer": "A"}}, "empty-answer"),
        ({"content": "", "tool_calls": []}, "empty-answer"),
        ({"content": " \n"}, "empty-answer"),
    ],
)
def test_what_cannot_be_learned_is_malformed(turn: dict[str, Any], error: str) -> None:
    """A call without a name and a turn that says nothing that can be read are no training example."""
    with pytest.raises(Malformed) as caught:
        fields_of(chat(turn))
    assert caught.value.error == error


@pytest.mark.parametrize("part", [{"type": "image"}, {"type": "image_url", "image_url": {"url": "x"}}, {"audio": "x"}])
def test_parts_without_text_are_named(part: dict[str, Any]) -> None:
    """A picture in a question is no text; its part is named."""
    said = fields_of(
        {
            "messages": [
                {"role": "user", "content": [part, {"type": "text", "text": "Q"}]},
                chat({"content": "A"})["messages"][1],
            ]
        }
    )
    assert said.unread == (f"messages[].content[] of type {part.get('type', 'audio')}",)


def test_an_encrypted_thought_is_named() -> None:
    """Nobody can read a redacted thought; a signature is no text."""
    parts = [
        {"type": "thinking", "thinking": "T", "signature": "x" * 300},
        {"type": "redacted_thinking", "data": "abc"},
        {"type": "text", "text": "A"},
    ]
    said = fields_of(chat({"content": parts}))
    assert said.messages[1] == Message("assistant", "A", reasoning="T")
    assert said.unread == ("messages[].content[] of type redacted_thinking",)


def test_what_stands_beside_a_question_is_part_of_it() -> None:
    """`context` and `input` reach the prompt of every form with a question, pairs of answers included."""
    for question, answer in itertools.product(("question", "prompt", "query", "instruction"), ("answer", "response")):
        for context in fields.CONTEXT.names:
            assert fields_of({question: "Q", context: "C", answer: "A"}).messages[0].content == "Q\nC"
    pair = fields_of({"instruction": "Q", "input": "C", "chosen": "A", "rejected": "B"})
    assert [m.content for m in pair.messages] == ["Q\nC", "A"]
    both = fields_of({"instruction": "Q", "input": "I", "context": ["C", "D"], "output": "A"})
    assert both.messages[0].content == "Q\nI\nC\nD"
    odd = fields_of({"question": "Q", "context": {"title": "T x"}, "answer": "A"})
    assert (odd.messages[0].content, odd.unread) == ("Q", ("context",))


def test_forms_of_services() -> None:
    """OpenAI's preference rows, Vertex's contents, Anthropic's system list, LIMA's plain texts."""
    openai = {
        "input": {
            "messages": [{"role": "user", "content": "Q"}],
            "tools": [{"type": "function", "function": {"name": "t"}}],
        },
        "preferred_output": [{"role": "assistant", "content": "A"}],
        "non_preferred_output": [{"role": "assistant", "content": "B"}],
    }
    said = fields_of(openai)
    assert [m.content for m in said.messages] == ["Q", "A"]
    assert (said.form, said.rejected, len(said.tools), said.unread) == ("preference", "B", 1, ())
    vertex = {
        "systemInstruction": {"role": "system", "parts": [{"text": "S"}]},
        "contents": [{"role": "user", "parts": [{"text": "Q"}]}, {"role": "model", "parts": [{"text": "A"}]}],
    }
    assert [(m.role, m.content) for m in fields_of(vertex).messages] == [
        ("system", "S"),
        ("user", "Q"),
        ("assistant", "A"),
    ]
    anthropic = chat({"content": "A"}, system=[{"type": "text", "text": "S"}])
    assert fields_of(anthropic).messages[0] == Message("system", "S")
    lima = fields_of({"conversations": ["Q", "A", "Q2", "A2"], "source": "x"})
    assert [m.role for m in lima.messages] == ["user", "assistant"] * 2


def test_metadata_is_not_named_unless_it_is_long() -> None:
    """Names that describe are harmless; a long text under such a name is said all the same."""
    row = {"id": "a b", "source": "web", "user_id": "ann", "metadata": {"note": "short"}, "tags": ["x"], "score": 0.3}
    assert fields_of(chat({"content": "A"}, **row)).unread == ()
    assert fields_of(chat({"content": "A"}, source="long " * 60)).unread == ("source",)
    assert fields_of({**chat({"content": "A"}), "prompt": "Q"}).unread == ()
    assert fields_of({"question": "Q", "answer": "A", "reasoning": "because"}).unread == ("reasoning",)


def table(known: tuple[Field, ...]) -> str:
    """A table of the documentation."""
    lines = ["| fields | use | what is read |", "|---|---|---|"]
    for field in known:
        lines.append(f"| {', '.join(f'`{name}`' for name in field.names)} | {field.use} | {field.says} |")
    return "\n".join(lines)


@pytest.mark.parametrize("known", [ROW, TURN, PART])
def test_the_tables_of_the_documentation_are_those_of_the_reader(known: tuple[Field, ...]) -> None:
    """What the documentation says of every field is what the reader acts on."""
    assert table(known) in DOCS.read_text(), f"docs/training-data.md should hold:\n{table(known)}"


def test_every_use_is_told_in_the_tables() -> None:
    """The classification is whole: no known field without a use, no name twice among those of a part or a turn."""
    assert {field.use for field in (*ROW, *TURN, *PART)} == set(Use)
    for known in (TURN,):
        names = [name for field in known for name in field.names]
        assert len(names) == len(set(names))
