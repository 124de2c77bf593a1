"""A base in 4 bits (bitsandbytes): asked as it is, and under an adapter only where its own answers stay the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers
from tiny_models import build, make_adapter

from offtarget.errors import InputError
from offtarget.models.opening import open_model, open_pair

pytest.importorskip("bitsandbytes", reason="4-bit bases need bitsandbytes")
pytestmark = pytest.mark.filterwarnings("ignore")  # of bitsandbytes, on kernels that a CPU lacks


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A tiny Llama in 4 bits, and an adapter that was made on its full-precision base."""
    home = tmp_path_factory.mktemp("four")
    base = build("llama", home / "base", hidden_size=64, intermediate_size=128, head_dim=16)
    how = transformers.BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
    model = transformers.AutoModelForCausalLM.from_pretrained(base, quantization_config=how, dtype=torch.float32)
    model.save_pretrained(home / "small")
    transformers.AutoTokenizer.from_pretrained(base).save_pretrained(home / "small")
    return home / "small", make_adapter(base, home / "adapter")


def test_it_opens_with_a_note(folders: tuple[Path, Path]) -> None:
    """The answers are those of the quantised weights, and the note says so."""
    model = open_model(f"hf/{folders[0]}")
    assert any("quantised with bitsandbytes" in note for note in model.weights.notes)  # type: ignore[attr-defined]


def test_an_adapter_on_it_is_compared_or_refused_never_wrong(folders: tuple[Path, Path]) -> None:
    """On some CPUs bitsandbytes stores the weights anew when they run: the base is then another model."""
    base, adapter = folders
    try:
        pair = open_pair(f"hf/{base}", f"hf/{base}+{adapter}")
    except InputError as refused:
        assert "quantised base" in str(refused)  # noqa: PT017
    else:
        assert any("Adapter loaded correctly" in check for check in pair.checks)
