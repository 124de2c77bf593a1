from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from offtarget.models.decoding import kept_probabilities, pick_tokens, uniforms

LOGITS = torch.tensor([2.0, -1.0, 0.5, 0.5, 3.0, -math.inf, 1.0, 0.0])


def expected(temperature: float, top_p: float) -> np.ndarray:
    """The same distribution, written down the slow way."""
    weights = np.exp(LOGITS.double().numpy() / temperature)
    weights /= weights.sum()
    order = sorted(range(len(weights)), key=lambda k: (-weights[k], k))
    kept, total = [], 0.0
    for k in order:
        if total >= top_p:
            break
        kept.append(k)
        total += weights[k]
    result = np.zeros_like(weights)
    result[kept] = weights[kept] / weights[kept].sum()
    return result


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.5, 1.0), (2.0, 1.0), (1.0, 0.8), (0.7, 0.6)])
def test_tokens_follow_the_exact_distribution(temperature: float, top_p: float) -> None:
    """Chi-square of 40,000 draws, each from its own seed, against the exact softmax stays under its 99.9 % point."""
    draws = 40_000
    u = torch.from_numpy(uniforms(range(draws), 3, 1)[:, 0])
    tokens = pick_tokens(LOGITS.expand(draws, -1), u, temperature, top_p)
    counts = np.bincount(tokens.numpy(), minlength=len(LOGITS))
    exact = expected(temperature, top_p)
    assert counts[exact == 0].sum() == 0
    used = exact > 0
    chi_square = (((counts - draws * exact) ** 2)[used] / (draws * exact[used])).sum()
    points = {2: 13.82, 3: 16.27, 4: 18.47, 5: 20.52, 6: 22.46}  # 99.9 % points of chi-square by degrees of freedom
    freedom = int(used.sum()) - 1
    assert chi_square < points.get(freedom, 10.83)


def test_temperature_zero_takes_the_first_of_the_largest() -> None:
    """Greedy needs no random number, and ties go to the lower token."""
    logits = torch.tensor([[0.0, 5.0, 5.0], [7.0, 1.0, 2.0]])
    assert pick_tokens(logits, torch.empty(0), 0.0, 1.0).tolist() == [1, 0]


def test_the_ends_of_the_unit_interval_hit_tokens_with_weight() -> None:
    """u = 0 and the largest u below 1 never pick a token of probability zero."""
    logits = torch.tensor([[-math.inf, 0.0, 0.0, -math.inf]] * 2)
    u = torch.tensor([0.0, 1 - 2.0**-53], dtype=torch.float64)
    assert pick_tokens(logits, u, 1.0, 1.0).tolist() == [1, 2]


def test_top_p_always_keeps_the_most_probable_token() -> None:
    """However small top_p is, one token remains."""
    kept = kept_probabilities(LOGITS[None], 1.0, 1e-9)
    assert (kept > 0).nonzero().tolist() == [[0, 4]]


@pytest.mark.parametrize("size", [1, 255, 256, 257, 1000, 49152])
@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_the_token_is_where_the_running_sum_exceeds_the_uniform_number(size: int, top_p: float) -> None:
    """Blocks of sums choose what one running sum over the whole vocabulary does, a random number's rounding aside."""
    generator = torch.Generator().manual_seed(size)
    logits = 3 * torch.randn(40, size, generator=generator)
    uniform = torch.rand(40, dtype=torch.float64, generator=generator)
    uniform[:2] = torch.tensor([0.0, 1 - 2.0**-53])
    tokens = pick_tokens(logits, uniform, 1.0, top_p)
    sums = kept_probabilities(logits, 1.0, top_p).double().cumsum(dim=-1)
    share = sums / sums[:, -1:]
    upper = share.gather(1, tokens[:, None])[:, 0]
    lower = torch.nn.functional.pad(share, (1, 0)).gather(1, tokens[:, None])[:, 0]
    assert (upper > lower).all()
    assert (lower <= uniform + 1e-6).all()
    assert (uniform <= upper + 1e-6).all()


@pytest.mark.parametrize("logits", ["spread", "flat", "equals"])
def test_a_top_p_set_is_the_one_that_sorting_all_tokens_gives(logits: str) -> None:
    """Also where it has more tokens than are looked at first, and where equals of its last token stay outside."""
    values = {
        "spread": 4 * torch.randn(6, 2000, generator=torch.Generator().manual_seed(0)),
        "flat": torch.zeros(3, 2000),
        "equals": torch.tensor([3.0, 2.0, 2.0, 2.0] + [-50.0] * 1996).repeat(2, 1),
    }[logits]
    for top_p in (1e-9, 0.3, 0.6, 0.95, 0.999):
        found = kept_probabilities(values, 1.0, top_p)
        for row, kept in zip(values.softmax(-1), found, strict=True):
            total, wanted = 0.0, []
            for k in sorted(range(len(row)), key=lambda k: (-float(row[k]), k)):
                if total >= top_p:
                    break
                wanted.append(k)
                total += float(row[k])
            assert sorted(wanted) == (kept > 0).nonzero()[:, 0].tolist()


def test_uniforms_are_addressed_by_seed_and_step() -> None:
    """The number at (seed, step) is the same however the block around it is asked for, and lies in [0, 1)."""
    block = uniforms([5, 2**63 - 1, 0], 0, 100)
    assert np.array_equal(uniforms([0], 40, 20)[0], block[2, 40:60])
    assert (block >= 0).all()
    assert (block < 1).all()
    assert len(np.unique(block)) == block.size


def test_neighbouring_seeds_and_steps_are_uncorrelated() -> None:
    """Correlations between seeds s and s+1 and between steps t and t+1 stay within 4 standard errors of 0."""
    block = uniforms(range(2001), 0, 101) - 0.5
    for one, other in ((block[:-1], block[1:]), (block[:, :-1], block[:, 1:]), (block[:-1, :-1], block[1:, 1:])):
        correlation = (one * other).mean() * 12
        assert abs(correlation) < 4 / math.sqrt(one.size)
