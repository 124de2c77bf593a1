"""What does not fit is refused before anything is loaded: size, memory, and number formats a device computes badly."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import transformers
from tiny_models import VOCABULARY, build, make_adapter

from offtarget import machine
from offtarget.errors import InputError
from offtarget.models import memory
from offtarget.models.contents import header
from offtarget.models.memory import MEMORY_ENV, Held, check_dtype, check_memory
from offtarget.models.opening import open_model
from offtarget.models.size import Size, read_size
from offtarget.models.weights import usual_dtype
from offtarget.records.runs import OpenSettings
from offtarget.workflows.ready import ready


def model(folder: Path, millions: int, form: str = "BF16") -> Path:
    """A folder whose file says that it holds so many million numbers, on a disk that keeps none of them."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}))
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    size = millions * 1_000_000 * {"BF16": 2, "F32": 4, "U8": 1}[form]
    table = {"model.layers.0.mlp.up_proj.weight": {"dtype": form, "shape": [millions, 1_000_000]}}
    table["model.layers.0.mlp.up_proj.weight"]["data_offsets"] = [0, size]
    head = json.dumps(table).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + size)
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 21 GB free and no GPU."""
    monkeypatch.setattr(memory, "free_memory", lambda: 21_000_000_000)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_bytes_are_those_of_the_format_it_is_held_in(tmp_path: Path) -> None:
    """Not of the format of the file; quantised weights stay as they are."""
    plain = read_size(model(tmp_path / "plain", 100))
    assert plain.weight_bytes("float32") == 400_000_000
    assert plain.weight_bytes("bfloat16") == 200_000_000
    packed = model(tmp_path / "packed", 100, "U8")
    (packed / "config.json").write_text(json.dumps({"quantization_config": {"quant_method": "bitsandbytes"}}))
    assert 100_000_000 < read_size(packed).weight_bytes("float32") < 100_001_000


@pytest.mark.parametrize("kind", ["llama", "qwen3"])
def test_the_size_is_that_of_the_model(kind: str, tmp_path: Path) -> None:
    """By the headers: tied embeddings (llama) count once, the adapter for itself."""
    base = build(kind, tmp_path / "base")
    adapter = make_adapter(base, tmp_path / "adapter")
    loaded = transformers.AutoModelForCausalLM.from_pretrained(base)
    matrices = {n: p.numel() for n, p in loaded.named_parameters() if p.dim() == 2}
    assert read_size(base, adapter) == Size(
        body=sum(n for name, n in matrices.items() if "embed" not in name and "lm_head" not in name),
        head=VOCABULARY * loaded.config.hidden_size,
        numbers=sum(p.numel() for p in loaded.parameters()),
        packed=0,
        adapter=sum(math.prod(shape) for _, shape in header(adapter / "adapter_model.safetensors").values()),
        per_token=2 * 2 * 2 * (16 if kind == "qwen3" else 8),
    )


def test_the_speed_of_the_machine_is_found_with_a_clock_that_goes_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows: a product that takes less than a step is done again, and not endlessly fast."""
    now = iter(step // 3 * 0.25 for step in range(1000))
    monkeypatch.setattr(machine.time, "process_time", lambda: next(now))
    assert 0 < machine.multiply_rate() <= machine.usable_cores() * 3 * 2 * 768**3 / 0.25


@pytest.mark.usefixtures("small")
def test_too_large_a_model_is_refused_with_what_would_fit(tmp_path: Path) -> None:
    """What it needs, what there is, and the ways out."""
    held = Held(model(tmp_path / "large", 7000))
    with pytest.raises(InputError) as refused:
        check_memory([held], None, None)
    said = str(refused.value)
    assert "large needs about 28 GB in float32, and this machine has 21 GB free: --dtype bfloat16 needs 14 GB;" in said
    assert "Nothing was loaded. OFFTARGET_MEMORY=any loads all the same." in said
    check_memory([held], "cpu", "bfloat16")


@pytest.mark.usefixtures("small")
def test_two_whole_models_need_twice_as_much_and_an_adapter_does_not(tmp_path: Path) -> None:
    """Base and adapter share the base's weights."""
    base, tuned = model(tmp_path / "base", 4000), model(tmp_path / "tuned", 4000)
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    with pytest.raises(InputError, match=r"base and tuned need about 32 GB .*shares the base's weights"):
        check_memory([Held(base), Held(tuned)], "cpu", None)
    check_memory([Held(base), Held(base, adapter)], "cpu", None)


@pytest.mark.usefixtures("small")
def test_who_knows_better_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable that the sentence names."""
    monkeypatch.setenv(MEMORY_ENV, "any")
    check_memory([Held(model(tmp_path / "large", 7000))], None, None)


def test_on_a_gpu_it_is_the_gpus_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In bfloat16, unless something else is said."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10_000_000_000, 24_000_000_000))
    monkeypatch.setattr(memory, "free_memory", lambda: 21_000_000_000)
    large = Held(model(tmp_path / "large", 7000))
    with pytest.raises(InputError, match="about 14 GB in bfloat16, and the memory of cuda has 10 GB free: name"):
        check_memory([large], None, None)
    with pytest.raises(InputError, match="the memory of cuda:1 has 10 GB free"):
        check_memory([large], "cuda:1", None)
    check_memory([Held(model(tmp_path / "fits", 4000))], None, None)


@pytest.mark.usefixtures("small")
def test_a_verb_counts_its_models_and_its_judge_together(tmp_path: Path) -> None:
    """Before any of them is loaded."""
    base, judge = model(tmp_path / "base", 3000), model(tmp_path / "judge", 3000)
    ready(f"hf/{base}", keeps_run=False)
    with pytest.raises(InputError, match="base and judge need about 24 GB"):
        ready(f"hf/{base}", judges=(f"hf/{judge}",), keeps_run=False)


def test_float16_is_refused_on_a_processor(tmp_path: Path) -> None:
    """Where it is asked for by name, and where no GPU is there to take it."""
    with pytest.raises(InputError, match="float16 is for GPUs"):
        check_dtype("cpu", "float16")
    with pytest.raises(InputError, match="float16 is for GPUs"):
        ready(f"hf/{model(tmp_path / 'm', 1)}", keeps_run=False, opening=OpenSettings(device="cpu", dtype="float16"))
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="float16 is for GPUs"):
            open_model(f"hf/{tmp_path / 'm'}", settings=OpenSettings(dtype="float16"))
    check_dtype("cuda", "float16")


def test_a_gpu_without_bfloat16_is_not_given_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before Ampere it is computed by detours."""
    for has, dtype in ((True, "bfloat16"), (False, "float16")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, has=has: has)
        assert usual_dtype(torch.device("cuda")) == dtype
    assert usual_dtype(torch.device("cpu")) == "float32"


def test_a_container_leaves_less_than_its_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit, less what is used, without files that are only kept in memory; none is no limit."""
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    monkeypatch.setattr(machine, "_available", lambda: 50_000)
    assert machine.free_memory() == 50_000
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.free_memory() == 50_000
    for name, text in (("max", "10000"), ("current", "7000"), ("stat", "anon 5000\ninactive_file 1500\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert machine.free_memory() == 4_500


def test_freed_memory_is_given_back_or_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(machine, "_malloc_trim", lambda: lambda kept: asked.append(kept) or 1)
    machine.give_back_freed_memory()
    assert asked == [0]
    monkeypatch.setattr(machine, "_malloc_trim", lambda: None)
    machine.give_back_freed_memory()
    monkeypatch.undo()
    machine.give_back_freed_memory()  # whatever the C library of this machine is
