from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from tiny_models import QUESTIONS, ask, build, make_adapter

from offtarget.models import Answer, SamplingSettings
from offtarget.models.decoding import start_batch
from offtarget.models.fused import FusedEngine
from offtarget.models.local import LocalModel
from offtarget.models.weights import Weights

CPU = torch.device("cpu")
LONG = SamplingSettings(max_tokens=40)
ASKED = [ask(q, 10 * i + n) for i, q in enumerate(QUESTIONS) for n in range(12)]


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two cores, as far as torch knows."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def fused_and_generic(weights: Weights, adapter: str | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of both engines along 40 tokens after a prompt of 30; (steps, rows, vocabulary) each."""
    tokens = torch.randint(weights.engine.vocabulary, (70,), generator=torch.Generator().manual_seed(1)).tolist()
    found = []
    with weights.fastest(adapter) as fused, weights.using(adapter) as generic, torch.inference_mode():
        assert isinstance(fused, FusedEngine)
        for engine in (fused, generic):
            state = start_batch(engine, [tokens[:30]], [0] * 16, CPU)
            found.append(torch.stack([engine.step(torch.full((16,), t), state) for t in tokens[29:]]))
    return found[0], found[1]


@pytest.mark.parametrize("kind", ["llama", "qwen2", "mistral"])
def test_the_fused_engine_computes_the_same_function(kind: str, folders: Callable[[str], Path]) -> None:
    """Logits of fused and transformers engine agree to rounding, beyond the sliding window too."""
    one, other = fused_and_generic(Weights(folders(kind), "cpu"), None)
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("rslora", [True, False])
def test_a_merged_adapter_computes_what_peft_computes(
    rslora: bool, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    """The adapter merged into the fused matrices gives the logits of the adapter switched on in peft."""
    weights = Weights(folders("llama"), "cpu")
    adapter = weights.add_adapter(make_adapter(folders("llama"), tmp_path / "a", rslora=rslora))
    one, other = fused_and_generic(weights, adapter)
    base, _ = fused_and_generic(weights, None)
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(one, base, rtol=1e-1, atol=1e-1)


@pytest.mark.parametrize("kind", ["qwen3", "gemma2", "gpt2"])
def test_other_architectures_use_transformers(kind: str, loaded: Callable[[str], Weights]) -> None:
    """What is not Llama-shaped is not fused."""
    with loaded(kind).fastest(None) as engine:
        assert not isinstance(engine, FusedEngine)


def test_a_disagreeing_fused_engine_is_not_used(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose code differs from what fusing assumes falls back to transformers."""
    weights = Weights(folders("llama"), "cpu")
    weights.model.model.layers[0].mlp.register_forward_hook(lambda m, i, output: output * 1.1)
    with weights.fastest(None) as engine:
        assert engine is weights.engine


@pytest.mark.parametrize("adapted", [False, True])
def test_in_bfloat16_only_products_with_weights_are_rounded(
    adapted: bool, folders: Callable[[str], Path], tmp_path: Path
) -> None:
    """Fused bfloat16 logits are nearer to the same weights' float32 logits than those of transformers in bfloat16."""
    exact = Weights(folders("llama"), "cpu")
    rounded = Weights(folders("llama"), "cpu", "bfloat16")
    with torch.inference_mode():
        for to, of in zip(exact.model.parameters(), rounded.model.parameters(), strict=True):
            to.copy_(of)
    names: list[str | None] = [None, None]
    if adapted:
        made = make_adapter(folders("llama"), tmp_path / "a")
        names = [weights.add_adapter(made) for weights in (exact, rounded)]
    wanted, _ = fused_and_generic(exact, names[0])
    fused, generic = fused_and_generic(rounded, names[1])
    error = (fused.float() - wanted).abs()
    assert error.norm() <= 0.06 * wanted.norm()
    assert error.norm() < (generic.float() - wanted).norm()


def test_half_precision_samples(folders: Callable[[str], Path]) -> None:
    """bfloat16 on CPU is fused, and what is not float32 or bfloat16 goes through transformers; both sample."""
    for dtype, fused in (("bfloat16", True), ("float16", False)):
        weights = Weights(folders("llama"), "cpu", dtype)  # type: ignore[arg-type]
        with weights.fastest(None) as engine:
            assert isinstance(engine, FusedEngine) == fused
        assert len(LocalModel("llama", weights).sample(ASKED[:5], LONG)) == 5


def test_matrices_that_are_not_joined_compute_the_same(
    folders: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large models keep gate and up apart and norms outside; so does a tiny one told that it is large."""
    monkeypatch.setattr("offtarget.models.fused._JOINED", 0)
    monkeypatch.setattr("offtarget.models.fused._VOCABULARY_BLOCK", 64)
    weights = Weights(folders("qwen2"), "cpu")
    adapter = weights.add_adapter(make_adapter(folders("qwen2"), tmp_path / "a"))
    for name in (None, adapter):
        one, other = fused_and_generic(weights, name)
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-3)


def test_answers_do_not_depend_on_the_number_of_workers(loaded: Callable[[str], Weights], two_threads: None) -> None:
    """Batches decoded on two cores at once give the answers of one core, each reported once."""
    weights = loaded("llama")
    seen: dict[int, Answer] = {}
    model = LocalModel("llama", weights, batch_size=16)
    parallel = model.sample(ASKED, LONG, lambda i, a: seen.update({i: a}))
    assert [seen[i] for i in range(len(ASKED))] == parallel
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    assert model.sample(ASKED, LONG) == parallel


def test_an_interruption_stops_all_workers(loaded: Callable[[str], Weights], two_threads: None) -> None:
    """What on_answer raises reaches the caller although other workers are under way; the model stays usable."""
    model = LocalModel("llama", loaded("llama"), batch_size=16)

    def stop(index: int, answer: Answer) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.sample(ASKED, LONG, stop)
    assert len(model.sample(ASKED, LONG)) == len(ASKED)


def test_an_error_in_a_worker_reaches_the_caller(
    folders: Callable[[str], Path], two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing step is raised, not swallowed by its thread."""

    def fail(self: FusedEngine, *args: object) -> None:
        raise ZeroDivisionError

    weights = Weights(folders("llama"), "cpu")
    model = LocalModel("llama", weights, batch_size=16)
    model.sample(ASKED[:1], LONG)
    monkeypatch.setattr(FusedEngine, "step", fail)
    with pytest.raises(ZeroDivisionError):
        model.sample(ASKED, LONG)


def test_grouped_heads_and_biases_are_fused_too(tmp_path: Path) -> None:
    """As many key heads as heads, and projections with bias: both shapes agree."""
    made = build("llama", tmp_path / "m", num_key_value_heads=4, attention_bias=True)
    one, other = fused_and_generic(Weights(made, "cpu"), None)
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-3)
