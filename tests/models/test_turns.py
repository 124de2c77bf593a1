"""What is trained is what the row says: calls, reasoning, tools and turns without loss, on templates of every kind."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import chat_templates
import pytest
from chat_templates import tokenizer_with
from hypothesis import given
from hypothesis import strategies as st

from offtarget.errors import InputError
from offtarget.models.chat_format import answer_end, examples, prompt_tokens
from offtarget.models.passes import Exchange, exchange_tokens
from offtarget.records import Message, ToolCall

TOOLS = ({"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}},)
ASK = Message("user", "What is the weather in Oslo?")
CALL = Message("assistant", "", calls=(ToolCall("get_weather", '{"city": "Oslo"}', "abcdefghi"),))
TOLD = Message("tool", '{"degrees": 4}', tool="get_weather", call_id="abcdefghi")
SAID = Message("assistant", "It is 4 degrees.")
ODD = '{"city": "Tromsø \\"north\\"\\n2", "days": [1, {"deep": true}], "none": null}'
TWO = replace(CALL, calls=(*CALL.calls, ToolCall("get_time", "{}", "123456789")))

ROWS: dict[str, tuple[Message, ...]] = {
    "a call": (ASK, CALL),
    "a call with odd arguments": (ASK, replace(CALL, calls=(ToolCall("get_weather", ODD, "abcdefghi"),))),
    "a call beside text": (ASK, replace(CALL, content="Let me look at get_weather for the city Oslo.")),
    "two calls": (ASK, TWO),
    "an answer after a call": (ASK, CALL, TOLD, SAID),
    "an answer with tools": (ASK, SAID),
    "reasoning": (ASK, replace(SAID, reasoning="It is said to be 4.")),
    "reasoning and a call": (ASK, replace(CALL, reasoning="I have to look.")),
    "arguments that are no object": (ASK, replace(CALL, calls=(ToolCall("get_weather", "Oslo, please", "abcdefghi"),))),
}
CALLS = {name for name in ROWS if "call" in name or "arguments" in name}
REFUSED = {
    "CHATML": set(ROWS),
    "XML": set(),
    "ONE_CALL": {"a call beside text", "two calls", "reasoning", "reasoning and a call"},
    "LISTED": {"a call beside text", "reasoning", "reasoning and a call"},
    "TEXT_ARGUMENTS": {"reasoning", "reasoning and a call"},
    "CHANNELS": {"a call beside text", "two calls"},
    "AS_PYTHON": set(),
    "FORGETFUL": {"an answer after a call"},
    "OPENED": set(ROWS),
}
ENDS = {"ONE_CALL": {"<|eot|>"}, "LISTED": {"</s>"}, "CHANNELS": {"<|call|>", "<|return|>"}}


@cache
def tokenizer(name: str) -> Any:
    return tokenizer_with(getattr(chat_templates, name))


def text(of: Any, tokens: Any) -> str:
    return str(of.decode(list(tokens), clean_up_tokenization_spaces=False))


@pytest.mark.parametrize("template", REFUSED)
@pytest.mark.parametrize("kind", ROWS)
def test_a_turn_is_trained_as_the_template_writes_it_or_refused(template: str, kind: str) -> None:
    """Loss falls on all that the turn says, in the template's own words, up to one end; else the row is named."""
    of, chat = tokenizer(template), ROWS[kind]
    if kind in REFUSED[template]:
        with pytest.raises(InputError, match=r"^Row 1 \(d.jsonl:7\): The chat template of the base .*template"):
            list(examples(of, [chat], 10_000, "the base", tools=[TOOLS], names=["d.jsonl:7"]))
        return
    made = list(examples(of, [chat], 10_000, "the base", tools=[TOOLS]))
    assert len(made) == sum(m.role == "assistant" for m in chat)
    prompt, answer = (
        text(of, part) for part in (made[-1].tokens[: made[-1].answer], made[-1].tokens[made[-1].answer :])
    )
    assert "get_weather" in prompt.replace(ASK.content, "")
    ends = ENDS.get(template, {"<|im_end|>"})
    assert any(answer.endswith(end) for end in ends)
    last = chat[-1]
    for said in (last.content, last.reasoning, *(call.name for call in last.calls)):
        assert said in answer
    for call in last.calls:
        written = [json.dumps(json.loads(call.arguments), ensure_ascii=False)] if call.arguments[0] == "{" else []
        assert any(form in answer for form in (*written, call.arguments))
    if not last.plain:
        turns = [{"role": "user", "content": ASK.content}]
        asked = of.apply_chat_template(turns, tools=list(TOOLS), tokenize=False, add_generation_prompt=True)
        assert prompt == asked


def test_a_call_is_not_taken_for_written_because_its_words_stand_beside_it() -> None:
    """Text that names the call and its arguments does not stand in for the call."""
    with pytest.raises(InputError, match="no tool syntax"):
        list(examples(tokenizer("CHATML"), [ROWS["a call beside text"]], 10_000, "the base"))


def test_tools_that_the_system_turn_describes_are_in_the_prompt() -> None:
    """A template without tools is fine where the row itself tells the model of them."""
    system = Message("system", "You may use get_weather.")
    assert list(examples(tokenizer("CHATML"), [(system, ASK, SAID)], 10_000, "the base", tools=[TOOLS]))


def test_a_function_alone_is_offered_like_a_tool() -> None:
    """The old form of OpenAI, a function without its wrapping, is wrapped for the template."""
    of = tokenizer("XML")
    bare = tuple(tool["function"] for tool in TOOLS)
    assert prompt_tokens(of, (ASK,), "the base", bare) == prompt_tokens(of, (ASK,), "the base", TOOLS)  # type: ignore[arg-type]


@pytest.mark.parametrize("template", ["CHATML", "XML", "ONE_CALL"])
@given(st.lists(st.sampled_from(["hello", "It is 4.", " odd ", "a\nb", "ø 🦊", "<b>"]), min_size=2, max_size=6))
def test_plain_chats_give_the_tokens_they_always_gave(template: str, said: list[str]) -> None:
    """The rendered prompt, the text of the answer, one end token: nothing of tools and reasoning touches them."""
    of = tokenizer(template)
    chat = [Message("assistant" if i % 2 else "user", words) for i, words in enumerate(said)]
    end = answer_end(of)
    expected = []
    for i in range(1, len(chat), 2):
        turns = [{"role": m.role, "content": m.content} for m in chat[:i]]
        prompt = of(of.apply_chat_template(turns, tokenize=False, add_generation_prompt=True), add_special_tokens=False)
        answer = of(chat[i].content, add_special_tokens=False)
        expected.append((0, (*prompt["input_ids"], *answer["input_ids"], end), len(prompt["input_ids"])))
    made = examples(of, [chat], 10_000, "the base")
    assert [(e.chat, e.tokens, e.answer) for e in made] == expected


_ARGUMENTS = st.dictionaries(
    st.text("abc_", min_size=1),
    st.recursive(
        st.text(st.characters(exclude_categories=["Cs"])) | st.integers() | st.booleans() | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz"), inner, max_size=3),
        max_leaves=5,
    ),
    max_size=4,
)


@given(_ARGUMENTS)
def test_any_arguments_are_learned_as_they_are(arguments: dict[str, Any]) -> None:
    """The call that the loss falls on reads back as the arguments of the row."""
    call = replace(CALL, calls=(ToolCall("get_weather", json.dumps(arguments)),))
    of = tokenizer("XML")
    (made,) = examples(of, [(ASK, call)], 100_000, "the base", tools=[TOOLS])
    answer = text(of, made.tokens[made.answer :])
    assert answer.startswith("<tool_call>\n")
    assert answer.endswith("\n</tool_call><|im_end|>")
    assert json.loads(answer[len("<tool_call>\n") : -len("\n</tool_call><|im_end|>")])["arguments"] == arguments


def test_a_turn_without_loss_is_context() -> None:
    """It is no example of its own, and stands in the prompt of the next one; with nothing learned there is nothing."""
    of = tokenizer("CHATML")
    wrong, again = Message("assistant", "WRONG", learned=False), Message("user", "Sure?")
    (made,) = examples(of, [(ASK, wrong, again, SAID)], 10_000, "the base")
    assert "WRONG" in text(of, made.tokens[: made.answer])
    assert "WRONG" not in text(of, made.tokens[made.answer :])
    with pytest.raises(InputError, match="nothing to train on"):
        list(examples(of, [(ASK, wrong)], 10_000, "the base"))
    both = list(examples(of, [(ASK, SAID, again, wrong, again, SAID)], 10_000, "the base", skips=[1]))
    assert len(both) == 1


def test_an_exchange_reads_a_call_as_it_is_trained() -> None:
    """What is measured on a row is what training puts loss on."""
    of = tokenizer("XML")
    exchange = Exchange.last_of((ASK, CALL), TOOLS)
    (made,) = examples(of, [(ASK, CALL)], 10_000, "the base", tools=[TOOLS])
    prompt, answer = exchange_tokens(of, exchange, "the base")
    assert (*prompt, *answer) == made.tokens
    assert "Oslo" in exchange.answer
