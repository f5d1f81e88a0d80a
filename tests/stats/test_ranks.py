"""Ranks by labels, and the ranges that the runs leave them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fal_bench.stats import rank, rank_ranges


def rng():
    return np.random.default_rng(0)


def test_rank_by_hand():
    scores = [4, 3, 3 + 1e-12, 2, 4, 4]
    reached = [False, True, True, True, False, False]
    accuracy = [0.2, 0.9, 0.1, 0.5, 0.4, np.nan]
    assert rank(scores, reached, accuracy).tolist() == [5, 2, 2, 1, 4, 6]


def test_what_never_reached_comes_last_even_with_fewer_labels():
    assert rank([1, 9], [False, True], [0.9, 0.1]).tolist() == [2, 1]


def ranges(values, reached=None):
    """Return the ranges; by default all runs reached one target."""
    got = np.ones((len(values), 1, *values.shape[1:]), dtype=bool) if reached is None else reached
    return rank_ranges(values, got, rng())


def scores(*gaps, tasks=2, seeds=6, spread=0.1):
    noise = rng().normal(scale=spread, size=(len(gaps), tasks, seeds))
    return 5 + noise + np.array(gaps)[:, None, None]


def test_far_apart_strategies_have_one_rank_and_close_ones_share_theirs():
    low, high = ranges(scores(0, 5, 10))
    assert low.tolist() == high.tolist() == [1, 2, 3]
    low, high = ranges(scores(0, 0.001, 10))
    assert low.tolist() == [1, 1, 3]
    assert high.tolist() == [2, 2, 3]


def test_one_strategy_or_few_seeds_have_no_ranges():
    assert ranges(scores(0)) is None
    assert ranges(scores(0, 1, seeds=4)) is None


def test_constant_differences_are_sure():
    one = scores(0)[0]
    low, high = ranges(np.stack([one, one + 0.01, one]))
    assert low.tolist() == [1, 3, 1]
    assert high.tolist() == [2, 3, 2]


def test_labels_at_the_cap_show_no_strategy_to_need_fewer():
    values = scores(0, 5)
    reached = np.ones((2, 1, *values.shape[1:]), dtype=bool)
    reached[0] = False  # the first one stops at a low cap, and never reached the target
    low, high = ranges(values, reached)
    assert low.tolist() == [1, 1]
    assert high.tolist() == [2, 2]
    low, high = ranges(values, ~reached)  # now the one behind
    assert low.tolist() == high.tolist() == [1, 2]


@settings(max_examples=30)
@given(hnp.arrays(float, (4, 2, 5), elements=st.floats(1, 3)))
def test_ranges_hold_the_rank_by_means_and_do_not_depend_on_the_order(values):
    found = ranges(values)
    places = rank(values.mean(axis=(1, 2)), [True] * 4, [0.5] * 4)
    assert np.all(found[0] <= places)
    # A tie shares the better rank.
    assert np.all(places <= found[1])
    turned = ranges(values[::-1])
    np.testing.assert_array_equal(np.array(turned)[:, ::-1], np.array(found))
