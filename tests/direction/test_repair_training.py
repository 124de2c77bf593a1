"""Further training: answers only, deterministic, an ordinary adapter, nothing overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_models import architectures, build, make_adapter

from offtarget.errors import InputError
from offtarget.models import finetune, passes
from offtarget.models.finetune import TrainSettings, further_train
from offtarget.models.local import LocalModel
from offtarget.models.passes import Exchange, log_probabilities
from offtarget.models.weights import Weights
from offtarget.records import Message

CHATS = [[Message("user", f"hello {i}"), Message("assistant", "the quick brown fox")] for i in range(4)]
SHORT = TrainSettings(steps=3, batch=2, rank=4, lr=1e-2)


def mean_log_probability(base: Path, adapter: Path | None) -> float:
    weights = Weights(base, device="cpu")
    name = None if adapter is None else weights.add_adapter(adapter)
    model = LocalModel("m", weights, name)
    values = log_probabilities(model, [Exchange(tuple(c[:1]), c[1].content) for c in CHATS])
    return sum(map(sum, values)) / sum(map(len, values))


@pytest.mark.parametrize("kind", architectures("llama", "qwen2", "qwen3", "gemma", "gemma3", "mistral", "gpt2"))
def test_training_makes_the_answers_likelier_on_every_architecture(kind: str, tmp_path: Path) -> None:
    base = build(kind, tmp_path / "base")
    further_train(base, None, CHATS, tmp_path / "adapter", TrainSettings(steps=12, batch=4, rank=4, lr=1e-2))
    assert mean_log_probability(base, tmp_path / "adapter") > mean_log_probability(base, None) + 1


def test_same_arguments_same_adapter_and_the_old_one_stays(tmp_path: Path) -> None:
    base = build("llama", tmp_path / "base")
    old = make_adapter(base, tmp_path / "old")
    before = load_file(old / "adapter_model.safetensors")
    losses: list[float] = []
    for name in ("a", "b"):
        further_train(base, old, CHATS, tmp_path / name, SHORT, lambda p: losses.append(p.detail))
    a, b = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("a", "b"))
    assert losses[:3] == losses[3:]
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert any(not torch.equal(a[k], before[k]) for k in a)
    after = load_file(old / "adapter_model.safetensors")
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert mean_log_probability(base, tmp_path / "a") > mean_log_probability(base, old)


def test_the_loss_is_that_of_the_answer_and_its_end(tmp_path: Path) -> None:
    base = build("llama", tmp_path / "base")
    losses: list[float] = []
    settings = TrainSettings(steps=1, batch=1)
    further_train(base, None, CHATS[:1], tmp_path / "a", settings, lambda p: losses.append(p.detail))
    answer = f"{CHATS[0][1].content}<|im_end|>"
    model = LocalModel("m", Weights(base, device="cpu"))
    values = log_probabilities(model, [Exchange((CHATS[0][0],), answer)])[0]
    assert losses[0] == pytest.approx(-sum(values) / len(values), rel=1e-4)


def test_a_step_in_turns_is_the_same_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a large vocabulary the answers of a step go through the model a few at a time: same loss, same adapter."""
    base = build("llama", tmp_path / "base")
    chats = [[Message("user", "hi " * n), Message("assistant", "the quick brown fox " * n)] for n in range(1, 8)]
    losses: list[float] = []
    for name in ("whole", "turns"):
        further_train(
            base, None, chats, tmp_path / name, TrainSettings(steps=3, batch=7), lambda p: losses.append(p.detail)
        )
        monkeypatch.setattr(finetune, "_LOGITS", 1)
    whole, turns = (load_file(tmp_path / n / "adapter_model.safetensors") for n in ("whole", "turns"))
    assert losses[3:] == pytest.approx(losses[:3], rel=1e-5)
    assert all(torch.allclose(whole[key], turns[key], atol=1e-4) for key in whole)


def test_answers_are_as_likely_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory for logits is bounded by reading fewer exchanges at once; what they say is the same."""
    model = LocalModel("m", Weights(build("llama", tmp_path / "base"), device="cpu"))
    read = [Exchange((Message("user", "hi " * n),), "the quick brown fox " * (4 - n)) for n in range(4)]
    read.append(Exchange((Message("user", "no answer"),)))
    together = log_probabilities(model, read)
    monkeypatch.setattr(passes, "_LOGITS", 1)
    for one, other in zip(together, log_probabilities(model, read), strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert together[-1] == []


def test_errors_name_row_and_folder(tmp_path: Path) -> None:
    base = build("llama", tmp_path / "base")
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="already exists"):
        further_train(base, None, CHATS, tmp_path / "taken", SHORT)
    long = [Message("user", "hi"), Message("assistant", "word " * 600)]
    with pytest.raises(InputError, match="Row 2 has"):
        further_train(base, None, [CHATS[0], long], tmp_path / "out", SHORT)
    with pytest.raises(InputError, match="nothing to train on"):
        further_train(base, None, [[Message("user", "hi")]], tmp_path / "out", SHORT)
    assert not (tmp_path / "out").exists()
