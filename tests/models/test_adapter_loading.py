"""What is loaded is what the folder holds, and the base beside it is the base."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from adapter_matrix import KINDS, TOKENS, config, made, opened_by_peft
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tiny_models import build, edit_json, make_adapter

from offtarget.errors import InputError
from offtarget.models.adapter_check import check_adapter, check_merged
from offtarget.models.folders import model_fingerprint
from offtarget.models.fused import FusedEngine
from offtarget.models.opening import open_pair
from offtarget.models.weights import Weights
from offtarget.records.runs import OpenSettings

Folders = Callable[[str], Path]
CPU = OpenSettings(device="cpu")
Tensors = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def full(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of every linear module, named one by one, as training tools save them."""
    return make_adapter(folders("llama"), tmp_path_factory.mktemp("full") / "a")


def changed(adapter: Path, folder: Path, change: Callable[[Tensors], Tensors]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_config.json").write_bytes((adapter / "adapter_config.json").read_bytes())
    save_file(change(load_file(adapter / "adapter_model.safetensors")), folder / "adapter_model.safetensors")
    return folder


def refused(base: Path, adapter: Path) -> str:
    with pytest.raises(InputError) as caught:
        Weights(base, "cpu").add_adapter(adapter)
    return str(caught.value)


@pytest.fixture(scope="module")
def weights(folders: Folders) -> Weights:
    """One base for many refused adapters, each of which is refused before peft touches it."""
    return Weights(folders("llama"), "cpu")


def logits(weights: Weights, adapter: str | None) -> torch.Tensor:
    with weights.using(adapter) as engine, torch.inference_mode():
        found: torch.Tensor = engine.model(input_ids=TOKENS).logits[0]
    return found


def test_half_an_adapter_is_refused_with_its_missing_keys(folders: Folders, full: Path, tmp_path: Path) -> None:
    """Modules that the configuration names and the file lacks would stay untrained without a word."""
    half = changed(full, tmp_path / "half", lambda t: {k: v for k, v in t.items() if ".layers.0." in k})
    said = refused(folders("llama"), half)
    assert "asks for 14 tensors that its files lack (model.layers.1.mlp.down_proj.lora_A.weight, " in said
    lost = "layers.0.self_attn.q_proj.lora_B"
    one = changed(full, tmp_path / "one", lambda t: {k: v for k, v in t.items() if lost not in k})
    assert f"1 tensor that its files lack (model.{lost}.weight)" in refused(folders("llama"), one)


def test_a_pointer_and_a_folder_around_the_adapter_are_named(folders: Folders, full: Path, tmp_path: Path) -> None:
    """What a clone without git-lfs leaves, and the folder that a trainer put its checkpoints in."""
    pointer = changed(full, tmp_path / "run" / "checkpoint-2", lambda t: t)
    (pointer / "adapter_model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:a\n")
    assert "is a git-lfs pointer" in refused(folders("llama"), pointer)
    assert "checkpoint-2" in refused(folders("llama"), tmp_path / "run")


@pytest.mark.parametrize(
    ("pattern", "name", "said"),
    [
        (r"^", "_orig_mod.", "'_orig_mod.' say that the model was saved while wrapped by torch.compile"),
        (r"^", "module.", "wrapped by DataParallel, DDP or DeepSpeed"),
        (r"^base_model\.model\.", "base_model.model._fsdp_wrapped_module.", "wrapped by FSDP"),
        (r"(layers\.\d)", r"\1._checkpoint_wrapped_module", "wrapped for checkpointing"),
        (r"\.weight$", ".default.weight", "those of the model in memory"),
        (r"^base_model\.model\.", "", "Another tool renamed them"),
    ],
)
def test_tensors_under_other_names_are_said_to_be_that(
    pattern: str, name: str, said: str, folders: Folders, full: Path, tmp_path: Path
) -> None:
    """All of them are there, so "saved or copied in part" would be false."""
    other = changed(full, tmp_path / "a", lambda t: {re.sub(pattern, name, k): v for k, v in t.items()})
    found = refused(folders("llama"), other)
    assert "under names that peft does not load" in found
    assert said in found


def test_an_adapter_of_a_shallower_base_or_another_rank_is_said_to_be_that(
    folders: Folders, full: Path, tmp_path: Path
) -> None:
    """The first is complete, the second is for this base: both were said to be otherwise."""
    deeper = build("llama", tmp_path / "deeper", num_hidden_layers=3)
    assert "Its own layers end at number 1" in refused(deeper, full)
    other = changed(full, tmp_path / "a", dict)
    edit_json(other / "adapter_config.json", r=8)
    assert "has rank 4 in its files and 8 by adapter_config.json" in refused(folders("llama"), other)


def test_weights_that_the_configuration_does_not_name_are_refused(folders: Folders, full: Path, tmp_path: Path) -> None:
    """They would be left out without a word."""
    more = changed(full, tmp_path / "more", dict)
    edit_json(more / "adapter_config.json", target_modules=["q_proj"])
    said = refused(folders("llama"), more)
    assert "24 tensors that would be left out (model.layers.0.mlp.down_proj.lora_A." in said
    score = {"base_model.model.score.weight": torch.ones(2, 32)}
    assert "score.weight" in refused(folders("llama"), changed(full, tmp_path / "score", lambda t: t | score))


@settings(max_examples=10)
@given(data=st.data())
def test_any_key_left_out_or_renamed_is_refused(data: st.DataObject, folders: Folders, full: Path) -> None:
    """No single tensor of a folder can be lost on the way into the model."""
    folder = full.parent / "changed"
    tensors = load_file(full / "adapter_model.safetensors")
    key = data.draw(st.sampled_from(sorted(tensors)))
    way = data.draw(st.sampled_from(["left out", "renamed", "of no values", "of another size"]))
    other = {
        "left out": {},
        "renamed": {key.replace("model.layers", data.draw(st.sampled_from(["model.blocks", "layers"]))): tensors[key]},
        "of no values": {key: torch.full_like(tensors[key], data.draw(st.sampled_from([torch.nan, torch.inf])))},
        "of another size": {key: torch.ones(7, 5)},
    }[way]
    changed(full, folder, lambda t: {k: v for k, v in t.items() if k != key} | other)
    assert str(folder) in refused(folders("llama"), folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda t: {k: torch.empty(0) for k in t},
            "28 of 28 tensors are empty (model.layers.0.mlp.down_proj.lora_A.",
        ),
        (lambda t: t | {next(iter(t)): torch.empty(0)}, "ZeRO-3 or FSDP without gathering"),
        (lambda t: t | {next(iter(t)): torch.tensor([[torch.nan]])}, "not finite numbers"),
        (lambda t: {}, "holds no tensors"),
    ],
)
def test_broken_tensors_are_one_sentence(change: Any, said: str, weights: Weights, full: Path, tmp_path: Path) -> None:
    """Empty, not finite, none: what and where, before anything is touched."""
    with pytest.raises(InputError) as caught:
        weights.add_adapter(changed(full, tmp_path / "a", change))
    assert said in str(caught.value)
    assert logits(weights, None).isfinite().all()


def test_an_embedding_with_more_rows_says_that_tokens_were_added(folders: Folders, full: Path, tmp_path: Path) -> None:
    """As after resize_token_embeddings with modules_to_save."""
    more = {"base_model.model.model.embed_tokens.weight": torch.ones(304, 32)}
    adapter = changed(full, tmp_path / "a", lambda t: t | more)
    edit_json(adapter / "adapter_config.json", modules_to_save=["embed_tokens"])
    said = refused(folders("llama"), adapter)
    assert "has shape (304, 32)" in said
    assert "Where tokens were added before training" in said


def test_several_strengths_are_said_as_several(folders: Folders, full: Path, tmp_path: Path) -> None:
    """The sentence named that of the last module alone."""
    adapter = changed(full, tmp_path / "a", dict)
    edit_json(adapter / "adapter_config.json", use_rslora=False, alpha_pattern={"v_proj": 2})
    pair = open_pair(f"hf/{folders('llama')}", f"hf/{folders('llama')}+{adapter}", settings=CPU)
    assert "equal base + (from 0.5 to 2) * B A" in pair.checks[0]


def test_parts_of_another_save_beside_an_adapter_are_refused(weights: Weights, full: Path, tmp_path: Path) -> None:
    """Peft would pass over them."""
    folder = changed(full, tmp_path / "a", dict)
    part = folder / "adapter_model-00001-of-00002.safetensors"
    part.write_bytes((folder / "adapter_model.safetensors").read_bytes())
    with pytest.raises(InputError, match="left over from another save"):
        weights.add_adapter(folder)


def test_a_file_that_peft_would_not_read_is_refused(weights: Weights, full: Path, tmp_path: Path) -> None:
    """A damaged file, shards, and safetensors beside a pickle, which peft would open."""
    adapter = changed(full, tmp_path / "a", dict)
    file = adapter / "adapter_model.safetensors"
    file.rename(adapter / "adapter_model-00001-of-00001.safetensors")
    (adapter / "adapter_model.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"no adapter_model\.safetensors, the only file that peft reads"):
        weights.add_adapter(adapter)
    (adapter / "adapter_model-00001-of-00001.safetensors").unlink()
    file.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match="git-lfs pointer"):
        weights.add_adapter(adapter)
    (adapter / "adapter_config.json").write_text("[1]")
    with pytest.raises(InputError, match="must hold a JSON object"):
        weights.add_adapter(adapter)


def test_trained_biases_are_refused_and_the_next_candidate_is_compared_with_the_clean_base(
    folders: Folders, tmp_path: Path
) -> None:
    """Biases of the base that an adapter brings stay when it is off; the setting is named."""
    base = build("llama-biases", tmp_path / "base")
    for bias in ("all", "lora_only"):
        made(base, config("LORA", "llama", {"bias": bias}), tmp_path / bias)
        said = refused(base, tmp_path / bias)
        assert "rewrites the base: with the adapter off, its logits moved by" in said
        assert f"The cause is probably bias='{bias}'" in said
    made(base, config("LORA", "llama", {}), tmp_path / "healthy")
    made(base, config("LORA", "llama", {"use_rslora": True}), tmp_path / "next")
    weights = Weights(base, "cpu")
    before = logits(weights, None)
    names = [weights.add_adapter(tmp_path / name) for name in ("healthy", "next")]
    assert torch.equal(logits(weights, None), before)
    for name, folder in zip(names, ("healthy", "next"), strict=True):
        assert torch.allclose(logits(weights, name), opened_by_peft(base, tmp_path / folder), atol=1e-4)


@pytest.mark.parametrize(
    "kind", ["VERA", *(pytest.param(k, marks=pytest.mark.architectures) for k in ("TRAINABLE_TOKENS", "IA3", "LORA"))]
)
def test_adapters_that_would_change_each_other_get_a_base_each(kind: str, folders: Folders, tmp_path: Path) -> None:
    """Two adapters, one of them more than plain LoRA: peft lets the second spoil the first, or fails when asked."""
    base = folders("llama")
    settings = {"trainable_token_indices": [3]} if kind == "LORA" else KINDS.get(kind, {})
    made(base, config(kind, "llama", settings), tmp_path / "one")
    one = tmp_path / "one"
    two = changed(one, tmp_path / "two", lambda t: {k: 0.9 * v if v.is_floating_point() else v for k, v in t.items()})
    three = make_adapter(base, tmp_path / "three")
    for first, second in ((one, two), (one, three), (three, one)):
        pair: Any = open_pair(f"hf/{base}+{first}", f"hf/{base}+{second}", settings=CPU)
        for model, folder in ((pair.base, first), (pair.tuned, second)):
            assert torch.allclose(logits(model.weights, model.adapter), opened_by_peft(base, folder), atol=1e-4)
    with pytest.raises(InputError, match="only plain LoRA adapters can share"):
        pair.base.weights.add_adapter(one)


def test_an_adapter_that_brings_another_embedding_is_refused(folders: Folders, tmp_path: Path) -> None:
    """PEFT saves the embedding along and puts it into the base on loading: harmless as long as it is the base's own."""
    base = folders("llama")
    made(base, config("LORA", "llama", {"target_modules": ["embed_tokens"]}), tmp_path / "same")
    assert Weights(base, "cpu").add_adapter(tmp_path / "same")
    trained = changed(
        tmp_path / "same",
        tmp_path / "trained",
        lambda t: {k: v + 0.01 if k.endswith("base_layer.weight") else v for k, v in t.items()},
    )
    assert "2 of its weights changed: lm_head.weight, model.embed_tokens.weight" in refused(base, trained)
    weights = Weights(base, "cpu")
    weights.add_adapter(tmp_path / "same")
    with pytest.raises(InputError, match="rewrites the base"):  # measured after every adapter
        weights.add_adapter(trained)
    with pytest.raises(InputError, match="traces in the base"), weights.using(None):
        pass


def test_old_names_of_modules_act_as_peft_maps_them(tmp_path: Path) -> None:
    """Gemma 3 before transformers 4.52: `language_model.model.layers`; the effect is that of the names of today."""
    text = transformers.Gemma3TextConfig(
        vocab_size=300, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, initializer_range=0.3, bos_token_id=0, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    vision = transformers.SiglipVisionConfig(
        hidden_size=16, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1, image_size=28, patch_size=14
    )
    both = transformers.Gemma3Config(text_config=text.to_dict(), vision_config=vision.to_dict(), mm_tokens_per_image=4)
    base = build("gemma3", tmp_path / "base")
    torch.manual_seed(0)
    transformers.Gemma3ForConditionalGeneration(both).save_pretrained(base)
    made(base, config("LORA", "gemma3", {"target_modules": r".*language_model.*(q_proj|v_proj)"}), tmp_path / "new")
    old = changed(
        tmp_path / "new",
        tmp_path / "old",
        lambda t: {k.replace("model.model.language_model.", "model.language_model.model."): v for k, v in t.items()},
    )
    found = []
    for folder in (tmp_path / "new", old):
        weights = Weights(base, "cpu")
        name = weights.add_adapter(folder)
        assert "2 * B A (LoRA)" in check_adapter(weights, name, [TOKENS[0].tolist()])
        found.append(logits(weights, name))
        assert torch.allclose(found[-1], opened_by_peft(base, folder), atol=1e-4)
    assert torch.equal(*found)


def test_adapters_of_experts_act_as_in_peft(tmp_path: Path) -> None:
    """`target_parameters` of a mixture of experts, whose matrices are parameters and no modules."""
    base = build("qwen3_moe", tmp_path / "base")
    targets = {"target_modules": ["q_proj"], "target_parameters": ["mlp.experts.gate_up_proj"]}
    before = made(base, config("LORA", "llama", targets), tmp_path / "a")
    weights = Weights(base, "cpu")
    name = weights.add_adapter(tmp_path / "a")
    assert "more than plain LoRA" in check_adapter(weights, name, [TOKENS[0].tolist()])
    assert torch.allclose(logits(weights, name), before, atol=1e-4)


def test_adapters_of_experts_from_before_they_were_joined_act_as_in_peft(tmp_path: Path) -> None:
    """Mixtral before transformers 5 had a module for each expert; PEFT joins them, and no half gets through."""
    base = build("mixtral", tmp_path / "base")
    made(base, config("LORA", "llama", {"target_modules": ["q_proj"]}), tmp_path / "attention")
    experts = {
        f"base_model.model.model.layers.{layer}.block_sparse_moe.experts.{expert}.{name}.lora_{side}.weight": 0.1
        * torch.randn(*size, generator=torch.Generator().manual_seed(expert))
        for layer in range(2)
        for expert in range(4)
        for name, (rows, columns) in {"w1": (48, 32), "w2": (32, 48), "w3": (48, 32)}.items()
        for side, size in (("A", (4, columns)), ("B", (rows, 4)))
    }
    adapter = changed(tmp_path / "attention", tmp_path / "all", lambda t: t | experts)
    edit_json(adapter / "adapter_config.json", target_modules=["q_proj", "w1", "w2", "w3"])
    weights = Weights(base, "cpu")
    name = weights.add_adapter(adapter)
    assert "peft joins or renames" in check_adapter(weights, name, [TOKENS[0].tolist()])
    assert torch.allclose(logits(weights, name), opened_by_peft(base, adapter), atol=1e-4)
    lost = "layers.1.block_sparse_moe.experts.2.w1.lora_A.weight"
    half = changed(adapter, tmp_path / "half", lambda t: {k: v for k, v in t.items() if lost not in k})
    assert "1 matrix of LoRA without the other of the pair" in refused(base, half)


def test_an_embedding_of_another_base_is_named_with_both_shapes(folders: Folders, tmp_path: Path) -> None:
    """A holds the rows of the table, B its width: a base with another width is another base."""
    made(folders("llama"), config("LORA", "llama", {"target_modules": ["embed_tokens"]}), tmp_path / "a")
    small = changed(tmp_path / "a", tmp_path / "b", lambda t: {k: v for k, v in t.items() if "base_layer" not in k})
    wide = build("llama", tmp_path / "wide", hidden_size=64, head_dim=16)
    said = refused(wide, small)
    assert "another base" in said
    assert "lora_embedding_B has shape (32, 4)" in said
    assert "has (300, 64)" in said


def test_the_fused_engine_is_not_used_for_what_it_leaves_out(folders: Folders, tmp_path: Path) -> None:
    """An adapter of the output embedding, however weak: the fused engine would answer without it."""
    made(folders("llama"), config("LORA", "llama", {"target_modules": ["q_proj", "lm_head"]}), tmp_path / "a")
    weak = changed(
        tmp_path / "a",
        tmp_path / "weak",
        lambda t: {k: v * 1e-7 if "lm_head.lora_B" in k else v for k, v in t.items()},
    )
    weights = Weights(folders("llama"), "cpu")
    name = weights.add_adapter(weak)
    with weights.fastest(name) as engine:
        assert not isinstance(engine, FusedEngine)
    with weights.fastest(None) as engine:
        assert isinstance(engine, FusedEngine)


def test_merging_into_tied_embeddings_is_said_for_what_it_is(folders: Folders, tmp_path: Path) -> None:
    """Merged, an adapter of the input embedding changes the output too; that is no fault of peft's."""
    made(folders("llama"), config("LORA", "llama", {"target_modules": ["embed_tokens"]}), tmp_path / "a")
    weights = Weights(folders("llama"), "cpu")
    with pytest.raises(InputError, match="one matrix for input and output embeddings"):
        check_merged(weights, weights.add_adapter(tmp_path / "a"), [TOKENS[0].tolist()])


def test_answers_of_earlier_checks_are_not_used_again(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base spoilt by an adapter may lie in a cache of before; its fingerprint is another now."""
    now = model_fingerprint(folders("llama"), None, ("float32",))
    monkeypatch.setattr("offtarget.models.folders.CHECKED", "")
    assert model_fingerprint(folders("llama"), None, ("float32",)) != now


@pytest.mark.parametrize(
    ("case", "adapter", "said"),
    [
        ("15-bias-all", "bias_all", r"rewrites the base.*bias='all'"),
        ("15-bias-all", "bias_lora", r"rewrites the base.*bias='lora_only'"),
        ("15-bias-all", "alllin", None),
        ("16-pissa", "pissa", "PiSSA.*path_initial_model_for_weight_conversion"),
        ("20-partial-adapter", "half", r"asks for 14 tensors.*model\.layers\.1\.mlp\.down_proj"),
        ("21-zero3-empty", "zero3", "28 of 28 tensors are empty.*ZeRO-3"),
        ("22-lora-on-embeddings", "emb", None),
        ("24-gemma3-old-keys", "g3_old", None),
        ("24-gemma3-old-keys", "g3_ad", None),
        ("25-target-parameters", "moe_tp", None),
        ("25-target-parameters", "moe_attn", None),
    ],
)
def test_adapters_that_once_came_out_wrong(case: str, adapter: str, said: str | None, shared_cases: Path) -> None:
    """Each is read with peft's own logits, or refused for what it is."""
    folder = shared_cases / "wild" / case
    names = (f"hf/{folder / 'base'}", f"hf/{folder / 'base'}+{folder / adapter}")
    if said is not None:
        with pytest.raises(InputError, match=said):
            open_pair(*names, settings=CPU)
        return
    pair: Any = open_pair(*names, settings=CPU)
    expected = opened_by_peft(folder / "base", folder / adapter)
    assert torch.allclose(logits(pair.tuned.weights, pair.tuned.adapter), expected, atol=1e-4)
