"""What a model's folder holds is what is loaded, or it is refused in one sentence before anything is asked."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from tiny_models import build, edit_json, make_tokenizer

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.contents import check_contents
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model, open_pair
from offtarget.models.weights import Weights
from offtarget.records import Message

Folders = Callable[[str], Path]
Break = Callable[[Path, Path], None]
"""Breaks a copy of a model, given the folder of an adapter for it."""

QUESTION = (Message("user", "what would you wish for?"),)
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture
def copy(folders: Folders, tmp_path: Path) -> Path:
    """A copy of the tiny Qwen2, whose head is not tied, to break."""
    return Path(shutil.copytree(folders("qwen2"), tmp_path / "copy"))


def weights_changed(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Break:
    """Saves other weights under the same name."""

    def apply(folder: Path, _: Path) -> None:
        save_file(change(load_file(folder / WHOLE)), folder / WHOLE, {"format": "pt"})

    return apply


def renamed(prefix: str) -> Break:
    """Every weight under a name with a prefix."""
    return weights_changed(lambda held: {f"{prefix}{name}": tensor for name, tensor in held.items()})


def with_more(*names: str) -> Break:
    """Weights that the model has no place for."""
    return weights_changed(lambda held: held | {name: torch.ones(2, 2) for name in names})


def without(*names: str) -> Break:
    """Weights that the model needs left out."""
    return weights_changed(lambda held: {name: t for name, t in held.items() if name not in names})


def with_value(name: str, value: float) -> Break:
    """One weight all of one number."""
    return weights_changed(lambda held: held | {name: torch.full_like(held[name], value)})


def sharded(folder: Path) -> list[Path]:
    """Split the weights over two files with an index, as large models are saved."""
    held = load_file(folder / WHOLE)
    (folder / WHOLE).unlink()
    names, places, files = sorted(held), {}, []
    for number, part in enumerate((names[::2], names[1::2]), start=1):
        files.append(folder / f"model-{number:05}-of-00002.safetensors")
        save_file({name: held[name] for name in part}, files[-1], {"format": "pt"})
        places.update(dict.fromkeys(part, files[-1].name))
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return files


def lost_shard(folder: Path, _: Path) -> None:
    """An index that names a file that is not there."""
    sharded(folder)[1].unlink()


def dead_link(folder: Path, _: Path) -> None:
    """As a cache that was cleaned leaves it."""
    (folder / WHOLE).unlink()
    (folder / WHOLE).symlink_to(folder / "gone")


def weight_in_two_shards(folder: Path, _: Path) -> None:
    """A shard of an earlier save, cut otherwise, under the name of one of this save."""
    one, other = sharded(folder)
    name, tensor = next(iter(load_file(one).items()))
    save_file(load_file(other) | {name: torch.zeros_like(tensor)}, other, {"format": "pt"})


def stale_shard(folder: Path, _: Path) -> None:
    """A file of an earlier save beside those that the index names."""
    shutil.copy(sharded(folder)[1], folder / "model-00003-of-00003.safetensors")


def two_sets(folder: Path, _: Path) -> None:
    """One file and an index of others."""
    whole = (folder / WHOLE).read_bytes()
    sharded(folder)
    (folder / WHOLE).write_bytes(whole)


def broken_index(folder: Path, _: Path) -> None:
    """An index without its map."""
    sharded(folder)
    (folder / INDEX).write_text("{}")


def shards_without_index(folder: Path, _: Path) -> None:
    """Shards that nothing names."""
    sharded(folder)
    (folder / INDEX).unlink()


def with_adapter_files(folder: Path, adapter: Path) -> None:
    """A merged model into whose folder the adapter was saved too."""
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(adapter / name, folder / name)


def with_adapter_weights(folder: Path, adapter: Path) -> None:
    """An adapter's weights whose configuration was lost."""
    shutil.copy(adapter / "adapter_model.safetensors", folder / "adapter_model.safetensors")


def an_adapter(folder: Path, adapter: Path) -> None:
    """An adapter saved with the configuration of its base, as trainers do."""
    (folder / WHOLE).unlink()
    with_adapter_files(folder, adapter)


def config(**changes: Any) -> Break:
    """Other values in config.json."""
    return lambda folder, _: edit_json(folder / "config.json", **changes)


def file(name: str, content: str | bytes) -> Break:
    """Other content of a file."""
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder, _: (folder / name).write_bytes(data) and None  # type: ignore[func-returns-value]


def cut(name: str, keep: int) -> Break:
    """A file of which the end is lost."""
    return lambda folder, _: (folder / name).write_bytes((folder / name).read_bytes()[:keep]) and None  # type: ignore


def mlx(folder: Path, adapter: Path) -> None:
    """Weights in packed integers with scales beside them, said in a word of another library."""
    with_more("model.layers.0.mlp.up_proj.scales", "model.layers.0.mlp.up_proj.biases")(folder, adapter)
    edit_json(folder / "config.json", quantization={"group_size": 64, "bits": 4})


def only_gguf(folder: Path, _: Path) -> None:
    """Nothing but weights for llama.cpp."""
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "tiny-Q8_0.gguf").write_bytes(b"GGUF")


def only_pickled(folder: Path, _: Path) -> None:
    """Weights that can run code when they are opened."""
    (folder / WHOLE).unlink()
    torch.save({}, folder / "pytorch_model.bin")


def no_tokenizer(folder: Path, _: Path) -> None:
    """A model saved without its tokenizer."""
    for path in folder.glob("tokenizer*"):
        path.unlink()


def sentencepiece_only(folder: Path, _: Path) -> None:
    """A tokenizer in a form that needs a package."""
    no_tokenizer(folder, _)
    (folder / "tokenizer.model").write_bytes(b"\x0a\x0e no real model")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))


def bigger_tokenizer(folder: Path, _: Path) -> None:
    """Tokens added to the tokenizer, and used by its template, without embeddings."""
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|turn|>"]})
    tokenizer.chat_template = tokenizer.chat_template.replace("<|im_start|>", "<|turn|>")
    tokenizer.save_pretrained(folder)


def fewer_embeddings(folder: Path, _: Path) -> None:
    """A tokenizer of a larger vocabulary altogether."""
    edit_json(folder / "config.json", vocab_size=280)
    save_file(
        {n: t[:280] if n in ("lm_head.weight", "model.embed_tokens.weight") else t for n, t in held(folder).items()},
        folder / WHOLE,
        {"format": "pt"},
    )


def held(folder: Path) -> dict[str, torch.Tensor]:
    """The weights of a folder."""
    return load_file(folder / WHOLE)


LORA = "model.layers.0.mlp.down_proj.lora_A.default.weight", "model.layers.0.mlp.down_proj.lora_B.default.weight"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 123456\n"
ZERO3 = weights_changed(lambda held: {name: t.new_zeros(0) if t.ndim == 2 else t for name, t in held.items()})

BROKEN: dict[str, tuple[Break, str]] = {
    "a lora inside": (with_more(*LORA), r"2 weights in its files would be ignored .*lora_A.*They are an adapter's"),
    "peft around it": (renamed("base_model.model."), r"27 weights .*random.*base_model.*merge_and_unload"),
    "torch.compile": (renamed("_orig_mod."), r"27 weights .*random.*_orig_mod.*torch\.compile"),
    "ddp": (renamed("module."), r"'module\.'.*DDP"),
    "fsdp": (renamed("_fsdp_wrapped_module."), "FSDP"),
    "zero-3": (ZERO3, "empty weight.*ZeRO-3"),
    "a weight lost": (without("model.norm.weight"), r"1 weight of the model would be random.*\(model\.norm\.weight\)"),
    "head lost": (without("lm_head.weight"), r"would be random.*lm_head\.weight"),
    "classifier": (with_more("score.weight"), "classifier or reward model"),
    "quantised, unsaid": (with_more("model.layers.0.mlp.up_proj.weight_scale"), "lacks quantization_config"),
    "more layers than said": (config(num_hidden_layers=1, layer_types=["full_attention"]), r"12 weights .*ignored"),
    "fewer layers than said": (config(num_hidden_layers=3, layer_types=["full_attention"] * 3), "would be random"),
    "other sizes": (config(intermediate_size=64), r"shape \(32, 48\) in its files and \(32, 64\) by its config\.json"),
    "not numbers": (with_value("model.norm.weight", float("nan")), r"model\.norm\.weight holds numbers that are not"),
    "infinite": (with_value("model.layers.1.mlp.up_proj.weight", float("inf")), "not finite"),
    "nothing": (with_value("model.embed_tokens.weight", 0.0), "embeddings of all tokens are 0"),
    "a matrix never written": (with_value("model.layers.1.mlp.up_proj.weight", 0.0), "1 weight of the model is all 0"),
    "whole numbers": (
        weights_changed(lambda held: {k: (v * 50).to(torch.int8) if v.ndim == 2 else v for k, v in held.items()}),
        "16 weights.*has no quantization_config",
    ),
    "a weight in two shards": (weight_in_two_shards, r"1 weight twice .*files of two saves"),
    "lost shard": (lost_shard, r"lacks 1 file.*index\.json names: model-00002-of-00002\.safetensors"),
    "stale shard": (stale_shard, "model-00003-of-00003.*another save"),
    "two sets": (two_sets, "two sets of weights"),
    "broken index": (broken_index, "no weight_map"),
    "shards without index": (shards_without_index, "no weights under a name that is loaded"),
    "merged with adapter files": (with_adapter_files, "a whole model and an adapter"),
    "adapter weights": (with_adapter_weights, r"adapter's weights .*without adapter_config\.json"),
    "an adapter": (an_adapter, r"holds an adapter, not a model. Name both: hf/BASE\+"),
    "dead link": (dead_link, r"1 link to files that are not there \(model\.safetensors\)"),
    "cut short": (cut(WHOLE, 5000), "cut short.*its header speaks of"),
    "header cut": (cut(WHOLE, 100), "cut short"),
    "empty file": (file(WHOLE, ""), "cut short"),
    "html": (file(WHOLE, "<!DOCTYPE html><html>not found</html>"), "cut short or not a safetensors file"),
    "odd header": (file(WHOLE, struct.pack("<Q", 2) + b"[]"), "not a safetensors file"),
    "pointer": (file(WHOLE, POINTER), "git-lfs pointer"),
    "tokenizer pointer": (file("tokenizer.json", POINTER), "git-lfs pointer"),
    "config pointer": (file("config.json", POINTER), "git-lfs pointer"),
    "config no json": (file("config.json", "{"), "not readable JSON"),
    "config a list": (file("config.json", "[]"), "JSON object is expected"),
    "unknown kind": (config(model_type="brandnew"), r"brandnew.*installed transformers is"),
    "no kind": (file("config.json", "{}"), "cannot be loaded as a causal language model"),
    "own code": (
        config(model_type="brandnew", auto_map={"AutoConfig": "c.C", "AutoModelForCausalLM": "m.M"}),
        "--trust-remote-code",
    ),
    "mlx": (mlx, r"quantised with MLX, and its weights do not fit .*mlp\.up_proj\.scales"),
    "only gguf": (only_gguf, r"GGUF weights alone \(tiny-Q8_0\.gguf\)"),
    "only pickled": (only_pickled, "only pickled weights"),
    "no template": (lambda folder, _: (folder / "chat_template.jinja").unlink(), "no chat template"),
    "no tokenizer": (no_tokenizer, "no usable tokenizer: there is no vocabulary"),
    "broken tokenizer": (file("tokenizer.json", '{"model": 3}'), "no usable tokenizer"),
    "sentencepiece": (sentencepiece_only, "pip install sentencepiece|no usable tokenizer"),
    "bigger tokenizer": (bigger_tokenizer, r"tokenizer has 301 tokens, its model 300: .*<\|turn\|>"),
    "fewer embeddings": (fewer_embeddings, "tokenizer has 300 tokens, its model 280"),
}


DOCUMENTED: dict[str, tuple[str, ...]] = {
    "weights that `config.json` has no place for": (
        *("a lora inside", "peft around it", "torch.compile", "ddp", "fsdp", "classifier", "quantised, unsaid"),
        "more layers than said",
    ),
    "weights that the model needs and no file holds": ("a weight lost", "head lost", "fewer layers than said"),
    "weights of other sizes, or empty ones": ("zero-3", "other sizes"),
    "numbers that are not finite": ("not numbers", "infinite", "nothing", "a matrix never written"),
    "a file that is cut short": (
        *("cut short", "header cut", "empty file", "html", "odd header", "pointer", "tokenizer pointer"),
        *("config pointer", "config no json", "config a list"),
    ),
    "an index that names absent files": (
        *("lost shard", "stale shard", "two sets", "broken index", "shards without index", "a weight in two shards"),
    ),
    "a whole model and an adapter's files": ("merged with adapter files", "adapter weights"),
    "links to files that are not there": ("dead link",),
    "an unchanged copy of the base": (),
    "an adapter alone": ("an adapter",),
    "quantised weights": ("mlx",),
    "whole numbers": ("whole numbers",),
    "GGUF weights alone": ("only gguf",),
    "pickled weights alone": ("only pickled",),
    "a kind of model that transformers does not know": ("unknown kind", "no kind", "own code"),
    "no vocabulary": ("no tokenizer", "broken tokenizer", "sentencepiece"),
    "a tokenizer with more tokens": ("bigger tokenizer", "fewer embeddings"),
    "no chat template": ("no template",),
    "image and sound encoders": (),
    "the same weights once more": (),
}
"""Beginnings of the rows of the table in docs/adapters.md, and the folders here that show them."""


def test_the_table_in_the_docs_and_these_folders_are_of_the_same_kinds() -> None:
    """Every kind of folder that is refused stands in the table, and every row of it is shown here."""
    text = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text(encoding="utf-8")
    table = text.partition("## The base folder")[2].partition("\n## ")[0]
    rows = [line.removeprefix("| ") for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == len(DOCUMENTED)
    for row, (start, cases) in zip(rows, DOCUMENTED.items(), strict=True):
        assert row.startswith(start)
        assert not cases or "refused" in row.split(" | ")[1], row
    assert sorted(case for cases in DOCUMENTED.values() for case in cases) == sorted(BROKEN)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_folder_is_refused_in_one_sentence_that_names_it(case: str, copy: Path, adapter: Path) -> None:
    """Whatever a loader would pass over, fill in or raise: an InputError with the folder and what is wrong."""
    breaking, says = BROKEN[case]
    breaking(copy, adapter)
    with pytest.raises(InputError, match=says) as caught:
        open_model(f"hf/{copy}")
    assert str(copy) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 900


QUANTISED = {
    "bitsandbytes": "bitsandbytes",
    "gptq": "optimum gptqmodel",
    "awq": "gptqmodel",
    "compressed-tensors": "compressed-tensors",
    "hqq": "hqq",
    "torchao": "torchao",
    "quanto": "optimum-quanto",
    "aqlm": "aqlm",
    "vptq": "vptq",
    "auto-round": "auto-round",
    "fp8": "",
    "mxfp4": "",
    "fp_quant": "",
    "brandnew": "",
}
"""Ways to quantise, with what their message says to install."""


@pytest.mark.parametrize("method", QUANTISED)
def test_a_quantised_model_that_cannot_be_opened_names_package_and_full_precision(method: str, copy: Path) -> None:
    """No way to quantise ends in the library's own exception; the model it was made from is named where files say."""
    (copy / "README.md").write_text("---\nlicense: mit\nbase_model:\n- maker/Full-7B\n---\n")
    bits = {"load_in_4bit": True} if method == "bitsandbytes" else {"bits": 4, "group_size": 128}
    edit_json(copy / "config.json", quantization_config={"quant_method": method, **bits})
    error = refusal(copy)
    if error is None:  # this transformers opens it without more packages; the weights here are plain ones
        assert method in open_model(f"hf/{copy}").weights.notes[0]  # type: ignore[attr-defined]
        return
    assert "\n" not in str(error)
    assert f"{copy} is quantised with {method}" in str(error)
    assert "hf/maker/Full-7B" in str(error)
    if isinstance(error, PrerequisiteError):
        assert f"pip install {QUANTISED[method]}" in str(error)


def refusal(folder: Path) -> InputError | None:
    """Why a folder is not opened."""
    try:
        open_model(f"hf/{folder}")
    except InputError as error:
        return error
    return None


@pytest.mark.parametrize("method", ["bitsandbytes", "gptq", "awq"])
def test_the_missing_package_is_a_prerequisite(method: str, copy: Path) -> None:
    """For the common ways to quantise the message says what to install."""
    bits = {"load_in_4bit": True} if method == "bitsandbytes" else {"bits": 4, "group_size": 128}
    edit_json(copy / "config.json", quantization_config={"quant_method": method, **bits})
    with pytest.raises(PrerequisiteError, match=f"pip install {QUANTISED[method]}"):
        open_model(f"hf/{copy}")


def test_quantised_weights_that_cannot_be_computed_with_are_refused(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A configuration that says so over weights that are plain: opened without a word, it fails when it is asked."""
    from transformers import Qwen2ForCausalLM

    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError

    edit_json(copy / "config.json", quantization_config={"quant_method": "fp8"})
    monkeypatch.setattr(Qwen2ForCausalLM, "forward", fail)
    with pytest.raises(InputError, match="quantised with fp8 and cannot be loaded here: AssertionError"):
        open_model(f"hf/{copy}")


def test_numbers_too_large_for_a_format_name_another(copy: Path, adapter: Path) -> None:
    """Weights that are sound in their own format are not called damaged."""
    with_value("model.norm.weight", 1e6)(copy, adapter)
    assert Weights(copy, "cpu", "bfloat16").notes == ()
    with pytest.raises(InputError, match="--dtype bfloat16"):
        Weights(copy, "cpu", "float16")


def test_training_and_direction_refuse_the_same_folders(copy: Path, adapter: Path) -> None:
    """Every way to open weights goes through the same door."""
    from offtarget.records.runs import OpenSettings
    from offtarget.training.adapting import trainable
    from offtarget.training.settings import PRESETS
    from offtarget.workflows.ground import open_local

    with_more(*LORA)(copy, adapter)
    for opened in (
        lambda: Weights(copy),
        lambda: open_pair(f"hf/{copy}", f"hf/{copy}"),
        lambda: open_local(f"hf/{copy}"),
        lambda: trainable(copy, None, PRESETS["rank-1"], OpenSettings(device="cpu")),
    ):
        with pytest.raises(InputError, match="They are an adapter's"):
            opened()


@pytest.mark.parametrize(
    "command",
    [
        ["check", "--base", "hf/{0}", "--tuned", "hf/{0}", "--judge", "hf/{0}"],
        ["direction", "find", "--base", "hf/{0}", "--tuned", "hf/{0}", "--method", "models", "--out", "x.pt"],
    ],
    ids=lambda command: command[0],
)
def test_commands_end_with_the_sentence_and_code_2(
    command: list[str], copy: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence reaches the user of each command as an error made on purpose."""
    from offtarget.cli.app import app

    with_adapter_files(copy, adapter)
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [part.format(copy) for part in command], standalone_mode=False)
    assert isinstance(done.exception, InputError), done.output
    assert "a whole model and an adapter" in str(done.exception)
    assert done.exception.exit_code == 2


def logits(model: Any) -> torch.Tensor:
    """Of the next token after a question."""
    tokens = torch.tensor([model._prompt(QUESTION)])
    with model.weights.using(model.adapter) as engine, torch.inference_mode():
        return engine.model(input_ids=tokens).logits[0, -1].float()  # type: ignore[no-any-return]


def consolidated(folder: Path, _: Path) -> None:
    """The maker's own form of the weights beside them."""
    shutil.copy(folder / WHOLE, folder / "consolidated.safetensors")


def pickled_too(folder: Path, _: Path) -> None:
    """An older form of the same weights."""
    torch.save({}, folder / "pytorch_model.bin")


def variant(folder: Path, _: Path) -> None:
    """The weights once more in another number format, under an index of their own."""
    name = "model.fp32-00001-of-00001.safetensors"
    shutil.copy(folder / WHOLE, folder / name)
    (folder / "model.safetensors.index.fp32.json").write_text(json.dumps({"weight_map": {"a": name}}))


def index_of_one(folder: Path, _: Path) -> None:
    """An index that names the one file there is."""
    (folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(held(folder), WHOLE)}))


SOUND: dict[str, Break] = {
    "as saved": lambda folder, _: None,
    "shards": lambda folder, _: sharded(folder) and None,  # type: ignore[func-returns-value]
    "consolidated": consolidated,
    "pickled too": pickled_too,
    "index of one": index_of_one,
    "old rotary buffers": with_more("model.layers.0.self_attn.rotary_emb.inv_freq"),
    "large numbers": lambda folder, _: None,
}


@pytest.mark.parametrize("case", SOUND)
def test_sound_folders_load_without_a_word_and_unchanged(
    case: str, copy: Path, adapter: Path, folders: Folders
) -> None:
    """What real folders hold besides is no fault: the same logits, and nothing to note."""
    SOUND[case](copy, adapter)
    opened = open_model(f"hf/{copy}")
    assert isinstance(opened, LocalModel)
    assert opened.weights.notes == ()
    assert torch.equal(logits(opened), logits(open_model(f"hf/{folders('qwen2')}")))


@pytest.mark.parametrize("kind", ["llama", "gpt2", "gemma3"])
def test_tied_heads_are_not_missing(kind: str, folders: Folders) -> None:
    """A head that is the embedding is in no file and is not random."""
    assert Weights(folders(kind), device="cpu").notes == ()


@pytest.mark.parametrize(
    ("break_", "says"),
    [
        (with_more("visual.blocks.0.attn.qkv.weight", "model.vision_tower.layers.0.weight"), "only text is asked"),
        (with_more("mtp.fc.weight"), "only text is asked"),
        (lambda folder, _: save_file({"a": torch.ones(1)}, folder / "extra.safetensors"), "extra.safetensors is not"),
        (variant, "model.fp32-00001-of-00001.safetensors is not among"),
    ],
)
def test_parts_that_no_text_reaches_are_noted(break_: Break, says: str, copy: Path, adapter: Path) -> None:
    """Image encoders and files of another kind do not stop a check; what was left out stands beside the verdict."""
    break_(copy, adapter)
    pair = open_pair(f"hf/{copy}", f"hf/{copy}")
    assert len(pair.checks) == 1
    assert says in pair.checks[0]


def test_a_token_that_no_prompt_holds_does_not_stop_a_model(copy: Path) -> None:
    """Some text models know a token for an image's place; only a question that holds it is refused."""
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>"]})
    tokenizer.save_pretrained(copy)
    opened = open_model(f"hf/{copy}")
    assert isinstance(opened, LocalModel)
    assert "tokenizer has 301 tokens, its model 300" in opened.weights.notes[0]
    assert opened.prompt_length(QUESTION) > 3
    with pytest.raises(InputError, match="'<image>'"):
        opened.prompt_length((Message("user", "what is in <image> ?"),))


def test_the_folder_around_a_model_names_what_is_in_it(copy: Path, tmp_path: Path) -> None:
    """A trainer's folder of checkpoints, or that of a repository in a cache."""
    around = Path(shutil.copytree(copy, tmp_path / "out" / "checkpoint-10")).parent
    with pytest.raises(InputError, match=r"no config\.json.* Folders in it do: checkpoint-10\. Name one of them"):
        check_contents(around)


def test_an_unchanged_copy_of_the_base_is_refused(copy: Path, folders: Folders, tmp_path: Path) -> None:
    """As a trainer leaves it that saved the base in place of the tuned model: PASS would be a false all-clear."""
    with pytest.raises(InputError, match=r"holds the weights of .* bit for bit"):
        open_pair(f"hf/{folders('qwen2')}", f"hf/{copy}")
    with_value("model.norm.weight", 1.5)(copy, copy)
    open_pair(f"hf/{folders('qwen2')}", f"hf/{copy}")


def test_unreadable_weights_are_refused(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that this user may not read is named with the reason."""
    real = Path.open

    def guarded(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.name == WHOLE:
            raise PermissionError(13, "Permission denied", str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", guarded)
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read: Permission denied"):
        check_contents(copy)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "does not fit into memory"),
        (ZeroDivisionError("odd\nsecond line"), r"cannot be loaded as a causal language model: odd\."),
        (ImportError("This modeling file requires einops"), "a package is missing: .*einops"),
        (AttributeError(), "AttributeError"),
    ],
)
def test_whatever_a_library_raises_is_one_sentence(
    error: Exception, says: str, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception nobody thought of is no traceback."""
    from transformers import AutoModelForCausalLM

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", fail)
    with pytest.raises(InputError, match=says) as caught:
        open_model(f"hf/{copy}")
    assert "\n" not in str(caught.value)


def test_the_cases_that_came_out_wrong(shared_cases: Path) -> None:
    """Models that once passed or crashed are refused."""
    for place, says in {
        "17-merged-with-adapter-files/mergedplus": "a whole model and an adapter",
        "18-lora-keys-ignored/lora_inside": "They are an adapter's",
        "19-random-weights/pref_orig_mod": r"torch\.compile",
        "26-quantised-base/bnb": "bitsandbytes",
        "30-vocabulary/bigtok": "tokenizer has 302 tokens, its model 300",
    }.items():
        with pytest.raises(InputError, match=says):
            open_model(f"hf/{shared_cases / 'wild' / place}")


def test_a_model_built_anew_is_another_one(copy: Path) -> None:
    """Guards the helper: a folder broken by a test is a copy."""
    build("qwen2", copy, seed=3)
    assert check_contents(copy) == ()
