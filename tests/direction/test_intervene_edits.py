"""What steering, capping and ablating do to a residual stream, position by position."""

from __future__ import annotations

import math

import pytest
import torch

from offtarget.direction.file import Direction
from offtarget.direction.intervene import POSITIONS, Ablate, Cap, Compose, Steer
from offtarget.errors import InputError
from offtarget.models.residual import Part
from offtarget.records import DirectionInfo

WIDTH, LAYERS = 8, 3
PARTS = torch.tensor([[-1, 0, 0, 1, 2, 2], [0, 0, 1, 2, 2, -1]])


def direction(rank: int = 1, seed: int = 0) -> Direction:
    generator = torch.Generator().manual_seed(seed)
    rows = [torch.linalg.qr(torch.randn(WIDTH, rank, generator=generator)).Q.T for _ in range(LAYERS)]
    vectors = {layer: torch.cat((3 * q[:1], q[1:])) for layer, q in enumerate(rows)}
    info = DirectionInfo("models", "all", 1, rank, WIDTH, LAYERS, "llama", "t", "f", "b", "g", 1, 1, (), 0)
    return Direction(info, vectors)


def stream(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(2, 6, WIDTH, generator=torch.Generator().manual_seed(1)).to(dtype)


def edits(d: Direction, position: frozenset[Part]) -> list[Steer | Cap | Ablate]:
    reference = {layer: torch.randn(3, WIDTH) for layer in range(LAYERS)}
    return [
        Steer(d, 1.5, [1], position),
        Cap(d, -5.0, None, [1], position),
        Ablate(d, [1], position),
        Ablate(d, [1], position, towards=reference),
    ]


@pytest.mark.parametrize("name", POSITIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_the_chosen_positions_change_and_nothing_in_place(name: str, dtype: torch.dtype) -> None:
    chosen = torch.isin(PARTS, torch.tensor([int(p) for p in POSITIONS[name]]))
    for edit in edits(direction(), POSITIONS[name]):
        hidden = stream(dtype)
        before = hidden.clone()
        changed = edit.apply(1, hidden, PARTS)
        assert changed.dtype == dtype
        assert torch.equal(hidden, before)
        assert torch.equal(changed[~chosen], before[~chosen])
        assert bool((changed[chosen] != before[chosen]).any(dim=-1).all())


def test_one_part_for_all_positions_does_the_same_as_a_tensor_of_it() -> None:
    for edit in edits(direction(), POSITIONS["all"]):
        for part in POSITIONS["all"]:
            told = edit.apply(1, stream(), torch.full((2, 6), int(part)))
            assert torch.equal(edit.apply(1, stream(), part), told)
        assert edit.apply(1, stream(), Part.PADDING).equal(stream())


def test_steering_adds_the_stored_vector_and_strength_0_nothing_at_all() -> None:
    d = direction()
    changed = Steer(d, -2.0).apply(1, stream(), Part.ANSWER)
    torch.testing.assert_close(changed, stream() - 2 * d.vector())
    assert torch.equal(Steer(d, 0.0).apply(1, stream(), PARTS), stream())
    assert Steer(d, 1.0).layers == {1}


def test_ablation_leaves_the_reference_and_all_that_is_orthogonal() -> None:
    d = direction(rank=3)
    q = torch.nn.functional.normalize(d.vectors[1], dim=1)
    reference = {layer: torch.randn(3, WIDTH) for layer in range(LAYERS)}
    zero = Ablate(d).apply(1, stream(), PARTS)
    real = PARTS >= 0
    torch.testing.assert_close((zero @ q.T)[real], torch.zeros(int(real.sum()), 3), atol=1e-5, rtol=0)
    mean = Ablate(d, towards=reference).apply(1, stream(), PARTS)
    torch.testing.assert_close((mean @ q.T)[real], (reference[1][PARTS.clamp(min=0)] @ q.T)[real])
    outside = torch.eye(WIDTH) - q.T @ q
    torch.testing.assert_close((mean @ outside)[real], (stream() @ outside)[real])
    assert Ablate(d).layers == {0, 1, 2}
    first = Ablate(d, [1], rank=1).apply(1, stream(), Part.ANSWER)
    torch.testing.assert_close((first @ q.T)[..., 1:], (stream() @ q.T)[..., 1:])
    assert torch.equal(Ablate(d, share=0.0).apply(1, stream(), PARTS), stream())


def test_capping_clamps_the_projection_and_leaves_streams_within_the_bounds() -> None:
    d = direction()
    u = d.vector() / d.vector().norm()
    before = stream() @ u
    changed = Cap(d, 0.3, -0.2).apply(1, stream(), Part.PROMPT)
    torch.testing.assert_close(changed @ u, before.clamp(-0.2, 0.3), atol=1e-5, rtol=0)
    inside = (before > -0.2) & (before < 0.3)
    assert torch.equal(changed[inside], stream()[inside])


def test_composed_edits_work_in_their_order_at_their_layers() -> None:
    d = direction()
    steer, ablate = Steer(d, 2.0, [1]), Ablate(d, [0, 1])
    both = Compose(steer, ablate)
    assert both.layers == {0, 1}
    torch.testing.assert_close(both.apply(1, stream(), PARTS), ablate.apply(1, stream(), PARTS))
    torch.testing.assert_close(
        Compose(ablate, steer).apply(1, stream(), Part.ANSWER),
        ablate.apply(1, stream(), PARTS.clamp(2)) + 2 * d.vector(),
    )
    assert Compose(ablate, steer).fingerprint != both.fingerprint


def test_fingerprints_tell_vectors_settings_layers_and_positions_apart() -> None:
    d = direction()
    reference = {layer: torch.ones(3, WIDTH) for layer in range(LAYERS)}
    made = [
        Steer(d, 1.0),
        Steer(d, 1.5),
        Steer(direction(seed=1), 1.0),
        Steer(d, 1.0, [2]),
        Steer(d, 1.0, positions=POSITIONS["answer"]),
        Cap(d, 1.0),
        Cap(d, None, 1.0),
        Ablate(d),
        Ablate(d, share=0.5),
        Ablate(d, towards=reference),
    ]
    assert len({edit.fingerprint for edit in made}) == len(made)
    assert Steer(d, 1.0).fingerprint == Steer(direction(), 1).fingerprint


def test_settings_that_make_no_sense_are_refused() -> None:
    d = direction()
    zero = Direction(d.info, {layer: torch.zeros(1, WIDTH) for layer in range(LAYERS)})
    broken = Direction(d.info, {1: torch.full((1, WIDTH), math.nan)})
    for wrong, words in (
        (lambda: Steer(d, math.inf), "finite"),
        (lambda: Steer(d, 1.0, [7]), "no layer 7"),
        (lambda: Steer(d, 1.0, []), "layer"),
        (lambda: Steer(d, 1.0, positions=frozenset()), "position"),
        (lambda: Steer(broken, 1.0), "finite"),
        (lambda: Cap(d, None), "ceiling or a floor"),
        (lambda: Cap(d, 0.0, 1.0), "above"),
        (lambda: Cap(zero, 1.0), "zero"),
        (lambda: Ablate(zero), "zero"),
        (lambda: Ablate(d, rank=2), "1 vectors"),
        (lambda: Ablate(d, towards={0: torch.zeros(3, WIDTH)}), "no means at layer 1"),
        (lambda: Ablate(d, [0], towards={0: torch.zeros(WIDTH)}), "shape"),
        (lambda: Compose(), "at least one"),
        (lambda: Steer(d, 1.0).apply(1, torch.zeros(2, 4), Part.ANSWER), "width 8"),
    ):
        with pytest.raises(InputError, match=words):
            wrong()
