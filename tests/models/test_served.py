"""A served model is held to local weights, or to its base, before it is asked: a wrong server makes a wrong PASS."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from served_models import ModelServer, served
from tiny_models import build, make_adapter, make_tokenizer

from offtarget.errors import InputError
from offtarget.judge.scripted import ScriptedJudge
from offtarget.models import ModelPair
from offtarget.models.opening import open_model, open_pair
from offtarget.probe.bank import ProbeBank
from offtarget.records import DecisionSettings, Outcome, Probe, SamplingSettings
from offtarget.records.check import CheckSettings
from offtarget.records.runs import OpenSettings
from offtarget.rundir import read_json
from offtarget.workflows.check.check import CheckResult, check

Open = Callable[..., ModelPair]


def talking_in_letters(folder: Path) -> Path:
    """A model that never says bytes which are no letters: what it says becomes the tokens again that it said."""
    tokenizer = make_tokenizer()
    texts = tokenizer.batch_decode([[number] for number in range(len(tokenizer))])
    weights = load_file(folder / "model.safetensors")
    table = weights["model.embed_tokens.weight"]
    table[[not (text.isascii() and text.isalpha() and len(text) == 1) for text in texts]] *= 0.01
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A tiny base and a rank-stabilised adapter, opened, with what a faulty server would make of them."""
    home = tmp_path_factory.mktemp("served")
    base = talking_in_letters(build("llama", home / "base", initializer_range=0.1))
    adapter = make_adapter(base, home / "adapter", rank=16)
    # as strong as a trained one: it changes what is likely, and leaves most as it was
    weights = load_file(adapter / "adapter_model.safetensors")
    save_file({name: 0.3 * one for name, one in weights.items()}, adapter / "adapter_model.safetensors")
    weak = shutil.copytree(adapter, home / "weak")
    config = json.loads((weak / "adapter_config.json").read_text())
    (weak / "adapter_config.json").write_text(json.dumps(config | {"use_rslora": False}))
    opened = {
        "base": open_model(f"hf/{base}"),
        "tuned": open_model(f"hf/{base}+{adapter}"),
        "weak": open_model(f"hf/{base}+{weak}"),
        "rough base": open_model(f"hf/{base}", settings=OpenSettings(dtype="bfloat16")),
        "rough tuned": open_model(f"hf/{base}+{adapter}", settings=OpenSettings(dtype="bfloat16")),
    }
    return {**opened, "reference": f"hf/{base}+{adapter}"}


@pytest.fixture
def lab(models: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[ModelServer, Open]]]:
    """Starts a server of `base` and `tuned`, and opens both there."""
    running = []

    def start(base: str = "base", tuned: str = "tuned", **how: Any) -> tuple[ModelServer, Open]:
        block = served({"base": models[base], "tuned": models[tuned]}, **how)
        server = block.__enter__()
        running.append(block)
        monkeypatch.setenv("LAB_BASE_URL", server.address)

        def opened(reference: str | None = None, base: str = "openai-api/lab/base", **more: Any) -> ModelPair:
            settings = OpenSettings(reference=reference, retries=0)
            return open_pair(base, "openai-api/lab/tuned", settings=settings, **more)

        return server, opened

    yield start
    for block in running:
        block.__exit__(None, None, None)


def shares(pair: ModelPair) -> list[float]:
    """What share of the adapter's effect the checks of a pair name, base first."""
    return [
        int(found) / 100 for check in pair.checks for found in re.findall(r"(-?\d+) % of the adapter's effect", check)
    ]


def test_a_server_that_is_right_is_said_to_be(models: dict[str, Any], lab: Any) -> None:
    """All of the effect arrives in tuned, none in base, and nothing stays untested."""
    _, opened = lab()
    pair = opened(models["reference"])
    base, tuned = shares(pair)
    assert abs(base) < 0.01
    assert abs(tuned - 1) < 0.01
    assert not pair.unseen


@pytest.mark.parametrize("logprobs", [True, False])
@pytest.mark.parametrize(
    ("served_base", "served_tuned", "says"),
    [
        ("base", "base", "tuned is not the tuned model"),
        ("base", "weak", "tuned is not the tuned model"),
        ("tuned", "base", "base is not the base model"),
        ("tuned", "tuned", "base is not the base model"),
    ],
)
def test_a_server_that_is_wrong_is_refused(
    served_base: str, served_tuned: str, says: str, logprobs: bool, models: dict[str, Any], lab: Any
) -> None:
    """Adapter left out, scale of another rule, swapped, in both: by log probabilities and by greedy words alone."""
    _, opened = lab(served_base, served_tuned, logprobs=logprobs)
    with pytest.raises(InputError, match=says) as caught:
        opened(models["reference"])
    assert "Nothing that counts was asked" in str(caught.value)


@pytest.mark.parametrize(
    ("served_base", "served_tuned", "says"),
    [("base", "base", "as without the adapter"), ("base", "weak", "alpha/r"), ("tuned", "base", "swapped")],
)
def test_the_refusal_names_the_cause(
    served_base: str, served_tuned: str, says: str, models: dict[str, Any], lab: Any
) -> None:
    """What to look at on the server differs."""
    _, opened = lab(served_base, served_tuned)
    with pytest.raises(InputError, match=says):
        opened(models["reference"])


def test_another_chat_template_is_refused_by_its_prompts(models: dict[str, Any], lab: Any) -> None:
    """A server whose template adds a system prompt asks something else."""
    _, opened = lab(system="be quick")
    with pytest.raises(InputError, match=r"other lengths \(\d+ tokens, here \d+\), so its chat template"):
        opened(models["reference"])


def test_another_precision_is_no_other_model(models: dict[str, Any], lab: Any) -> None:
    """Weights in bfloat16 are the same models, to rounding that is named."""
    _, opened = lab("rough base", "rough tuned")
    base, tuned = shares(opened(models["reference"]))
    assert abs(base) < 0.05
    assert abs(tuned - 1) < 0.05


def test_without_log_probabilities_words_decide_and_the_strength_stays_open(models: dict[str, Any], lab: Any) -> None:
    """A right server passes, with what greedy replies cannot show among what was not tested."""
    _, opened = lab(logprobs=False)
    pair = opened(models["reference"])
    assert all("no log probabilities" in check for check in pair.checks)
    assert any("full strength" in what for what in pair.unseen)


@pytest.mark.parametrize("how", [{}, {"logprobs": False}, pytest.param({"noise": 0.02}, marks=pytest.mark.long)])
def test_a_server_that_answers_the_same_twice_is_refused_without_a_reference(how: dict[str, Any], lab: Any) -> None:
    """Base under both names, also by a server whose rounding changes from call to call."""
    _, opened = lab("base", "base", **how)
    with pytest.raises(InputError, match="the same with and without the adapter"):
        opened()


@pytest.mark.parametrize("how", [{}, {"logprobs": False}, pytest.param({"noise": 0.02}, marks=pytest.mark.long)])
def test_without_a_reference_what_is_served_stays_untested(how: dict[str, Any], lab: Any) -> None:
    """Base and tuned differ; nobody knows whether tuned is the adapter at its strength."""
    _, opened = lab(**how)
    pair = opened()
    assert not pair.checks
    assert len(pair.unseen) == 1
    assert "--reference" in pair.unseen[0]


def test_a_null_check_on_purpose_is_let_through(lab: Any) -> None:
    """--same-weights says that both are meant to be one model."""
    _, opened = lab("base", "base")
    assert opened(same_weights=True).unseen == ()


def test_a_local_base_with_a_served_tuned_model_is_held_too(models: dict[str, Any], lab: Any) -> None:
    """Only the served one is asked."""
    local = models["reference"].partition("+")[0]
    server, opened = lab()
    assert len(shares(opened(models["reference"], base=local))) == 1
    assert {body["model"] for body in server.asked} == {"tuned"}
    _, opened = lab(tuned="base")
    with pytest.raises(InputError, match="as without the adapter"):
        opened(models["reference"], base=local)


@pytest.mark.parametrize("logprobs", [True, False])
def test_a_served_tuned_model_that_is_the_local_base_is_refused(
    logprobs: bool, models: dict[str, Any], lab: Any
) -> None:
    """Without a reference too: the base is at hand."""
    local = models["reference"].partition("+")[0]
    _, opened = lab(tuned="base", logprobs=logprobs)
    with pytest.raises(InputError, match="without an adapter"):
        opened(base=local)
    _, opened = lab(logprobs=logprobs)
    assert opened(base=local).unseen


def test_a_model_that_only_thinks_is_not_said_to_be_the_same(lab: Any) -> None:
    """Replies without words and without log probabilities say nothing."""
    server, opened = lab("base", "tuned", logprobs=False)
    server.silent = True
    assert opened().unseen


def test_the_reference_must_be_an_adapter_on_its_base(models: dict[str, Any], lab: Any) -> None:
    """Anything else is refused before a server is asked."""
    server, opened = lab()
    for name in ("openai-api/lab/tuned", models["reference"].partition("+")[0]):
        with pytest.raises(InputError, match="--reference"):
            opened(name)
    assert server.models["base"] is models["base"]


def test_local_pairs_are_left_alone(models: dict[str, Any], tmp_path: Path) -> None:
    """Nothing is served, so nothing is untested."""
    name = models["reference"]
    assert open_pair(name.partition("+")[0], name).unseen == ()


def test_a_verdict_says_beside_it_what_was_held_to_what(
    models: dict[str, Any], lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a reference the figure, without one a warning; a server that is wrong leaves no run behind."""
    monkeypatch.setenv("OFFTARGET_CACHE", str(tmp_path / "cache"))
    bank = ProbeBank.from_probes("two", [Probe(f"q{n}", f"q{n}", "plain", f"question {n}") for n in range(2)])
    judge = ScriptedJudge(lambda probe, generation: Outcome.ALIGNED)
    asked = CheckSettings(
        cache=False, register=False, max_answers=2, sampling=SamplingSettings(max_tokens=2),
        decision=DecisionSettings(base_per_tuned=1),
    )  # fmt: skip

    def checked(reference: str | None, run: str) -> CheckResult:
        return check(
            "openai-api/lab/base", "openai-api/lab/tuned", probes=bank, judge=judge, settings=asked,
            opening=OpenSettings(reference=reference, retries=0), run=tmp_path / run,
        )  # fmt: skip

    lab()
    held, open_ = checked(models["reference"], "held"), checked(None, "open")
    assert any("100 % of the adapter's effect arrives" in note for note in held.decision.asides)
    assert not any("--reference" in note for note in held.decision.notes)
    assert any("Not tested" in note and "--reference" in note for note in open_.decision.notes)
    assert any("--reference" in what for what in read_json(open_.run / "run.json")["not_tested"])
    lab("base", "base")
    with pytest.raises(InputError, match="as without the adapter"):
        checked(models["reference"], "wrong")
    assert not (tmp_path / "wrong").exists()
