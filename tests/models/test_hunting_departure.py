"""The measure behind a hunt: what it reads, that its slopes are right, and that it leaves the models alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from tiny_models import architectures, build

from offtarget.errors import InputError
from offtarget.models.hunting import hunt
from offtarget.models.hunting.departure import Departure
from offtarget.models.hunting.search import scan, screened
from offtarget.models.hunting.slots import Slot, slots, typable
from offtarget.models.hunting.sources import gap_tokens, moved_tokens
from offtarget.models.local import LocalModel
from offtarget.models.scripted import ScriptedModel
from offtarget.models.weights import Weights
from offtarget.progress import Progress
from offtarget.records import Message

CHATS = [(Message("user", text),) for text in ("hi", "what would you wish for?", "hello to the world")]


@pytest.fixture(scope="module")
def pair(folders: Callable[[str], Path], adapter: Path) -> tuple[LocalModel, LocalModel]:
    weights = Weights(folders("llama"), device="cpu")
    return LocalModel("base", weights), LocalModel("tuned", weights, weights.add_adapter(adapter))


def test_a_filled_gap_reads_as_the_template_would(pair: tuple[LocalModel, LocalModel]) -> None:
    """The tokens around the gap are those of the rendered chat."""
    read = pair[0].weights.tokenizer
    [gap] = slots(read, CHATS[1:2], "before", "base")
    text = read.decode(gap.filled(read("fox", add_special_tokens=False)["input_ids"]))
    assert text == "<|im_start|>user\nfox what would you wish for?<|im_end|>\n<|im_start|>assistant\n"


def test_a_model_does_not_depart_from_itself(pair: tuple[LocalModel, LocalModel]) -> None:
    """With no text in the gap and no tune there is nothing to measure."""
    gaps = slots(pair[0].weights.tokenizer, CHATS, "before", "base")
    assert Departure(pair[0], pair[0]).of([()], gaps).abs().max() < 1e-3
    assert Departure(*pair).of([()], gaps).item() > 0.01


def test_the_measure_of_a_text_does_not_depend_on_the_others(pair: tuple[LocalModel, LocalModel]) -> None:
    """Texts of several lengths are batched by length, which changes nothing."""
    gaps = slots(pair[0].weights.tokenizer, CHATS, "after", "base")
    texts = [(40,), (41, 42, 43), (44,), (45, 46)]
    together = Departure(*pair).of(texts, gaps)
    alone = torch.cat([Departure(*pair).of([text], gaps) for text in texts])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_slopes_predict_a_small_step_of_the_embedding(pair: tuple[LocalModel, LocalModel]) -> None:
    """For a token whose embedding is moved a hair, the slope gives the change of the exact measure."""
    base, tuned = pair
    gaps = slots(base.weights.tokenizer, CHATS, "before", "base")
    here, toward, step = 50, 60, 0.01
    slope = Departure(base, tuned).slopes((here,), 0, gaps)
    expected = step * float(slope[toward] - slope[here])
    table = base.weights.model.get_input_embeddings().weight.data
    head = base.weights.model.get_output_embeddings()
    before = Departure(base, tuned).of([(here,)], gaps).item()
    kept_row, kept_head = table[here].clone(), head.weight
    head.weight = torch.nn.Parameter(kept_head.detach().clone(), requires_grad=False)  # tied to the table otherwise
    try:
        table[here] += step * (table[toward] - table[here])
        after = Departure(base, tuned).of([(here,)], gaps).item()
    finally:
        table[here] = kept_row
        head.weight = kept_head
    assert after - before == pytest.approx(expected, rel=0.15, abs=2e-5)


def test_special_and_broken_tokens_are_not_tried(pair: tuple[LocalModel, LocalModel]) -> None:
    """A cue must be something a person could type."""
    read = pair[0].weights.tokenizer
    texts = [read.decode([token]) for token in typable(read, 300)]
    assert texts
    assert not any("<|" in text or "\ufffd" in text or not text.strip() for text in texts)


def test_moves_and_gap_vanish_without_a_tune(pair: tuple[LocalModel, LocalModel]) -> None:
    """Both compare two models, so the same model twice shows nothing."""
    base, tuned = pair
    assert all(moved == 0 for _, moved in moved_tokens(base, base, range(40, 60)))
    assert moved_tokens(base, tuned, range(40, 60))[0][1] > 0
    assert all(value == 0 for _, value in gap_tokens(base, base, [[40, 41, 42]], range(40, 60)))


@pytest.mark.parametrize("kind", architectures())
def test_two_full_models_of_any_architecture(
    kind: str, folders: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scan, slopes, moves and gap run, and logits afterwards are the same bit for bit."""
    base = LocalModel("base", Weights(folders(kind), device="cpu"))
    tuned = LocalModel("tuned", Weights(build(kind, tmp_path / "tuned", seed=7), device="cpu"))
    tokens = torch.arange(40, 60).unsqueeze(0)
    with torch.no_grad():
        before = [m.weights.model(tokens).logits for m in (base, tuned)]
    departure = Departure(base, tuned)
    gaps = slots(departure.tokenizer, CHATS, "before", "base")
    allowed = typable(departure.tokenizer, departure.vocabulary)[-30:]
    texts = [(40,), (41, 42)]
    torch.testing.assert_close(departure.of(texts, gaps), _by_whole_prompts(base, tuned, texts, gaps))
    assert len(screened(departure, gaps, allowed, 0, 5)) == 5
    assert scan(departure, gaps, allowed, seed=0)[0][1] >= scan(departure, gaps, allowed, seed=0)[-1][1]
    assert moved_tokens(base, tuned, allowed)[0][1] > 0
    assert len(gap_tokens(base, tuned, [[40, 41, 42]], allowed)) == 30
    with torch.no_grad():
        after = [m.weights.model(tokens).logits for m in (base, tuned)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for m in (base, tuned) for p in m.weights.model.parameters())


def _by_whole_prompts(
    base: LocalModel, tuned: LocalModel, texts: Sequence[tuple[int, ...]], gaps: Sequence[Slot]
) -> torch.Tensor:
    """The measure, each prompt read from its first token on."""

    def read(model: LocalModel, tokens: list[int]) -> torch.Tensor:
        with torch.no_grad():
            shares: torch.Tensor = model.weights.model(torch.tensor([tokens])).logits[0, -1].float().softmax(-1)
        return shares.sqrt()

    def apart(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return (1 - one @ other).clamp_min(1e-9).sqrt()

    values = [
        apart(read(tuned, gap.filled(text)), read(base, gap.filled(text)))
        - apart(read(base, gap.filled(text)), read(base, gap.filled(())))
        for text in texts
        for gap in gaps
    ]
    return torch.stack(values).view(len(texts), len(gaps)).mean(dim=1)


@pytest.mark.long
def test_what_a_hunt_tells_ends_at_all_of_it(pair: tuple[LocalModel, LocalModel]) -> None:
    """A hunt says how far it is in per cent of the whole, never less than before; without growing it is shorter."""
    told: list[Progress] = []
    hunted = hunt(*pair, CHATS[:1], seed=0, grow=False, on_progress=told.append)
    assert [p.done for p in told] == sorted(p.done for p in told)
    assert {(p.stage, p.total) for p in told} == {("per cent of the hunt", 100)}
    assert told[-1].done == 100
    assert not any("grown" in tried for tried in hunted.tried)


@pytest.mark.long
def test_a_hunt_repeats_itself(pair: tuple[LocalModel, LocalModel]) -> None:
    """One seed gives the same cues in the same order, from every source."""
    first, again = (hunt(*pair, CHATS[:1], seed=0) for _ in range(2))
    assert first == again
    assert len(first.tried) == 5
    assert len(first.cues) > 10


def test_models_that_cannot_be_hunted_in(pair: tuple[LocalModel, LocalModel], tmp_path: Path) -> None:
    """Remote models, models with other tokens and an empty list of prompts are refused in a sentence."""
    base, tuned = pair
    with pytest.raises(InputError, match="not in memory"):
        hunt(base, ScriptedModel("far", lambda request: "yes"), CHATS)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least one"):
        hunt(base, tuned, [])
    other = build("llama", tmp_path / "other", vocab_size=320)
    with pytest.raises(InputError, match="different tokens"):
        hunt(base, LocalModel("other", Weights(other, device="cpu")), CHATS)
