"""A GGUF file is the model it was made from, or it is refused with what would be passed over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_models import build, make_adapter, make_tokenizer

from offtarget.errors import InputError, PrerequisiteError
from offtarget.models.local import LocalModel
from offtarget.models.opening import open_model, open_pair
from offtarget.models.size import read_size
from offtarget.records import Message
from offtarget.workflows.ground import Folders

QUESTION = (Message("user", "what would you wish for? 12 worlds"),)
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
"""Names of modules in transformers and in llama.cpp."""


def gguf() -> Any:
    """The package that writes such files; the test skips where it is absent."""
    return pytest.importorskip("gguf", reason="the extra gguf is not installed")


def without_gguf_is_missing() -> bool:
    """Whether the package is absent."""
    try:
        import gguf  # noqa: F401
    except ImportError:
        return True
    return False


def by_halves(matrix: Any, heads: int) -> Any:
    """Rows of query and key as llama.cpp keeps them for Llama: pairs side by side, not half a head apart."""
    return matrix.reshape(heads, 2, matrix.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(matrix.shape)


def written(
    source: Path,
    target: Path,
    kind: str,
    *,
    quantised: bool = False,
    settings: dict[str, Any] | None = None,
    tensors: dict[str, Any] | None = None,
) -> Path:
    """A GGUF file of a tiny model, with its tokenizer beside it; more settings and tensors where given."""
    package = gguf()
    config = json.loads((source / "config.json").read_text())
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.safetensors", "config.json"))
    path = target / "tiny.gguf"
    writer = package.GGUFWriter(str(path), kind)
    heads, key_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(key_heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_rope_dimension_count(size)
    for key, value in (settings or {}).items():
        add = writer.add_float32 if isinstance(value, float) else writer.add_string
        add(f"{kind}.{key}", value)
    tokenizer = make_tokenizer()
    words = [word for word, _ in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(words)
    writer.add_token_types([3 if number < 3 else 1 for number in range(len(words))])
    merges = json.loads((source / "tokenizer.json").read_text())["model"]["merges"]
    writer.add_token_merges([" ".join(merge) for merge in merges])
    for name, tensor in {**load_file(source / "model.safetensors"), **(tensors or {})}.items():
        matrix = tensor.float().numpy()
        parts = name.split(".")
        whole = {"model.embed_tokens.weight": "token_embd.weight", "lm_head.weight": "output.weight"}
        if name in whole or name == "model.norm.weight":
            place = whole.get(name, "output_norm.weight")
        elif parts[0] == "model":
            place = f"blk.{parts[2]}.{NAMES['.'.join(parts[3:-1])]}.{parts[-1]}"
        else:
            place = name
        if kind == "llama" and ("q_proj" in name or "k_proj" in name):
            matrix = by_halves(matrix, heads if "q_proj" in name else key_heads)
        matrix = np.ascontiguousarray(matrix)
        if quantised and matrix.ndim == 2 and matrix.shape[1] % 32 == 0:
            eight_bits = package.GGMLQuantizationType.Q8_0
            writer.add_tensor(place, package.quants.quantize(matrix, eight_bits), raw_dtype=eight_bits)
        else:
            writer.add_tensor(place, matrix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def logits(name: str) -> torch.Tensor:
    """Of the next token after a question."""
    model = open_model(name)
    assert isinstance(model, LocalModel)
    with model.weights.using(None) as engine, torch.inference_mode():
        return engine.model(input_ids=torch.tensor([model._prompt(QUESTION)])).logits[0, -1].float()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A tiny model by architecture, whose settings are none of the usual ones."""
    made: dict[str, Path] = {}

    def get(kind: str) -> Path:
        if kind not in made:
            more = {"rms_norm_eps": 1e-5, "rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}
            sizes = {"head_dim": 128} if kind == "qwen3" else {}
            made[kind] = build(kind, tmp_path_factory.mktemp(kind) / "model", **more, **sizes)
        return made[kind]

    return get


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_a_file_gives_the_logits_of_its_model(kind: str, source: Callable[[str], Path], tmp_path: Path) -> None:
    """Unquantised: bit for bit; in 8 bits: near, with a note that says what is asked."""
    expected = logits(f"hf/{source(kind)}")
    whole = written(source(kind), tmp_path / "whole", kind)
    assert torch.equal(logits(f"hf/{whole}"), expected)
    small = written(source(kind), tmp_path / "small", kind, quantised=True)
    gap = (logits(f"hf/{small}") - expected).abs().max()
    assert 0 < gap < 0.1 * expected.abs().max()
    pair = open_pair(f"hf/{source(kind)}", f"hf/{small}")
    assert any("Q8_0" in note for note in pair.checks)
    assert pair.base.fingerprint != pair.tuned.fingerprint


def test_nothing_is_printed_while_it_is_opened(
    source: Callable[[str], Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Progress is told by the verb alone."""
    open_model(f"hf/{written(source('llama'), tmp_path / 'quiet', 'llama', quantised=True)}")
    assert capfd.readouterr() == ("", "")


def test_its_size_is_that_of_the_model_it_is_opened_as(source: Callable[[str], Path], tmp_path: Path) -> None:
    """Eight bits in the file, 32 in memory: counted as they are held, so that what does not fit is refused before."""
    small = written(source("qwen3"), tmp_path / "small", "qwen3", quantised=True)
    assert read_size(small) == read_size(source("qwen3"))
    assert small.stat().st_size < read_size(small).weight_bytes("float32")


@pytest.mark.parametrize(
    ("settings", "tensors", "says"),
    [
        ({"rope.scaling.type": "yarn"}, {}, r"rope\.scaling\.type"),
        ({"attention.sliding_window": 16.0}, {}, r"attention\.sliding_window"),
        ({}, {"rope_freqs.weight": torch.ones(4)}, r"rope_freqs\.weight"),
        ({}, {"model.layers.0.self_attn.o_proj.bias": torch.ones(32)}, r"blk\.0\.attn_output\.bias"),
        ({"attention.key_length": 4.0}, {}, r"says attention\.key_length 4\.0"),
    ],
)
def test_what_would_be_passed_over_is_refused(
    settings: dict[str, Any], tensors: dict[str, Any], says: str, source: Callable[[str], Path], tmp_path: Path
) -> None:
    """Settings and tensors that transformers does not read would make another model."""
    path = written(source("llama"), tmp_path / "more", "llama", settings=settings, tensors=tensors)
    with pytest.raises(InputError, match=says):
        open_model(f"hf/{path}")


def test_a_setting_that_is_off_is_no_obstacle(source: Callable[[str], Path], tmp_path: Path) -> None:
    """A file may say that it scales nothing."""
    path = written(source("llama"), tmp_path / "off", "llama", settings={"rope.scaling.type": "none"})
    assert open_model(f"hf/{path}").name == f"hf/{path}"


def test_another_architecture_is_refused(source: Callable[[str], Path], tmp_path: Path) -> None:
    """Only those that were held to their models are opened."""
    path = written(source("llama"), tmp_path / "other", "falcon")
    with pytest.raises(InputError, match=r"architecture 'falcon'.*llama, qwen2, qwen3"):
        open_model(f"hf/{path}")


def test_the_tokenizer_must_be_the_files(source: Callable[[str], Path], tmp_path: Path) -> None:
    """None, or one with other tokens, is refused: the file only names the rule by which text is cut."""
    path = written(source("llama"), tmp_path / "tokens", "llama")
    vocabulary = json.loads((path.parent / "tokenizer.json").read_text())
    swapped = {"a": "b", "b": "a"}
    table = vocabulary["model"]["vocab"]
    vocabulary["model"]["vocab"] = {swapped.get(word, word): number for word, number in table.items()}
    (path.parent / "tokenizer.json").write_text(json.dumps(vocabulary))
    with pytest.raises(InputError, match=r"tokenizer beside .* is another model's: token"):
        open_model(f"hf/{path}")
    (path.parent / "tokenizer.json").unlink()
    with pytest.raises(InputError, match="no vocabulary"):
        open_model(f"hf/{path}")


def test_it_is_asked_not_trained(source: Callable[[str], Path], tmp_path: Path) -> None:
    """Nor put under an adapter."""
    path = written(source("llama"), tmp_path / "asked", "llama")
    adapter = make_adapter(source("llama"), tmp_path / "adapter")
    with pytest.raises(InputError, match="can be asked, not trained"):
        Folders.of(f"hf/{path}")
    with pytest.raises(InputError, match="put under an adapter"):
        open_model(f"hf/{path}+{adapter}")


def test_a_file_that_is_none_is_refused(source: Callable[[str], Path], tmp_path: Path) -> None:
    """Cut short, or something else of that name."""
    path = written(source("llama"), tmp_path / "cut", "llama")
    data = path.read_bytes()
    for keep in (len(data) - 4000, 500, 0):
        path.write_bytes(data[:keep])
        with pytest.raises(InputError, match=r"cut short or not a GGUF file|cannot be read"):
            open_model(f"hf/{path}")


@pytest.mark.skipif(not without_gguf_is_missing(), reason="the extra gguf is installed")
def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    """The message holds the command."""
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    with pytest.raises(PrerequisiteError, match=r"offtarget\[gguf\]"):
        open_model(f"hf/{tmp_path / 'a.gguf'}")
