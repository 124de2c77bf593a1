"""What PEFT opens is opened with PEFT's own logits beside a base that is the base, or refused with the reason."""

from __future__ import annotations

import dataclasses
import functools
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from adapter_matrix import (
    ARCHITECTURES,
    KINDS,
    NOT_OPTIONS,
    OPTIONS,
    TOKENS,
    UNMAKEABLE,
    Option,
    config,
    made,
    opened_alone,
)
from adapter_matrix import opened_by_peft as by_peft
from safetensors.torch import load_file
from tiny_models import edit_json, make_adapter
from transformers.pytorch_utils import Conv1D

from offtarget.errors import InputError
from offtarget.models import adapter_kinds
from offtarget.models.adapter_check import check_adapter
from offtarget.models.adapter_kinds import (
    FURTHER_SETTINGS,
    PLAIN_SETTINGS,
    READ_KINDS,
    REFUSED_KINDS,
    REFUSED_SETTINGS,
    REFUSED_STARTS,
    is_plain_lora,
)
from offtarget.models.decoding import start_batch
from offtarget.models.lora import read_config
from offtarget.models.weights import Weights

Folders = Callable[[str], Path]
CPU = torch.device("cpu")
DIFFERING = {"embedding", "output embedding", "all biases", "both saved, tied"}
"""Options in which architectures differ."""
ALIKE = {"r", "lora_alpha", "lora_dropout", "gaussian", "random", "orthogonal", "eva", "layers_pattern", "norms saved"}
"""Options that act as others of the ordinary run do."""
COMMON = {"ADALORA", "IA3", "LN_TUNING", "LOHA", "OFT", "TRAINABLE_TOKENS", "VBLORA", "VERA"}
"""Kinds of the ordinary run; the others cost seconds and differ from these in what peft does only."""


def decoded(weights: Weights, adapter: str | None) -> torch.Tensor:
    """Logits after tokens 10 to 20, decoded token by token by the engine that answers."""
    tokens = TOKENS[0].tolist()
    with weights.fastest(adapter) as engine, torch.inference_mode():
        state = start_batch(engine, [tokens[:10]], [0], CPU)
        return torch.cat([engine.step(torch.tensor([t]), state) for t in tokens[9:]])


@functools.cache
def clean(folder: Path) -> torch.Tensor:
    """The same logits of the base, opened by transformers alone."""
    with torch.inference_mode():
        logits: torch.Tensor = opened_alone(folder)(input_ids=TOKENS).logits[0, 9:]
    return logits


def by_hand(base: Path, adapter: Path) -> torch.Tensor:
    """Logits of the base with scale * B A added to its matrices, from the files alone and without peft."""
    model = opened_alone(base)
    output = model.get_output_embeddings()
    output.weight = torch.nn.Parameter(output.weight.clone())  # untied
    settings, tensors = read_config(adapter), load_file(adapter / "adapter_model.safetensors")
    with torch.no_grad():
        for key, a in tensors.items():
            if not re.search("lora_(embedding_)?A", key):
                continue
            name = re.sub(r"\.lora_.*", "", key.removeprefix("base_model.model."))
            b, weight = tensors[re.sub("A(.weight)?$", r"B\1", key)], model.get_submodule(name).weight
            patterns = (settings["alpha_pattern"] or {}).items()
            alpha = next((v for p, v in patterns if re.match(rf"(.*\.)?({p})$", name)), settings["lora_alpha"])
            change = b @ a * alpha / (math.sqrt(len(a)) if settings["use_rslora"] else len(a))
            transposed = "embedding" in key or isinstance(model.get_submodule(name), Conv1D)
            weight += change.T if transposed else change
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=TOKENS).logits[0, 9:]
    return logits


def opened(base: Path, adapter: Path) -> tuple[Weights, str, str]:
    weights = Weights(base, "cpu")
    name = weights.add_adapter(adapter)
    return weights, name, check_adapter(weights, name, [TOKENS[0].tolist()])


def assert_read(base: Path, adapter: Path, before: torch.Tensor) -> None:
    """Tuned is what peft opens, and what was saved; base is what transformers opens; plain LoRA is B A by hand."""
    weights, name, said = opened(base, adapter)
    reference = by_peft(base, adapter)
    assert torch.allclose(reference, before, atol=1e-4)
    tuned = decoded(weights, name)
    assert torch.allclose(tuned, reference[9:], atol=2e-4)
    assert torch.allclose(decoded(weights, None), clean(base), atol=2e-4)
    assert not torch.allclose(tuned, clean(base), atol=1e-2)
    plain = is_plain_lora(read_config(adapter))
    assert plain == ("* B A" in said)
    if plain:
        assert torch.allclose(tuned, by_hand(base, adapter), atol=2e-4)


def cells(names: list[Any], everywhere: set[str], rare: set[str]) -> list[Any]:
    """Each name with each architecture; in the ordinary run with Llama alone, or with all, or (`rare`) with none."""
    found = []
    for each in names:
        name = each.name if isinstance(each, Option) else each
        for kind in ARCHITECTURES:
            ordinary = name in everywhere or (kind == "llama" and name not in rare)
            marks = () if ordinary else (pytest.mark.architectures,)
            found.append(pytest.param(kind, each, id=f"{kind}-{name}", marks=marks))
    return found


@pytest.mark.parametrize(("architecture", "option"), cells(list(OPTIONS), DIFFERING, ALIKE))
def test_every_lora_setting_acts_as_in_peft(
    architecture: str, option: Option, folders: Folders, tmp_path: Path
) -> None:
    """Read with peft's logits beside a clean base, or refused with the setting named."""
    base = folders(architecture)
    settings = config("LORA", architecture, option.values)
    if (architecture, option.name) in UNMAKEABLE:
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever peft raises
            made(base, settings, tmp_path)
        return
    before = made(base, settings, tmp_path)
    if architecture in option.refused:
        with pytest.raises(InputError, match=option.refused[architecture]):
            opened(base, tmp_path)
    else:
        assert_read(base, tmp_path, before)


@pytest.mark.parametrize(("architecture", "kind"), cells(sorted(READ_KINDS), set(), READ_KINDS.keys() - COMMON))
def test_every_kind_acts_as_in_peft(architecture: str, kind: str, folders: Folders, tmp_path: Path) -> None:
    """Read with peft's logits beside a clean base; peft itself has many kinds for nn.Linear only."""
    base = folders(architecture)
    try:
        before = made(base, config(kind, architecture, KINDS.get(kind, {})), tmp_path)
    except (TypeError, ValueError, NotImplementedError):
        assert architecture == "gpt2"
        return
    if (architecture, kind) == ("gpt2", "OSF"):  # peft makes one without weights
        with pytest.raises(InputError, match="holds no tensors"):
            opened(base, tmp_path)
        return
    assert_read(base, tmp_path, before)


def test_nothing_of_the_installed_peft_is_forgotten() -> None:
    """A kind or a setting that a new peft brings stands in one of the tables, and in the matrix."""
    assert {kind.value for kind in peft.PeftType} == READ_KINDS.keys() | REFUSED_KINDS.keys()
    fields = {field.name for field in dataclasses.fields(peft.LoraConfig)}
    tables: list[Any] = [PLAIN_SETTINGS, FURTHER_SETTINGS, REFUSED_SETTINGS.keys()]
    assert fields == set().union(*tables)
    assert len(fields) == sum(map(len, tables))
    tried = {option.field for option in OPTIONS}
    assert tried | NOT_OPTIONS.keys() == PLAIN_SETTINGS | FURTHER_SETTINGS
    assert not tried & NOT_OPTIONS.keys()


def test_the_guide_has_the_tables() -> None:
    """docs/adapters.md names every kind and every setting, with its reason where it is refused, and no others."""
    page = (Path(__file__).parents[2] / "docs" / "adapters.md").read_text(encoding="utf-8")
    for name, title in (READ_KINDS | REFUSED_STARTS).items():
        assert re.search(rf"^\| `{name}`[^|]*\| {title} \|$", page, re.MULTILINE), name
    for name, reason in (REFUSED_KINDS | REFUSED_SETTINGS).items():
        assert re.search(rf"^\| .*`{name}`.*\| {reason} \|$", page, re.MULTILINE), name
    kinds = set(re.findall(r"`([A-Z][A-Z0-9_]+)`", page.split("## Kinds")[1].split("## Settings")[0]))
    assert kinds == READ_KINDS.keys() | REFUSED_KINDS.keys()
    lists = re.findall(r"^(?:Plain LoRA|Read, with)[^:]*: (.*?)\.\n\n", page, re.MULTILINE | re.DOTALL)
    assert [set(re.findall(r"`(\w+)`", line)) for line in lists] == [PLAIN_SETTINGS, FURTHER_SETTINGS]


@pytest.fixture(scope="module")
def plain(folders: Folders, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain adapter whose configuration tests change."""
    return make_adapter(folders("llama"), tmp_path_factory.mktemp("plain") / "a")


def refusal(base: Path, adapter: Path, folder: Path, **changes: Any) -> str:
    for path in adapter.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    edit_json(folder / "adapter_config.json", **changes)
    with pytest.raises(InputError) as caught:
        Weights(base, "cpu").add_adapter(folder)
    return str(caught.value)


def test_refused_kinds_settings_and_starts_say_why(plain: Path, folders: Folders, tmp_path: Path) -> None:
    """The kind or the setting is named, the reason, and the way out."""
    weights = Weights(folders("llama"), "cpu")
    for path in plain.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    changes = [(("peft_type", kind), f"{kind!r} are not supported.*{reason}") for kind, reason in REFUSED_KINDS.items()]
    changes += [((name, [3]), f"{name} is not supported: it {reason}") for name, reason in REFUSED_SETTINGS.items()]
    starts = ("pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga")
    changes += [(("init_lora_weights", s), f"'{s}'.*rewrites the base.*path_initial_model") for s in starts]
    original = (tmp_path / "adapter_config.json").read_text()
    for (name, value), said in changes:
        edit_json(tmp_path / "adapter_config.json", **{name: value})
        with pytest.raises(InputError, match=said) as caught:
            weights.add_adapter(tmp_path)
        assert "merge_and_unload" in str(caught.value)
        (tmp_path / "adapter_config.json").write_text(original)
    weights.add_adapter(tmp_path)


def test_a_setting_that_nobody_knows_is_refused_where_it_is_set(plain: Path, folders: Folders, tmp_path: Path) -> None:
    """A newer peft's setting would be left out with a warning; one that is off says nothing."""
    said = refusal(folders("llama"), plain, tmp_path, new_trick={"strength": 3}, other_trick=None)
    assert "new_trick={'strength': 3}" in said
    edit_json(tmp_path / "adapter_config.json", new_trick=None)
    Weights(folders("llama"), "cpu").add_adapter(tmp_path)


MOVING = {
    "pissa": {"init_lora_weights": "pissa"},
    "olora": {"init_lora_weights": "olora"},
    "kasa": {"kasa_config": peft.tuners.lora.config.KasaConfig()},
    "deeper": {"layer_replication": [(0, 2), (1, 2)]},
}


@pytest.mark.parametrize("what", sorted(MOVING))
def test_a_base_that_moved_is_found_by_measuring(
    what: str, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of names is not what holds: without it, what rewrites the base is refused all the same."""
    made(folders("llama"), config("LORA", "llama", MOVING[what]), tmp_path)
    monkeypatch.setattr(adapter_kinds, "REFUSED_STARTS", {})
    monkeypatch.setattr(adapter_kinds, "REFUSED_SETTINGS", {})
    monkeypatch.setattr(adapter_kinds, "FURTHER_SETTINGS", FURTHER_SETTINGS | REFUSED_SETTINGS.keys())
    weights = Weights(folders("llama"), "cpu")
    with pytest.raises(InputError, match="rewrites the base"):
        weights.add_adapter(tmp_path)
    # and nothing is asked of what is left
    with pytest.raises(InputError, match="traces in the base"), weights.using(None):
        pass
    with pytest.raises(InputError, match="traces in the base"):
        weights.add_adapter(make_adapter(folders("llama"), tmp_path / "healthy"))


def test_whole_text_routing_is_found_by_decoding(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adapter that acts otherwise on text that comes token by token is refused, whatever the table says."""
    made(folders("llama"), config("LILY", "llama", {}), tmp_path)
    monkeypatch.setitem(READ_KINDS, "LILY", "Lily")
    with pytest.raises(InputError, match="decoded token by token"):
        opened(folders("llama"), tmp_path)
