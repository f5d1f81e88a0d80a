import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fal_bench.data.shares import split_shares
from fal_bench.task import Shares

PARTS = ("state", "warm_start", "agent", "pool")


def rng(seed=0):
    return np.random.default_rng(seed)


@st.composite
def fractions(draw):
    """Four fractions in hundredths that add up to one, the last of them positive."""
    cuts = sorted(draw(st.lists(st.integers(0, 99), min_size=3, max_size=3)))
    parts = np.diff([0, *cuts, 100]) / 100
    return Shares(**dict(zip(PARTS, parts.tolist(), strict=True)))


@given(fractions(), st.sets(st.integers(0, 10**6), max_size=120), st.integers(0, 2**32))
def test_parts_are_sorted_disjoint_whole_and_of_the_asked_sizes(shares, ids, seed):
    ordered = np.array(sorted(ids), dtype=np.int64)
    split = split_shares(ordered, shares, rng(seed))
    reordered = split_shares(rng(seed).permutation(ordered), shares, rng(seed))
    parts = [getattr(split, name) for name in PARTS]
    assert sorted(np.concatenate(parts)) == sorted(ids)
    assert len(split.pool) or not ids
    taken = shares.pool * len(ids) < 1  # the pool may have taken its one sample from another part
    for name, part in zip(PARTS, parts, strict=True):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
        assert abs(len(part) - getattr(shares, name) * len(ids)) < 1 + taken
        assert np.array_equal(part, getattr(reordered, name))


def test_hand_computed_sizes():
    # 11 samples: quotas 1.1, 2.2, 3.3, 4.4; the one left goes to the largest remainder.
    shares = Shares(state=0.1, warm_start=0.2, agent=0.3, pool=0.4)
    split = split_shares(np.arange(11), shares, rng())
    assert [len(getattr(split, name)) for name in PARTS] == [1, 2, 3, 5]
    everything = split_shares(np.array([9, 4, 7]), Shares(), rng())
    assert everything.pool.tolist() == [4, 7, 9]


def test_every_sample_is_equally_likely_in_the_pool():
    shares = Shares(agent=0.75, pool=0.25)
    drawn = [split_shares(np.arange(8), shares, rng(seed)).pool for seed in range(2000)]
    # Each of the 8 ids is in 500 of 2000 pools; 5 standard deviations are 97.
    assert np.abs(np.bincount(np.concatenate(drawn), minlength=8) - 500).max() < 97
