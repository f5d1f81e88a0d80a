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
    given_ids = rng(seed).permutation(np.array(sorted(ids), dtype=np.int64))
    split = split_shares(given_ids, shares, rng(seed))
    parts = [getattr(split, name) for name in PARTS]
    assert sorted(np.concatenate(parts)) == sorted(ids)
    for name, part in zip(PARTS, parts, strict=True):
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()
        assert abs(len(part) - getattr(shares, name) * len(ids)) < 1


def test_hand_computed_sizes():
    # 11 samples: quotas 1.1, 2.2, 3.3, 4.4; the one left goes to the largest remainder.
    shares = Shares(state=0.1, warm_start=0.2, agent=0.3, pool=0.4)
    split = split_shares(np.arange(11), shares, rng())
    assert [len(getattr(split, name)) for name in PARTS] == [1, 2, 3, 5]


def test_without_other_shares_everything_is_pool():
    ids = np.array([9, 4, 7])
    split = split_shares(ids, Shares(), rng())
    assert split.pool.tolist() == [4, 7, 9]
    assert len(split.state) == len(split.warm_start) == len(split.agent) == 0


def test_the_split_depends_on_the_stream_and_not_on_the_order_of_ids():
    shares, ids = Shares(agent=0.5, pool=0.5), np.arange(40)
    first = split_shares(ids, shares, rng(0)).pool
    assert np.array_equal(first, split_shares(ids[::-1], shares, rng(0)).pool)
    assert not np.array_equal(first, split_shares(ids, shares, rng(1)).pool)


def test_every_sample_is_equally_likely_in_the_pool():
    shares = Shares(agent=0.75, pool=0.25)
    drawn = [split_shares(np.arange(8), shares, rng(seed)).pool for seed in range(2000)]
    # Each of the 8 ids is in 500 of 2000 pools; 5 standard deviations are 97.
    assert np.abs(np.bincount(np.concatenate(drawn), minlength=8) - 500).max() < 97
