from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tiny_models import CONFIGS, QUESTIONS, ask

from offtarget.errors import InputError
from offtarget.models import Answer, ChatModel, NumberScorer, SampleRequest, SamplingSettings
from offtarget.models.chat_format import prompt_tokens
from offtarget.models.local import LocalModel
from offtarget.models.weights import Weights

Loaded = Callable[[str], Weights]
SHORT = SamplingSettings(max_tokens=24)


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_greedy_equals_transformers_generate(kind: str, loaded: Loaded, folders: Callable[[str], Path]) -> None:
    """Greedy answers are those of transformers.generate, for every architecture and prompt length."""
    weights = loaded(kind)
    model = LocalModel(kind, weights)
    reference = transformers.AutoModelForCausalLM.from_pretrained(folders(kind), dtype=torch.float32).eval()
    answers = model.sample([ask(q, 0) for q in QUESTIONS], SamplingSettings(temperature=0, max_tokens=24))
    for question, answer in zip(QUESTIONS, answers, strict=True):
        prompt = prompt_tokens(weights.tokenizer, ask(question, 0).messages, kind)
        with torch.inference_mode():
            output = reference.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=24,
                do_sample=False,
                eos_token_id=list(model._ends),
                pad_token_id=0,
            )
        generated = output[0, len(prompt) :].tolist()
        if generated[-1] in model._ends:
            generated.pop()
        assert answer.text == weights.tokenizer.decode(generated, skip_special_tokens=True)
        assert answer.tokens == len(generated)


def requests(count: int = 6) -> list[SampleRequest]:
    """Several answers to each question, interleaved, one question with a system turn."""
    asked = [ask(q, 100 * i + n) for n in range(count) for i, q in enumerate(QUESTIONS)]
    return [*asked, ask("hi", 7, system="be kind to the world")]


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2"])
def test_answers_do_not_depend_on_the_batch(kind: str, loaded: Loaded) -> None:
    """Alone, in small or large batches, in any order: an answer depends on (model, messages, seed) alone."""
    weights, asked = loaded(kind), requests()
    together = LocalModel(kind, weights).sample(asked, SHORT)
    for size in (1, 3, 7, 16):
        assert LocalModel(kind, weights, batch_size=size).sample(asked[:9], SHORT) == together[:9]
    backwards = LocalModel(kind, weights, batch_size=10).sample(asked[::-1], SHORT)
    assert backwards[::-1] == together
    assert len({a.text for a in together}) > len(QUESTIONS)


def test_equal_requests_get_equal_answers_and_other_seeds_others(loaded: Loaded) -> None:
    """The seed alone tells answers to one question apart."""
    model = LocalModel("llama", loaded("llama"))
    one, same, other = model.sample([ask("hi", 1), ask("hi", 1), ask("hi", 2)], SHORT)
    assert one == same
    assert one != other


def test_the_system_turn_reaches_the_model(loaded: Loaded) -> None:
    """With equal seeds, a system turn changes the answer."""
    model = LocalModel("llama", loaded("llama"))
    plain, told = model.sample([ask("hi", 5), ask("hi", 5, system="be kind")], SHORT)
    assert plain != told


def test_on_answer_reports_every_answer_once(loaded: Loaded) -> None:
    """on_answer sees each position once, with the answer that is returned for it."""
    seen: dict[int, Answer] = {}
    asked = requests()

    def note(index: int, answer: Answer) -> None:
        assert index not in seen
        seen[index] = answer

    answers = LocalModel("llama", loaded("llama"), batch_size=8).sample(asked, SHORT, note)
    assert [seen[i] for i in range(len(asked))] == answers


def test_an_interruption_in_on_answer_reaches_the_caller(loaded: Loaded) -> None:
    """What on_answer raises ends the sampling, and the model can be asked again."""
    model = LocalModel("llama", loaded("llama"))

    def stop(index: int, answer: Answer) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.sample(requests(), SHORT, stop)
    assert len(model.sample([ask("hi", 1)], SHORT)) == 1


def test_max_tokens_cuts_and_says_so(loaded: Loaded) -> None:
    """No answer is longer than max_tokens, and exactly the cut ones finish with length."""
    model = LocalModel("llama", loaded("llama"))
    longer = model.sample(requests(12), SamplingSettings(max_tokens=60))
    shorter = model.sample(requests(12), SamplingSettings(max_tokens=5))
    assert {a.finish for a in longer} == {"stop", "length"}
    for long, short in zip(longer, shorter, strict=True):
        assert short.tokens == min(5, long.tokens)
        assert short.finish == ("length" if long.tokens > 5 or long.finish == "length" else "stop") or long.tokens == 5


def test_stop_strings_end_answers_also_across_tokens(loaded: Loaded) -> None:
    """The answer is the unstopped one up to the stop string, whichever tokens spell it."""
    model = LocalModel("llama", loaded("llama"))
    asked = [ask("hi", n) for n in range(30)]
    free = model.sample(asked, SamplingSettings(max_tokens=40))
    inside = next(a.text for a in free if len(a.text) > 30)
    stops = (inside[11:14], "never-occurring-text")
    stopped = model.sample(asked, SamplingSettings(max_tokens=40, stop=stops))
    hits = 0
    for whole, cut in zip(free, stopped, strict=True):
        at = whole.text.find(stops[0])
        assert cut.text == (whole.text if at < 0 else whole.text[:at])
        hits += at >= 0
        if at >= 0:
            assert cut.finish == "stop"
            assert cut.tokens <= whole.tokens
    assert hits >= 1


def test_a_prompt_beyond_the_context_is_an_input_error(loaded: Loaded) -> None:
    """The message holds the number of tokens and the context."""
    with pytest.raises(InputError, match="256 tokens"):
        LocalModel("gpt2", loaded("gpt2")).sample([ask("hello world " * 200, 0)], SHORT)


def test_answers_stop_at_the_end_of_the_context(loaded: Loaded) -> None:
    """A prompt near the end of the context leaves a short answer rather than an error."""
    weights = loaded("gpt2")
    question = "z" * 200
    room = weights.context - len(prompt_tokens(weights.tokenizer, ask(question, 0).messages, "gpt2"))
    answers = LocalModel("gpt2", weights).sample([ask(question, n) for n in range(8)], SamplingSettings(max_tokens=500))
    assert max(a.tokens for a in answers) == room


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": float("inf")}, "temperature"),
        ({"top_p": 0}, "top-p"),
        ({"top_p": float("nan")}, "top-p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ("",)}, "stop string"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], words: str) -> None:
    """Settings without meaning are named when they are made, before anything is opened or written."""
    with pytest.raises(InputError, match=words):
        SamplingSettings(**settings)


def test_no_requests_give_no_answers(loaded: Loaded) -> None:
    """An empty list is fine."""
    assert LocalModel("llama", loaded("llama")).sample([], SHORT) == []


def test_memory_that_runs_out_halves_the_batch(loaded: Loaded, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an out-of-memory error smaller batches give the same answers; at one row it is an InputError."""
    weights, asked = loaded("qwen3"), requests()
    model = LocalModel("qwen3", weights, batch_size=64)
    expected = model.sample(asked, SHORT)
    step, limit = type(weights.engine).step, 20

    def tight(self: object, tokens: torch.Tensor, state: object) -> torch.Tensor:
        if len(tokens) > limit:
            raise torch.OutOfMemoryError("out of memory")
        return step(self, tokens, state)  # type: ignore[arg-type]

    monkeypatch.setattr(type(weights.engine), "step", tight)
    seen: list[int] = []
    assert model.sample(asked, SHORT, lambda i, a: seen.append(i)) == expected
    assert sorted(seen) == list(range(len(asked)))
    limit = 0
    with pytest.raises(InputError, match="single answer"):
        model.sample(asked, SHORT)


def test_it_is_a_chat_model_and_a_scorer(loaded: Loaded) -> None:
    """The Protocols are met, and the name is the user's."""
    model = LocalModel("hf/./x", loaded("llama"))
    assert isinstance(model, ChatModel)
    assert isinstance(model, NumberScorer)
    assert model.name == "hf/./x"
