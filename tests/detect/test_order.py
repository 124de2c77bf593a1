"""The order of review: reproducible, unpredictable without the seed, uniform."""

from __future__ import annotations

import hashlib

from offtarget.detect.order import new_seed, order_key
from offtarget.records.audit import seed_commitment


def test_same_seed_same_order_everywhere():
    """The key depends on seed and id alone."""
    assert order_key("a" * 64, "x.jsonl:1") == order_key("a" * 64, "x.jsonl:1")
    assert order_key("a" * 64, "x.jsonl:1") != order_key("b" * 64, "x.jsonl:1")
    assert order_key("a" * 64, "x.jsonl:1") != order_key("a" * 64, "x.jsonl:2")


def test_the_commitment_is_sha256_and_does_not_give_the_key_away():
    """Anyone can check the commitment with standard tools; hashing with it as the key gives another order."""
    seed = new_seed()
    assert seed_commitment(seed, None) == hashlib.sha256(seed.encode()).hexdigest()
    public = bytes.fromhex(seed_commitment(seed, None))
    assert order_key(seed, "x:1") != hashlib.blake2b(b"x:1", key=public, digest_size=16).digest()


def test_seeds_are_new_each_time():
    """Two audits never share an order by accident."""
    assert len({new_seed() for _ in range(100)}) == 100


def test_ids_with_lone_surrogates_have_a_place():
    """A path that is not valid UTF-8 does not stop an audit."""
    assert len(order_key("s", "bad\udcff.jsonl:3")) == 16


def test_every_row_is_as_likely_to_come_first():
    """Over many seeds, the place of each of four rows is uniform (chi-squared, 3 degrees of freedom, p > 1e-4)."""
    ids = [f"f.jsonl:{i}" for i in range(4)]
    first = [min(ids, key=lambda i: order_key(f"seed {s}", i)) for s in range(4000)]
    assert sum((first.count(i) - 1000) ** 2 / 1000 for i in ids) < 21.1
