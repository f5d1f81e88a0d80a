"""Ranks and their bootstrap intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fal_bench.stats import rank, rank_intervals


def rng():
    return np.random.default_rng(0)


def test_rank_by_hand():
    labels = [40, 30, 30 * (1 + 1e-12), 20, 40, 40]
    reached = [False, True, True, True, False, False]
    accuracy = [0.2, 0.9, 0.1, 0.5, 0.4, np.nan]
    assert rank(labels, reached, accuracy).tolist() == [5, 2, 2, 1, 4, 6]


def test_what_never_reached_comes_last_even_with_fewer_labels():
    assert rank([10, 90], [False, True], [0.9, 0.1]).tolist() == [2, 1]


@settings(max_examples=50)
@given(hnp.arrays(int, (3, 4), elements=st.integers(1, 6)))
def test_rank_of_many_boards_is_the_rank_of_each(labels):
    reached = labels < 6
    accuracy = labels / 10
    together = rank(labels, reached, accuracy)
    for row, places in enumerate(together):
        np.testing.assert_array_equal(places, rank(labels[row], reached[row], accuracy[row]))
        assert places.min() == 1
        order = rank(labels[row][::-1], reached[row][::-1], accuracy[row][::-1])
        np.testing.assert_array_equal(order[::-1], places)


def boards(gap, tasks=3, seeds=5, spread=10.0):
    noise = rng().normal(scale=spread, size=(3, tasks, seeds))
    labels = 300 + noise + gap * np.arange(3)[:, None, None]
    return labels, np.ones_like(labels), np.full_like(labels, 0.5)


def test_far_apart_strategies_keep_their_ranks_and_close_ones_do_not():
    low, high = rank_intervals(*boards(gap=100), rng())
    assert low.tolist() == high.tolist() == [1, 2, 3]
    low, high = rank_intervals(*boards(gap=0), rng())
    assert np.all(high > low)


def test_a_strategy_that_wins_on_one_task_only_may_lose_its_rank():
    labels = np.array([[[100.0] * 4, [300.0] * 4], [[210.0] * 4, [210.0] * 4]])
    low, high = rank_intervals(labels, np.ones_like(labels), np.zeros_like(labels), rng())
    assert (low.tolist(), high.tolist()) == ([1, 1], [2, 2])


def test_fewer_than_three_seeds_have_no_interval():
    for tasks in (1, 3):
        labels, reached, accuracy = boards(gap=0, tasks=tasks)
        for seeds, known in ((1, False), (2, False), (3, True)):
            few = [array[:, :, :seeds] for array in (labels, reached, accuracy)]
            assert (rank_intervals(*few, rng()) is not None) == known


def test_draws_are_paired_across_strategies():
    """A strategy that needs one label less in every run is first in every sample."""
    labels = boards(gap=0, spread=50.0)[0][:1]
    both = np.concatenate([labels, labels + 1])
    low, high = rank_intervals(both, np.ones_like(both), np.zeros_like(both), rng())
    assert (low.tolist(), high.tolist()) == ([1, 2], [1, 2])


def test_copies_share_their_interval():
    labels = np.repeat(boards(gap=0)[0][:1], 2, axis=0)
    _, high = rank_intervals(labels, np.ones_like(labels), np.zeros_like(labels), rng())
    assert high.tolist() == [1, 1]


def test_malformed_arrays_are_refused():
    with pytest.raises(ValueError, match="strategy, task, seed"):
        rank_intervals(np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3)), rng())
