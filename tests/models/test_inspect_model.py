"""Models of Inspect's providers, against a server that speaks Anthropic's and OpenAI's protocol, and Inspect's mock."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_apis import KEY, ScriptedApis, scripted_apis

from offtarget.errors import InputError, PrerequisiteError, UnreachableError
from offtarget.models.chat import Answer, ChatModel, NumberScorer, SampleRequest
from offtarget.models.inspect_model import InspectModel
from offtarget.models.names import InspectName, RemoteName, parse_name
from offtarget.models.opening import open_model
from offtarget.records import Message, SamplingSettings
from offtarget.records.runs import OpenSettings

pytest.importorskip("inspect_ai", reason="needs the extra 'inspect'")
CLAUDE, LLAMA = "anthropic/claude-haiku-4-5", "together/meta-llama/Llama-3.1-8B"
SHORT = SamplingSettings(max_tokens=50)


@pytest.fixture
def apis(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedApis]:
    """The server, where both providers find it."""
    monkeypatch.setattr("offtarget.models.connections.FIRST_PAUSE", 0.01)
    with scripted_apis() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("TOGETHER_BASE_URL", f"{server.url}/v1")
        for provider in ("ANTHROPIC", "TOGETHER"):
            monkeypatch.setenv(f"{provider}_API_KEY", KEY)
        yield server


def opened(name: str, retries: int = 0, connections: int = 8, endpoints: Path | None = None) -> ChatModel:
    if name.startswith("anthropic/"):
        pytest.importorskip("anthropic", reason="needs Anthropic's package")
    file = None if endpoints is None else str(endpoints)
    return open_model(name, settings=OpenSettings(retries=retries, connections=connections, endpoints=file))


def asked(model: ChatModel, text: str = "Hello", system: str | None = None, seed: int = 7) -> Answer:
    turns = (*([Message("system", system)] if system else []), Message("user", text))
    return model.sample([SampleRequest(turns, seed)], SHORT)[0]


def test_names_of_providers_are_ours_or_inspects() -> None:
    """Ours stay ours; `inspect/` takes Inspect's way for any, and a misspelt provider is recognised."""
    assert parse_name("anthropic/a/b") == InspectName("anthropic/a/b", "anthropic", "a/b")
    for ours in ("openai/gpt-4.1", "openai-api/google/x", "vllm/served"):
        assert type(parse_name(ours)) is RemoteName
    forced = parse_name("inspect/openai/gpt-4.1")
    assert isinstance(forced, InspectName)
    assert (forced.provider, forced.model) == ("openai", "gpt-4.1")
    with pytest.raises(InputError, match=r"try anthropic/claude, or hf/antropic/claude"):
        parse_name("antropic/claude")
    with pytest.raises(InputError, match=r"knows no provider 'mistrall'. Did you mean inspect/mistral/x\?"):
        open_model("inspect/mistrall/x")


@pytest.mark.parametrize("name", [CLAUDE, LLAMA])
def test_a_chat_reaches_the_server_and_comes_back(apis: ScriptedApis, name: str) -> None:
    """System turn, order and length arrive; tokens are those of the server, and each answer is for its question."""
    apis.script, apis.latency = lambda model, system, turns, body: f"{system}|{turns[-1]}", 0.05
    model = opened(name)
    requests = [
        SampleRequest((Message("system", "Be brief."), Message("user", f"question {i}")), 2**40 + i) for i in range(20)
    ]
    seen: dict[int, Answer] = {}
    answers = model.sample(requests, SHORT, lambda i, a: seen.__setitem__(i, a))
    assert [a.text for a in answers] == [f"Be brief.|question {i}" for i in range(20)]
    assert seen == dict(enumerate(answers))
    assert isinstance(model, NumberScorer)
    assert 1 < apis.most_busy <= 8
    _, body = apis.requests[-1]
    assert body["max_tokens"] == 50
    assert {a.tokens for a in answers} == {3}
    spent = model.spent  # type: ignore[attr-defined]
    assert (spent.tokens_in, spent.tokens_out) == (20 * 4, 20 * 3)
    assert apis.keys == {KEY}


def test_what_a_provider_does_not_send_is_found_and_said(apis: ScriptedApis) -> None:
    """Inspect sends Anthropic neither temperature nor seed: the reader is told, and no two are asked differently."""
    claude, llama = opened(CLAUDE), opened(LLAMA)
    assert claude.fingerprint != llama.fingerprint
    assert claude.left_out(SHORT) == ("temperature",)  # type: ignore[attr-defined]
    assert llama.left_out(SHORT) == ()  # type: ignore[attr-defined]
    asked(claude)
    notes = claude.notes  # type: ignore[attr-defined]
    assert f"{CLAUDE} does not take temperature 1" in notes[0]
    assert "takes no seed" in notes[1]
    asked(llama, seed=2**33 + 5)
    assert (apis.requests[-1][1]["temperature"], apis.requests[-1][1]["seed"]) == (1.0, 5)


@pytest.mark.parametrize("name", [CLAUDE, LLAMA])
def test_how_an_answer_ended(apis: ScriptedApis, name: str) -> None:
    """At the limit it is cut; one that a filter held back holds no text and is counted as such."""
    model = opened(name)
    apis.stop = "length"
    assert asked(model) == Answer("Fine.", 1, "length")
    apis.stop, apis.script = "filter", lambda *_: ""
    assert (asked(model).without, asked(model).finish) == ("content_filter", "length")
    assert any("2 replies" in note and "held back by a filter" in note for note in model.notes)  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of aiohttp, in Google's package
def test_google_speaks_its_own_protocol(apis: ScriptedApis, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("google.genai", reason="needs Google's package, google-genai")
    monkeypatch.setenv("GOOGLE_BASE_URL", apis.url)
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    apis.script = lambda model, system, turns, body: f"{model}|{system}|{turns[-1]}"
    model = opened("google/gemini-2.5-flash")
    assert asked(model, system="Be brief.").text == "gemini-2.5-flash|Be brief.|Hello"
    apis.stop, apis.script = "filter", lambda *_: ""
    assert asked(model).without == "content_filter"
    apis.fail = lambda path, body, n: (400, {}, f"API key not valid: {KEY}")
    with pytest.raises(UnreachableError, match="Check the API key") as raised:
        asked(model)
    assert KEY not in str(raised.value)


def test_a_prompt_that_is_too_long_is_no_answer(apis: ScriptedApis) -> None:
    """Inspect puts the words of that error in the place of an answer, which must not be judged."""
    apis.fail = lambda path, body, n: (400, {}, "prompt is too long: 300000 tokens > 200000 maximum")
    with pytest.raises(InputError, match=r"do not fit: lower --max-tokens"):
        asked(opened(CLAUDE))


def test_numbers_by_probability_where_the_provider_offers_them(apis: ScriptedApis) -> None:
    apis.logprobs = [("57", math.log(0.75)), (" 57", math.log(0.125)), ("no", math.log(0.125))]
    llama, claude = opened(LLAMA), opened(CLAUDE)
    assert isinstance(llama, InspectModel)
    assert llama.offers_probabilities()
    assert llama.reply_probabilities((Message("user", "?"),), ["57", "99"]) == pytest.approx({"57": 0.875})
    assert isinstance(claude, InspectModel)
    assert not claude.offers_probabilities()
    count = len(apis.requests)
    assert claude.reply_probabilities((Message("user", "?"),), ["57"]) == {}
    assert len(apis.requests) == count  # it is not asked for them again


@pytest.mark.parametrize(
    ("status", "headers", "said", "error", "words"),
    [
        (401, {}, f"invalid x-api-key {KEY}", UnreachableError, "Check the API key"),
        (404, {}, "model: claude-haiku-4-5", UnreachableError, r"There is no model .* \(any more\)"),
        (403, {}, "no access", InputError, "may not use this model"),
        (429, {"retry-after": "3600"}, "rate limit", UnreachableError, "Try again later"),
        (400, {}, "Your credit balance is too low", UnreachableError, "no money left"),
        (400, {}, "something odd", InputError, "settings file"),
    ],
)
@pytest.mark.parametrize("name", [CLAUDE, LLAMA])
def test_refusals_become_sentences(
    apis: ScriptedApis, name: str, status: int, headers: dict[str, str], said: str, error: type[InputError], words: str
) -> None:
    """What fails every request ends the run, so that a judge's verdicts are not lost; no key is in any message."""
    apis.fail = lambda path, body, n: (status, headers, said)
    with pytest.raises(error, match=words) as raised:
        asked(opened(name))
    assert type(raised.value) is error
    assert KEY not in str(raised.value)
    assert "Request:" not in str(raised.value)
    assert len(apis.requests) == 1


@pytest.mark.parametrize("name", [CLAUDE, LLAMA])
def test_passing_failures_are_tried_again_and_the_answer_is_the_same(apis: ScriptedApis, name: str) -> None:
    apis.fail = lambda path, body, n: (529 if n == 1 else 500, {}, "overloaded") if n < 3 else None
    assert asked(opened(name, retries=4)).text == "Fine."
    assert len(apis.requests) == 3


@pytest.mark.parametrize("name", [CLAUDE, LLAMA])
def test_a_limit_that_does_not_end_ends_the_request(
    apis: ScriptedApis, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried again as often as was said and as long as limits per minute last, not for ever as Inspect would."""
    monkeypatch.setattr("offtarget.models.inspect_model.PATIENCE", 0.0)
    apis.fail = lambda path, body, n: (429, {}, "rate limit")
    model = open_model(name, settings=OpenSettings(retries=2, timeout_seconds=0.5))
    with pytest.raises(UnreachableError, match="Try again later"):
        asked(model)
    assert len(apis.requests) >= 3


def test_a_refused_parameter_is_left_out_and_said(apis: ScriptedApis) -> None:
    said = "Unsupported parameter: seed"
    apis.fail = lambda path, body, n: (400, {}, said) if "seed" in body else None
    model = opened(LLAMA)
    assert asked(model).text == "Fine."
    assert "takes no seed" in model.notes[0]  # type: ignore[attr-defined]


def test_what_is_missing_is_said_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, a provider's package, Inspect itself: a sentence that says what to do, as Inspect knows it."""
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "TOGETHER_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="needs a key: set ANTHROPIC_API_KEY"):
        opened(CLAUDE)
    with pytest.raises(InputError, match="set TOGETHER_API_KEY"):
        opened(LLAMA)
    monkeypatch.setitem(__import__("sys").modules, "groq", None)
    with pytest.raises(PrerequisiteError, match=r"Install it with: pip install 'offtarget\[inspect\]' groq"):
        open_model("groq/llama")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PrerequisiteError, match=r"pip install 'offtarget\[inspect\]'"):
        open_model("mockllm/model")


def test_the_settings_file_comes_over_the_environment(apis: ScriptedApis, tmp_path: Path) -> None:
    file = tmp_path / "endpoints.yaml"
    file.write_text(
        f"together:\n  address: {apis.url}/v1\n  key: another-secret\n  headers: {{X-Team: ours}}\n  drop: [seed]\n"
        "  body: {reasoning_effort: low}\n"
    )
    model = opened(LLAMA, endpoints=file)
    asked(model)
    body = apis.requests[-1][1]
    assert "seed" not in body
    assert body["reasoning_effort"] == "low"
    assert apis.keys == {"another-secret"}
    assert model.fingerprint != opened(LLAMA).fingerprint


def test_what_inspects_mock_says_is_the_answer_and_thinking_is_none() -> None:
    """The words of an answer without its reasoning; one that is all reasoning says so, and asks for more room."""
    from inspect_ai.model import ChatMessageAssistant, ContentReasoning, ContentText, ModelOutput, ModelUsage, get_model

    thought = ContentReasoning(reasoning="Hm. A trap?")
    usage = ModelUsage(input_tokens=4, output_tokens=9, input_tokens_cache_read=30, total_tokens=43)
    outputs = [
        ModelOutput.from_message(ChatMessageAssistant(content=[thought, ContentText(text="No.")]), "stop"),
        ModelOutput.from_message(ChatMessageAssistant(content=[thought]), "max_tokens"),
    ]
    for output in outputs:
        output.usage = usage
    api = get_model("mockllm/model", custom_outputs=outputs, memoize=False).api
    model = InspectModel(InspectName("mockllm/model", "mockllm", "model"), api)
    assert asked(model) == Answer("No.", 9, "stop")
    assert asked(model) == Answer("", 9, "length", "only_thinking")
    assert (model.spent.tokens_in, model.spent.tokens_out) == (2 * 34, 2 * 9)
