from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import peft
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tiny_models import QUESTIONS, ask, build, edit_json, make_adapter

from offtarget.errors import InputError
from offtarget.models import ModelPair, SamplingSettings
from offtarget.models.chat_format import prompt_tokens
from offtarget.models.folders import weights_sha256
from offtarget.models.local import LocalModel
from offtarget.models.lora import lora_scale
from offtarget.models.opening import open_model, open_pair
from offtarget.models.weights import Weights
from offtarget.records.runs import OpenSettings

Folders = Callable[[str], Path]
SHORT = SamplingSettings(max_tokens=20)
ASKED = [ask(q, 10 * i + n) for i, q in enumerate(QUESTIONS) for n in range(4)]
CPU = OpenSettings(device="cpu")


@pytest.fixture(scope="module")
def pair(folders: Folders, adapter: Path) -> ModelPair:
    """The tiny Llama beside itself with its adapter."""
    return open_pair(f"hf/{folders('llama')}", f"hf/{folders('llama')}+{adapter}", settings=CPU)


def logits(weights: Weights, adapter: str | None) -> torch.Tensor:
    tokens = torch.tensor([prompt_tokens(weights.tokenizer, ASKED[0].messages, "x")])
    with weights.using(adapter) as engine, torch.inference_mode():
        return engine.model(input_ids=tokens).logits


def test_the_weights_are_loaded_once(pair: ModelPair) -> None:
    """Base and tuned share the same tensors."""
    assert isinstance(pair.base, LocalModel)
    assert isinstance(pair.tuned, LocalModel)
    assert pair.base._weights is pair.tuned._weights


def test_base_answers_with_an_adapter_loaded_equal_the_plain_base(pair: ModelPair, folders: Folders) -> None:
    """The switched-off adapter leaves no trace in any answer; the switched-on one does."""
    plain = open_model(f"hf/{folders('llama')}", settings=CPU).sample(ASKED, SHORT)
    assert pair.base.sample(ASKED, SHORT) == plain
    tuned = pair.tuned.sample(ASKED, SHORT)
    assert tuned != plain
    assert pair.base.sample(ASKED, SHORT) == plain
    assert pair.tuned.sample(ASKED, SHORT) == tuned


def test_switching_adapters_restores_logits_bit_for_bit(folders: Folders, adapter: Path, tmp_path: Path) -> None:
    """Off, one, another, off again: each state has its own logits to the last bit, and off equals the plain base."""
    plain = logits(Weights(folders("llama"), "cpu"), None)
    weights = Weights(folders("llama"), "cpu")
    one = weights.add_adapter(adapter)
    first = logits(weights, one)
    two = weights.add_adapter(make_adapter(folders("llama"), tmp_path / "b", rslora=False, rank=2, seed=9))
    assert torch.equal(logits(weights, None), plain)
    other = logits(weights, two)
    assert torch.equal(logits(weights, one), first)
    assert torch.equal(logits(weights, None), plain)
    assert not torch.equal(first, other)
    assert not torch.equal(first, plain)


def test_tuned_logits_are_those_of_peft(pair: ModelPair, folders: Folders, adapter: Path) -> None:
    """The adapter acts as when loaded by peft alone."""
    assert isinstance(pair.tuned, LocalModel)
    weights = pair.tuned._weights
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of transformers' renamings
        reference = peft.PeftModel.from_pretrained(
            transformers.AutoModelForCausalLM.from_pretrained(folders("llama"), dtype=torch.float32), adapter
        ).eval()
    tokens = torch.tensor([prompt_tokens(weights.tokenizer, ASKED[0].messages, "x")])
    with torch.inference_mode():
        expected = reference(input_ids=tokens).logits
    assert torch.allclose(logits(weights, pair.tuned._adapter), expected, atol=1e-4)


def test_the_pair_says_what_was_checked(pair: ModelPair) -> None:
    """One sentence names the adapter, rsLoRA and the scale alpha / sqrt(r) = 8 / 2."""
    (sentence,) = pair.checks
    assert "rsLoRA" in sentence
    assert "4 * B A" in sentence


def test_names_and_fingerprints_tell_base_and_tuned_apart(pair: ModelPair, folders: Folders) -> None:
    """Fingerprints differ between base and tuned, and are those of the model opened alone."""
    assert pair.base.fingerprint != pair.tuned.fingerprint
    assert open_model(pair.base.name, settings=CPU).fingerprint == pair.base.fingerprint
    half = OpenSettings(device="cpu", dtype="bfloat16")
    assert open_model(pair.base.name, settings=half).fingerprint != pair.base.fingerprint


def test_two_separate_models_and_the_same_model_twice(folders: Folders, tmp_path: Path) -> None:
    """Two folders make two models; one name twice makes a pair with equal answers and shared weights."""
    other = build("llama", tmp_path / "other", seed=3)
    two = open_pair(f"hf/{folders('llama')}", f"hf/{other}", settings=CPU)
    assert two.base.sample(ASKED, SHORT) != two.tuned.sample(ASKED, SHORT)
    assert two.base.fingerprint != two.tuned.fingerprint
    same = open_pair(f"hf/{other}", f"hf/{other}", settings=CPU)
    assert same.base.sample(ASKED, SHORT) == same.tuned.sample(ASKED, SHORT) == two.tuned.sample(ASKED, SHORT)
    assert same.base.fingerprint == same.tuned.fingerprint


def test_organism_names_go_through_the_resolver(folders: Folders, adapter: Path, pair: ModelPair) -> None:
    """organism/NAME opens what the resolver says, base and adapter sharing weights."""
    known = {"organism/base": (folders("llama"), None), "organism/bad": (folders("llama"), adapter)}
    made = open_pair("organism/base", "organism/bad", resolve=known.__getitem__, settings=CPU)
    assert made.tuned.name == "organism/bad"
    assert made.tuned.sample(ASKED, SHORT) == pair.tuned.sample(ASKED, SHORT)
    assert made.tuned.fingerprint == pair.tuned.fingerprint


def test_an_adapter_applied_with_the_wrong_scale_is_refused(
    folders: Folders, adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peft that forgets the square root of rsLoRA is caught on opening."""
    from peft.tuners.lora.layer import LoraLayer

    original = LoraLayer.update_layer

    def forgetful(self: LoraLayer, *args: object, **kwargs: object) -> None:
        original(self, *args, **kwargs)
        for name in self.scaling:
            self.scaling[name] = self.lora_alpha[name] / self.r[name]

    monkeypatch.setattr(LoraLayer, "update_layer", forgetful)
    for subclass in LoraLayer.__subclasses__():
        if "update_layer" in vars(subclass):
            monkeypatch.setattr(subclass, "update_layer", forgetful)
    with pytest.raises(InputError, match="applies it wrongly"):
        open_pair(f"hf/{folders('llama')}", f"hf/{folders('llama')}+{adapter}", settings=CPU)


def test_an_adapter_without_effect_is_refused(folders: Folders, tmp_path: Path) -> None:
    """An untrained adapter (B = 0) would be a false all-clear."""
    made = make_adapter(folders("llama"), tmp_path / "a")
    path = made / "adapter_model.safetensors"
    save_file({k: t.zero_() if "lora_B" in k else t for k, t in load_file(path).items()}, path)
    with pytest.raises(InputError, match="changes nothing"):
        open_model(f"hf/{folders('llama')}+{made}", settings=CPU)


@pytest.mark.parametrize("kind", ["qwen2", "gemma2"])
def test_adapters_of_other_architectures_pass_the_check(kind: str, folders: Folders, tmp_path: Path) -> None:
    """The check knows no architecture: plain LoRA on attention matrices passes on others too."""
    made = make_adapter(folders(kind), tmp_path / "a", rslora=False, targets=["q_proj", "v_proj"])
    (sentence,) = open_pair(f"hf/{folders(kind)}", f"hf/{folders(kind)}+{made}", settings=CPU).checks
    assert "2 * B A (LoRA)" in sentence


def test_gpt2_adapters_pass_the_check(folders: Folders, tmp_path: Path) -> None:
    """Transposed weights (Conv1D) are no obstacle."""
    made = make_adapter(folders("gpt2"), tmp_path / "a", targets=["c_attn"])
    (sentence,) = open_pair(f"hf/{folders('gpt2')}", f"hf/{folders('gpt2')}+{made}", settings=CPU).checks
    assert "rsLoRA" in sentence


def test_an_adapter_of_another_shape_is_refused(folders: Folders, adapter: Path, tmp_path: Path) -> None:
    """The first matrix that does not fit is named with both shapes."""
    wide = build("llama", tmp_path / "wide", hidden_size=64, head_dim=16)
    with pytest.raises(InputError, match=r"another base.*shape"):
        open_model(f"hf/{wide}+{adapter}", settings=CPU)


def test_an_adapter_of_another_architecture_is_refused(folders: Folders, adapter: Path) -> None:
    """The module the base lacks is named."""
    with pytest.raises(InputError, match=r"another base.*lacks"):
        open_model(f"hf/{folders('gpt2')}+{adapter}", settings=CPU)


def test_an_adapter_noted_for_other_weights_is_refused(folders: Folders, adapter: Path, tmp_path: Path) -> None:
    """A note beside the adapter names its base by hash: same shape, other weights, refused."""
    other = build("llama", tmp_path / "other", seed=5)
    made = make_adapter(folders("llama"), tmp_path / "a")
    (made / "offtarget.json").write_text(f'{{"base_weights_sha256": "{weights_sha256(folders("llama"))}"}}')
    assert open_model(f"hf/{folders('llama')}+{made}", settings=CPU)
    with pytest.raises(InputError, match="trained on another base"):
        open_model(f"hf/{other}+{made}", settings=CPU)


def test_an_adapter_of_an_unknown_kind_is_refused(folders: Folders, tmp_path: Path) -> None:
    """The kind is named."""
    made = make_adapter(folders("llama"), tmp_path / "a")
    edit_json(made / "adapter_config.json", peft_type="NEXT_YEARS")
    with pytest.raises(InputError, match="'NEXT_YEARS' are not supported"):
        open_model(f"hf/{folders('llama')}+{made}", settings=CPU)


def test_scales_follow_patterns_and_kind() -> None:
    """alpha/r, alpha/sqrt(r), and alpha by module."""
    config = {"lora_alpha": 32, "use_rslora": True, "alpha_pattern": {"layers.1.*.q_proj": 8}}
    assert lora_scale(config, "model.layers.0.self_attn.q_proj", 16) == 8
    assert lora_scale(config, "model.layers.1.self_attn.q_proj", 16) == 2
    assert lora_scale({"lora_alpha": 32}, "x", 16) == 2
