"""What decoding takes in memory is known before it starts, and kept prefixes stay within their bounds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_models import ask, build

from offtarget.models import SamplingSettings
from offtarget.models.decoding_memory import batch_rows, decoding_needs
from offtarget.models.kept_prefixes import Filled, KeptPrefixes
from offtarget.models.local import LocalModel
from offtarget.models.weights import Weights

STATUS, PEAK = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def most_memory(work: Callable[[], object]) -> int:
    """Bytes that the process had at the most while it did some work, more than before."""

    def kilobytes(name: str) -> int:
        return int(re.search(rf"{name}:\s+(\d+)", STATUS.read_text()).group(1))  # type: ignore[union-attr]

    PEAK.write_text("5")  # the kernel begins anew with the highest value
    before = kilobytes("VmRSS")
    work()
    return 1024 * (kilobytes("VmHWM") - before)


@pytest.mark.long
@pytest.mark.skipif(not PEAK.exists(), reason="needs Linux, which counts the most memory of a process")
def test_the_estimate_is_above_what_decoding_takes_and_below_three_times_it(tmp_path: Path) -> None:
    """In a process of its own: one that has freed memory before takes less that is new."""
    here = [str(Path(__file__).parent), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", f"import test_decoding_memory as t; t.estimate_and_truth({str(tmp_path)!r})"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(here)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    needs, taken = map(int, done.stdout.split())
    assert taken <= needs <= 3 * taken


def estimate_and_truth(folder: str) -> None:
    """Prints what 96 answers are said to take, and what they took, in bytes."""
    wide = {"hidden_size": 256, "num_attention_heads": 8, "num_key_value_heads": 8, "head_dim": 32}
    weights = Weights(build("llama", Path(folder) / "m", **wide), "cpu")
    model = LocalModel("wide", weights)
    model._ends = (-1,)  # no answer ends before the limit
    settings = SamplingSettings(max_tokens=120)
    asked = [ask(f"{'hello world ' * 10}{n % 4}", n) for n in range(96)]
    model.sample(asked[:1], SamplingSettings(max_tokens=1))
    lengths = [model.prompt_length(request.messages) for request in asked[:4]]
    needs = decoding_needs(weights, lengths, 96, 120).of(96)
    assert batch_rows(weights, lengths, 96, 120) >= 96
    sys.stdout.write(f"{needs} {most_memory(lambda: model.sample(asked, settings))}")


def test_a_batch_is_what_fits(loaded: Callable[[str], Weights], monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the free memory is not exceeded by the rows chosen, and would be by one more."""
    weights = loaded("llama")
    for free in (120 << 20, 180 << 20):
        monkeypatch.setattr("offtarget.models.decoding_memory.free_memory", lambda free=free: free)
        rows = batch_rows(weights, [40, 50], 10_000, 400)
        needs = decoding_needs(weights, [40, 50], 10_000, 400)
        assert needs.of(rows) <= free // 2 < needs.of(rows + 1)
    monkeypatch.setattr("offtarget.models.decoding_memory.free_memory", lambda: 0)
    assert batch_rows(weights, [40], 10, 400) == 1


def test_kept_prefixes_are_those_used_last() -> None:
    def filled(number: int) -> Filled:
        return Filled([torch.full((1, 4, 8), float(number))], [torch.zeros(1, 4, 8)])  # 256 bytes

    kept = KeptPrefixes(most=600)
    kept.put([1], filled(1))
    kept.put([2], filled(2))
    assert kept.get([1]) is not None
    kept.put([3], filled(3))
    assert kept.get([2]) is None
    for number in (1, 3):
        found = kept.get([number])
        assert found is not None
        assert float(found.keys[0][0, 0, 0]) == number


@pytest.mark.parametrize("kind", ["llama", "gemma3"])
def test_a_prompt_is_filled_in_once_for_a_model(
    kind: str, loaded: Callable[[str], Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later calls give what a model that was never asked gives, without reading the prompt again."""
    weights = loaded(kind)
    model, settings = LocalModel(kind, weights), SamplingSettings(max_tokens=12)
    asked = [ask(q, n) for n in range(6) for q in ("hi", "the world? " * 4)]
    first = model.sample(asked[:2], settings)
    filled: list[int] = []
    prefill = type(weights.engine).prefill

    def count(self: object, tokens: torch.Tensor) -> object:
        filled.append(len(tokens))
        return prefill(self, tokens)  # type: ignore[arg-type]

    monkeypatch.setattr(type(weights.engine), "prefill", count)
    again = model.sample(asked, settings)
    assert not filled
    assert again[:2] == first
    assert LocalModel(kind, weights).sample(asked, settings) == again
    assert sum(filled) == 2
